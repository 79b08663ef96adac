/* test-sqlite-store.c: octets in the sqlite store, and what no store may do
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "accounts.h"

/* Octets of many sizes come back as they went in, also after everything was closed. */
static void
test_octets(void)
{
	static const size_t sizes[] = { 0,     1,      4095,   4096,   65535,  65536,
		                        70000, 262143, 262144, 262145, 300000, 5000000 };
	TestStore store;
	g_autofree char *data = g_malloc(5000000);

	for (size_t i = 0; i < 5000000; i++)
		data[i] = (char) (i * 7 + i / 251);
	test_store_init(&store);
	for (int round = 0; round < 2; round++) {
		g_autoptr(PhAccount) account = test_account(&store, "ann", 0);
		PhMailboxId inbox = test_mailbox(account, "INBOX");

		for (uint32_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
			PhSlice octets = PH_SLICE(data + i, MIN(sizes[i], 5000000 - i));

			if (round == 0)
				g_assert_cmpuint(test_append(account, &inbox, octets, 0), ==,
				                 i + 1);
			test_assert_octets(account, i + 1, octets);
		}
		g_clear_pointer(&account, ph_account_unref);
		ph_accounts_forget_section(&store.section);
	}
	test_store_clear(&store);
}

/* [STORE-6] Readable for the grace time; a copy keeps the octets for good. */
static void
test_grace(void)
{
	TestStore store;
	g_autoptr(GError) error = NULL;

	test_store_init(&store);
	{
		g_autoptr(PhAccount) account = test_account(&store, "ann", 0);
		PhMailboxId inbox = test_mailbox(account, "INBOX");
		uint32_t uid = test_append(account, &inbox, ph_slice("one\r\n"), 0);
		g_autoptr(PhUidSet) uids = ph_uid_set_new_range(uid, uid);
		g_autoptr(PhView) view = ph_view_open(account, ph_slice("INBOX"), false,
		                                      (PhSessionRef){ 0, 0 }, &error);
		g_autoptr(PhCursor) cursor = ph_cursor_new(view, uids, PH_FIELD_BLOB);
		const PhRecord *record = ph_cursor_next(cursor, &error);
		g_autoptr(PhTransaction) expunge = ph_transaction_new(account, NULL);
		g_autoptr(PhContent) content = NULL;

		(void) ph_transaction_expunge(expunge, &inbox, uids);
		g_assert_true(ph_transaction_run(expunge, &error));
		content = ph_view_content(view, record, &error);
		g_assert_no_error(error);
		g_assert_cmpuint(ph_content_length(content), ==, 5);
	}
	test_store_clear(&store);
}

/* [STORE-7] A blob's id means nothing in another account. */
static void
test_strangers(void)
{
	TestStore store;
	g_autoptr(GError) error = NULL;

	test_store_init(&store);
	{
		g_autoptr(PhAccount) ann = test_account(&store, "ann", 0);
		g_autoptr(PhAccount) bob = test_account(&store, "bob", 0);
		PhMailboxId inbox = test_mailbox(ann, "INBOX");
		uint32_t uid = test_append(ann, &inbox, ph_slice("for ann only"), 0);
		g_autoptr(PhUidSet) uids = ph_uid_set_new_range(uid, uid);
		g_autoptr(PhView) here =
			ph_view_open(ann, ph_slice("INBOX"), true, (PhSessionRef){ 0, 0 }, &error);
		g_autoptr(PhView) there =
			ph_view_open(bob, ph_slice("INBOX"), true, (PhSessionRef){ 0, 0 }, &error);
		g_autoptr(PhCursor) cursor = ph_cursor_new(here, uids, PH_FIELD_BLOB);
		const PhRecord *record = ph_cursor_next(cursor, &error);

		g_assert_nonnull(record);
		g_assert_null(ph_view_content(there, record, &error));
		g_assert_error(error, PH_ERROR, PH_ERROR_GONE);
	}
	test_store_clear(&store);
}

/* A full disk or any failure of the engine leaves what was there: here the quota stands for it. */
static void
test_over_quota(void)
{
	TestStore store;
	g_autoptr(GError) error = NULL;

	test_store_init(&store);
	{
		g_autoptr(PhAccount) account = test_account(&store, "ann", 1);
		PhMailboxId inbox = test_mailbox(account, "INBOX");
		g_autoptr(PhContent) content = ph_content_new_copy(ph_slice("two"));
		g_autoptr(PhTransaction) second = ph_transaction_new(account, NULL);
		g_autoptr(PhUidSet) uids = ph_uid_set_new_range(1, 1);
		g_autoptr(PhTransaction) expunge = ph_transaction_new(account, NULL);

		(void) test_append(account, &inbox, ph_slice("one"), 0);
		(void) ph_transaction_append(second, &inbox, content, NULL, &error);
		g_assert_false(ph_transaction_run(second, &error));
		g_assert_error(error, PH_ERROR, PH_ERROR_OVER_QUOTA);
		(void) ph_transaction_expunge(expunge, &inbox, uids);
		g_assert_true(ph_transaction_run(expunge, NULL));
		g_assert_cmpuint(test_append(account, &inbox, ph_slice("three"), 0), >, 1);
	}
	test_store_clear(&store);
}

/* With a template that ends with the user's name, one user's database would be another's log. */
static void
test_names_beside(void)
{
	TestStore store;
	g_autoptr(GError) error = NULL;
	PhIdentityValues values = { .size = sizeof values, .user = "ann-wal", .domain = "" };
	g_autoptr(PhIdentity) identity = ph_identity_new(&values, &error);

	test_store_init(&store);
	store.table->destroy(store.section.instance);
	g_free((char *) (uintptr_t) store.settings.path);
	store.settings.path = g_strconcat(store.folder, "/{user}", NULL);
	g_assert_true(store.table->create(&store.section, &store.settings, &store.section.instance,
	                                  &error));
	g_assert_null(ph_account_open(&store.section, identity, &error));
	g_assert_error(error, PH_ERROR, PH_ERROR_PERMANENT);
	test_store_clear(&store);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/mailbox/sqlite-store/octets-come-back", test_octets);
	g_test_add_func("/mailbox/sqlite-store/expunged-octets-stay-readable", test_grace);
	g_test_add_func("/mailbox/sqlite-store/ids-mean-nothing-elsewhere", test_strangers);
	g_test_add_func("/mailbox/sqlite-store/a-refused-message-leaves-nothing", test_over_quota);
	g_test_add_func("/mailbox/sqlite-store/names-of-sqlites-own-files-are-nobodys",
	                test_names_beside);
	return g_test_run();
}
