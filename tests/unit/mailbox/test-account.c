/* test-account.c: accounts over the sqlite store: INBOX, handles, lanes, names, steps
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "accounts.h"
#include "mailbox/transaction.h"

static void
test_inbox(void)
{
	TestStore store;
	g_autoptr(GError) error = NULL;
	PhMailboxInfo info;

	test_store_init(&store);
	{
		g_autoptr(PhAccount) account = test_account(&store, "ann", 0);
		g_autoptr(PhAccount) same = test_account(&store, "ann", 0);
		g_autoptr(PhAccount) other = test_account(&store, "bob", 0);

		g_assert_true(account == same);
		g_assert_true(account != other);
		g_assert_true(ph_account_find(account, ph_slice("iNbOx"), &info, &error));
		g_assert_cmpuint(info.n_messages, ==, 0);
		g_assert_false(ph_account_find(account, ph_slice("Sent"), &info, &error));
		g_assert_error(error, PH_ERROR, PH_ERROR_NOT_FOUND);
		g_assert_true(ph_account_lock_maildrop(account));
		g_assert_false(ph_account_lock_maildrop(same));
		ph_account_unlock_maildrop(account);
	}
	test_store_clear(&store);
}

/* An idle account holds no handle; the next call opens it again. */
static void
test_handles(void)
{
	TestStore store;
	PhAccountsParams params = { .open_accounts = 3 };
	PhAccount *accounts[10];

	test_store_init(&store);
	ph_accounts_configure(&params);
	for (int i = 0; i < 10; i++) {
		g_autofree char *user = g_strdup_printf("u%d", i);

		accounts[i] = test_account(&store, user, 0);
	}
	for (int i = 0; i < 10; i++) {
		PhMailboxId inbox = test_mailbox(accounts[i], "INBOX");

		g_assert_cmpuint(test_append(accounts[i], &inbox, ph_slice("x"), 0), ==, 1);
	}
	g_assert_cmpuint((accounts[0]->state == PH_HANDLE_OPEN)
	                         + (accounts[5]->state == PH_HANDLE_OPEN)
	                         + (accounts[9]->state == PH_HANDLE_OPEN),
	                 ==, 1);
	for (int i = 0; i < 10; i++) {
		test_assert_octets(accounts[i], 1, ph_slice("x"));
		ph_account_unref(accounts[i]);
	}
	params.open_accounts = 0;
	ph_accounts_configure(&params);
	test_store_clear(&store);
}

/* Writer: one of many threads that append to one account. */
typedef struct {
	PhAccount *account;
	PhMailboxId inbox;
	uint32_t uids[50];
} Writer;

static void *
append_many(void *data)
{
	Writer *writer = data;

	for (size_t i = 0; i < G_N_ELEMENTS(writer->uids); i++)
		writer->uids[i] =
			test_append(writer->account, &writer->inbox, ph_slice("x\r\n"), 0);
	return NULL;
}

static void
test_lane(void)
{
	enum {
		THREADS = 8
	};

	TestStore store;
	Writer writers[THREADS];
	GThread *threads[THREADS];
	bool seen[THREADS * 50 + 1] = { false };
	PhMailboxInfo info;

	test_store_init(&store);
	for (int i = 0; i < THREADS; i++) {
		writers[i].account = test_account(&store, i < 6 ? "ann" : "bob", 0);
		writers[i].inbox = test_mailbox(writers[i].account, "INBOX");
		threads[i] = g_thread_new("writer", append_many, &writers[i]);
	}
	for (int i = 0; i < THREADS; i++)
		(void) g_thread_join(threads[i]);
	for (int i = 0; i < 6; i++)
		for (size_t j = 0; j < 50; j++) {
			uint32_t uid = writers[i].uids[j];

			g_assert_cmpuint(uid, <=, 300);
			g_assert_false(seen[uid]);
			seen[uid] = true;
			g_assert_true(j == 0 || uid > writers[i].uids[j - 1]);
		}
	g_assert_true(ph_account_find(writers[0].account, ph_slice("INBOX"), &info, NULL));
	g_assert_cmpuint(info.n_messages, ==, 300);
	for (int i = 0; i < THREADS; i++)
		ph_account_unref(writers[i].account);
	test_store_clear(&store);
}

