/* test-passwd-file-directory.c: the passwd-file directory through its table
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/directory.h>
#include <posthorn/error.h>
#include <posthorn/slice.h>

#include <stdio.h>
#include <time.h>

extern const PhPlugin ph_plugin;

/* Settings: as the plugin's rows lay it out. */
typedef struct {
	const char *path;
	const char *domain;
	const char *aliases;
} Settings;

typedef struct {
	char *folder;
	char *path;
	char *aliases;
	Settings settings;
	const PhDirectory *table;
	void *instance;
} Fixture;

static void
write_file(const char *path, const char *text)
{
	g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void
open_directory(Fixture *fixture, const char *domain)
{
	fixture->settings = (Settings){ fixture->path, domain, fixture->aliases };
	g_assert_true(fixture->table->create(NULL, &fixture->settings, &fixture->instance, NULL));
}

static void
set_up(Fixture *fixture, gconstpointer data)
{
	fixture->folder = g_dir_make_tmp("posthorn-XXXXXX", NULL);
	fixture->path = g_build_filename(fixture->folder, "users", NULL);
	fixture->aliases = g_build_filename(fixture->folder, "aliases", NULL);
	fixture->table = ph_plugin.offers[0].directory;
	write_file(fixture->path, "anna:{PLAIN}one\n"
	                          "bert@other.org:{PLAIN}two\n"
	                          "carl:{PLAIN}three::::::disabled\n"
	                          "hashed:$6$saltsalt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA"
	                          "2/jctKu9YterLp8wwnSq.qc.eoxqOmSuNp2xS0ktL3nh/\n");
	write_file(fixture->aliases, "staff: anna@example.org, bert@other.org\n");
}

static void
tear_down(Fixture *fixture, gconstpointer data)
{
	g_autofree char *lock = g_strconcat(fixture->path, ".lock", NULL);

	fixture->table->destroy(fixture->instance);
	(void) remove(fixture->path);
	(void) remove(fixture->aliases);
	(void) remove(lock);
	g_assert_cmpint(remove(fixture->folder), ==, 0);
	g_free(fixture->folder);
	g_free(fixture->path);
	g_free(fixture->aliases);
}

static PhVerify
verify(Fixture *fixture, const char *user, const char *password, char **address_out)
{
	g_autoptr(PhSecret) secret = ph_secret_new(ph_slice(password));
	g_autoptr(PhIdentity) identity = NULL;
	PhVerify result = fixture->table->verify(fixture->instance, user, secret, &identity, NULL);

	g_assert_cmpint(result == PH_VERIFY_OK, ==, identity != NULL);
	if (address_out != NULL)
		*address_out = identity != NULL ? g_strdup(ph_identity_address(identity)) : NULL;
	return result;
}

/* [DIR-2] lookup and verify return the same canonical address. */
static void
every_spelling_leads_to_one_address(Fixture *fixture, gconstpointer data)
{
	static const char *const spellings[] = { "anna", "Anna", "anna@example.org",
		                                 "ANNA@EXAMPLE.ORG" };
	open_directory(fixture, "example.org");

	for (size_t i = 0; i < G_N_ELEMENTS(spellings); i++) {
		g_autofree char *verified = NULL;
		g_autoptr(PhIdentity) found = NULL;
		g_assert_cmpint(verify(fixture, spellings[i], "one", &verified), ==, PH_VERIFY_OK);
		g_assert_cmpint(
			fixture->table->lookup(fixture->instance, spellings[i], &found, NULL), ==,
			PH_VERIFY_OK);
		g_assert_cmpstr(verified, ==, "anna@example.org");
		g_assert_cmpstr(ph_identity_address(found), ==, verified);
	}
}

static void
a_bare_name_is_a_user_of_its_domain_only(Fixture *fixture, gconstpointer data)
{
	open_directory(fixture, "example.org");
	g_assert_cmpint(verify(fixture, "anna@other.org", "one", NULL), ==, PH_VERIFY_UNKNOWN_USER);
	g_assert_cmpint(verify(fixture, "bert@other.org", "two", NULL), ==, PH_VERIFY_OK);
	g_assert_cmpint(verify(fixture, "bert", "two", NULL), ==, PH_VERIFY_UNKNOWN_USER);
}

static void
without_a_domain_a_bare_name_is_found_under_all(Fixture *fixture, gconstpointer data)
{
	g_autofree char *address = NULL;
	open_directory(fixture, NULL);

	g_assert_cmpint(verify(fixture, "anna@any.org", "one", &address), ==, PH_VERIFY_OK);
	g_assert_cmpstr(address, ==, "anna");
}

static void
wrong_unknown_and_disabled_are_told_apart(Fixture *fixture, gconstpointer data)
{
	open_directory(fixture, NULL);
	g_assert_cmpint(verify(fixture, "anna", "two", NULL), ==, PH_VERIFY_WRONG);
	g_assert_cmpint(verify(fixture, "nobody", "two", NULL), ==, PH_VERIFY_UNKNOWN_USER);
	g_assert_cmpint(verify(fixture, "carl", "three", NULL), ==, PH_VERIFY_DISABLED);
	g_assert_cmpint(verify(fixture, "carl", "two", NULL), ==, PH_VERIFY_WRONG);
}

static int64_t
cpu_ns(Fixture *fixture, const char *user)
{
	const int64_t second_ns = 1000000000;
	struct timespec before;
	struct timespec after;

	(void) clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
	for (int i = 0; i < 4; i++)
		(void) verify(fixture, user, "no", NULL);
	(void) clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
	return (after.tv_sec - before.tv_sec) * second_ns + after.tv_nsec - before.tv_nsec;
}

/* [DIR-1] the same work for unknown users: processor time of this thread, so that a busy machine
 * does not matter; without the promise the unknown user costs a thousandth. */
static void
an_unknown_user_costs_what_a_wrong_password_does(Fixture *fixture, gconstpointer data)
{
	write_file(fixture->path, "hashed:$6$saltsalt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA"
	                          "2/jctKu9YterLp8wwnSq.qc.eoxqOmSuNp2xS0ktL3nh/\n");
	open_directory(fixture, NULL);
	int64_t wrong = cpu_ns(fixture, "hashed");
	int64_t unknown = cpu_ns(fixture, "nobody");

	g_test_message("wrong %ld ns, unknown %ld ns", (long) wrong, (long) unknown);
	g_assert_cmpint(unknown, >, wrong / 4);
	g_assert_cmpint(unknown, <, wrong * 4);
}

static void
a_changed_file_is_seen_at_once(Fixture *fixture, gconstpointer data)
{
	open_directory(fixture, NULL);
	g_assert_cmpint(verify(fixture, "dora", "four", NULL), ==, PH_VERIFY_UNKNOWN_USER);
	g_assert_true(fixture->table->set(fixture->instance, "dora", "{PLAIN}four", true, NULL));
	g_assert_cmpint(verify(fixture, "dora", "four", NULL), ==, PH_VERIFY_OK);
	g_assert_true(fixture->table->set(fixture->instance, "DORA", "{PLAIN}five", false, NULL));
	g_assert_cmpint(verify(fixture, "dora", "four", NULL), ==, PH_VERIFY_WRONG);
	g_assert_true(fixture->table->remove(fixture->instance, "dora", NULL));
	g_assert_cmpint(verify(fixture, "dora", "five", NULL), ==, PH_VERIFY_UNKNOWN_USER);
}

static bool
append_address(const char *address, void *user_data)
{
	g_string_append_printf(user_data, "%s;", address);
	return true;
}

static void
lists_and_aliases_are_told(Fixture *fixture, gconstpointer data)
{
	g_autoptr(GString) members = g_string_new(NULL);
	g_autoptr(GString) users = g_string_new(NULL);
	open_directory(fixture, "example.org");

	g_assert_cmpint(fixture->table->expand(fixture->instance, "staff@example.org",
	                                       append_address, members, NULL),
	                ==, PH_VERIFY_OK);
	g_assert_cmpstr(members->str, ==, "anna@example.org;bert@other.org;");
	g_assert_cmpint(
		fixture->table->expand(fixture->instance, "anna", append_address, members, NULL),
		==, PH_VERIFY_UNKNOWN_USER);
	g_assert_true(fixture->table->list(fixture->instance, append_address, users, NULL));
	g_assert_cmpstr(users->str, ==,
	                "anna@example.org;bert@other.org;carl@example.org;hashed@example.org;");
}

static void
only_forms_of_the_scheme_are_given(Fixture *fixture, gconstpointer data)
{
	g_autoptr(PhSecret) secret = NULL;
	open_directory(fixture, NULL);

	g_assert_cmpint(fixture->table->secret(fixture->instance, "anna", "PLAIN", &secret, NULL),
	                ==, PH_VERIFY_OK);
	g_assert_true(ph_slice_is(ph_secret_slice(secret), "one"));
	g_assert_cmpint(
		fixture->table->secret(fixture->instance, "anna", "SCRAM-SHA-256", &secret, NULL),
		==, PH_VERIFY_WRONG);
}

#define ADD(name, func) g_test_add("/passwd-file/" name, Fixture, NULL, set_up, func, tear_down)

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("every-spelling-leads-to-one-address", every_spelling_leads_to_one_address);
	ADD("a-bare-name-is-a-user-of-its-domain-only", a_bare_name_is_a_user_of_its_domain_only);
	ADD("without-a-domain-a-bare-name-is-found-under-all",
	    without_a_domain_a_bare_name_is_found_under_all);
	ADD("wrong-unknown-and-disabled-are-told-apart", wrong_unknown_and_disabled_are_told_apart);
	ADD("an-unknown-user-costs-what-a-wrong-password-does",
	    an_unknown_user_costs_what_a_wrong_password_does);
	ADD("a-changed-file-is-seen-at-once", a_changed_file_is_seen_at_once);
	ADD("lists-and-aliases-are-told", lists_and_aliases_are_told);
	ADD("only-forms-of-the-scheme-are-given", only_forms_of_the_scheme_are_given);
	return g_test_run();
}
