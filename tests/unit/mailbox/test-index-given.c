/* test-index-given.c: PhIndex takes results that were decided elsewhere, and raises numbers
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "index-fixture.h"

static void
give(Tx *tx, uint32_t uid, uint64_t change)
{
	tx->op.has_given = true;
	tx->op.given_uid = uid;
	tx->op.given_change = change;
}

static void
test_append(Fixture *f, const void *data)
{
	g_auto(Tx) tx = { 0 };
	g_auto(Tx) low = { 0 };
	g_autofree char *all = NULL;

	tx_init(&tx, f, PH_OP_APPEND);
	give(&tx, 70, 500);
	g_assert_true(run(f->index, &tx));
	g_assert_cmpuint(tx.op.uid, ==, 70);
	g_assert_cmpuint(tx.transaction.change, ==, 500);
	g_assert_cmpuint(append(f, 0, 1), ==, 71);
	g_assert_cmpuint(info_of(f, &f->inbox).change, ==, 501);
	tx_init(&low, f, PH_OP_APPEND);
	give(&low, 71, 400);
	g_assert_false(run(f->index, &low));
	g_assert_error(low.transaction.error, PH_ERROR, PH_ERROR_INVALID);
	all = changes(f, &f->inbox, 499, NULL);
	g_assert_cmpstr(all, ==, "70:0 71:0 ");
}

/* Several transactions of one batch, with and without what was given. */
static void
test_batch(Fixture *f, const void *data)
{
	static const uint64_t given[] = { 0, 20, 20, 19, 0, 40 };
	static const uint64_t expected[] = { 2, 20, 21, 22, 23, 40 };
	Tx tx[G_N_ELEMENTS(given)];
	PhTransaction *batch[G_N_ELEMENTS(given)];
	g_autoptr(GError) error = NULL;

	for (size_t i = 0; i < G_N_ELEMENTS(given); i++) {
		tx_init(&tx[i], f, PH_OP_APPEND);
		give(&tx[i], i == 3 ? 9 : 0, given[i]);
		batch[i] = &tx[i].transaction;
	}
	g_assert_true(ph_index_commit(f->index, batch, G_N_ELEMENTS(batch), &error));
	g_assert_no_error(error);
	for (size_t i = 0; i < G_N_ELEMENTS(given); i++) {
		g_assert_true(batch[i]->done);
		g_assert_cmpuint(batch[i]->change, ==, expected[i]);
		g_assert_cmpuint(tx[i].op.uid, ==, i < 3 ? i + 1 : i + 6);
		tx_clear(&tx[i]);
	}
}

/* One transaction: its number rises in the middle, and what was altered is found by either. */
static void
test_two_operations(Fixture *f, const void *data)
{
	g_auto(Tx) tx = { 0 };
	g_auto(Tx) second = { 0 };
	PhOp *ops[] = { &tx.op, &second.op };
	g_autofree char *after = NULL;

	tx_init(&tx, f, PH_OP_APPEND);
	tx_init(&second, f, PH_OP_APPEND);
	give(&second, 5, 30);
	tx.transaction.ops = ops;
	tx.transaction.n_ops = 2;
	g_assert_true(run(f->index, &tx));
	g_assert_cmpuint(tx.transaction.change, ==, 30);
	after = changes(f, &f->inbox, 29, NULL);
	g_assert_cmpstr(after, ==, "5:0 ");
}

static void
test_flags(Fixture *f, const void *data)
{
	g_auto(Tx) tx = { 0 };
	g_auto(Tx) nothing = { 0 };
	g_autoptr(PhUidSet) uids = ph_uid_set_new_range(1, 1);

	(void) append(f, 0, 1);
	tx_init(&tx, f, PH_OP_FLAGS);
	tx.op.uids = uids;
	tx.op.flags_mode = PH_FLAGS_ADD;
	tx.op.flags = PH_FLAG_SEEN;
	give(&tx, 0, 90);
	g_assert_true(run(f->index, &tx));
	g_assert_cmpuint(tx.transaction.change, ==, 90);
	g_assert_cmpuint(info_of(f, &f->inbox).change, ==, 90);
	/* nothing is altered: the account's number rises nevertheless, and is kept */
	tx_init(&nothing, f, PH_OP_FLAGS);
	nothing.op.uids = uids;
	nothing.op.flags_mode = PH_FLAGS_ADD;
	nothing.op.flags = PH_FLAG_SEEN;
	give(&nothing, 0, 95);
	g_assert_true(run(f->index, &nothing));
	g_assert_cmpuint(nothing.transaction.change, ==, 95);
	g_assert_cmpuint(info_of(f, &f->inbox).change, ==, 90);
	ph_index_unref(f->index);
	f->index = open_index(f, 0);
	(void) append(f, 0, 1);
	g_assert_cmpuint(info_of(f, &f->inbox).change, ==, 96);
}