static void
test_rename(void)
{
	TestStore store;
	g_autoptr(GError) error = NULL;

	test_store_init(&store);
	{
		g_autoptr(PhAccount) account = test_account(&store, "ann", 0);
		g_autoptr(PhTransaction) make = ph_transaction_new(account, NULL);
		g_autoptr(PhTransaction) rename = ph_transaction_new(account, NULL);
		g_autoptr(PhTransaction) inbox = ph_transaction_new(account, NULL);
		PhMailboxId id = test_mailbox(account, "INBOX");
		PhMailboxId a;
		PhMailboxInfo info;

		(void) test_append(account, &id, ph_slice("x"), 0);
		(void) ph_transaction_create(make, ph_slice("a"), 0);
		(void) ph_transaction_create(make, ph_slice("a/b"), 0);
		(void) ph_transaction_create(make, ph_slice("ab"), 0);
		g_assert_true(ph_transaction_run(make, &error));
		a = test_mailbox(account, "a");
		(void) ph_transaction_rename(rename, &a, ph_slice("z"));
		g_assert_true(ph_transaction_run(rename, &error));
		(void) test_mailbox(account, "z/b");
		(void) test_mailbox(account, "ab");
		(void) ph_transaction_rename(inbox, &id, ph_slice("old"));
		g_assert_true(ph_transaction_run(inbox, &error));
		g_assert_no_error(error);
		g_assert_true(ph_account_find(account, ph_slice("old"), &info, NULL));
		g_assert_cmpuint(info.n_messages, ==, 1);
		g_assert_true(ph_account_find(account, ph_slice("INBOX"), &info, NULL));
		g_assert_cmpuint(info.n_messages, ==, 0);
	}
	test_store_clear(&store);
}

/* A large flag change and copy come in steps and add up. */
static void
test_steps(void)
{
	enum {
		MANY = 25000
	};

	TestStore store;
	g_autoptr(GError) error = NULL;

	test_store_init(&store);
	{
		g_autoptr(PhAccount) account = test_account(&store, "ann", 0);
		PhMailboxId inbox = test_mailbox(account, "INBOX");
		g_autoptr(PhTransaction) make = ph_transaction_new(account, NULL);
		PhMailboxId to = ph_transaction_create(make, ph_slice("to"), 0)->mailbox;
		g_autoptr(PhTransaction) flags = ph_transaction_new(account, NULL);
		g_autoptr(PhTransaction) copy = ph_transaction_new(account, NULL);
		g_autoptr(PhUidSet) all = ph_uid_set_new_range(1, UINT32_MAX);
		g_autoptr(PhContent) content = ph_content_new_copy(ph_slice("x\r\n"));
		PhOp *op = NULL;
		PhMailboxInfo info;

		g_assert_true(ph_transaction_run(make, &error));
		for (int i = 0; i < MANY / 500; i++) {
			g_autoptr(PhTransaction) add = ph_transaction_new(account, NULL);

			for (int j = 0; j < 500; j++)
				(void) ph_transaction_append(add, &inbox, content, NULL, &error);
			g_assert_true(ph_transaction_run(add, &error));
		}
		(void) ph_account_find(account, ph_slice("INBOX"), &info, NULL);
		g_assert_cmpuint(info.n_messages, ==, MANY);
		(void) ph_transaction_flags(flags, &inbox, all, PH_FLAGS_ADD, PH_FLAG_SEEN, NULL);
		g_assert_true(ph_transaction_run(flags, &error));
		op = ph_transaction_copy(copy, &inbox, all, &to);
		(void) ph_transaction_run(copy, &error);
		g_assert_no_error(error);
		g_assert_cmpuint(ph_uid_set_count(op->from_uids), ==, MANY);
		g_assert_cmpuint(ph_uid_set_count(op->to_uids), ==, MANY);
		(void) ph_account_find(account, ph_slice("to"), &info, NULL);
		g_assert_cmpuint(info.n_messages, ==, MANY);
		g_assert_cmpuint(info.n_unseen, ==, 0);
		test_verify(account);
	}
	test_store_clear(&store);
}

