/* crash.c: the rule about a process that is killed at any moment
 *
 * A writer process tells each commit before and after it ("? ..." and "! ..."). It is killed at a
 * random moment; then the account must be what the acknowledged commits made of it, with or without
 * the one that was under way.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "conform/kit.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

enum {
	ROUNDS = 500,
	LEAST_ROUNDS = 4,
	LIFE_MS = 120,
	WAIT_MS = 10000,
	LARGE_EVERY = 11,
	LARGE = 150000,
	SMALL = 700,
	CHECKED = 12, /* messages whose octets are read after each round */
	LINE = 128,
};

/* --- the writer --------------------------------------------------------------------------------- */

typedef struct {
	PhKitAccount a;
	PhMailboxId other;
	GArray *uids; /* in the inbox */
	uint64_t next;
} Writer;

static uint64_t
length_of(uint64_t number)
{
	return number % LARGE_EVERY == 0 ? LARGE : SMALL + number % 100;
}

static bool
is_other(const PhMailboxInfo *info, void *user_data)
{
	if (strcmp(info->name, "other") == 0)
		*(PhMailboxId *) user_data = info->id;
	return true;
}

static PhMailboxId
find_other(PhKitAccount *a)
{
	PhMailboxId id = { { 0 } };

	(void) ph_kit.table->mailboxes(a->handle, is_other, &id, NULL, NULL);
	return id;
}

static uint32_t
pick(const Writer *writer, guint *at_out)
{
	*at_out = (guint) (ph_kit_random() % writer->uids->len);
	return g_array_index(writer->uids, uint32_t, *at_out);
}

static void
write_append(Writer *writer)
{
	g_autoptr(PhKitTx) tx = ph_kit_tx();
	uint64_t number = writer->next++;
	g_autoptr(PhContent) content = ph_kit_generated(number, length_of(number));
	g_autoptr(GError) error = NULL;
	PhOp *op = ph_kit_add(tx, PH_OP_APPEND, &writer->a.inbox);

	(void) dprintf(STDOUT_FILENO, "? a %" G_GUINT64_FORMAT "\n", number);
	if (!ph_kit.table->upload(writer->a.handle, content, false, &op->blob, &error))
		ph_kit_fail("upload: %s", error->message);
	op->octets = length_of(number);
	memcpy(op->message_id, &number, sizeof number);
	KIT_CHECK(ph_kit_commit(&writer->a, tx), "append failed: %s", tx->public.error->message);
	(void) dprintf(STDOUT_FILENO, "! %u\n", op->uid);
	g_array_append_val(writer->uids, op->uid);
}

static void
write_other(Writer *writer, char kind)
{
	PhKitTx *tx = ph_kit_tx();
	guint at = 0;
	uint32_t uid = pick(writer, &at);
	uint32_t flags = (uint32_t) (ph_kit_random() % 32);
	g_autofree char *uids = g_strdup_printf("%u", uid);
	g_autofree char *value = g_strdup_printf("%u", flags + 1);

	(void) dprintf(STDOUT_FILENO, "? %c %u %u\n", kind, uid, flags);
	switch (kind) {
	case 'f':
		ph_kit_add_flags(tx, &writer->a.inbox, uids, PH_FLAGS_REPLACE)->flags = flags;
		break;
	case 'e':
		(void) ph_kit_add_uids(tx, PH_OP_EXPUNGE, &writer->a.inbox, uids);
		break;
	case 'm':
		(void) ph_kit_add_transfer(tx, PH_OP_MOVE, &writer->a.inbox, uids, &writer->other);
		break;
	default:
		(void) ph_kit_add_put(tx, NULL, "crash", ph_slice(value));
	}
	(void) ph_kit_must(&writer->a, tx, "a commit of the writer");
	(void) dprintf(STDOUT_FILENO, "! 0\n");
	if (kind == 'e' || kind == 'm')
		(void) g_array_remove_index_fast(writer->uids, at);
}

int
ph_kit_role_write(const char *const *words)
{
	static const char kinds[] = "ffffemp";
	Writer writer = { .uids = g_array_new(FALSE, FALSE, sizeof(uint32_t)) };
	g_autoptr(PhKitReading) all = NULL;

	(void) ph_slice_to_u64(ph_slice(words[1]), UINT64_MAX, &writer.next);
	ph_kit_open(&writer.a, words[0]);
	writer.other = find_other(&writer.a);
	all = ph_kit_read(&writer.a, &writer.a.inbox, 0, NULL, 0);
	for (guint i = 0; i < all->records->len; i++) {
		const PhKitRecord *record = &g_array_index(all->records, PhKitRecord, i);

		g_array_append_val(writer.uids, record->record.uid);
	}
	for (;;) {
		if (writer.uids->len < 5 || ph_kit_random() % 2 == 0)
			write_append(&writer);
		else
			write_other(&writer, kinds[ph_kit_random() % (sizeof kinds - 1)]);
	}
}

/* --- what must be there ----------------------------------------------------------------------------- */

typedef struct {
	uint64_t number; /* of the message */
	uint32_t uid;
	uint32_t flags;
} Message;

