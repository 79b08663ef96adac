/* crash.c: the rule about a process that is killed at any moment
 *
 * A writer process tells each commit before and after it ("? ..." and "! ..."). It is killed at a
 * random moment; then the account must be what the acknowledged commits made of it, with or without
 * the one that was under way.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "conform/crash.h"

#include <stdio.h>
#include <unistd.h>

enum {
	ROUNDS = 500,
	LEAST_ROUNDS = 4,
	LARGE_EVERY = 11,
	LARGE = 150000,
	SMALL = 700,
};

/* --- the writer --------------------------------------------------------------------------------- */

typedef struct {
	PhKitAccount a;
	PhMailboxId other;
	GArray *uids; /* in the inbox */
	uint64_t next;
} Writer;

uint64_t
ph_crash_length(uint64_t number)
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

PhMailboxId
ph_crash_other(PhKitAccount *a)
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
	g_autoptr(PhContent) content = ph_kit_generated(number, ph_crash_length(number));
	g_autoptr(GError) error = NULL;
	PhOp *op = ph_kit_add(tx, PH_OP_APPEND, &writer->a.inbox);

	(void) dprintf(STDOUT_FILENO, "? a %" G_GUINT64_FORMAT "\n", number);
	if (!ph_kit.table->upload(writer->a.handle, content, false, &op->blob, &error))
		ph_kit_fail("upload: %s", error->message);
	op->octets = ph_crash_length(number);
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
	writer.other = ph_crash_other(&writer.a);
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

/* --- rounds ------------------------------------------------------------------------------------------ */

void
ph_crash_prepare(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	PhMailboxId other;

	ph_kit_open(&a, "crash");
	ph_kit_create(&a, "other", &other);
}

static void
crash(void)
{
	g_autoptr(PhCrashModel) model = ph_crash_model_new();
	uint32_t rounds = ph_kit_scaled(ROUNDS, LEAST_ROUNDS);

	if (ph_kit_is(PH_STORE_VOLATILE))
		ph_kit_skip("the store says that it forgets with the process");
	ph_crash_prepare();
	for (uint32_t i = 0; i < rounds; i++) {
		g_autofree char *next = g_strdup_printf("%" G_GUINT64_FORMAT, model->next);
		const char *const words[] = { "write", "crash", next, NULL };
		int output = -1;
		GPid pid = ph_kit_start(words, &output);

		ph_crash_hear(model, pid, output);
		ph_crash_check(model, false);
	}
	ph_kit_note("%u rounds, %" G_GUINT64_FORMAT " messages", rounds, model->next - 1);
}

const PhConformRule ph_conform_crash[] = {
	{ "crash", "STORE-1",
	  "a writer killed at any moment: every acknowledged commit is there, once", crash },
	{ NULL },
};
