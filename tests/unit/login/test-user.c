/* test-user.c: what a directory found out about one user, and the answers that follow
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/slice.h>
#include <posthorn/user.h>

static PhUserRules *rules;

static PhUser *
asked(const char *name)
{
	return ph_user_new(rules, name);
}

static void
names_are_asked_for_in_lower_case_with_the_domain(void)
{
	g_autoptr(PhUser) bare = asked("ÄNNA");
	g_autoptr(PhUser) full = asked("A@b@Other.ORG");

	g_assert_cmpstr(ph_user_asked_address(bare), ==, "änna@example.org");
	g_assert_cmpstr(ph_user_asked_local(full), ==, "a@b");
	g_assert_cmpstr(ph_user_asked_domain(full), ==, "other.org");
}

static void
a_json_object_fills_the_fields(void)
{
	static const char text[] =
		"{\"user\":\"Anna\",\"quota\":\"2K\",\"messages\":3,\"groups\":[\"a\",\"b\"],"
		"\"disabled\":false,\"x\":null,\"y\":{\"z\":[1]},\"colour\":\"blue\"}";
	g_autoptr(PhUser) user = asked("anna");
	g_autoptr(PhIdentity) identity = NULL;

	g_assert_true(ph_user_set_json(user, ph_slice(text), NULL));
	g_assert_cmpint(ph_user_lookup(user, &identity, NULL), ==, PH_VERIFY_OK);
	g_assert_cmpstr(ph_identity_address(identity), ==, "Anna@example.org");
	g_assert_cmpuint(ph_identity_quota_octets(identity), ==, 2048);
	g_assert_cmpuint(ph_identity_quota_messages(identity), ==, 3);
	g_assert_cmpstr(ph_identity_groups(identity)[1], ==, "b");
	g_assert_cmpstr(ph_identity_attribute(identity, "colour"), ==, "blue");
	g_assert_null(ph_identity_attribute(identity, "y"));
}

static void
what_is_no_bounded_json_object_is_refused(void)
{
	g_autoptr(GString) deep = g_string_new(NULL);
	const char *const texts[] = { "", "[]", "{", "null", "{\"quota\":\"much\"}", "{} x" };

	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
		g_autoptr(PhUser) user = asked("anna");
		g_autoptr(GError) error = NULL;
		g_assert_false(ph_user_set_json(user, ph_slice(texts[i]), &error));
		g_assert_error(error, PH_ERROR, PH_ERROR_INVALID);
	}
	for (int i = 0; i < 20000; i++)
		g_string_append(deep, "{\"a\":");
	g_autoptr(PhUser) user = asked("anna");
	g_assert_false(ph_user_set_json(user, PH_SLICE(deep->str, 60000), NULL));
}

static void
several_stored_forms_serve_several_mechanisms(void)
{
	g_autoptr(PhUser) user = asked("anna");
	g_autoptr(PhSecret) plain = NULL;
	g_autoptr(PhSecret) none = NULL;

	g_assert_true(ph_user_set(user, "password", "{PLAIN}one", NULL));
	g_assert_true(ph_user_set(user, "password", "{SCRAM-SHA-256}4096,a,b,c", NULL));
	g_assert_cmpint(ph_user_secret(user, "PLAIN", &plain), ==, PH_VERIFY_OK);
	g_assert_true(ph_slice_is(ph_secret_slice(plain), "one"));
	g_assert_cmpint(ph_user_secret(user, "SCRAM-SHA-1", &none), ==, PH_VERIFY_WRONG);
}

static void
a_user_has_bounded_fields(void)
{
	g_autoptr(PhUser) user = asked("anna");
	g_autofree char *large = g_strnfill(40000, 'x');
	g_autoptr(GError) error = NULL;

	g_assert_true(ph_user_set(user, "one", large, NULL));
	g_assert_false(ph_user_set(user, "two", large, &error));
	g_assert_error(error, PH_ERROR, PH_ERROR_LIMIT);
}

int
main(int argc, char **argv)
{
	int status = 0;

	g_test_init(&argc, &argv, NULL);
	rules = ph_user_rules_new("Example.org");
	g_test_add_func("/login/user/names-are-asked-for-in-lower-case-with-the-domain",
	                names_are_asked_for_in_lower_case_with_the_domain);
	g_test_add_func("/login/user/a-json-object-fills-the-fields",
	                a_json_object_fills_the_fields);
	g_test_add_func("/login/user/what-is-no-bounded-json-object-is-refused",
	                what_is_no_bounded_json_object_is_refused);
	g_test_add_func("/login/user/several-stored-forms-serve-several-mechanisms",
	                several_stored_forms_serve_several_mechanisms);
	g_test_add_func("/login/user/a-user-has-bounded-fields", a_user_has_bounded_fields);
	status = g_test_run();
	ph_user_rules_free(rules);
	return status;
}
