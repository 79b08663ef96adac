/* test-listen.c: addresses and networks from text, and which of them collide
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config/listen.h"

static void
test_good(void)
{
	static const struct {
		const char *text;
		int family;
		uint16_t port;
	} rows[] = {
		{ "127.0.0.1:25", AF_INET, 25 },  { "*:65535", AF_INET6, 65535 },
		{ "[::1]:0", AF_INET6, 0 },       { "unix:/run/x", AF_UNIX, 0 },
		{ "systemd:imap", AF_UNSPEC, 0 },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autoptr(GString) problem = g_string_new("");
		PhListenAddress address;

		g_assert_true(ph_listen_parse(rows[i].text, &address, problem));
		g_assert_cmpint(address.socket.ss_family, ==, rows[i].family);
		g_assert_cmpuint(address.port, ==, rows[i].port);
	}
}

static void
test_bad(void)
{
	static const char *const rows[] = {
		"",         ":",        "25",     "*",        "*:",          "*:-1",
		"*:65536",  "a.org:25", "::1:25", "[::1:25",  "[]:25",       "[127.0.0.1]:25",
		"1.2.3:25", "unix:x",   "unix:",  "systemd:", "systemd:a:b", "127.0.0.1:25x"
	};

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autoptr(GString) problem = g_string_new("");
		PhListenAddress address;

		g_assert_false(ph_listen_parse(rows[i], &address, problem));
		g_assert_cmpuint(problem->len, >, 0);
	}
}

static void
test_collide(void)
{
	static const struct {
		const char *a;
		const char *b;
		bool collide;
	} rows[] = {
		{ "*:25", "127.0.0.1:25", true },
		{ "*:25", "[::1]:25", true },
		{ "0.0.0.0:25", "127.0.0.1:25", true },
		{ "0.0.0.0:25", "[::]:25", false },
		{ "[::]:25", "[::1]:25", true },
		{ "127.0.0.1:25", "127.0.0.2:25", false },
		{ "127.0.0.1:25", "127.0.0.1:26", false },
		{ "*:0", "*:0", false },
		{ "unix:/a", "unix:/a", true },
		{ "unix:/a", "unix:/b", false },
		{ "systemd:a", "systemd:a", true },
		{ "systemd:a", "*:25", false },
		{ "unix:/a", "*:25", false },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autoptr(GString) problem = g_string_new("");
		PhListenAddress a;
		PhListenAddress b;

		g_assert_true(ph_listen_parse(rows[i].a, &a, problem));
		g_assert_true(ph_listen_parse(rows[i].b, &b, problem));
		g_assert_cmpint(ph_listen_collide(&a, &b), ==, rows[i].collide);
		g_assert_cmpint(ph_listen_collide(&b, &a), ==, rows[i].collide);
	}
}

static void
test_networks(void)
{
	static const struct {
		const char *text;
		bool good;
		uint8_t bits;
	} rows[] = {
		{ "192.0.2.0/24", true, 120 }, { "192.0.2.1", true, 128 },
		{ "2001:db8::/32", true, 32 }, { "::/0", true, 0 },
		{ "unix", true, 128 },         { "192.0.2.0/33", false, 0 },
		{ "::/129", false, 0 },        { "192.0.2.0/", false, 0 },
		{ "a.org", false, 0 },         { "", false, 0 },
		{ "/24", false, 0 },           { "192.0.2.0/-1", false, 0 },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autoptr(GString) problem = g_string_new("");
		PhNetwork network;

		g_assert_cmpint(ph_network_parse(rows[i].text, &network, problem), ==,
		                rows[i].good);
		if (rows[i].good)
			g_assert_cmpuint(network.bits, ==, rows[i].bits);
	}
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/config/listen/good-addresses", test_good);
	g_test_add_func("/config/listen/bad-addresses", test_bad);
	g_test_add_func("/config/listen/collisions-as-the-kernel-sees-them", test_collide);
	g_test_add_func("/config/listen/networks", test_networks);
	return g_test_run();
}
