/* test-list.c: lists are read to the letter, and only answers that mean something count
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>

#include "list.h"

static void
assert_bad(const char *text, const char *message)
{
	g_autoptr(GError) error = NULL;

	g_assert_null(list_parse("list-1", text, &error));
	g_assert_error(error, PH_ERROR, PH_ERROR_INVALID);
	g_assert_cmpstr(error->message, ==, message);
}

static void
test_complaints(void)
{
	assert_bad("", "'list-1' ends where the name of a list such as bl.example.org is expected");
	assert_bad("[127.0.0.1]", "'list-1' has '[127.0.0.1]' where the name of a list such as "
	                          "bl.example.org is expected");
	assert_bad("bl.example weight much",
	           "'list-1' has 'much' where a weight from -1000 to 1000 is expected");
	assert_bad("bl.example weight 1001",
	           "'list-1' has '1001' where a weight from -1000 to 1000 is expected");
	assert_bad("bl.example of", "'list-1' ends where client, helo or sender is expected");
	assert_bad("bl.example for 127.0.0.9-127.0.0.2",
	           "'list-1' has '127.0.0.9-127.0.0.2' where an answer such as 127.0.0.2 or "
	           "127.0.0.4-127.0.0.7 is expected");
	assert_bad("bl.example else", "'list-1' has 'else' where 'of', 'weight' or 'for' is "
	                              "expected");
}

static List *
read_one(const char *text)
{
	g_autoptr(GError) error = NULL;
	List *list = list_parse("list-1", text, &error);

	g_assert_no_error(error);
	return list;
}

static void
test_parts(void)
{
	List *plain = read_one("bl.example.org");
	List *full =
		read_one(" white.example  of sender for 127.0.0.2 127.0.0.4-127.0.0.7 weight -5 ");

	g_assert_cmpstr(plain->zone, ==, "bl.example.org");
	g_assert_cmpint(plain->weight, ==, 1);
	g_assert_cmpint(plain->of, ==, LIST_OF_CLIENT);
	g_assert_cmpstr(full->zone, ==, "white.example");
	g_assert_cmpint(full->weight, ==, -5);
	g_assert_cmpint(full->of, ==, LIST_OF_SENDER);
	g_assert_cmpuint(full->n_ranges, ==, 2);
	list_free(plain);
	list_free(full);
}

static void
test_answers(void)
{
	List *plain = read_one("bl.example.org");
	List *some = read_one("bl.example.org for 127.0.0.2 127.0.0.4-127.0.0.7");

	g_assert_true(list_counts(plain, ph_slice("127.0.0.2")));
	g_assert_true(list_counts(plain, ph_slice("127.1.2.3")));
	g_assert_false(list_counts(plain, ph_slice("127.255.255.254")));
	g_assert_false(list_counts(plain, ph_slice("192.0.2.1")));
	g_assert_false(list_counts(plain, ph_slice("")));
	g_assert_false(list_counts(plain, ph_slice("::1")));
	g_assert_true(list_counts(some, ph_slice("127.0.0.2")));
	g_assert_false(list_counts(some, ph_slice("127.0.0.3")));
	g_assert_true(list_counts(some, ph_slice("127.0.0.7")));
	g_assert_false(list_counts(some, ph_slice("127.0.0.8")));
	list_free(plain);
	list_free(some);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/dnsbl/list/tells-what-is-wrong", test_complaints);
	g_test_add_func("/dnsbl/list/reads-all-parts", test_parts);
	g_test_add_func("/dnsbl/list/counts-only-what-means-listed", test_answers);
	return g_test_run();
}
