/* test-account-open.c: what an account gets when it is opened: limits, mailboxes, a move
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "accounts.h"
#include "config/sections.h"

static const char *const mailboxes[] = { "Sent \\Sent", "Junk \\Junk", "A/B", "INBOX", NULL };

static bool
note_value(const char *key, PhSlice value, void *user_data)
{
	g_string_append_printf(user_data, "%s ", key);
	return true;
}

static uint32_t
use_of(PhAccount *account, const char *name)
{
	PhMailboxInfo info = { .special_use = UINT32_MAX };

	(void) ph_account_find(account, ph_slice(name), &info, NULL);
	return info.special_use;
}

static void
remove_mailbox(PhAccount *account, const char *name)
{
	g_autoptr(PhTransaction) transaction = ph_transaction_new(account, NULL);
	PhMailboxId id = test_mailbox(account, name);

	(void) ph_transaction_remove(transaction, &id);
	g_assert_true(ph_transaction_run(transaction, NULL));
}

/* Closes the handle and the account object, as if the server had been started anew. */
static void
forget(TestStore *store, PhAccount *account)
{
	ph_account_unref(account);
	ph_accounts_forget_section(&store->section);
}

static void
test_made_once(void)
{
	PhPluginSettings settings = { .mailboxes = mailboxes };
	g_autoptr(GString) keys = g_string_new(NULL);
	PhAccount *account = NULL;
	TestStore store;

	test_store_init(&store);
	store.section.core_settings = &settings;
	account = test_account(&store, "ann", 0);
	g_assert_cmpuint(use_of(account, "Sent"), ==, PH_USE_SENT);
	g_assert_cmpuint(use_of(account, "Junk"), ==, PH_USE_JUNK);
	g_assert_cmpuint(use_of(account, "A"), ==, 0);
	g_assert_cmpuint(use_of(account, "A/B"), ==, 0);
	g_assert_true(
		ph_account_values(account, NULL, PH_KEY_SUBSCRIPTION, note_value, keys, NULL));
	g_assert_cmpstr(keys->str, ==,
	                "subscription/A/B subscription/INBOX subscription/Junk subscription/Sent ");
	remove_mailbox(account, "Junk");
	forget(&store, account);
	account = test_account(&store, "ann", 0);
	g_assert_cmpuint(use_of(account, "Junk"), ==, UINT32_MAX);
	g_assert_cmpuint(use_of(account, "Sent"), ==, PH_USE_SENT);
	forget(&store, account);
	test_store_clear(&store);
}

static void
create(PhAccount *account, const char *name, uint32_t use)
{
	g_autoptr(PhTransaction) transaction = ph_transaction_new(account, NULL);

	(void) ph_transaction_create(transaction, ph_slice(name), use);
	g_assert_true(ph_transaction_run(transaction, NULL));
}

/* The config got its line when the account was there already. */
static void
test_left_alone(void)
{
	PhPluginSettings settings = { .mailboxes = mailboxes };
	PhAccount *account = NULL;
	TestStore store;

	test_store_init(&store);
	account = test_account(&store, "ann", 0);
	create(account, "Sent Items", PH_USE_SENT);
	create(account, "Junk", 0);
	forget(&store, account);
	store.section.core_settings = &settings;
	account = test_account(&store, "ann", 0);
	g_assert_cmpuint(use_of(account, "Sent"), ==, UINT32_MAX);
	g_assert_cmpuint(use_of(account, "Junk"), ==, PH_USE_JUNK); /* no other has the use */
	g_assert_cmpuint(use_of(account, "A/B"), ==, 0);
	forget(&store, account);
	test_store_clear(&store);
}

