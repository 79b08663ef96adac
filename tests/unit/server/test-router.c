/* test-router.c: addresses find their route and users
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "routing.h"

/* "user@domain,..." of the final recipients, or the result's name. */
static char *
resolve(const char *address, const char *others)
{
	FakeTransport *fake = fake_transport_new();
	PhRouter *router = fake_router(NULL, fake, others);
	GArray *found = ph_resolved_array_new();
	PhRcpt result = ph_router_resolve(router, ph_slice(address), found);
	GString *text = g_string_new(NULL);

	if (result != PH_RCPT_OK)
		g_string_append_printf(text, "result %d", (int) result);
	for (guint i = 0; i < found->len; i++) {
		const PhResolved *resolved = &g_array_index(found, PhResolved, i);

		g_string_append_printf(text, "%s%s", i > 0 ? "," : "",
		                       resolved->identity != NULL
		                               ? ph_identity_address(resolved->identity)
		                               : resolved->address);
	}
	g_array_unref(found);
	ph_router_unref(router);
	fake_transport_free(fake);
	return g_string_free(text, FALSE);
}

static void
assert_resolves(const char *address, const char *others, const char *expected)
{
	g_autofree char *got = resolve(address, others);

	g_assert_cmpstr(got, ==, expected);
}

static void
test_users(void)
{
	assert_resolves("alice@example.org", NULL, "alice@example.org");
	assert_resolves("carol@example.net", NULL, "carol@example.net");
	assert_resolves("nobody@example.org", NULL, "result 2");
	assert_resolves("alice@example.com", NULL, "result 3");
	assert_resolves("away@example.org", NULL, "result 4");
	assert_resolves("locked@example.org", NULL, "result 6");
	assert_resolves("alice", NULL, "alice@example.org");
}

static void
test_details(void)
{
	assert_resolves("alice+lists@example.org", NULL, "alice@example.org");
	assert_resolves("alice+a+b@example.org", NULL, "alice@example.org");
	assert_resolves("nobody+a@example.org", NULL, "result 2");
	assert_resolves("+a@example.org", NULL, "result 2");
}

static void
test_postmaster(void)
{
	assert_resolves("postmaster", NULL, "root@example.org");
	assert_resolves("Postmaster@example.org", NULL, "root@example.org");
	assert_resolves("postmaster@example.com", NULL, "result 3");
}

static void
test_aliases(void)
{
	assert_resolves("list@example.org", NULL,
	                "alice@example.org,bob@example.org,carol@example.net");
	assert_resolves("self@example.org", NULL, "alice@example.org");
	assert_resolves("loop1@example.org", NULL, "result 2");
	assert_resolves("abroad@example.org", NULL, "result 3");
	assert_resolves("dead@example.org", NULL, "result 2");
}

static void
test_catch_all(void)
{
	assert_resolves("x@example.com", "catch@example.org", "catch@example.org");
	assert_resolves("nobody@example.org", "catch@example.org", "result 2");
	assert_resolves("x@[192.0.2.1]", "catch", "catch");
}

static void
test_two_routes(void)
{
	static const char *const org[] = { "EXAMPLE.org", NULL };
	PhRouteParams params = { .domains = org, .transport = &fake_begin };
	FakeTransport *fake = fake_transport_new();
	PhRouter *router = fake_router(NULL, fake, NULL);
	g_autoptr(GError) error = NULL;

	g_assert_false(ph_router_add(router, &params, &error));
	g_assert_error(error, PH_ERROR, PH_ERROR_INVALID);
	ph_router_unref(router);
	fake_transport_free(fake);
}

static void
assert_open(uint32_t accept_from, uint32_t flags, bool wanted)
{
	static const char *const com[] = { "example.com", NULL };
	const PhTransport transport = { .size = sizeof transport,
		                        .flags = flags,
		                        .begin = fake_deliver };
	PhRouteParams params = { .section = fake_section(),
		                 .domains = com,
		                 .transport = &transport,
		                 .accept_from = accept_from };
	FakeTransport *fake = fake_transport_new();
	PhRouter *router = fake_router(NULL, fake, NULL);

	g_assert_true(ph_router_add(router, &params, NULL));
	g_assert_true(ph_router_is_open(router, ph_slice("x@example.com")) == wanted);
	g_assert_true(ph_router_is_open(router, ph_slice("x@example.org")));
	g_assert_true(ph_router_is_open(router, ph_slice("x@nowhere.example")));
	g_assert_true(ph_router_is_open(router, ph_slice("postmaster")));
	ph_router_unref(router);
	fake_transport_free(fake);
}

static void
test_open(void)
{
	assert_open(PH_ACCEPT_BY_DEFAULT, 0, false);
	assert_open(PH_ACCEPT_BY_DEFAULT, PH_TRANSPORT_COMMITS, true);
	assert_open(PH_ACCEPT_ANYONE, 0, true);
	assert_open(PH_ACCEPT_TRUSTED, PH_TRANSPORT_COMMITS, false);
}

static bool
count_member(const char *address, void *user_data)
{
	(*(unsigned *) user_data)++;
	return true;
}

static void
test_members(void)
{
	FakeTransport *fake = fake_transport_new();
	PhRouter *router = fake_router(NULL, fake, NULL);
	unsigned n = 0;

	g_assert_cmpint(ph_router_members(router, ph_slice("list"), count_member, &n), ==,
	                PH_RCPT_OK);
	g_assert_cmpuint(n, ==, 3);
	g_assert_cmpint(ph_router_members(router, ph_slice("alice"), count_member, &n), ==,
	                PH_RCPT_UNKNOWN);
	ph_router_unref(router);
	fake_transport_free(fake);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/server/router/finds-users-by-domain-and-name", test_users);
	g_test_add_func("/server/router/ignores-details-behind-the-separator", test_details);
	g_test_add_func("/server/router/knows-postmaster-everywhere", test_postmaster);
	g_test_add_func("/server/router/follows-aliases-without-loops", test_aliases);
	g_test_add_func("/server/router/catches-all-for-one-mailbox", test_catch_all);
	g_test_add_func("/server/router/refuses-a-domain-in-two-routes", test_two_routes);
	g_test_add_func("/server/router/lists-members", test_members);
	g_test_add_func("/server/router/takes-strangers-mail-where-it-ends", test_open);
	return g_test_run();
}
