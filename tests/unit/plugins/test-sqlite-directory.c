/* test-sqlite-directory.c: users in an SQLite database, ours and others'
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "directory.h"

#include <glib/gstdio.h>
#include <sqlite3.h>

/* Settings: as the plugin's rows lay it out. */
typedef struct {
	const char *path;
	const char *domain;
	const char *user_query;
	const char *alias_query;
	const char *list_query;
	PhDuration query_timeout;
} Settings;

typedef struct {
	char *folder;
	char *path;
	Settings settings;
	const PhDirectory *table;
	void *instance;
} Fixture;

static void
execute(const Fixture *fixture, const char *sql)
{
	sqlite3 *connection = NULL;

	g_assert_cmpint(sqlite3_open(fixture->path, &connection), ==, SQLITE_OK);
	g_assert_cmpint(sqlite3_exec(connection, sql, NULL, NULL, NULL), ==, SQLITE_OK);
	g_assert_cmpint(sqlite3_close(connection), ==, SQLITE_OK);
}

static void
set_up(Fixture *fixture, gconstpointer data)
{
	fixture->folder = g_dir_make_tmp("posthorn-XXXXXX", NULL);
	fixture->path = g_build_filename(fixture->folder, "users.sqlite", NULL);
	fixture->table = directory_table();
	fixture->settings = (Settings){ .path = fixture->path,
		                        .domain = "example.org",
		                        .query_timeout = { 200000 } };
}

static void
open_directory(Fixture *fixture)
{
	g_assert_true(fixture->table->create(NULL, &fixture->settings, &fixture->instance, NULL));
}

static void
tear_down(Fixture *fixture, gconstpointer data)
{
	static const char *const suffixes[] = { "", "-wal", "-shm", "-journal" };

	fixture->table->destroy(fixture->instance);
	for (size_t i = 0; i < G_N_ELEMENTS(suffixes); i++) {
		g_autofree char *path = g_strconcat(fixture->path, suffixes[i], NULL);
		(void) g_remove(path);
	}
	g_assert_cmpint(g_rmdir(fixture->folder), ==, 0);
	g_free(fixture->folder);
	g_free(fixture->path);
}

static void
users_are_added_changed_and_removed(Fixture *fixture, gconstpointer data)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *address = NULL;
	g_autoptr(GString) names = g_string_new(NULL);
	uint64_t before = 0;

	open_directory(fixture);
	g_assert_cmpint(directory_verify(fixture->instance, "anna", "one", NULL), ==,
	                PH_VERIFY_UNKNOWN_USER);
	before = fixture->table->version(fixture->instance);
	g_assert_true(fixture->table->set(fixture->instance, "Anna", "{PLAIN}one", true, NULL));
	g_assert_cmpuint(fixture->table->version(fixture->instance), !=, before);
	g_assert_false(
		fixture->table->set(fixture->instance, "anna@EXAMPLE.org", "x", true, &error));
	g_assert_error(error, PH_ERROR, PH_ERROR_EXISTS);
	g_assert_cmpint(directory_verify(fixture->instance, "aNNa@example.org", "one", &address),
	                ==, PH_VERIFY_OK);
	g_assert_cmpstr(address, ==, "anna@example.org");
	g_assert_true(fixture->table->set(fixture->instance, "anna", "{PLAIN}two", false, NULL));
	g_assert_cmpint(directory_verify(fixture->instance, "anna", "one", NULL), ==,
	                PH_VERIFY_WRONG);
	g_assert_true(fixture->table->list(fixture->instance, directory_add_name, names, NULL));
	g_assert_cmpstr(names->str, ==, "anna@example.org");
	g_assert_true(fixture->table->remove(fixture->instance, "anna", NULL));
	g_clear_error(&error);
	g_assert_false(fixture->table->remove(fixture->instance, "anna", &error));
	g_assert_error(error, PH_ERROR, PH_ERROR_NOT_FOUND);
}

static void
what_the_tables_say_reaches_the_identity(Fixture *fixture, gconstpointer data)
{
	g_autoptr(PhIdentity) anna = NULL;
	g_autoptr(GString) names = g_string_new(NULL);

	open_directory(fixture);
	g_assert_true(fixture->table->set(fixture->instance, "anna", "{PLAIN}one", true, NULL));
	execute(fixture,
	        "UPDATE users SET home = '/h', quota = 1024, messages = 7;"
	        "INSERT INTO fields VALUES ('example.org', 'anna', 'groups', 'a'),"
	        " ('example.org', 'anna', 'groups', 'b'), ('example.org', 'anna', 'senders', '*');"
	        "INSERT INTO aliases VALUES ('example.org', 'staff', 'anna@example.org'),"
	        " ('example.org', 'staff', 'ben@example.org')");
	anna = directory_lookup(fixture->instance, "anna");
	g_assert_cmpstr(ph_identity_home(anna), ==, "/h");
	g_assert_cmpuint(ph_identity_quota_octets(anna), ==, 1024);
	g_assert_cmpuint(ph_identity_quota_messages(anna), ==, 7);
	g_assert_cmpuint(g_strv_length((char **) (uintptr_t) ph_identity_groups(anna)), ==, 2);
	g_assert_true(ph_identity_may_send_as(anna, PH_SLICE_LITERAL("x@y")));
	g_assert_cmpint(
		fixture->table->expand(fixture->instance, "staff", directory_add_name, names, NULL),
		==, PH_VERIFY_OK);
	g_assert_cmpstr(names->str, ==, "anna@example.org ben@example.org");
	execute(fixture, "UPDATE users SET disabled = 1");
	g_assert_cmpint(directory_verify(fixture->instance, "anna", "one", NULL), ==,
	                PH_VERIFY_DISABLED);
	g_assert_cmpint(directory_verify(fixture->instance, "anna", "two", NULL), ==,
	                PH_VERIFY_WRONG);
}

