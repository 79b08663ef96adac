/* test-index.c: PhIndex: uids, flags, changes, expunges, copies, ids, values, quota
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "index-fixture.h"

/* --- tests --------------------------------------------------------------------------------------- */

static void
test_append(Fixture *f, const void *data)
{
	PhMailboxInfo info;

	for (uint32_t i = 1; i <= 5; i++)
		g_assert_cmpuint(append(f, i % 2 ? PH_FLAG_SEEN : PH_FLAG_DELETED, 100 * i), ==, i);
	assert_counts(f, &f->inbox, 5, 2, 2);
	info = info_of(f, &f->inbox);
	g_assert_cmpuint(info.octets, ==, 1500);
	g_assert_cmpuint(info.uidnext, ==, 6);
	ph_index_unref(f->index);
	f->index = open_index(f, 0);
	g_assert_cmpuint(append(f, 0, 1), ==, 6);
	assert_counts(f, &f->inbox, 6, 3, 2);
	(void) expunge(f, 1, UINT32_MAX);
	assert_counts(f, &f->inbox, 0, 0, 0);
	g_assert_cmpuint(info_of(f, &f->inbox).octets, ==, 0);
	g_assert_cmpuint(append(f, 0, 1), ==, 7);
}

static void
test_changes(Fixture *f, const void *data)
{
	uint64_t at = 0;
	uint64_t later = 0;
	g_autofree char *all = NULL;
	g_autofree char *since = NULL;
	g_autofree char *rest = NULL;
	g_autofree char *some = NULL;
	g_autofree char *nothing = NULL;
	g_autoptr(PhUidSet) uids = ph_uid_set_parse(ph_slice("2,7:9"), 0, 9);

	for (int i = 0; i < 6; i++)
		(void) append(f, 0, 1);
	at = set_flags(f, 2, 2, PH_FLAGS_ADD, PH_FLAG_SEEN);
	(void) append(f, 0, 1);
	(void) set_flags(f, 7, 7, PH_FLAGS_ADD, PH_FLAG_FLAGGED);
	(void) append(f, PH_FLAG_DRAFT, 1);
	later = set_flags(f, 4, 4, PH_FLAGS_REPLACE, PH_FLAG_ANSWERED);
	(void) expunge(f, 5, 6);
	all = changes(f, &f->inbox, 0, NULL);
	g_assert_cmpstr(all, ==, "1:0 2:1 3:0 4:2 7:4 8:16 ");
	since = changes(f, &f->inbox, at, NULL);
	g_assert_cmpstr(since, ==, "-5:6 4:2 7:4 8:16 ");
	rest = changes(f, &f->inbox, later, NULL);
	g_assert_cmpstr(rest, ==, "-5:6 ");
	some = changes(f, &f->inbox, at - 1, uids);
	g_assert_cmpstr(some, ==, "-5:6 2:1 7:4 8:16 ");
	nothing = changes(f, &f->inbox, info_of(f, &f->inbox).change, NULL);
	g_assert_cmpstr(nothing, ==, "");
}

/* Every state since which one may ask, against what a plain comparison of states gives. */
static void
test_changes_model(Fixture *f, const void *data)
{
	enum {
		STEPS = 120
	};

	uint64_t change_of[STEPS + 2] = { 0 }; /* of each uid; index 0 unused */
	uint64_t top = info_of(f, &f->inbox).change;
	uint32_t last = 0;

	for (int i = 0; i < STEPS; i++) {
		uint32_t uid =
			last > 0 ? (uint32_t) g_test_rand_int_range(1, (gint32) last + 1) : 0;
		int what = g_test_rand_int_range(0, 3);

		if (what == 0 || last == 0) {
			last = append(f, 0, 1);
			change_of[last] = info_of(f, &f->inbox).change;
		} else if (what == 1 && change_of[uid] != 0) {
			uint64_t before = info_of(f, &f->inbox).change;
			uint64_t after = set_flags(f, uid, uid, PH_FLAGS_REPLACE, i & 31);

			/* the same flags again are no change */
			change_of[uid] = after > before ? after : change_of[uid];
		} else if (change_of[uid] != 0) {
			(void) expunge(f, uid, uid);
			change_of[uid] = 0;
		}
	}
	for (uint64_t since = top + 1; since <= info_of(f, &f->inbox).change; since++) {
		g_autoptr(GString) expected = g_string_new(NULL);
		g_autofree char *told = changes(f, &f->inbox, since, NULL);
		g_auto(GStrv) words = g_strsplit(told, " ", -1);

		for (uint32_t uid = 1; uid <= last; uid++)
			if (change_of[uid] > since)
				g_string_append_printf(expected, "%u ", uid);
		for (size_t i = 0; words[i] != NULL; i++) {
			g_autofree char *found = NULL;

			if (words[i][0] == '-' || words[i][0] == '\0')
				continue;
			*strchr(words[i], ':') = '\0';
			found = g_strdup_printf("%s ", words[i]);
			g_assert_true(g_str_has_prefix(expected->str, found));
			(void) g_string_erase(expected, 0, (gssize) strlen(found));
		}
		g_assert_cmpstr(expected->str, ==, "");
	}
}

