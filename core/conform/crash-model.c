/* crash-model.c: what the acknowledged commits of a writer made, and whether it is there
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "conform/crash.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

enum {
	LIFE_MS = 120,
	WAIT_MS = 10000,
	CHECKED = 12, /* messages whose octets are read after each round */
};

/* --- the model --- */

PhCrashModel *
ph_crash_model_new(void)
{
	PhCrashModel *model = g_new0(PhCrashModel, 1);

	model->inbox = g_array_new(FALSE, FALSE, sizeof(PhCrashMessage));
	model->other = g_array_new(FALSE, FALSE, sizeof(PhCrashMessage));
	model->next = 1;
	return model;
}

void
ph_crash_model_free(PhCrashModel *model)
{
	if (model == NULL)
		return;
	g_array_unref(model->inbox);
	g_array_unref(model->other);
	g_free(model);
}

static void
write_messages(GString *out, char mark, const GArray *messages)
{
	for (guint i = 0; i < messages->len; i++) {
		const PhCrashMessage *one = &g_array_index(messages, PhCrashMessage, i);

		g_string_append_printf(out, "%c %" G_GUINT64_FORMAT " %u %u\n", mark, one->number,
		                       one->uid, one->flags);
	}
}

char *
ph_crash_text(const PhCrashModel *model)
{
	GString *out = g_string_new(NULL);

	g_string_append_printf(out, "n %" G_GUINT64_FORMAT "\nv %" G_GUINT64_FORMAT "\np %s\n",
	                       model->next, model->value, model->pending);
	write_messages(out, 'i', model->inbox);
	write_messages(out, 'o', model->other);
	return g_string_free(out, FALSE);
}

static void
parse_message(GArray *messages, PhSlice rest)
{
	PhCrashMessage one = { 0 };

	KIT_CHECK(ph_slice_to_u64(ph_slice_split(&rest, ' '), UINT64_MAX, &one.number)
	                  && ph_slice_to_u32(ph_slice_split(&rest, ' '), UINT32_MAX, &one.uid)
	                  && ph_slice_to_u32(rest, UINT32_MAX, &one.flags),
	          "the kit's own file cannot be read");
	g_array_append_val(messages, one);
}

static void
parse_line(PhCrashModel *model, PhSlice line)
{
	PhSlice word = ph_slice_split(&line, ' ');
	uint64_t n = 0;

	if (ph_slice_is(word, "i") || ph_slice_is(word, "o")) {
		parse_message(word.data[0] == 'i' ? model->inbox : model->other, line);
	} else if (ph_slice_is(word, "p")) {
		g_autofree char *pending = ph_slice_dup(line);

		(void) g_strlcpy(model->pending, pending, sizeof model->pending);
	} else if (ph_slice_to_u64(line, UINT64_MAX, &n)) {
		*(ph_slice_is(word, "n") ? &model->next : &model->value) = n;
	}
}

PhCrashModel *
ph_crash_parse(const char *text)
{
	PhCrashModel *model = ph_crash_model_new();
	PhSlice rest = ph_slice(text);

	while (rest.length > 0)
		parse_line(model, ph_slice_split(&rest, '\n'));
	return model;
}

/* --- what must be there ----------------------------------------------------------------------------- */

static GArray *
read_messages(PhKitAccount *a, const PhMailboxId *mailbox)
{
	g_autoptr(PhKitReading) all =
		ph_kit_read(a, mailbox, 0, NULL, PH_FIELD_FLAGS | PH_FIELD_IDS);
	GArray *messages = g_array_new(FALSE, FALSE, sizeof(PhCrashMessage));

	for (guint i = 0; i < all->records->len; i++) {
		const PhRecord *record = &g_array_index(all->records, PhKitRecord, i).record;
		PhCrashMessage message = { .uid = record->uid, .flags = record->flags };

		memcpy(&message.number, record->message_id, sizeof message.number);
		g_array_append_val(messages, message);
	}
	return messages;
}

