/* test-backoff.c: how long the answer to a failed login waits
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "login/backoff.h"

enum {
	SECOND = 1000000,
};

static PhBackoff *
make(void)
{
	return ph_backoff_new((PhDuration){ 2 * SECOND }, (PhDuration){ 15 * SECOND },
	                      (PhDuration){ 600ULL * SECOND });
}

static void
doubles_to_the_longest(void)
{
	g_autoptr(PhBackoff) backoff = make();
	const uint64_t expected[] = { 2, 4, 8, 15, 15 };

	for (size_t i = 0; i < G_N_ELEMENTS(expected); i++)
		g_assert_cmpuint(ph_backoff_failed(backoff, "192.0.2.1", NULL, SECOND).us, ==,
		                 expected[i] * SECOND);
	for (int i = 0; i < 100; i++)
		g_assert_cmpuint(ph_backoff_failed(backoff, "192.0.2.1", NULL, SECOND).us, ==,
		                 15 * SECOND);
}

static void
another_address_starts_at_the_first(void)
{
	g_autoptr(PhBackoff) backoff = make();

	(void) ph_backoff_failed(backoff, "192.0.2.1", NULL, SECOND);
	(void) ph_backoff_failed(backoff, "192.0.2.1", NULL, SECOND);
	g_assert_cmpuint(ph_backoff_failed(backoff, "192.0.2.2", NULL, SECOND).us, ==, 2 * SECOND);
}

static void
a_user_is_counted_from_all_addresses(void)
{
	g_autoptr(PhBackoff) backoff = make();

	(void) ph_backoff_failed(backoff, "192.0.2.1", "anna", SECOND);
	(void) ph_backoff_failed(backoff, "192.0.2.2", "anna", SECOND);
	g_assert_cmpuint(ph_backoff_failed(backoff, "192.0.2.3", "anna", SECOND).us, ==,
	                 8 * SECOND);
	ph_backoff_succeeded(backoff, "anna");
	g_assert_cmpuint(ph_backoff_failed(backoff, "192.0.2.4", "anna", SECOND).us, ==,
	                 2 * SECOND);
}

static void
forgets_after_a_while(void)
{
	g_autoptr(PhBackoff) backoff = make();

	(void) ph_backoff_failed(backoff, "192.0.2.1", NULL, SECOND);
	(void) ph_backoff_failed(backoff, "192.0.2.1", NULL, SECOND);
	g_assert_cmpuint(ph_backoff_failed(backoff, "192.0.2.1", NULL, 700ULL * SECOND).us, ==,
	                 2 * SECOND);
}

static void
stays_bounded_under_a_flood_of_names(void)
{
	g_autoptr(PhBackoff) backoff = make();

	for (unsigned i = 0; i < 50000; i++) {
		g_autofree char *user = g_strdup_printf("user%u", i);
		(void) ph_backoff_failed(backoff, "192.0.2.1", user, SECOND);
	}
	g_assert_cmpuint(ph_backoff_failed(backoff, "192.0.2.9", "user0", SECOND).us, ==,
	                 2 * SECOND);
	g_assert_cmpuint(ph_backoff_failed(backoff, "192.0.2.8", "user49999", SECOND).us, ==,
	                 4 * SECOND);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/login/backoff/doubles-to-the-longest", doubles_to_the_longest);
	g_test_add_func("/login/backoff/another-address-starts-at-the-first",
	                another_address_starts_at_the_first);
	g_test_add_func("/login/backoff/a-user-is-counted-from-all-addresses",
	                a_user_is_counted_from_all_addresses);
	g_test_add_func("/login/backoff/forgets-after-a-while", forgets_after_a_while);
	g_test_add_func("/login/backoff/stays-bounded-under-a-flood-of-names",
	                stays_bounded_under_a_flood_of_names);
	return g_test_run();
}