static void
test_flags(Fixture *f, const void *data)
{
	uint64_t before = 0;
	g_auto(Tx) tx = { 0 };
	g_autoptr(PhUidSet) uids = ph_uid_set_parse(ph_slice("1:3,9"), 0, 9);
	g_autofree char *refused = NULL;
	g_autofree char *missing = NULL;

	for (int i = 0; i < 3; i++)
		(void) append(f, 0, 1);
	before = set_flags(f, 1, 3, PH_FLAGS_ADD, PH_FLAG_SEEN);
	/* a change that alters nothing takes no number [STORE-4] */
	g_assert_cmpuint(set_flags(f, 1, 3, PH_FLAGS_ADD, PH_FLAG_SEEN), ==, before);
	(void) set_flags(f, 2, 2, PH_FLAGS_ADD, PH_FLAG_DELETED);
	tx_init(&tx, f, PH_OP_FLAGS);
	tx.op.uids = uids;
	tx.op.flags_mode = PH_FLAGS_REMOVE;
	tx.op.flags = PH_FLAG_SEEN;
	tx.op.has_unchanged_since = true;
	tx.op.unchanged_since = before;
	g_assert_true(run(f->index, &tx));
	refused = set_text(tx.op.refused);
	missing = set_text(tx.op.missing);
	g_assert_cmpstr(refused, ==, "2");
	g_assert_cmpstr(missing, ==, "9");
	assert_counts(f, &f->inbox, 3, 2, 1);
}

static void
test_must_exist(Fixture *f, const void *data)
{
	g_auto(Tx) tx = { 0 };
	g_autoptr(PhUidSet) uids = ph_uid_set_new_range(1, 2);

	(void) append(f, 0, 1);
	tx_init(&tx, f, PH_OP_FLAGS);
	tx.op.uids = uids;
	tx.op.must_exist = true;
	tx.op.flags_mode = PH_FLAGS_ADD;
	tx.op.flags = PH_FLAG_SEEN;
	g_assert_false(run(f->index, &tx));
	g_assert_error(tx.transaction.error, PH_ERROR, PH_ERROR_NOT_FOUND);
	assert_counts(f, &f->inbox, 1, 1, 0);
}

static void
test_keywords(Fixture *f, const void *data)
{
	static const char *const two[] = { "$Junk", "work", NULL };
	static const char *const other[] = { "$JUNK", NULL };
	g_auto(Tx) tx = { 0 };
	g_auto(Tx) remove = { 0 };
	PhMailboxId to;
	g_autoptr(PhUidSet) uids = ph_uid_set_new_range(1, 1);
	g_auto(Tx) copy = { 0 };
	g_autofree char *here = NULL;
	g_autofree char *there = NULL;

	create(f, "to", &to);
	tx_init(&tx, f, PH_OP_APPEND);
	tx.op.keywords = two;
	g_assert_true(run(f->index, &tx));
	tx_init(&copy, f, PH_OP_COPY);
	copy.op.uids = uids;
	copy.op.to = to;
	g_assert_true(run(f->index, &copy));
	tx_init(&remove, f, PH_OP_FLAGS);
	remove.op.uids = uids;
	remove.op.flags_mode = PH_FLAGS_REMOVE;
	remove.op.keywords = other;
	g_assert_true(run(f->index, &remove));
	here = changes(f, &f->inbox, 0, NULL);
	there = changes(f, &to, 0, NULL);
	g_assert_cmpstr(here, ==, "1:0+work ");
	g_assert_cmpstr(there, ==, "1:0+$Junk+work ");
}

static void
test_keyword_limit(Fixture *f, const void *data)
{
	for (int i = 0; i <= 64; i++) {
		g_autofree char *name = g_strdup_printf("k%d", i);
		const char *names[] = { name, NULL };
		g_auto(Tx) tx = { 0 };

		tx_init(&tx, f, PH_OP_APPEND);
		tx.op.keywords = names;
		g_assert_cmpint(run(f->index, &tx), ==, i < 64);
		if (i == 64)
			g_assert_error(tx.transaction.error, PH_ERROR, PH_ERROR_LIMIT);
	}
	assert_counts(f, &f->inbox, 64, 64, 0);
}