static void
test_limits(void)
{
	PhPluginSettings settings = { .quota = { 1000 }, .quota_messages = 2 };
	PhAccount *account = NULL;
	PhAccount *other = NULL;
	PhMailboxId inbox;
	TestStore store;
	PhQuota quota;

	test_store_init(&store);
	store.section.core_settings = &settings;
	account = test_account(&store, "ann", 0);
	other = test_account(&store, "bob", 3);
	inbox = test_mailbox(account, "INBOX");
	g_assert_cmpuint(test_append(account, &inbox, ph_slice("x\r\n"), 0), ==, 1);
	g_assert_true(ph_account_quota(account, &quota, NULL));
	g_assert_cmpuint(quota.octets, ==, 3);
	g_assert_cmpuint(quota.messages, ==, 1);
	g_assert_cmpuint(quota.max_octets, ==, 1000);
	g_assert_cmpuint(quota.max_messages, ==, 2);
	g_assert_false(ph_quota_is_full(&quota));
	g_assert_cmpuint(test_append(account, &inbox, ph_slice("x\r\n"), 0), ==, 2);
	g_assert_true(ph_account_quota(account, &quota, NULL));
	g_assert_true(ph_quota_is_full(&quota));
	g_assert_true(ph_account_quota(other, &quota, NULL));
	g_assert_cmpuint(quota.max_octets, ==, 1000);
	g_assert_cmpuint(quota.max_messages, ==, 3);
	ph_account_unref(other);
	forget(&store, account);
	test_store_clear(&store);
}

static void
note(void *user_data)
{
	g_atomic_int_set((gint *) user_data, 1);
}

static void
test_hold(void)
{
	g_autoptr(PhTransaction) transaction = NULL;
	g_autoptr(PhTransaction) mine = NULL;
	g_autoptr(GError) error = NULL;
	PhAccount *account = NULL;
	gint done = 0;
	TestStore store;

	test_store_init(&store);
	account = test_account(&store, "ann", 0);
	ph_account_hold(account);
	transaction = ph_transaction_new(account, NULL);
	(void) ph_transaction_create(transaction, ph_slice("Later"), 0);
	ph_transaction_submit(transaction, ph_wake_new_func(note, &done));
	mine = ph_transaction_new(account, NULL);
	(void) ph_transaction_create(mine, ph_slice("Now"), 0);
	g_assert_true(ph_account_commit_held(account, mine, &error));
	g_assert_no_error(error);
	g_usleep(20000);
	g_assert_cmpint(g_atomic_int_get(&done), ==, 0);
	g_assert_cmpuint(use_of(account, "Now"), ==, 0);
	g_assert_cmpuint(use_of(account, "Later"), ==, UINT32_MAX);
	ph_account_let_go(account);
	while (g_atomic_int_get(&done) == 0)
		g_usleep(1000);
	g_assert_true(transaction->done);
	g_clear_pointer(&transaction, ph_transaction_free);
	g_clear_pointer(&mine, ph_transaction_free);
	forget(&store, account);
	test_store_clear(&store);
}

static void
test_moved(void)
{
	PhPluginSettings settings = { .quota = { 0 } };
	g_autoptr(GError) error = NULL;
	g_autoptr(PhIdentity) identity = NULL;
	PhAccount *account = NULL;
	PhAccount *there = NULL;
	TestStore store;
	TestStore other;

	test_store_init(&store);
	test_store_init(&other);
	account = test_account(&store, "ann", 0);
	create(account, "Here", 0);
	identity = ph_identity_ref(ph_account_identity(account));
	ph_account_hold(account);
	g_assert_true(ph_account_mark_moved(account, other.section.name, &error));
	ph_account_retire(account, other.section.name);
	ph_account_let_go(account);
	g_assert_false(ph_account_find(account, ph_slice("Here"), &(PhMailboxInfo){ .name = NULL },
	                               &error));
	g_assert_error(error, PH_ERROR, PH_ERROR_GONE);
	g_clear_error(&error);
	g_assert_null(ph_account_open(&store.section, identity, &error));
	g_assert_error(error, PH_ERROR, PH_ERROR_TEMPORARY);
	g_clear_error(&error);
	settings.moves_to = &other.section;
	store.section.core_settings = &settings;
	forget(&store, account);
	there = ph_account_open(&store.section, identity, &error);
	g_assert_no_error(error);
	g_assert_true(there->section == &other.section);
	forget(&other, there);
	test_store_clear(&store);
	test_store_clear(&other);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/mailbox/account-open/configured-mailboxes-are-made-once", test_made_once);
	g_test_add_func("/mailbox/account-open/what-a-user-has-is-left-alone", test_left_alone);
	g_test_add_func("/mailbox/account-open/limits-are-the-directory-s-or-the-section-s",
	                test_limits);
	g_test_add_func("/mailbox/account-open/what-comes-while-held-waits", test_hold);
	g_test_add_func("/mailbox/account-open/a-moved-user-is-served-elsewhere", test_moved);
	return g_test_run();
}
