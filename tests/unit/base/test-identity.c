/* test-identity.c: identities hold what they were given and refuse what breaks the rules
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/identity.h>

static void
test_values(void)
{
	static const char *const groups[] = { "staff", NULL };
	static const char *const attributes[] = { "shell", "/bin/sh", "uid", "7", NULL };
	PhIdentityValues values = { .size = sizeof values,
		                    .user = "Gr\xc3\xbc\xc3\x9f",
		                    .domain = "example.org",
		                    .home = "/home/g",
		                    .quota_octets = 5,
		                    .groups = groups,
		                    .attributes = attributes };
	g_autoptr(GError) error = NULL;
	g_autoptr(PhIdentity) identity = ph_identity_new(&values, &error);
	g_autoptr(PhIdentity) again = NULL;

	g_assert_no_error(error);
	again = ph_identity_ref(identity);
	g_assert_cmpstr(ph_identity_address(again), ==, "Gr\xc3\xbc\xc3\x9f@example.org");
	g_assert_cmpstr(ph_identity_home(again), ==, "/home/g");
	g_assert_null(ph_identity_full_name(again));
	g_assert_cmpuint(ph_identity_quota_octets(again), ==, 5);
	g_assert_cmpstr(ph_identity_attribute(again, "uid"), ==, "7");
	g_assert_null(ph_identity_attribute(again, "7"));
	g_assert_cmpstr(ph_identity_groups(again)[0], ==, "staff");
}

static void
test_shorter_struct(void)
{
	/* an older plugin's struct ends before the quota */
	PhIdentityValues values = { .size = offsetof(PhIdentityValues, quota_octets),
		                    .user = "a",
		                    .quota_octets = 99 };
	g_autoptr(PhIdentity) identity = ph_identity_new(&values, NULL);

	g_assert_cmpuint(ph_identity_quota_octets(identity), ==, 0);
	g_assert_cmpstr(ph_identity_address(identity), ==, "a");
	g_assert_cmpstr(ph_identity_domain(identity), ==, "");
}

static void
test_refused(void)
{
	static const struct {
		const char *user;
		const char *domain;
	} rows[] = {
		{ "", "a.org" },     { NULL, "a.org" }, { "a\nb", "a.org" }, { "a\x7f", "a.org" },
		{ "a\xc2\x85", "" }, { "a\xff", "" },   { "a", "A.org" },    { "a", "b@c" },
		{ "a", "../x" },     { "a", "b c" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		PhIdentityValues values = { .size = sizeof values,
			                    .user = rows[i].user,
			                    .domain = rows[i].domain };
		g_autoptr(GError) error = NULL;

		g_assert_null(ph_identity_new(&values, &error));
		g_assert_error(error, PH_ERROR, PH_ERROR_INVALID);
	}
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/base/identity/holds-copies", test_values);
	g_test_add_func("/base/identity/reads-no-further-than-size", test_shorter_struct);
	g_test_add_func("/base/identity/refuses-bad-names", test_refused);
	return g_test_run();
}
