/* messages.c: rules about append, expunge, copy and move
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "conform/kit.h"

static const PhTime a_date = INT64_C(1234567890123456);
static const PhTime a_save_date = INT64_C(1334567890000000);

enum {
	A_ZONE = -330,
};

static PhOp *
add_whole_append(PhKitTx *tx, PhKitAccount *a)
{
	PhOp *op = ph_kit_add_append(tx, a, &a->inbox, PH_SLICE_LITERAL("A: b\r\n\r\nc\r\n"));

	op->flags = PH_FLAG_FLAGGED | PH_FLAG_DRAFT;
	ph_kit_set_keywords(tx, op, "$Work later");
	op->internal_date = a_date;
	op->internal_zone = A_ZONE;
	op->save_date = a_save_date;
	op->structure = PH_SLICE_LITERAL("any octets that the core made");
	for (size_t i = 0; i < sizeof op->message_id; i++)
		op->message_id[i] = (uint8_t) (i * 17 + 1);
	return op;
}

/* Everything that an append says; a copy keeps all but the save date. */
static void
check_whole(PhKitAccount *a, const PhMailboxId *mailbox, uint32_t uid, const PhOp *op)
{
	g_autoptr(PhKitReading) reading = ph_kit_read(a, mailbox, 0, NULL, KIT_ALL_FIELDS);
	const PhKitRecord *full = ph_kit_record_full(reading, uid);
	const PhRecord *record = &full->record;

	ph_kit_same("flags", record->flags, PH_FLAG_FLAGGED | PH_FLAG_DRAFT);
	ph_kit_same_text("keywords", full->keywords, "$work later");
	ph_kit_same("internal date", (uint64_t) record->internal_date, (uint64_t) a_date);
	KIT_CHECK(record->internal_zone == A_ZONE, "internal zone is %d, expected %d",
	          record->internal_zone, A_ZONE);
	ph_kit_same("octets", record->octets, op->octets);
	KIT_CHECK(memcmp(record->message_id, op->message_id, sizeof record->message_id) == 0,
	          "the message id is another one");
	ph_kit_same_text("structure", full->structure, "any octets that the core made");
	KIT_CHECK(record->blob.length <= sizeof record->blob.octets, "a blob id of %u octets",
	          record->blob.length);
	ph_kit_check_octets(a, mailbox, uid, PH_SLICE_LITERAL("A: b\r\n\r\nc\r\n"));
}

static void
append_keeps_all(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	g_autoptr(PhKitTx) tx = ph_kit_tx();
	g_autoptr(PhKitReading) reading = NULL;
	PhOp *op = NULL;

	ph_kit_open(&a, "append");
	op = add_whole_append(tx, &a);
	KIT_CHECK(ph_kit_commit(&a, tx), "append failed: %s", tx->public.error->message);
	check_whole(&a, &a.inbox, op->uid, op);
	reading = ph_kit_read(&a, &a.inbox, 0, NULL, PH_FIELD_DATES);
	ph_kit_same("save date", (uint64_t) ph_kit_record(reading, op->uid)->save_date,
	            (uint64_t) a_save_date);
}

static void
append_tells_results(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	g_autoptr(PhKitTx) tx = ph_kit_tx();
	g_autoptr(PhKitReading) reading = NULL;
	PhMailboxInfo before;
	PhMailboxInfo after;

	ph_kit_open(&a, "results");
	before = ph_kit_must_info(&a, &a.inbox);
	(void) ph_kit_add_append(tx, &a, &a.inbox, PH_SLICE_EMPTY);
	KIT_CHECK(ph_kit_commit(&a, tx), "append failed: %s", tx->public.error->message);
	after = ph_kit_must_info(&a, &a.inbox);
	KIT_CHECK(tx->op->uid >= before.uidnext, "uid %u was given, and uidnext was %u",
	          tx->op->uid, before.uidnext);
	KIT_CHECK(after.uidnext > tx->op->uid, "uidnext is %u after uid %u", after.uidnext,
	          tx->op->uid);
	ph_kit_same("uidvalidity of the result", tx->op->uidvalidity, before.uidvalidity);
	KIT_CHECK(tx->public.change > before.change, "the change number did not rise");
	ph_kit_same("messages", after.n_messages, 1);
	reading = ph_kit_read(&a, &a.inbox, 0, NULL, 0);
	ph_kit_same("change of the record", ph_kit_record(reading, tx->op->uid)->change,
	            tx->public.change);
}