/* Model: what the acknowledged commits made. */
typedef struct {
	GArray *inbox; /* of Message, by uid */
	GArray *other; /* by number of arrival */
	uint32_t value;
	uint64_t next;
	char pending[LINE]; /* "a 7": told before, not after */
} Model;

static GArray *
read_messages(PhKitAccount *a, const PhMailboxId *mailbox)
{
	g_autoptr(PhKitReading) all =
		ph_kit_read(a, mailbox, 0, NULL, PH_FIELD_FLAGS | PH_FIELD_IDS);
	GArray *messages = g_array_new(FALSE, FALSE, sizeof(Message));

	for (guint i = 0; i < all->records->len; i++) {
		const PhRecord *record = &g_array_index(all->records, PhKitRecord, i).record;
		Message message = { .uid = record->uid, .flags = record->flags };

		memcpy(&message.number, record->message_id, sizeof message.number);
		g_array_append_val(messages, message);
	}
	return messages;
}

static Message *
by_uid(GArray *messages, uint32_t uid, guint *at_out)
{
	for (guint i = 0; i < messages->len; i++) {
		Message *message = &g_array_index(messages, Message, i);

		if (message->uid != uid)
			continue;
		if (at_out != NULL)
			*at_out = i;
		return message;
	}
	return NULL;
}

static const Message *
by_number(GArray *messages, uint64_t number)
{
	for (guint i = 0; i < messages->len; i++)
		if (g_array_index(messages, Message, i).number == number)
			return &g_array_index(messages, Message, i);
	return NULL;
}

/* Does to the model what the line says. @uid: of an append. */
static void
apply(Model *model, const char *line, uint32_t uid)
{
	uint64_t first = 0;
	uint64_t second = 0;
	PhSlice rest = ph_slice(line + 2);
	Message *message = NULL;
	guint at = 0;

	(void) ph_slice_to_u64(ph_slice_split(&rest, ' '), UINT64_MAX, &first);
	(void) ph_slice_to_u64(ph_slice_split(&rest, ' '), UINT64_MAX, &second);
	if (line[0] == 'a') {
		Message added = { .number = first, .uid = uid };

		KIT_CHECK(
			model->inbox->len == 0
				|| uid > g_array_index(model->inbox, Message, model->inbox->len - 1)
						   .uid,
			"uid %u was given after a higher one", uid);
		g_array_append_val(model->inbox, added);
		model->next = MAX(model->next, first + 1);
		return;
	}
	if (line[0] == 'p') {
		model->value = (uint32_t) second + 1;
		return;
	}
	message = by_uid(model->inbox, (uint32_t) first, &at);
	if (message == NULL)
		return;
	if (line[0] == 'f')
		message->flags = (uint32_t) second;
	if (line[0] == 'm')
		g_array_append_val(model->other, *message);
	if (line[0] == 'e' || line[0] == 'm')
		(void) g_array_remove_index(model->inbox, at);
}

static void
hear(Model *model, const char *line)
{
	uint32_t uid = 0;

	if (line[0] == '?') {
		(void) g_strlcpy(model->pending, line + 2, sizeof model->pending);
		return;
	}
	KIT_CHECK(line[0] == '!' && ph_slice_to_u32(ph_slice(line + 2), UINT32_MAX, &uid),
	          "the writer said: %s", line);
	apply(model, model->pending, uid);
	model->pending[0] = '\0';
}

static uint32_t
read_value(PhKitAccount *a)
{
	g_autofree char *text = ph_kit_values(a, NULL, "crash");
	uint32_t value = 0;

	if (g_str_has_prefix(text, "crash="))
		(void) ph_slice_to_u32(ph_slice(text + strlen("crash=")), UINT32_MAX, &value);
	return value;
}

/* The commit under way may have happened: then it becomes part of the model. */
static void
settle(Model *model, PhKitAccount *a, GArray *inbox)
{
	const char *line = model->pending;
	uint64_t first = 0;
	uint64_t second = 0;
	PhSlice rest = ph_slice(line[0] != '\0' ? line + 2 : "");
	const Message *there = NULL;
	bool happened = false;

	(void) ph_slice_to_u64(ph_slice_split(&rest, ' '), UINT64_MAX, &first);
	(void) ph_slice_to_u64(ph_slice_split(&rest, ' '), UINT64_MAX, &second);
	switch (line[0]) {
	case 'a':
		model->next = MAX(model->next, first + 1);
		there = by_number(inbox, first);
		happened = there != NULL;
		break;
	case 'f':
		there = by_uid(inbox, (uint32_t) first, NULL);
		happened = there != NULL && there->flags == second;
		break;
	case 'e':
	case 'm':
		happened = by_uid(inbox, (uint32_t) first, NULL) == NULL;
		break;
	case 'p':
		happened = read_value(a) == second + 1;
		break;
	default:
		break;
	}
	if (happened)
		apply(model, line, there != NULL ? there->uid : 0);
	model->pending[0] = '\0';
}

