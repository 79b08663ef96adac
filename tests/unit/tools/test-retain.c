/* test-retain.c: what a retention rule removes, with a clock that is moved
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "accounts.h"
#include "base/clock.h"
#include "tools/job.h"

#define DAY_US (UINT64_C(86400) * 1000000)

static void
no_line(uint32_t channel, const char *text, void *user_data)
{
}

static const PhJobSink sink = { .line = no_line };

static PhMailboxId
make(PhAccount *account, const char *name, int n)
{
	g_autoptr(PhTransaction) transaction = ph_transaction_new(account, NULL);
	PhMailboxId id;

	(void) ph_transaction_create(transaction, ph_slice(name), 0);
	g_assert_true(ph_transaction_run(transaction, NULL));
	id = test_mailbox(account, name);
	for (int i = 0; i < n; i++)
		(void) test_append(account, &id, ph_slice("x\r\n"), 0);
	return id;
}

static uint32_t
count_of(PhAccount *account, const char *name)
{
	PhMailboxInfo info;

	g_assert_true(ph_account_find(account, ph_slice(name), &info, NULL));
	return info.n_messages;
}

static void
follow(TestStore *store, PhAccount *account, const char *rule)
{
	const char *const rules[] = { rule, NULL };
	PhJob job = { .section = &store->section, .sink = &sink };
	g_autoptr(GError) error = NULL;

	g_assert_true(ph_retain_account(&job, account, rules, &error));
	g_assert_no_error(error);
}

static void
test_age(void)
{
	PhAccount *account = NULL;
	PhMailboxId trash;
	TestStore store;

	test_store_init(&store);
	ph_clock_hold(1000000000, INT64_C(1700000000000000));
	account = test_account(&store, "ann", 0);
	trash = make(account, "Trash", 3);
	(void) make(account, "Trash/Kept", 3);
	ph_clock_move(29 * DAY_US);
	(void) test_append(account, &trash, ph_slice("x\r\n"), 0);
	follow(&store, account, "Trash 30d");
	g_assert_cmpuint(count_of(account, "Trash"), ==, 4);
	ph_clock_move(2 * DAY_US);
	follow(&store, account, "Trash 30d");
	g_assert_cmpuint(count_of(account, "Trash"), ==, 1);
	g_assert_cmpuint(count_of(account, "Trash/Kept"), ==, 3);
	ph_clock_release();
	ph_account_unref(account);
	test_store_clear(&store);
}

static void
test_count(void)
{
	PhAccount *account = NULL;
	TestStore store;

	test_store_init(&store);
	account = test_account(&store, "ann", 0);
	(void) make(account, "Lists", 0);
	(void) make(account, "Lists/a", 7);
	(void) make(account, "Lists/b", 2);
	follow(&store, account, "Lists/* 5");
	g_assert_cmpuint(count_of(account, "Lists/a"), ==, 5);
	g_assert_cmpuint(count_of(account, "Lists/b"), ==, 2);
	ph_account_unref(account);
	test_store_clear(&store);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/tools/retain/what-is-older-than-its-age-goes", test_age);
	g_test_add_func("/tools/retain/the-oldest-beyond-a-number-go", test_count);
	return g_test_run();
}
