/* test-index-compact.c: space goes back to the file system while others commit and read
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "accounts.h"
#include "mailbox/index.h"
#include "sqlite.h"

enum {
	MESSAGES = 2000,
	OCTETS = 20 * 1024,
	BATCH = 100,
	OLD_MESSAGES = 200,
	OTHERS = 5, /* messages of the other thread that are sure to be there */
	TURNS = 30, /* of its commits while the database is compacted */
};

typedef struct {
	PhAccount *account;
	gint stop;
	gint rounds;
	int64_t longest_us; /* of a round's commits */
} Other;

static void
append_many(PhAccount *account, uint32_t n)
{
	PhMailboxId inbox = test_mailbox(account, "INBOX");
	g_autofree char *octets = g_strnfill(OCTETS, 'x');
	g_autoptr(PhContent) content = ph_content_new_copy(PH_SLICE(octets, OCTETS));

	for (uint32_t done = 0; done < n; done += BATCH) {
		g_autoptr(GError) error = NULL;
		g_autoptr(PhTransaction) append = ph_transaction_new(account, NULL);

		for (uint32_t i = 0; i < BATCH; i++)
			(void) ph_transaction_append(append, &inbox, content, NULL, &error);
		g_assert_true(ph_transaction_run(append, &error));
		g_assert_no_error(error);
	}
}

static void
expunge(PhAccount *account, uint32_t first, uint32_t last)
{
	g_autoptr(GError) error = NULL;
	PhMailboxId inbox = test_mailbox(account, "INBOX");
	g_autoptr(PhUidSet) uids = ph_uid_set_new_range(first, last);
	g_autoptr(PhTransaction) transaction = ph_transaction_new(account, NULL);

	(void) ph_transaction_expunge(transaction, &inbox, uids);
	g_assert_true(ph_transaction_run(transaction, &error));
	g_assert_no_error(error);
}

static void
compact(PhAccount *account)
{
	g_autoptr(GError) error = NULL;
	PhAccountCall call;

	g_assert_true(ph_account_enter(account, &call, NULL));
	g_assert_true(call.table->compact(call.engine, &error));
	g_assert_no_error(error);
	ph_account_leave(&call, true);
}

static int64_t
size_of(const TestStore *store, const char *name)
{
	g_autofree char *path = g_build_filename(store->folder, name, NULL);
	GStatBuf status;

	g_assert_cmpint(g_stat(path, &status), ==, 0);
	return status.st_size;
}

/* Grace 0: what is expunged may go at once. */
static void
set_no_grace(TestStore *store)
{
	g_autoptr(GError) error = NULL;

	store->table->destroy(store->section.instance);
	store->settings.grace.us = 0;
	g_assert_true(store->table->create(&store->section, &store->settings,
	                                   &store->section.instance, &error));
}

/* --- with others at work -------------------------------------------------------------------------- */

static void *
work_meanwhile(void *data)
{
	Other *other = data;
	PhMailboxId inbox = test_mailbox(other->account, "INBOX");

	while (g_atomic_int_get(&other->stop) == 0) {
		int64_t began_us = g_get_monotonic_time();
		uint32_t uid = test_append(other->account, &inbox, ph_slice("meanwhile\r\n"), 0);

		other->longest_us = MAX(other->longest_us, g_get_monotonic_time() - began_us);
		test_assert_octets(other->account, uid, ph_slice("meanwhile\r\n"));
		if (g_atomic_int_add(&other->rounds, 1) >= OTHERS)
			expunge(other->account, uid, uid);
	}
	return NULL;
}

static void
test_online(void)
{
	TestStore store;
	int64_t before = 0;
	int64_t began_us = 0;
	int64_t took_us = 0;

	test_store_init(&store);
	set_no_grace(&store);
	{
		g_autoptr(PhAccount) account = test_account(&store, "ann", 0);
		Other other = { .account = account };
		GThread *thread = NULL;

		append_many(account, MESSAGES);
		compact(account);
		before = size_of(&store, "ann.sqlite");
		g_assert_cmpint(before, >, MESSAGES * OCTETS);
		expunge(account, 1, MESSAGES);
		thread = g_thread_new("meanwhile", work_meanwhile, &other);
		began_us = g_get_monotonic_time();
		compact(account);
		took_us = g_get_monotonic_time() - began_us;
		g_atomic_int_set(&other.stop, 1);
		(void) g_thread_join(thread);
		g_test_message("%d rounds, the longest commit %" G_GINT64_FORMAT
		               " us, in %" G_GINT64_FORMAT " us",
		               other.rounds, other.longest_us, took_us);
		/* each step lets one commit go first */
		g_assert_cmpint(g_atomic_int_get(&other.rounds), >, TURNS);
		compact(account);
		g_assert_cmpint(size_of(&store, "ann.sqlite"), <, before / 10);
		test_verify(account);
		test_assert_octets(account, MESSAGES + 1, ph_slice("meanwhile\r\n"));
	}
	test_store_clear(&store);
}

/* --- made by an earlier release ------------------------------------------------------------------- */

/* An empty file becomes a database as SQLite makes it: without auto_vacuum. */
static void
test_old(void)
{
	TestStore store;

	test_store_init(&store);
	set_no_grace(&store);
	{
		g_autofree char *path = g_build_filename(store.folder, "old.sqlite", NULL);
		g_autoptr(PhAccount) account = NULL;
		int64_t before = 0;

		g_assert_true(g_file_set_contents(path, "", 0, NULL));
		account = test_account(&store, "old", 0);
		append_many(account, OLD_MESSAGES);
		compact(account);
		before = size_of(&store, "old.sqlite");
		expunge(account, 1, OLD_MESSAGES - 1);
		compact(account);
		g_assert_cmpint(size_of(&store, "old.sqlite"), <, before / 10);
		test_verify(account);
		append_many(account, BATCH);
		expunge(account, OLD_MESSAGES + 1, OLD_MESSAGES + BATCH);
		compact(account);
		g_assert_cmpint(size_of(&store, "old.sqlite"), <, before / 10);
		test_verify(account);
	}
	test_store_clear(&store);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/mailbox/index-compact/online", test_online);
	g_test_add_func("/mailbox/index-compact/once-for-an-older-database", test_old);
	return g_test_run();
}