static void
append_many(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	g_autoptr(PhKitTx) tx = ph_kit_tx();
	uint32_t last = 0;

	ph_kit_open(&a, "many");
	for (uint32_t i = 0; i < 50; i++) {
		g_autofree char *text = g_strdup_printf("N: %u\r\n\r\n", i);

		(void) ph_kit_add_append(tx, &a, &a.inbox, ph_slice(text));
	}
	KIT_CHECK(ph_kit_commit(&a, tx), "append failed: %s", tx->public.error->message);
	for (uint32_t i = 0; i < 50; i++) {
		const PhOp *op = g_ptr_array_index(tx->ops, i);
		g_autofree char *text = g_strdup_printf("N: %u\r\n\r\n", i);

		KIT_CHECK(op->uid > last, "uid %u after uid %u in one transaction", op->uid, last);
		last = op->uid;
		ph_kit_check_octets(&a, &a.inbox, op->uid, ph_slice(text));
	}
}

static void
append_to_nothing(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	PhKitTx *tx = ph_kit_tx();
	PhMailboxId none = { { 1, 2, 3 } };

	ph_kit_open(&a, "nothing");
	(void) ph_kit_add_append(tx, &a, &none, PH_SLICE_EMPTY);
	ph_kit_must_fail(&a, tx, PH_ERROR_NOT_FOUND, "append to a mailbox that is not there");
	ph_kit_same_messages(&a, &a.inbox, "");
}

static void
expunge_removes(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	g_autoptr(PhKitTx) tx = ph_kit_tx();
	g_autofree char *missing = NULL;

	ph_kit_open(&a, "expunge");
	ph_kit_fill(&a, &a.inbox, 6);
	(void) ph_kit_set_flags(&a, &a.inbox, "2", PH_FLAGS_ADD, PH_FLAG_DELETED, NULL);
	(void) ph_kit_expunge(&a, &a.inbox, "3");
	(void) ph_kit_add_uids(tx, PH_OP_EXPUNGE, &a.inbox, "3:5,9");
	KIT_CHECK(ph_kit_commit(&a, tx), "expunge failed: %s", tx->public.error->message);
	missing = ph_kit_set(tx->op->missing);
	ph_kit_same_text("missing uids", missing, "3,9");
	ph_kit_same_messages(&a, &a.inbox, "1:- 2:T 6:-");
	ph_kit_check_counts(&a);
}

static void
check_pairs(const PhOp *op, const char *from, const char *to)
{
	g_autofree char *from_text = ph_kit_set(op->from_uids);
	g_autofree char *to_text = ph_kit_set(op->to_uids);

	ph_kit_same_text("uids that were copied", from_text, from);
	ph_kit_same_text("uids of the copies", to_text, to);
}