static PhCrashMessage *
by_uid(GArray *messages, uint32_t uid, guint *at_out)
{
	for (guint i = 0; i < messages->len; i++) {
		PhCrashMessage *message = &g_array_index(messages, PhCrashMessage, i);

		if (message->uid != uid)
			continue;
		if (at_out != NULL)
			*at_out = i;
		return message;
	}
	return NULL;
}

static const PhCrashMessage *
by_number(GArray *messages, uint64_t number)
{
	for (guint i = 0; i < messages->len; i++)
		if (g_array_index(messages, PhCrashMessage, i).number == number)
			return &g_array_index(messages, PhCrashMessage, i);
	return NULL;
}

/* Does to the model what the line says. @uid: of an append. */
static void
apply(PhCrashModel *model, const char *line, uint32_t uid)
{
	uint64_t first = 0;
	uint64_t second = 0;
	PhSlice rest = ph_slice(line + 2);
	PhCrashMessage *message = NULL;
	guint at = 0;

	(void) ph_slice_to_u64(ph_slice_split(&rest, ' '), UINT64_MAX, &first);
	(void) ph_slice_to_u64(ph_slice_split(&rest, ' '), UINT64_MAX, &second);
	if (line[0] == 'a') {
		PhCrashMessage added = { .number = first, .uid = uid };

		KIT_CHECK(model->inbox->len == 0
		                  || uid > g_array_index(model->inbox, PhCrashMessage,
		                                         model->inbox->len - 1)
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
hear(PhCrashModel *model, const char *line)
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
settle(PhCrashModel *model, PhKitAccount *a, GArray *inbox)
{
	const char *line = model->pending;
	uint64_t first = 0;
	uint64_t second = 0;
	PhSlice rest = ph_slice(line[0] != '\0' ? line + 2 : "");
	const PhCrashMessage *there = NULL;
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
		const PhCrashMessage *message = &g_array_index(messages, PhCrashMessage, i);

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

/* What other programs write too may show a torn append, that nobody was told of, as one message more
 * of theirs. It is taken out. */
static void
take_stray(PhKitAccount *a, const PhMailboxId *mailbox, GArray *messages, GArray *expected)
{
	const PhCrashMessage *last = NULL;
	g_autofree char *uid = NULL;

	if (!ph_kit_is(PH_STORE_FOREIGN_WRITERS) || messages->len != expected->len + 1)
		return;
	last = &g_array_index(messages, PhCrashMessage, messages->len - 1);
	if (by_number(expected, last->number) != NULL)
		return;
	uid = g_strdup_printf("%u", last->uid);
	(void) ph_kit_expunge(a, mailbox, uid);
	g_array_set_size(messages, messages->len - 1);
}

void
ph_crash_check(PhCrashModel *model, bool after_power_loss)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	g_autoptr(GArray) inbox = NULL;
	g_autoptr(GArray) others = NULL;
	PhMailboxId other;

	ph_kit_open(&a, "crash");
	other = ph_crash_other(&a);
	look_again(&a, &a.inbox);
	look_again(&a, &other);
	inbox = read_messages(&a, &a.inbox);
	others = read_messages(&a, &other);
	settle(model, &a, inbox);
	if (after_power_loss) {
		take_stray(&a, &a.inbox, inbox, model->inbox);
		take_stray(&a, &other, others, model->other);
	}
	same_messages("the inbox", inbox, model->inbox, true);
	same_messages("the other mailbox", others, model->other, false);
	ph_kit_same("the value after a crash", read_value(&a), model->value);
	for (guint i = inbox->len - MIN(inbox->len, CHECKED); i < inbox->len; i++) {
		const PhCrashMessage *message = &g_array_index(inbox, PhCrashMessage, i);
		g_autoptr(PhContent) content = ph_kit_content(&a, &a.inbox, message->uid);

		ph_kit_check_generated(content, message->number, ph_crash_length(message->number));
	}
	ph_kit_check_counts(&a);
}

/* Hears what the writer says until it is killed, and what is left in the pipe. */
void
ph_crash_hear(PhCrashModel *model, GPid pid, int output)
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