static uint32_t step_sizes[16];
static uint32_t n_steps;
static bool (*quick_commit)(void *account, PhTransaction *const *batch, size_t n, GError **error);

static bool
slow_commit(void *account, PhTransaction *const *batch, size_t n, GError **error)
{
	if (batch[0]->ops[0]->kind == PH_OP_FLAGS && n_steps < G_N_ELEMENTS(step_sizes)) {
		step_sizes[n_steps++] = (uint32_t) ph_uid_set_count(batch[0]->ops[0]->uids);
		g_usleep(30000);
	}
	return quick_commit(account, batch, n, error);
}

/* Steps grow while they are quick, and shrink where others would wait too long. */
static void
test_step_sizes(void)
{
	static const uint32_t expected[] = { 10000, 5000, 2500, 2500, 2500 };
	TestStore store;
	g_autoptr(GError) error = NULL;

	g_assert_cmpuint(ph_tx_step_after(10000, 4000), ==, 20000);
	g_assert_cmpuint(ph_tx_step_after(80000, 4000), ==, PH_LANE_STEP_MAX);
	g_assert_cmpuint(ph_tx_step_after(10000, 10000), ==, 10000);
	g_assert_cmpuint(ph_tx_step_after(10000, 30000), ==, 5000);
	g_assert_cmpuint(ph_tx_step_after(3000, 30000), ==, PH_LANE_STEP_MIN);
	test_store_init(&store);
	quick_commit = store.table->commit;
	store.table->commit = slow_commit;
	{
		g_autoptr(PhAccount) account = test_account(&store, "ann", 0);
		PhMailboxId inbox = test_mailbox(account, "INBOX");
		g_autoptr(PhTransaction) raise = ph_transaction_new(account, NULL);
		g_autoptr(PhTransaction) flags = ph_transaction_new(account, NULL);
		g_autoptr(PhUidSet) all = ph_uid_set_new_range(1, 22500);
		PhMailboxInfo info;

		(void) ph_transaction_raise(raise, &inbox, 30001, 0);
		g_assert_true(ph_transaction_run(raise, &error));
		g_assert_true(ph_account_find(account, ph_slice("INBOX"), &info, &error));
		g_assert_cmpuint(info.uidnext, ==, 30001);
		(void) ph_transaction_flags(flags, &inbox, all, PH_FLAGS_ADD, PH_FLAG_SEEN, NULL);
		g_assert_true(ph_transaction_run(flags, &error));
		g_assert_cmpuint(n_steps, ==, G_N_ELEMENTS(expected));
		for (size_t i = 0; i < G_N_ELEMENTS(expected); i++)
			g_assert_cmpuint(step_sizes[i], ==, expected[i]);
	}
	test_store_clear(&store);
}

/* A store that has committed and cannot say so; then it is away; then it cannot say again. */
static gint n_unknown;
static bool (*real_commit)(void *account, PhTransaction *const *batch, size_t n, GError **error);

static bool
forgetful_commit(void *account, PhTransaction *const *batch, size_t n, GError **error)
{
	bool good = real_commit(account, batch, n, error);
	gint left = good ? g_atomic_int_add(&n_unknown, -1) : 0;

	if (left <= 0)
		return good;
	ph_error_set(error, left == 2 ? PH_ERROR_TEMPORARY : PH_ERROR_OUTCOME_UNKNOWN,
	             "the line broke");
	return false;
}

