/* test-delay.c: a user who comes back too early is sent away, others are not
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "delay.h"

enum {
	MANY = 5000
};

static const int64_t second_us = 1000000;

static void
test_early(void)
{
	Delay *delay = delay_new(60 * second_us);

	g_assert_true(delay_admit(delay, "anna@example.org", 5 * second_us));
	g_assert_false(delay_admit(delay, "anna@example.org", 64 * second_us));
	g_assert_true(delay_admit(delay, "ben@example.org", 64 * second_us));
	g_assert_true(delay_admit(delay, "anna@example.org", 65 * second_us));
	g_assert_false(delay_admit(delay, "anna@example.org", 66 * second_us));
	delay_free(delay);
}

static void
test_many(void)
{
	Delay *delay = delay_new(second_us);

	for (int64_t round = 0; round < 3; round++)
		for (int i = 0; i < MANY; i++) {
			g_autofree char *user = g_strdup_printf("u%d", i);

			g_assert_true(delay_admit(delay, user, round * second_us));
			g_assert_false(delay_admit(delay, user, round * second_us + 1));
		}
	delay_free(delay);
}

static void
test_none(void)
{
	Delay *delay = delay_new(0);

	g_assert_true(delay_admit(delay, "anna@example.org", 1));
	g_assert_true(delay_admit(delay, "anna@example.org", 1));
	delay_free(delay);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/pop3/delay/early", test_early);
	g_test_add_func("/pop3/delay/many-users", test_many);
	g_test_add_func("/pop3/delay/none", test_none);
	return g_test_run();
}