static char *
describe(GArray *messages, bool with_uids)
{
	GString *out = g_string_new(NULL);

	for (guint i = 0; i < messages->len; i++) {
		const Message *message = &g_array_index(messages, Message, i);

		g_string_append_printf(out, "%u:%" G_GUINT64_FORMAT ":%u ",
		                       with_uids ? message->uid : 0, message->number,
		                       message->flags);
	}
	return g_string_free(out, FALSE);
}

/* Where two long texts differ. */
static void
same_messages(const char *what, GArray *actual, GArray *expected, bool with_uids)
{
	g_autofree char *a = describe(actual, with_uids);
	g_autofree char *b = describe(expected, with_uids);
	size_t at = 0;

	while (a[at] != '\0' && a[at] == b[at])
		at++;
	at -= MIN(at, 20);
	KIT_CHECK(strcmp(a, b) == 0,
	          "%s after a crash (uid:message:flags): %u there, %u acknowledged; found "
	          "\"...%.60s\", expected \"...%.60s\"",
	          what, actual->len, expected->len, a + at, b + at);
}

/* What the core does before it opens a mailbox. */
static void
look_again(PhKitAccount *a, const PhMailboxId *mailbox)
{
	g_autoptr(GError) error = NULL;

	if (ph_kit_is(PH_STORE_FOREIGN_WRITERS)
	    && !ph_kit.table->refresh(a->handle, mailbox, &error))
		ph_kit_fail("refresh after a crash: %s", error->message);
}

static void
check_round(Model *model)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	g_autoptr(GArray) inbox = NULL;
	g_autoptr(GArray) others = NULL;
	PhMailboxId other;

	ph_kit_open(&a, "crash");
	other = find_other(&a);
	look_again(&a, &a.inbox);
	look_again(&a, &other);
	inbox = read_messages(&a, &a.inbox);
	others = read_messages(&a, &other);
	settle(model, &a, inbox);
	same_messages("the inbox", inbox, model->inbox, true);
	same_messages("the other mailbox", others, model->other, false);
	ph_kit_same("the value after a crash", read_value(&a), model->value);
	for (guint i = inbox->len - MIN(inbox->len, CHECKED); i < inbox->len; i++) {
		const Message *message = &g_array_index(inbox, Message, i);
		g_autoptr(PhContent) content = ph_kit_content(&a, &a.inbox, message->uid);

		ph_kit_check_generated(content, message->number, length_of(message->number));
	}
	ph_kit_check_counts(&a);
}

/* --- rounds ------------------------------------------------------------------------------------------ */

/* Hears what the writer says until it is killed, and what is left in the pipe. */
static void
hear_until_killed(Model *model, GPid pid, int output)
{
	g_autoptr(GString) heard = g_string_new(NULL);
	uint64_t life = ph_kit_random() % ((uint64_t) LIFE_MS * 1000);
	uint64_t end = 0;
	bool killed = false;
	char buffer[4096];
	ssize_t got = 1;

	while (got > 0) {
		struct pollfd wait = { .fd = output, .events = POLLIN };
		uint64_t now = ph_kit_now_us();
		int ms = end == 0 ? WAIT_MS : (end > now ? (int) ((end - now) / 1000) : 0);

		if (!killed && (end != 0 && now >= end))
			killed = kill(pid, SIGKILL) == 0;
		if (!killed && poll(&wait, 1, ms) == 0)
			continue;
		got = read(output, buffer, sizeof buffer);
		if (got > 0)
			g_string_append_len(heard, buffer, got);
		if (end == 0)
			end = ph_kit_now_us() + life;
	}
	(void) close(output);
	(void) ph_kit_end(pid);
	{
		g_auto(GStrv) lines = g_strsplit(heard->str, "\n", -1);

		for (size_t i = 0; lines[i] != NULL && lines[i + 1] != NULL; i++)
			hear(model, lines[i]);
	}
}

static void
prepare(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	PhMailboxId other;

	ph_kit_open(&a, "crash");
	ph_kit_create(&a, "other", &other);
}

static void
crash(void)
{
	Model model = { .inbox = g_array_new(FALSE, FALSE, sizeof(Message)),
		        .other = g_array_new(FALSE, FALSE, sizeof(Message)),
		        .next = 1 };
	uint32_t rounds = ph_kit_scaled(ROUNDS, LEAST_ROUNDS);

	if (ph_kit_is(PH_STORE_VOLATILE))
		ph_kit_skip("the store says that it forgets with the process");
	prepare();
	for (uint32_t i = 0; i < rounds; i++) {
		g_autofree char *next = g_strdup_printf("%" G_GUINT64_FORMAT, model.next);
		const char *const words[] = { "write", "crash", next, NULL };
		int output = -1;
		GPid pid = ph_kit_start(words, &output);

		hear_until_killed(&model, pid, output);
		check_round(&model);
	}
	ph_kit_note("%u rounds, %" G_GUINT64_FORMAT " messages", rounds, model.next - 1);
	(void) g_array_free(model.inbox, TRUE);
	(void) g_array_free(model.other, TRUE);
}

const PhConformRule ph_conform_crash[] = {
	{ "crash", "STORE-1",
	  "a writer killed at any moment: every acknowledged commit is there, once", crash },
	{ NULL },
};
