/* test-syncs.c: what is said to be durable was synced, and never after a failure
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "syncs.h"

#include <glib.h>

static void
test_each_its_own(void)
{
	/* of A it began first and ended last */
	g_assert_false(syncs_note(1, 200, true));
	g_assert_false(syncs_note(2, 100, true));
	g_assert_true(syncs_has(1, 150));
	g_assert_false(syncs_has(2, 150));
	g_assert_true(syncs_has(2, 99));
	g_assert_false(syncs_note(1, 120, true));
	g_assert_true(syncs_has(1, 199));
	g_assert_false(syncs_has(1, 200));
	g_assert_false(syncs_has(3, 0));
}

static void
test_rests_are_apart(void)
{
	g_assert_cmpint(syncs_due(10), ==, 0);
	(void) syncs_note(11, 5000, true);
	(void) syncs_note(12, 7000, true);
	g_assert_cmpint(syncs_due(10), ==, 0);
	g_assert_cmpint(syncs_due(11), ==, 1005000);
	g_assert_cmpint(syncs_due(12), ==, 1007000);
}

static void
test_a_failure_lasts(void)
{
	g_assert_false(syncs_note(20, 100, true));
	g_assert_true(syncs_note(20, 200, false));
	g_assert_false(syncs_note(20, 300, false));
	g_assert_false(syncs_note(20, 400, true));
	g_assert_true(syncs_failed(20));
	g_assert_false(syncs_has(20, 50));
	g_assert_false(syncs_has(20, 350));
	g_assert_cmpint(syncs_due(20), ==, 0);
	g_assert_false(syncs_failed(21));
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/maildir/syncs/each-system-has-its-own", test_each_its_own);
	g_test_add_func("/maildir/syncs/one-does-not-wait-for-another", test_rests_are_apart);
	g_test_add_func("/maildir/syncs/a-failure-lasts", test_a_failure_lasts);
	return g_test_run();
}
