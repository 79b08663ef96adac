/* test-index-migrate.c: a database of version 1 opens, and everything is there
 *
 * version-1.sqlite was written by the release that had version 1, and version-1.txt is what that
 * release told about it: copies, moves, keywords, expunges, a removed mailbox, values.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "index-dump.h"
#include "mailbox/index.h"
#include "sqlite.h"

static char *
fixture(const char *name)
{
	return g_build_filename(g_getenv("POSTHORN_SOURCE_DIR"), "tests", "data", "index", name,
	                        NULL);
}

static void
put_old(const TestStore *store)
{
	g_autofree char *octets = NULL;
	g_autofree char *from = fixture("version-1.sqlite");
	g_autofree char *path = g_build_filename(store->folder, "old.sqlite", NULL);
	size_t length = 0;

	g_assert_true(g_file_get_contents(from, &octets, &length, NULL));
	g_assert_true(g_file_set_contents(path, octets, (gssize) length, NULL));
}

static void
test_everything(void)
{
	TestStore store;
	g_autofree char *expected = NULL;
	g_autofree char *from = fixture("version-1.txt");

	g_assert_true(g_file_get_contents(from, &expected, NULL, NULL));
	test_store_init(&store);
	put_old(&store);
	for (int round = 0; round < 2; round++) {
		g_autoptr(PhAccount) account = test_account(&store, "old", 0);
		g_autofree char *told = dump_account(account);

		g_assert_cmpstr(told, ==, expected);
		test_verify(account);
		g_clear_pointer(&account, ph_account_unref);
		ph_accounts_forget_section(&store.section);
	}
	test_store_clear(&store);
}

static void
expunge_all(PhAccount *account, const char *name)
{
	PhMailboxId mailbox = test_mailbox(account, name);
	g_autoptr(PhUidSet) all = ph_uid_set_new_range(1, UINT32_MAX);
	g_autoptr(PhTransaction) expunge = ph_transaction_new(account, NULL);

	(void) ph_transaction_expunge(expunge, &mailbox, all);
	g_assert_true(ph_transaction_run(expunge, NULL));
}

/* What the background thread does now and then. */
static void
tidy(PhAccount *account)
{
	PhAccountCall call;

	g_assert_true(ph_account_enter(account, &call, NULL));
	(void) ph_index_tidy(((const Account *) call.engine)->index);
	ph_account_leave(&call, true);
}

static uint64_t
count_rows(const TestStore *store, const char *table)
{
	g_autofree char *path = g_build_filename(store->folder, "old.sqlite", NULL);
	g_autofree char *text = g_strdup_printf("SELECT count(*) FROM %s", table);
	sqlite3 *db = NULL;
	sqlite3_stmt *row = NULL;
	uint64_t n = 0;

	g_assert_cmpint(sqlite3_open(path, &db), ==, SQLITE_OK);
	g_assert_cmpint(sqlite3_prepare_v2(db, text, -1, &row, NULL), ==, SQLITE_OK);
	g_assert_cmpint(sqlite3_step(row), ==, SQLITE_ROW);
	n = (uint64_t) sqlite3_column_int64(row, 0);
	(void) sqlite3_finalize(row);
	(void) sqlite3_close(db);
	return n;
}

/* Copies keep their octets when the originals and the grace time are gone; then nothing is left
 * but the newest number. */
static void
test_owners(void)
{
	static const char *const names[] = { "INBOX", "Archive" };
	TestStore store;

	test_store_init(&store);
	store.settings.grace.us = 0;
	store.table->destroy(store.section.instance);
	g_assert_true(store.table->create(&store.section, &store.settings, &store.section.instance,
	                                  NULL));
	put_old(&store);
	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autoptr(PhAccount) account = test_account(&store, "old", 0);
		g_autofree char *told = NULL;

		expunge_all(account, names[i]);
		tidy(account);
		told = dump_account(account);
		g_assert_nonnull(strstr(told, "INBOX 1795321567 25 messages 0 "));
		test_verify(account);
		if (i == 0)
			g_assert_nonnull(strstr(told, "octets Subject: m2\r"));
	}
	g_assert_cmpuint(count_rows(&store, "record"), ==, 0);
	g_assert_cmpuint(count_rows(&store, "record_owned"), ==, 0);
	g_assert_cmpuint(count_rows(&store, "record_dropped"), ==, 0);
	g_assert_cmpuint(count_rows(&store, "blob"), ==, 1);
	test_store_clear(&store);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/mailbox/index-migrate/everything-is-there", test_everything);
	g_test_add_func("/mailbox/index-migrate/copies-keep-their-octets", test_owners);
	return g_test_run();
}