static void
test_transfer(Fixture *f, const void *data)
{
	PhMailboxId to;
	g_autoptr(PhUidSet) uids = ph_uid_set_parse(ph_slice("1,3:*"), UINT32_MAX, 9);
	g_auto(Tx) copy = { 0 };
	g_auto(Tx) move = { 0 };
	g_auto(Tx) same = { 0 };
	g_autofree char *from_uids = NULL;
	g_autofree char *to_uids = NULL;
	g_autofree char *left = NULL;

	create(f, "to", &to);
	for (int i = 0; i < 5; i++)
		(void) append(f, i % 2 ? PH_FLAG_SEEN : 0, 10);
	(void) expunge(f, 4, 4);
	tx_init(&copy, f, PH_OP_COPY);
	copy.op.uids = uids;
	copy.op.to = to;
	g_assert_true(run(f->index, &copy));
	from_uids = set_text(copy.op.from_uids);
	to_uids = set_text(copy.op.to_uids);
	g_assert_cmpstr(from_uids, ==, "1,3,5");
	g_assert_cmpstr(to_uids, ==, "1:3");
	g_assert_cmpuint(copy.op.uidvalidity, ==, info_of(f, &to).uidvalidity);
	tx_init(&move, f, PH_OP_MOVE);
	move.op.uids = uids;
	move.op.to = to;
	g_assert_true(run(f->index, &move));
	assert_counts(f, &to, 6, 6, 0);
	assert_counts(f, &f->inbox, 1, 0, 0);
	left = changes(f, &f->inbox, 0, NULL);
	g_assert_cmpstr(left, ==, "2:1 ");
	/* into the same mailbox: not endless */
	tx_init(&same, f, PH_OP_COPY);
	same.op.uids = uids;
	same.op.mailbox = to;
	same.op.to = to;
	g_assert_true(run(f->index, &same));
	g_assert_cmpuint(info_of(f, &to).n_messages, ==, 11);
}

static void
test_names(Fixture *f, const void *data)
{
	PhMailboxId a;
	PhMailboxId b;
	uint32_t uidvalidity = 0;
	g_auto(Tx) taken = { 0 };
	g_auto(Tx) rename = { 0 };
	g_auto(Tx) remove = { 0 };
	g_autoptr(GError) error = NULL;
	PhChangesResult result;
	PhChangesQuery query = { .record = write_record };

	create(f, "a", &a);
	uidvalidity = info_of(f, &a).uidvalidity;
	tx_init(&taken, f, PH_OP_CREATE);
	memset(taken.op.mailbox.octets, 99, sizeof taken.op.mailbox.octets);
	taken.op.name = "a";
	g_assert_false(run(f->index, &taken));
	g_assert_error(taken.transaction.error, PH_ERROR, PH_ERROR_EXISTS);
	tx_init(&rename, f, PH_OP_RENAME);
	rename.op.mailbox = a;
	rename.op.name = "b";
	g_assert_true(run(f->index, &rename));
	g_assert_cmpuint(info_of(f, &a).uidvalidity, ==, uidvalidity);
	create(f, "a", &b);
	g_assert_cmpuint(info_of(f, &b).uidvalidity, >, uidvalidity);
	tx_init(&remove, f, PH_OP_REMOVE);
	remove.op.mailbox = a;
	g_assert_true(run(f->index, &remove));
	g_assert_false(ph_index_changes(f->index, &a, &query, &result, &error));
	g_assert_error(error, PH_ERROR, PH_ERROR_GONE);
}

/* [STORE-5] Also after the database was closed. */
static void
test_repeat(Fixture *f, const void *data)
{
	g_auto(Tx) tx = { 0 };
	uint32_t uid = 0;
	uint64_t change = 0;

	tx_init(&tx, f, PH_OP_APPEND);
	g_assert_true(run(f->index, &tx));
	uid = tx.op.uid;
	change = tx.transaction.change;
	(void) append(f, 0, 1);
	for (int i = 0; i < 2; i++) {
		g_assert_true(run(f->index, &tx));
		g_assert_cmpuint(tx.op.uid, ==, uid);
		g_assert_cmpuint(tx.transaction.change, ==, change);
		assert_counts(f, &f->inbox, 2, 2, 0);
		ph_index_unref(f->index);
		f->index = open_index(f, 0);
	}
}

static bool
stop_after_three(const PhRecord *record, void *user_data)
{
	uint32_t *n = user_data;

	return ++*n < 3;
}

/* [STORE-8] Reading stops when the reader has enough: nothing gathers the mailbox first. */
static void
test_stop(Fixture *f, const void *data)
{
	uint32_t n = 0;
	PhChangesResult result;
	PhChangesQuery query = { .record = stop_after_three, .user_data = &n };

	for (int i = 0; i < 10; i++)
		(void) append(f, 0, 1);
	g_assert_true(ph_index_changes(f->index, &f->inbox, &query, &result, NULL));
	g_assert_cmpuint(n, ==, 3);
}

