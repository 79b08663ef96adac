/* test-address-list.c: networks are parsed strictly and matched over both families
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>

#include "net/address-list.h"

#include <arpa/inet.h>
#include <netinet/in.h>

static bool
has(const PhAddressList *set, const char *text)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };

	if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
		return ph_address_list_has(set, (struct sockaddr *) &v4);
	g_assert_cmpint(inet_pton(AF_INET6, text, &v6.sin6_addr), ==, 1);
	return ph_address_list_has(set, (struct sockaddr *) &v6);
}

static void
test_matches(void)
{
	const char *words[] = { "192.0.2.0/24", "10.1.2.3", "2001:db8::/33", "fe80::1", NULL };
	g_autoptr(GError) error = NULL;
	g_autoptr(PhAddressList) set = ph_address_list_new(words, &error);

	g_assert_no_error(error);
	g_assert_true(has(set, "192.0.2.0"));
	g_assert_true(has(set, "192.0.2.255"));
	g_assert_true(has(set, "::ffff:192.0.2.9"));
	g_assert_false(has(set, "192.0.3.0"));
	g_assert_false(has(set, "192.0.1.255"));
	g_assert_true(has(set, "10.1.2.3"));
	g_assert_false(has(set, "10.1.2.2"));
	g_assert_true(has(set, "2001:db8:7fff::1"));
	g_assert_false(has(set, "2001:db8:8000::1"));
	g_assert_true(has(set, "fe80::1"));
	g_assert_false(has(set, "fe80::2"));
	g_assert_false(ph_address_list_has(set, &(struct sockaddr){ .sa_family = AF_UNIX }));
}

static void
test_everything_and_nothing(void)
{
	const char *all[] = { "0.0.0.0/0", "::/0", "unix", NULL };
	g_autoptr(PhAddressList) full = ph_address_list_new(all, NULL);
	g_autoptr(PhAddressList) empty = ph_address_list_new(NULL, NULL);

	g_assert_true(has(full, "255.255.255.255"));
	g_assert_true(has(full, "::"));
	g_assert_true(ph_address_list_has(full, &(struct sockaddr){ .sa_family = AF_UNIX }));
	g_assert_true(ph_address_list_is_empty(empty));
	g_assert_false(has(empty, "127.0.0.1"));
}

static void
test_wrong_words(void)
{
	static const char *const wrong[] = {
		"",
		"/",
		"192.0.2.1/",
		"192.0.2.0/33",
		"192.0.2.1/24",
		"2001:db8::/129",
		"::1/64",
		"192.0.2",
		"example.org",
		"192.0.2.0/-1",
		"192.0.2.0/2x",
		"1.2.3.4/99999999999",
		NULL,
	};

	for (size_t i = 0; wrong[i] != NULL; i++) {
		const char *words[] = { wrong[i], NULL };
		g_autoptr(GError) error = NULL;

		g_assert_null(ph_address_list_new(words, &error));
		g_assert_error(error, PH_ERROR, PH_ERROR_INVALID);
	}
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/net/address-list/networks-match-over-both-families", test_matches);
	g_test_add_func("/net/address-list/everything-and-nothing", test_everything_and_nothing);
	g_test_add_func("/net/address-list/wrong-words-are-refused", test_wrong_words);
	return g_test_run();
}