static void
transfer(uint32_t kind, const char *who)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	g_autoptr(PhKitTx) first = ph_kit_tx();
	g_autoptr(PhKitTx) tx = ph_kit_tx();
	g_autoptr(PhKitReading) reading = NULL;
	g_autofree char *missing = NULL;
	PhMailboxId target;
	PhOp *op = NULL;

	ph_kit_open(&a, who);
	ph_kit_create(&a, "target", &target);
	ph_kit_fill(&a, &a.inbox, 2);
	op = add_whole_append(first, &a);
	KIT_CHECK(ph_kit_commit(&a, first), "append failed: %s", first->public.error->message);
	ph_kit_fill(&a, &target, 1);
	(void) ph_kit_add_transfer(tx, kind, &a.inbox, "1,3,7", &target);
	tx->op->save_date = a_save_date + 1;
	KIT_CHECK(ph_kit_commit(&a, tx), "it failed: %s", tx->public.error->message);
	check_pairs(tx->op, "1,3", "2:3");
	missing = ph_kit_set(tx->op->missing);
	ph_kit_same_text("missing uids", missing, "7");
	ph_kit_same("uidvalidity of the result", tx->op->uidvalidity,
	            ph_kit_must_info(&a, &target).uidvalidity);
	ph_kit_same_messages(&a, &target, "1:- 2:- 3:FD+$work later");
	ph_kit_same_messages(&a, &a.inbox, kind == PH_OP_MOVE ? "2:-" : "1:- 2:- 3:FD+$work later");
	check_whole(&a, &target, 3, op);
	reading = ph_kit_read(&a, &target, 0, NULL, PH_FIELD_DATES);
	ph_kit_same("save date of the copy", (uint64_t) ph_kit_record(reading, 3)->save_date,
	            (uint64_t) a_save_date + 1);
	ph_kit_check_counts(&a);
}

static void
copy_copies(void)
{
	transfer(PH_OP_COPY, "copy");
}

static void
move_moves(void)
{
	transfer(PH_OP_MOVE, "move");
}

static void
copy_within(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	g_autoptr(PhKitTx) tx = ph_kit_tx();

	ph_kit_open(&a, "within");
	ph_kit_fill(&a, &a.inbox, 3);
	(void) ph_kit_add_transfer(tx, PH_OP_COPY, &a.inbox, "1:4294967295", &a.inbox);
	KIT_CHECK(ph_kit_commit(&a, tx), "copy failed: %s", tx->public.error->message);
	check_pairs(tx->op, "1:3", "4:6");
	ph_kit_same_messages(&a, &a.inbox, "1:- 2:- 3:- 4:- 5:- 6:-");
}

static void
copies_are_independent(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	PhMailboxId target;

	ph_kit_open(&a, "independent");
	ph_kit_create(&a, "target", &target);
	ph_kit_fill(&a, &a.inbox, 1);
	(void) ph_kit_transfer(&a, PH_OP_COPY, &a.inbox, "1", &target);
	(void) ph_kit_set_flags(&a, &a.inbox, "1", PH_FLAGS_ADD, PH_FLAG_SEEN, "mine");
	ph_kit_same_messages(&a, &target, "1:-");
	(void) ph_kit_expunge(&a, &a.inbox, "1");
	ph_kit_check_octets(&a, &target, 1, ph_kit_small());
	ph_kit_remove(&a, &target);
	ph_kit_same_messages(&a, &a.inbox, "");
}

const PhConformRule ph_conform_messages[] = {
	{ "append-keeps-all", "contract", "an appended record has every field that was given",
	  append_keeps_all },
	{ "append-results", "STORE-4",
	  "uid, uidvalidity and change of an append are those of the list", append_tells_results },
	{ "append-many", "STORE-3",
	  "fifty appends of one transaction: uids ascend, octets are apart", append_many },
	{ "append-to-nothing", "contract", "an append to an unknown mailbox is NOT_FOUND",
	  append_to_nothing },
	{ "expunge", "contract", "exactly the named uids go; what was not there is reported",
	  expunge_removes },
	{ "copy", "contract", "pairs, missing uids, and copies that keep all but the save date",
	  copy_copies },
	{ "move", "contract", "the same, and the source is gone", move_moves },
	{ "copy-within", "contract", "copying all of a mailbox into itself copies each once",
	  copy_within },
	{ "copies-independent", "contract", "flags and expunge of one copy do not touch another",
	  copies_are_independent },
	{ NULL },
};