static void
a_query_of_ones_own_finds_users_in_any_tables(Fixture *fixture, gconstpointer data)
{
	g_autofree char *address = NULL;
	g_autoptr(GError) error = NULL;
	g_autoptr(PhIdentity) identity = NULL;

	execute(fixture, "CREATE TABLE mailbox (username TEXT, pw TEXT, mb INTEGER);"
	                 "INSERT INTO mailbox VALUES ('anna@example.org', '{PLAIN}one', 5)");
	fixture->settings.user_query =
		"SELECT pw AS password, mb || 'M' AS quota, 'blue' AS colour FROM mailbox"
		" WHERE username = :user";
	open_directory(fixture);
	g_assert_cmpint(directory_verify(fixture->instance, "anna", "one", &address), ==,
	                PH_VERIFY_OK);
	g_assert_cmpstr(address, ==, "anna@example.org");
	identity = directory_lookup(fixture->instance, "anna@example.org");
	g_assert_cmpuint(ph_identity_quota_octets(identity), ==, 5 << 20);
	g_assert_cmpstr(ph_identity_attribute(identity, "colour"), ==, "blue");
	g_assert_false(fixture->table->set(fixture->instance, "ben", "x", true, &error));
	g_assert_error(error, PH_ERROR, PH_ERROR_UNSUPPORTED);
}

static void
names_never_become_part_of_a_query(Fixture *fixture, gconstpointer data)
{
	static const char *const names[] = {
		"' OR 1=1 --", "anna' --", "\"; DROP TABLE users; --", "%", "_nna", "an*", "anna\\",
	};

	open_directory(fixture);
	g_assert_true(fixture->table->set(fixture->instance, "anna", "{PLAIN}one", true, NULL));
	for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
		g_assert_cmpint(directory_verify(fixture->instance, names[i], "one", NULL), ==,
		                PH_VERIFY_UNKNOWN_USER);
	g_assert_cmpint(directory_verify(fixture->instance, "anna", "one", NULL), ==, PH_VERIFY_OK);
}

static void
a_query_that_changes_something_is_refused(Fixture *fixture, gconstpointer data)
{
	fixture->settings.user_query = "DELETE FROM mailbox";
	execute(fixture, "CREATE TABLE mailbox (username TEXT)");
	open_directory(fixture);
	g_assert_cmpint(directory_verify(fixture->instance, "anna", "one", NULL), ==,
	                PH_VERIFY_ERROR);
}

static void
a_query_without_end_is_ended(Fixture *fixture, gconstpointer data)
{
	gint64 began = g_get_monotonic_time();

	fixture->settings.user_query = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1"
				       " FROM n) SELECT count(*) AS password FROM n";
	execute(fixture, "CREATE TABLE mailbox (username TEXT)");
	open_directory(fixture);
	g_assert_cmpint(directory_verify(fixture->instance, "anna", "one", NULL), ==,
	                PH_VERIFY_ERROR);
	g_assert_cmpint(g_get_monotonic_time() - began, <, 5 * G_USEC_PER_SEC);
}

static void
tables_of_another_program_are_left_alone(Fixture *fixture, gconstpointer data)
{
	execute(fixture, "CREATE TABLE mailbox (username TEXT)");
	open_directory(fixture);
	g_assert_cmpint(directory_verify(fixture->instance, "anna", "one", NULL), ==,
	                PH_VERIFY_ERROR);
	execute(fixture, "DROP TABLE mailbox");
}

int
main(int argc, char **argv)
{
#define ADD(name, function) \
	g_test_add("/sqlite-directory/" name, Fixture, NULL, set_up, function, tear_down)
	g_test_init(&argc, &argv, NULL);
	ADD("users-are-added-changed-and-removed", users_are_added_changed_and_removed);
	ADD("what-the-tables-say-reaches-the-identity", what_the_tables_say_reaches_the_identity);
	ADD("a-query-of-ones-own-finds-users-in-any-tables",
	    a_query_of_ones_own_finds_users_in_any_tables);
	ADD("names-never-become-part-of-a-query", names_never_become_part_of_a_query);
	ADD("a-query-that-changes-something-is-refused", a_query_that_changes_something_is_refused);
	ADD("a-query-without-end-is-ended", a_query_without_end_is_ended);
	ADD("tables-of-another-program-are-left-alone", tables_of_another_program_are_left_alone);
	return g_test_run();
}