static void
test_create(Fixture *f, const void *data)
{
	g_auto(Tx) tx = { 0 };
	PhMailboxInfo info;

	tx_init(&tx, f, PH_OP_CREATE);
	memset(tx.op.mailbox.octets, 42, sizeof tx.op.mailbox.octets);
	tx.op.name = "given";
	give(&tx, 1000, 300);
	tx.op.given_uidvalidity = 12345;
	g_assert_true(run(f->index, &tx));
	info = info_of(f, &tx.op.mailbox);
	g_assert_cmpuint(tx.op.uidvalidity, ==, 12345);
	g_assert_cmpuint(info.uidvalidity, ==, 12345);
	g_assert_cmpuint(info.uidnext, ==, 1000);
	g_assert_cmpuint(info.change, ==, 300);
}

static void
parse_into(PhUidSet *set, const char *text)
{
	g_autoptr(PhUidSet) parsed = ph_uid_set_parse(ph_slice(text), UINT32_MAX, 9);

	ph_uid_set_add_set(set, parsed);
}

static void
transfer(Fixture *f, uint32_t kind, const PhMailboxId *to, const char *from, const char *uids)
{
	g_auto(Tx) tx = { 0 };
	g_autofree char *from_after = NULL;
	g_autofree char *to_after = NULL;
	g_autofree char *missing = NULL;

	tx_init(&tx, f, kind);
	tx.op.to = *to;
	parse_into(tx.op.from_uids, from);
	parse_into(tx.op.to_uids, uids);
	give(&tx, 0, 700);
	for (int i = 0; i < 2; i++) {
		g_assert_true(run(f->index, &tx));
		g_clear_pointer(&from_after, g_free);
		g_clear_pointer(&to_after, g_free);
		from_after = set_text(tx.op.from_uids);
		to_after = set_text(tx.op.to_uids);
		g_assert_cmpstr(from_after, ==, from);
		g_assert_cmpstr(to_after, ==, uids);
	}
	missing = set_text(tx.op.missing);
	g_assert_cmpstr(missing, ==, "4");
	g_assert_cmpuint(tx.op.uidvalidity, ==, info_of(f, to).uidvalidity);
}

static void
test_pairs(Fixture *f, const void *data)
{
	PhMailboxId to;
	g_autofree char *there = NULL;
	g_autofree char *here = NULL;
	g_auto(Tx) bad = { 0 };

	create(f, "to", &to);
	for (uint32_t i = 1; i <= 6; i++)
		(void) append(f, i, 10);
	(void) expunge(f, 4, 4);
	transfer(f, PH_OP_COPY, &to, "1,3:5", "10,20:21,30");
	there = changes(f, &to, 699, NULL);
	g_assert_cmpstr(there, ==, "10:1 20:3 30:5 ");
	transfer(f, PH_OP_MOVE, &to, "2:4,6", "31:33,50");
	g_clear_pointer(&there, g_free);
	there = changes(f, &to, 0, NULL);
	g_assert_cmpstr(there, ==, "10:1 20:3 30:5 31:2 32:3 50:6 ");
	here = changes(f, &f->inbox, 0, NULL);
	g_assert_cmpstr(here, ==, "1:1 5:5 ");
	tx_init(&bad, f, PH_OP_COPY);
	bad.op.to = to;
	bad.op.has_given = true;
	parse_into(bad.op.from_uids, "1,5");
	parse_into(bad.op.to_uids, "60");
	g_assert_false(run(f->index, &bad));
	g_assert_error(bad.transaction.error, PH_ERROR, PH_ERROR_INVALID);
}

static void
test_raise(Fixture *f, const void *data)
{
	static const struct {
		uint32_t uid;
		uint64_t change;
		uint32_t uidnext;
		uint64_t after;
	} rows[] = { { 100, 1000, 100, 1000 },
		     { 50, 500, 100, 1000 },
		     { 0, 1001, 100, 1001 },
		     { 101, 0, 101, 1001 } };

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_auto(Tx) tx = { 0 };
		PhMailboxInfo info;

		tx_init(&tx, f, PH_OP_RAISE);
		give(&tx, rows[i].uid, rows[i].change);
		g_assert_true(run(f->index, &tx));
		info = info_of(f, &f->inbox);
		g_assert_cmpuint(info.uidnext, ==, rows[i].uidnext);
		g_assert_cmpuint(info.change, ==, rows[i].after);
		g_assert_cmpuint(tx.transaction.change, ==, rows[i].after);
		ph_index_unref(f->index);
		f->index = open_index(f, 0);
	}
	g_assert_cmpuint(append(f, 0, 1), ==, 101);
	g_assert_cmpuint(info_of(f, &f->inbox).change, ==, 1002);
}

