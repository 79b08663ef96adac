/* test-networks.c: which networks a session comes from, and whom a proxy says that it is
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/testing.h>

static PhSession *seen;

static PhNext
opened(PhSession *session)
{
	seen = session;
	return PH_DONE;
}

static PhNext
line(PhSession *session, PhSlice text, uint32_t flaws)
{
	return PH_DONE;
}

static void
closed(PhSession *session)
{
	seen = NULL;
}

static const PhProtocol protocol = {
	.size = sizeof protocol,
	.opened = opened,
	.line = line,
	.closed = closed,
};

static PhNetworks *
networks(const char *text)
{
	g_auto(GStrv) words = g_strsplit(text, " ", -1);
	g_autoptr(GError) error = NULL;
	PhNetworks *made = ph_networks_new((const char *const *) words, &error);

	g_assert_no_error(error);
	return made;
}

static bool
is_from(const char *text)
{
	PhNetworks *made = networks(text);
	bool is = ph_session_is_from(seen, made);

	ph_networks_free(made);
	return is;
}

static void
test_from(void)
{
	const PhTestOptions options = { .size = sizeof options,
		                        .protocol = &protocol,
		                        .peer = "192.0.2.77" };
	PhTestSession *session = ph_test_session_new(&options);

	g_assert_true(is_from("192.0.2.77"));
	g_assert_true(is_from("10.0.0.0/8 192.0.2.64/26"));
	g_assert_true(is_from("0.0.0.0/0"));
	g_assert_false(is_from("192.0.2.78 unix ::1"));
	ph_test_session_free(session);
}

static void
test_client(void)
{
	const PhTestOptions options = { .size = sizeof options,
		                        .protocol = &protocol,
		                        .peer = "127.0.0.1" };
	PhTestSession *session = ph_test_session_new(&options);

	g_assert_true(ph_session_peer_is_loopback(seen));
	g_assert_true(ph_session_set_client(seen, "2001:db8::7", 2525));
	g_assert_cmpstr(ph_session_peer(seen), ==, "2001:db8::7");
	g_assert_cmpuint(ph_session_peer_port(seen), ==, 2525);
	g_assert_false(ph_session_peer_is_loopback(seen));
	g_assert_true(is_from("2001:db8::/32"));
	g_assert_false(is_from("127.0.0.1"));
	g_assert_true(ph_session_set_client(seen, "192.0.2.1", 0));
	g_assert_true(is_from("192.0.2.0/24"));
	g_assert_false(ph_session_set_client(seen, "192.0.2", 1));
	g_assert_false(ph_session_set_client(seen, "mail.example.org", 1));
	g_assert_false(ph_session_set_client(seen, "", 1));
	g_assert_cmpstr(ph_session_peer(seen), ==, "192.0.2.1");
	ph_test_session_free(session);
}

static void
test_bad(void)
{
	static const char *const words[] = { "192.0.2.0/24", "example.org", NULL };
	g_autoptr(GError) error = NULL;

	g_assert_null(ph_networks_new(words, &error));
	g_assert_error(error, PH_ERROR, PH_ERROR_INVALID);
	g_assert_nonnull(strstr(error->message, "example.org"));
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/net/networks/hold-the-peer", test_from);
	g_test_add_func("/net/networks/hold-whom-a-proxy-names", test_client);
	g_test_add_func("/net/networks/name-the-bad-word", test_bad);
	return g_test_run();
}
