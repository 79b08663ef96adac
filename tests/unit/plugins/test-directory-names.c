/* test-directory-names.c: names in LDAP filters and DNs, and in PostgreSQL queries
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#if WITH_LDAP
#include "escape.h"
#endif
#if WITH_POSTGRESQL
#include "postgresql.h"
#endif

#include <posthorn/user.h>

#if WITH_LDAP
static void
nothing_in_a_name_means_anything_in_a_filter(void)
{
	PhUserRules *rules = ph_user_rules_new("example.org");
	g_autoptr(PhUser) user = ph_user_new(rules, "a*(b)\\c\x01");
	g_autofree char *filter =
		escape_fill("(&(mail={local})(x={dn}))", user, "d*", ESCAPE_FILTER);

	g_assert_cmpstr(filter, ==, "(&(mail=a\\2a\\28b\\29\\5cc\\01)(x=d\\2a))");
	ph_user_rules_free(rules);
}

static void
nothing_in_a_name_means_anything_in_a_dn(void)
{
	PhUserRules *rules = ph_user_rules_new("example.org");
	g_autoptr(PhUser) user = ph_user_new(rules, " a,b+c=\"d;#");
	g_autofree char *dn = escape_fill("uid={local},dc={domain}", user, NULL, ESCAPE_DN);

	g_assert_cmpstr(dn, ==, "uid=\\20a\\2cb\\2bc\\3d\\22d\\3b\\23,dc=example.org");
	ph_user_rules_free(rules);
}
#endif

#if WITH_POSTGRESQL
static void
named_parameters_become_numbers(void)
{
	static const struct {
		const char *text;
		const char *parsed;
		unsigned n;
	} cases[] = {
		{ "a = :user AND b = :domain", "a = $1 AND b = $2", 2 },
		{ "':user' \":local\" -- :user\n /* :user */ :local",
		  "':user' \":local\" -- :user\n /* :user */ $1", 1 },
		{ "a::text, :unknown, :users", "a::text, :unknown, :users", 0 },
		{ "':user", "':user", 0 },
		{ ":", ":", 0 },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		Query query;

		g_assert_true(query_parse(cases[i].text, &query, NULL));
		g_assert_cmpstr(query.text, ==, cases[i].parsed);
		g_assert_cmpuint(query.n, ==, cases[i].n);
		query_clear(&query);
	}
}

static void
a_query_has_few_names(void)
{
	Query query;
	g_autoptr(GError) error = NULL;

	g_assert_false(
		query_parse(":user:user:user:user:user:user:user:user:user", &query, &error));
	g_assert_nonnull(error);
}
#endif

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#if WITH_LDAP
	g_test_add_func("/directory-names/nothing-in-a-name-means-anything-in-a-filter",
	                nothing_in_a_name_means_anything_in_a_filter);
	g_test_add_func("/directory-names/nothing-in-a-name-means-anything-in-a-dn",
	                nothing_in_a_name_means_anything_in_a_dn);
#endif
#if WITH_POSTGRESQL
	g_test_add_func("/directory-names/named-parameters-become-numbers",
	                named_parameters_become_numbers);
	g_test_add_func("/directory-names/a-query-has-few-names", a_query_has_few_names);
#endif
	return g_test_run();
}