/* What was taken elsewhere is not refused here. */
static void
test_quota(Fixture *f, const void *data)
{
	g_auto(Tx) tx = { 0 };

	ph_index_unref(f->index);
	f->index = open_index(f, 1);
	g_assert_cmpuint(append(f, 0, 1), ==, 1);
	g_assert_cmpuint(append(f, 0, 1), ==, 0);
	tx_init(&tx, f, PH_OP_APPEND);
	give(&tx, 0, 0);
	g_assert_true(run(f->index, &tx));
	g_assert_cmpuint(tx.op.uid, ==, 2);
}

/* --- mail that was there before the index ---------------------------------------------------- */

static bool
name_file(void *user_data,
          PhIndexConnection *connection,
          const PhOp *op,
          PhBlobId *blob_out,
          GError **error)
{
	unsigned *n = user_data;

	g_assert_cmpuint(op->blob.length, ==, 4);
	blob_out->octets[blob_out->length++] = (uint8_t) ('0' + (*n)++);
	return true;
}

static bool
write_blob(const PhRecord *record, void *user_data)
{
	g_string_append_printf(user_data, "%u=%.*s ", record->uid, (int) record->blob.length,
	                       record->blob.octets);
	return true;
}

/* As a maildir folds in files that it found, once, although it finds them twice. */
static void
test_adopt(Fixture *f, const void *data)
{
	static const PhIndexHooks hooks = { .size = sizeof hooks, .add = name_file };
	unsigned n = 0;
	PhIndexParams params = { .size = sizeof params,
		                 .path = f->path,
		                 .hooks = &hooks,
		                 .user_data = &n };
	g_autoptr(GString) blobs = g_string_new(NULL);
	PhChangesResult result;
	PhChangesQuery query = { .fields = PH_FIELD_BLOB,
		                 .record = write_blob,
		                 .user_data = blobs };

	ph_index_unref(f->index);
	f->index = ph_index_open(&params, NULL);
	g_assert_nonnull(f->index);
	for (int i = 0; i < 2; i++) {
		g_auto(Tx) file = { 0 };
		g_auto(Tx) listed = { 0 };
		PhTransaction *batch[] = { &listed.transaction, &file.transaction };

		tx_init(&file, f, PH_OP_APPEND);
		tx_init(&listed, f, PH_OP_APPEND);
		memset(file.transaction.id, 'f', sizeof file.transaction.id);
		memset(listed.transaction.id, 'l', sizeof listed.transaction.id);
		file.op.blob = (PhBlobId){ 4, "file" };
		listed.op.blob = (PhBlobId){ 4, "list" };
		give(&listed, 33, 0);
		g_assert_true(ph_index_commit(f->index, batch, 2, NULL));
		g_assert_true(file.transaction.done && listed.transaction.done);
		g_assert_cmpuint(listed.op.uid, ==, 33);
		g_assert_cmpuint(file.op.uid, ==, 34);
	}
	g_assert_true(ph_index_changes(f->index, &f->inbox, &query, &result, NULL));
	g_assert_cmpstr(blobs->str, ==, "33=list0 34=file1 ");
}

int
main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*func)(Fixture *f, const void *data);
	} tests[] = {
		{ "append-takes-uid-and-change", test_append },
		{ "a-batch-mixes-given-and-not", test_batch },
		{ "a-transaction-mixes-given-and-not", test_two_operations },
		{ "a-flag-change-takes-its-number", test_flags },
		{ "create-takes-all-its-numbers", test_create },
		{ "copy-and-move-take-pairs", test_pairs },
		{ "raise-never-lowers", test_raise },
		{ "quota-does-not-refuse-it", test_quota },
		{ "mail-of-others-is-adopted-once", test_adopt },
	};

	g_test_init(&argc, &argv, NULL);
	for (size_t i = 0; i < G_N_ELEMENTS(tests); i++) {
		g_autofree char *path = g_strdup_printf("/mailbox/index-given/%s", tests[i].name);

		g_test_add(path, Fixture, NULL, set_up, tests[i].func, tear_down);
	}
	return g_test_run();
}