static void
test_unknown(void)
{
	TestStore store;
	PhMailboxInfo info;

	test_store_init(&store);
	{
		g_autoptr(PhAccount) account = test_account(&store, "ann", 0);
		PhMailboxId inbox = test_mailbox(account, "INBOX");

		real_commit = store.table->commit;
		store.table->commit = forgetful_commit;
		g_atomic_int_set(&n_unknown, 3);
		g_assert_cmpuint(test_append(account, &inbox, ph_slice("x"), 0), ==, 1);
		g_assert_cmpint(g_atomic_int_get(&n_unknown), <=, 0);
		g_assert_cmpuint(test_append(account, &inbox, ph_slice("x"), 0), ==, 2);
		g_assert_true(ph_account_find(account, ph_slice("INBOX"), &info, NULL));
		g_assert_cmpuint(info.n_messages, ==, 2);
	}
	test_store_clear(&store);
}

static void
test_name_check(void)
{
	static const struct {
		const char *name;
		bool good;
	} rows[] = {
		{ "a", true },         { "a/b c", true },   { "gr\xc3\xbc\xc3\x9f", true },
		{ "", false },         { "/a", false },     { "a/", false },
		{ "a//b", false },     { "a/../b", false }, { ".", false },
		{ "..", false },       { "~x", false },     { "a\x01", false },
		{ "a\x7f", false },    { "\xff", false },   { "a\xc2\x85", false },
		{ "a/.hidden", true },
	};

	g_autofree char *longest = g_strnfill(1001, 'x');

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		const char *reason = NULL;

		g_assert_cmpint(ph_mailbox_name_check(ph_slice(rows[i].name), &reason), ==,
		                rows[i].good);
		g_assert_cmpint(reason == NULL, ==, rows[i].good);
	}
	g_assert_false(ph_mailbox_name_check(ph_slice(longest), NULL));
	g_assert_true(ph_mailbox_name_check(PH_SLICE(longest, 1000), NULL));
}

/* A quota that the directory changes holds at once, although the account stays open. */
static void
test_quota_changes(void)
{
	TestStore store;
	g_autoptr(GError) error = NULL;

	test_store_init(&store);
	{
		g_autoptr(PhAccount) account = test_account(&store, "ann", 1);
		g_autoptr(PhAccount) same = NULL;
		PhMailboxId inbox = test_mailbox(account, "INBOX");
		g_autoptr(PhContent) content = ph_content_new_copy(ph_slice("two"));
		g_autoptr(PhTransaction) refused = ph_transaction_new(account, NULL);

		(void) test_append(account, &inbox, ph_slice("one"), 0);
		same = test_account(&store, "ann", 2);
		g_assert_true(same == account);
		(void) test_append(account, &inbox, ph_slice("two"), 0);
		ph_account_unref(test_account(&store, "ann", 1));
		(void) ph_transaction_append(refused, &inbox, content, NULL, &error);
		g_assert_false(ph_transaction_run(refused, &error));
		g_assert_error(error, PH_ERROR, PH_ERROR_OVER_QUOTA);
	}
	test_store_clear(&store);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/mailbox/account/inbox-exists-and-accounts-are-shared", test_inbox);
	g_test_add_func("/mailbox/account/handles-are-few", test_handles);
	g_test_add_func("/mailbox/account/many-writers-one-lane", test_lane);
	g_test_add_func("/mailbox/account/rename-takes-children-and-spares-inbox", test_rename);
	g_test_add_func("/mailbox/account/large-operations-in-steps", test_steps);
	g_test_add_func("/mailbox/account/steps-as-large-as-they-are-quick", test_step_sizes);
	g_test_add_func("/mailbox/account/an-unknown-outcome-is-asked-again", test_unknown);
	g_test_add_func("/mailbox/account/a-changed-quota-holds", test_quota_changes);
	g_test_add_func("/mailbox/account/names-are-checked", test_name_check);
	return g_test_run();
}