/* One bad transaction of a batch leaves the others alone. */
static void
test_batch(Fixture *f, const void *data)
{
	Tx tx[5];
	PhTransaction *batch[5];
	g_autoptr(GError) error = NULL;

	for (size_t i = 0; i < 5; i++) {
		tx_init(&tx[i], f, PH_OP_APPEND);
		batch[i] = &tx[i].transaction;
	}
	memset(tx[2].op.mailbox.octets, 77, sizeof tx[2].op.mailbox.octets);
	memcpy(tx[4].transaction.id, tx[0].transaction.id, sizeof tx[0].transaction.id);
	g_assert_true(ph_index_commit(f->index, batch, 5, &error));
	g_assert_no_error(error);
	g_assert_error(batch[2]->error, PH_ERROR, PH_ERROR_NOT_FOUND);
	g_assert_false(batch[2]->done);
	g_assert_true(batch[0]->done && batch[1]->done && batch[3]->done && batch[4]->done);
	g_assert_cmpuint(tx[0].op.uid, ==, 1);
	g_assert_cmpuint(tx[3].op.uid, ==, 3);
	g_assert_cmpuint(tx[4].op.uid, ==, 1);
	assert_counts(f, &f->inbox, 3, 3, 0);
	for (size_t i = 0; i < 5; i++)
		tx_clear(&tx[i]);
}

static void
test_quota(Fixture *f, const void *data)
{
	ph_index_unref(f->index);
	f->index = open_index(f, 2);
	g_assert_cmpuint(append(f, 0, 1), ==, 1);
	g_assert_cmpuint(append(f, 0, 1), ==, 2);
	g_assert_cmpuint(append(f, 0, 1), ==, 0);
	(void) expunge(f, 1, 1);
	g_assert_cmpuint(append(f, 0, 1), ==, 3);
	(void) set_flags(f, 1, 9, PH_FLAGS_ADD, PH_FLAG_SEEN);
	assert_counts(f, &f->inbox, 2, 0, 0);
}

static bool
write_value(const char *key, PhSlice value, void *user_data)
{
	g_string_append_printf(user_data, "%s=%.*s ", key, (int) value.length, value.data);
	return true;
}

static void
test_values(Fixture *f, const void *data)
{
	static const struct {
		const char *key;
		const char *value;
	} rows[] = { { "b/2", "x" }, { "b/1", "y" }, { "a", "z" }, { "b/2", "" }, { "b0", "w" } };

	g_autoptr(GString) account = g_string_new(NULL);
	g_autoptr(GString) mailbox = g_string_new(NULL);

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_auto(Tx) tx = { 0 };

		tx_init(&tx, f, PH_OP_PUT);
		tx.op.is_account_value = true;
		tx.op.key = rows[i].key;
		tx.op.value = ph_slice(rows[i].value);
		g_assert_true(run(f->index, &tx));
	}
	g_assert_true(ph_index_values(f->index, NULL, "b/", write_value, account, NULL));
	g_assert_cmpstr(account->str, ==, "b/1=y ");
	g_assert_true(ph_index_values(f->index, &f->inbox, "", write_value, mailbox, NULL));
	g_assert_cmpstr(mailbox->str, ==, "");
}

int
main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*func)(Fixture *f, const void *data);
	} tests[] = {
		{ "uids-ascend-and-counters-agree", test_append },
		{ "changes-since-a-number", test_changes },
		{ "changes-agree-with-a-model", test_changes_model },
		{ "flags-and-unchanged-since", test_flags },
		{ "a-missing-uid-may-fail-the-transaction", test_must_exist },
		{ "keywords-are-kept-and-copied", test_keywords },
		{ "keywords-are-limited", test_keyword_limit },
		{ "copy-and-move-give-pairs", test_transfer },
		{ "names-are-unique-and-uidvalidity-rises", test_names },
		{ "an-id-is-applied-once", test_repeat },
		{ "reading-stops-when-told", test_stop },
		{ "one-bad-transaction-leaves-the-others", test_batch },
		{ "quota-refuses-growth-only", test_quota },
		{ "values-by-prefix", test_values },
	};

	g_test_init(&argc, &argv, NULL);
	for (size_t i = 0; i < G_N_ELEMENTS(tests); i++) {
		g_autofree char *path = g_strdup_printf("/mailbox/index/%s", tests[i].name);

		g_test_add(path, Fixture, NULL, set_up, tests[i].func, tear_down);
	}
	return g_test_run();
}
