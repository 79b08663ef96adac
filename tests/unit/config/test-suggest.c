/* test-suggest.c: the nearest name is found, far ones are not offered
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config/suggest.h"

static const char *const keys[] = { "address", "plugin", "store", "tls", "max-connections", NULL };

static void
test_distance(void)
{
	g_assert_cmpuint(ph_suggest_distance("", ""), ==, 0);
	g_assert_cmpuint(ph_suggest_distance("abc", "abc"), ==, 0);
	g_assert_cmpuint(ph_suggest_distance("abc", "acb"), ==, 1);
	g_assert_cmpuint(ph_suggest_distance("abc", "ab"), ==, 1);
	g_assert_cmpuint(ph_suggest_distance("ab", "abc"), ==, 1);
	g_assert_cmpuint(ph_suggest_distance("kitten", "sitting"), ==, 3);
	g_assert_cmpuint(ph_suggest_distance("A_B", "a-b"), ==, 0);
	g_assert_cmpuint(ph_suggest_distance("", "abc"), ==, 3);
}

static void
test_nearest(void)
{
	g_assert_cmpstr(ph_suggest_nearest("adress", keys), ==, "address");
	g_assert_cmpstr(ph_suggest_nearest("tsl", keys), ==, "tls");
	g_assert_cmpstr(ph_suggest_nearest("max_connections", keys), ==, "max-connections");
	g_assert_null(ph_suggest_nearest("zzz", keys));
	g_assert_null(ph_suggest_nearest("x", NULL));
}

static void
test_hint(void)
{
	static const char *const one[] = { "plain", NULL };
	static const char *const none[] = { NULL };
	g_autofree char *near = ph_suggest_hint("stor", keys);
	g_autofree char *far = ph_suggest_hint("zzz", keys);
	g_autofree char *only = ph_suggest_hint("zzz", one);
	g_autofree char *nothing = ph_suggest_hint("zzz", none);

	g_assert_cmpstr(near, ==, "; did you mean 'store'?");
	g_assert_cmpstr(far, ==, "; one of: address, plugin, store, tls, max-connections");
	g_assert_cmpstr(only, ==, "; there is only 'plain'");
	g_assert_cmpstr(nothing, ==, "");
}

static void
test_long(void)
{
	g_autofree char *a = g_strnfill(5000, 'a');
	g_autofree char *b = g_strnfill(5000, 'b');

	g_assert_cmpuint(ph_suggest_distance(a, b), >, 0);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/config/suggest/distances-count-swaps", test_distance);
	g_test_add_func("/config/suggest/nearest-is-near", test_nearest);
	g_test_add_func("/config/suggest/hints-read-well", test_hint);
	g_test_add_func("/config/suggest/long-words-are-bounded", test_long);
	return g_test_run();
}
