/* test-aliases.c: a file of names that stand for other addresses
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/slice.h>

#include "config/section.h"
#include "server/aliases.h"

#include <glib/gstdio.h>
#include <string.h>

typedef struct {
	char *folder;
	char *path;
	PhAliases *aliases;
} Fixture;

static void
write_file(const Fixture *fixture, const char *name, const char *text)
{
	g_autofree char *path = g_build_filename(fixture->folder, name, NULL);

	g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void
set_up(Fixture *fixture, gconstpointer text)
{
	static PhSection section = { .word = "route", .name = "test" };
	g_autoptr(GError) error = NULL;

	fixture->folder = g_dir_make_tmp("aliases-XXXXXX", NULL);
	fixture->path = g_build_filename(fixture->folder, "aliases", NULL);
	write_file(fixture, "aliases", text);
	fixture->aliases = ph_aliases_open(&section, fixture->path, &error);
	g_assert_no_error(error);
}

static void
tear_down(Fixture *fixture, gconstpointer text)
{
	g_autofree char *members = g_build_filename(fixture->folder, "members", NULL);

	ph_aliases_free(fixture->aliases);
	g_remove(members);
	g_remove(fixture->path);
	g_rmdir(fixture->folder);
	g_free(fixture->path);
	g_free(fixture->folder);
}

static bool
add(const char *address, void *user_data)
{
	GString *text = user_data;

	g_string_append_printf(text, "%s%s", text->len > 0 ? " " : "", address);
	return true;
}

static void
assert_expands(Fixture *fixture, const char *address, const char *expected)
{
	g_autoptr(GString) text = g_string_new(NULL);
	g_autoptr(GError) error = NULL;
	PhVerify result = ph_aliases_expand(fixture->aliases, address, add, text, &error);

	g_assert_no_error(error);
	g_assert_cmpint(result, ==, expected != NULL ? PH_VERIFY_OK : PH_VERIFY_UNKNOWN_USER);
	g_assert_cmpstr(text->str, ==, expected != NULL ? expected : "");
}

static const char common[] = "# people\n"
			     "Sales: ann, Bob@example.net,\n"
			     "\tcarol\n"
			     "\n"
			     "sales@example.com: dave\r\n"
			     "@example.com: catcher\n"
			     "list: :include:members, ann\n";

static void
test_find(Fixture *fixture, gconstpointer text)
{
	g_autoptr(GString) rest = g_string_new(NULL);

	assert_expands(fixture, "sales@example.org", "ann Bob@example.net carol");
	assert_expands(fixture, "SALES@example.org", "ann Bob@example.net carol");
	assert_expands(fixture, "sales@example.com", "dave");
	assert_expands(fixture, "nobody@example.com", NULL);
	g_assert_cmpint(ph_aliases_rest(fixture->aliases, "x@Example.com", add, rest, NULL), ==,
	                PH_VERIFY_OK);
	g_assert_cmpstr(rest->str, ==, "catcher");
	g_assert_cmpint(ph_aliases_rest(fixture->aliases, "x@example.org", add, rest, NULL), ==,
	                PH_VERIFY_UNKNOWN_USER);
}

static void
test_include(Fixture *fixture, gconstpointer text)
{
	g_autoptr(GString) none = g_string_new(NULL);
	g_autoptr(GError) error = NULL;

	g_assert_cmpint(ph_aliases_expand(fixture->aliases, "list@x.org", add, none, &error), ==,
	                PH_VERIFY_ERROR);
	g_assert_error(error, PH_ERROR, PH_ERROR_TEMPORARY);
	write_file(fixture, "members", "# members\nbob@example.net\r\ncarol, dave\n|prog\n");
	assert_expands(fixture, "list@example.org", "bob@example.net carol dave ann");
	write_file(fixture, "members", "erin\n");
	assert_expands(fixture, "list@example.org", "erin ann");
}

static void
test_reload(Fixture *fixture, gconstpointer text)
{
	write_file(fixture, "aliases", "sales: erin, frank\n");
	assert_expands(fixture, "sales@example.org", "erin frank");
	write_file(fixture, "aliases", "sales: |program\n");
	assert_expands(fixture, "sales@example.org", "erin frank");
	g_remove(fixture->path);
	assert_expands(fixture, "sales@example.org", "erin frank");
	write_file(fixture, "aliases", "sales: gina, h, i\n");
	assert_expands(fixture, "sales@example.org", "gina h i");
}

static void
assert_mistake(const char *text, const char *expected)
{
	g_autoptr(GError) error = NULL;

	g_assert_null(ph_aliases_parse(ph_slice(text), &error));
	g_assert_error(error, PH_ERROR, PH_ERROR_INVALID);
	g_assert_cmpstr(error->message, ==, expected);
}

static void
test_mistakes(void)
{
	assert_mistake("a: b\nprog: |/bin/sh\n",
	               "line 2: '|/bin/sh' is a program, which is not run");
	assert_mistake("prog: \"|sh -c x\"\n",
	               "line 1: '\"|sh -c x\"' is a program, which is not run");
	assert_mistake("file: /var/mail/x\n",
	               "line 1: '/var/mail/x' is a file, which is not written");
	assert_mistake("a b c\n", "line 1: 'a b c' has no colon; write NAME: ADDRESS");
	assert_mistake("  a: b\n", "line 1: 'a: b' continues nothing");
	assert_mistake("a: b\nA: c\n", "line 2: 'A' stands here twice");
	assert_mistake("a:\nb: c\n", "line 2: 'a' stands for nobody");
	assert_mistake("a: b c@d\n", "line 1: 'b c@d' is no address");
	assert_mistake("a: :include:\n", "line 1: ':include:' names no file");
	assert_mistake("@: b\n", "line 1: '@' is no name or address");
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add("/server/aliases/finds-names-addresses-and-domains", Fixture, common, set_up,
	           test_find, tear_down);
	g_test_add("/server/aliases/includes-lists", Fixture, common, set_up, test_include,
	           tear_down);
	g_test_add("/server/aliases/follows-changes-and-keeps-what-was-good", Fixture, common,
	           set_up, test_reload, tear_down);
	g_test_add_func("/server/aliases/tells-the-line-of-a-mistake", test_mistakes);
	return g_test_run();
}
