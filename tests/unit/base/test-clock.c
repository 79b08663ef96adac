/* test-clock.c: the clocks run, and tests can hold and move them
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "base/clock.h"

static void
test_runs(void)
{
	uint64_t before = ph_clock_us();
	PhTime wall = ph_clock_wall_us();

	g_assert_cmpuint(ph_clock_us(), >=, before);
	g_assert_cmpint(ABS(wall - g_get_real_time()), <, 5000000);
}

static void
test_held(void)
{
	char text[PH_CLOCK_TEXT];

	ph_clock_hold(7, 1795307323000004);
	g_assert_cmpuint(ph_clock_us(), ==, 7);
	ph_clock_move(1000000);
	g_assert_cmpuint(ph_clock_us(), ==, 1000007);
	ph_clock_text(ph_clock_wall_us(), text);
	g_assert_cmpstr(text, ==, "2026-11-22T00:28:44.000004Z");
	ph_clock_release();
	g_assert_cmpuint(ph_clock_us(), !=, 1000007);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/base/clock/clocks-run", test_runs);
	g_test_add_func("/base/clock/tests-hold-them", test_held);
	return g_test_run();
}
