/* test-static-directory.c: users that stand in the config
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "directory.h"

/* Settings: as the plugin's rows lay it out. */
typedef struct {
	const char *const *users;
	const PhSecret *password;
	bool accept_all;
	const char *domain;
	const char *home;
	PhSize quota;
	const char *const *groups;
	const char *const *senders;
} Settings;

static void *
open_directory(const Settings *settings)
{
	void *instance = NULL;

	g_assert_true(directory_table()->create(NULL, settings, &instance, NULL));
	return instance;
}

static void
only_listed_users_get_in_with_their_own_password(void)
{
	static const char *const users[] = { "anna:{PLAIN}one", "Ben@Example.NET", NULL };
	g_autoptr(PhSecret) password = ph_secret_new(PH_SLICE_LITERAL("shared"));
	const Settings settings = { .users = users, .password = password, .domain = "example.org" };
	void *instance = open_directory(&settings);
	g_autofree char *anna = NULL;
	g_autofree char *ben = NULL;
	g_autoptr(GString) names = g_string_new(NULL);

	g_assert_cmpint(directory_verify(instance, "ANNA", "one", &anna), ==, PH_VERIFY_OK);
	g_assert_cmpstr(anna, ==, "anna@example.org");
	g_assert_cmpint(directory_verify(instance, "anna", "shared", NULL), ==, PH_VERIFY_WRONG);
	g_assert_cmpint(directory_verify(instance, "ben@example.net", "shared", &ben), ==,
	                PH_VERIFY_OK);
	g_assert_cmpstr(ben, ==, "ben@example.net");
	g_assert_cmpint(directory_verify(instance, "carl", "shared", NULL), ==,
	                PH_VERIFY_UNKNOWN_USER);
	g_assert_true(directory_table()->list(instance, directory_add_name, names, NULL));
	g_assert_nonnull(strstr(names->str, "ben@example.net"));
	directory_table()->destroy(instance);
}

static void
everybody_gets_in_only_where_the_config_says_so(void)
{
	static const char *const senders[] = { "@example.org", NULL };
	const Settings nobody = { .domain = "example.org" };
	const Settings all = { .accept_all = true,
		               .home = "/home/{user}",
		               .quota = { 4096 },
		               .senders = senders };
	void *instance = NULL;
	g_autoptr(GError) error = NULL;
	g_autoptr(PhIdentity) identity = NULL;

	g_assert_false(directory_table()->create(NULL, &nobody, &instance, &error));
	g_assert_error(error, PH_ERROR, PH_ERROR_INVALID);
	instance = open_directory(&all);
	g_assert_cmpint(directory_verify(instance, "any@one.example", "thing", NULL), ==,
	                PH_VERIFY_OK);
	identity = directory_lookup(instance, "../x@one.example");
	g_assert_cmpstr(ph_identity_home(identity), ==, "/home/_._x");
	g_assert_cmpuint(ph_identity_quota_octets(identity), ==, 4096);
	g_assert_true(ph_identity_may_send_as(identity, PH_SLICE_LITERAL("Other@example.org")));
	g_assert_false(ph_identity_may_send_as(identity, PH_SLICE_LITERAL("@example.org")));
	g_assert_false(ph_identity_may_send_as(identity, PH_SLICE_LITERAL("other@example.net")));
	directory_table()->destroy(instance);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/static-directory/only-listed-users-get-in-with-their-own-password",
	                only_listed_users_get_in_with_their_own_password);
	g_test_add_func("/static-directory/everybody-gets-in-only-where-the-config-says-so",
	                everybody_gets_in_only_where_the_config_says_so);
	return g_test_run();
}
