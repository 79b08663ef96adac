/* test-expand.c: what a user is called cannot lead out of a template
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config/expand.h"

static char *
expand(const char *path_template, const char *user, const char *domain, const char *home)
{
	PhIdentityValues values = { .size = sizeof values,
		                    .user = user,
		                    .domain = domain,
		                    .home = home };
	g_autoptr(PhIdentity) identity = ph_identity_new(&values, NULL);

	return ph_expand_template(path_template, identity);
}

static void
test_values(void)
{
	static const struct {
		const char *path_template;
		const char *user;
		const char *domain;
		const char *home;
		const char *expected;
	} rows[] = {
		{ "/m/{domain}/{user}", "anna", "a.org", NULL, "/m/a.org/anna" },
		{ "/m/{address}", "anna", "a.org", NULL, "/m/anna@a.org" },
		{ "/m/{user}", "../../etc", "", NULL, "/m/%2E.%2F..%2Fetc" },
		{ "/m/{user}", "..", "", NULL, "/m/%2E." },
		{ "/m/{user}", ".x", "", NULL, "/m/%2Ex" },
		{ "/m/{user}", "a%2Fb", "", NULL, "/m/a%252Fb" },
		{ "/m/{domain}/{user}", "anna", "", NULL, "/m/%/anna" },
		{ "{home}/mail", "anna", "", "/home/anna", "/home/anna/mail" },
		{ "/x/{home}/mail", "anna", "", "/home/../anna", "/x/home/%2E./anna/mail" },
		{ "/x/{home}", "anna", "a.org", NULL, "/x/anna@a.org" },
		{ "/{other}/{user", "anna", "", NULL, "/{other}/{user" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autofree char *got =
			expand(rows[i].path_template, rows[i].user, rows[i].domain, rows[i].home);

		g_assert_cmpstr(got, ==, rows[i].expected);
	}
}

static void
test_distinct(void)
{
	static const char *const users[] = { "a/b", "a%2Fb", "a%b", "a.b", ".a", "%2Ea", "a" };
	g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

	for (size_t i = 0; i < G_N_ELEMENTS(users); i++)
		g_hash_table_add(seen, expand("{user}", users[i], "", NULL));
	g_assert_cmpuint(g_hash_table_size(seen), ==, G_N_ELEMENTS(users));
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/config/expand/values-are-one-component", test_values);
	g_test_add_func("/config/expand/different-users-stay-different", test_distinct);
	return g_test_run();
}
