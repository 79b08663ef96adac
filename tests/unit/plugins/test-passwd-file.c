/* test-passwd-file.c: the text forms of the passwd-file directory
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>

#include "aliases.h"
#include "edit.h"
#include "table.h"

#include <stdio.h>

static void
count_mistake(unsigned line, const char *sentence, void *user_data)
{
	g_string_append_printf(user_data, "%u:%s\n", line, sentence);
}

static void
reads_the_lines_of_passwd_and_dovecot(void)
{
	static const char text[] =
		"# people\n"
		"anna:{PLAIN}one\n"
		"Bert@Example.org:$6$x$y:1000:1000:Bert B.:/home/bert::quota=2G messages=10 groups=a,b"
		" senders=@example.org,* aliases=b@example.org\r\n"
		"carl:{SSHA}x::::::userdb_quota_rule=*:storage=1M disabled\n"
		"\n"
		"dora:\n";
	g_autoptr(GString) mistakes = g_string_new(NULL);
	Table *table = table_parse(ph_slice(text), count_mistake, mistakes);
	g_assert_cmpstr(mistakes->str, ==, "");

	const User *bert = table_find(table, ph_slice("bert@example.ORG"));
	g_assert_nonnull(bert);
	g_assert_cmpstr(bert->name, ==, "Bert@Example.org");
	g_assert_cmpstr(bert->stored, ==, "$6$x$y");
	g_assert_cmpstr(bert->full_name, ==, "Bert B.");
	g_assert_cmpstr(bert->home, ==, "/home/bert");
	g_assert_cmpuint(bert->quota_octets, ==, 2ULL << 30);
	g_assert_cmpuint(bert->quota_messages, ==, 10);
	g_assert_cmpstr(bert->groups[1], ==, "b");
	g_assert_null(bert->groups[2]);
	g_assert_cmpstr(bert->senders[0], ==, "@example.org");
	g_assert_cmpstr(bert->senders[1], ==, "*");
	g_assert_cmpstr(bert->aliases[0], ==, "b@example.org");

	const User *carl = table_find(table, ph_slice("carl"));
	g_assert_true(carl->disabled);
	g_assert_cmpuint(carl->quota_octets, ==, 1 << 20);
	g_assert_cmpstr(table_find(table, ph_slice("dora"))->stored, ==, "");
	g_assert_null(table_find(table, ph_slice("emil")));
	g_assert_cmpstr(table_any(table)->name, ==, "anna");
	table_unref(table);
}

static void
says_which_lines_it_passes_over(void)
{
	static const char text[] = "anna:x\nANNA:y\n:z\nbert:\xff\ncarl:x::::::quota=many\n";
	g_autoptr(GString) mistakes = g_string_new(NULL);
	Table *table = table_parse(ph_slice(text), count_mistake, mistakes);

	g_assert_cmpstr(mistakes->str, ==,
	                "2:the user is already in an earlier line\n"
	                "3:the user name is missing\n"
	                "4:the line is too long or not UTF-8\n"
	                "5:the quota is not a size such as 500M or 2G\n");
	g_assert_cmpstr(table_find(table, ph_slice("anna"))->stored, ==, "x");
	table_unref(table);
}

static void
edits_one_line_and_nothing_else(void)
{
	static const char text[] = "# top\nanna:old:1:2:Anna\n\nbert:x\n";
	bool found = false;

	g_autoptr(GString) changed = edit_text(ph_slice(text), EDIT_CHANGE, "anna", "new", &found);
	g_assert_true(found);
	g_assert_cmpstr(changed->str, ==, "# top\nanna:new:1:2:Anna\n\nbert:x\n");

	g_autoptr(GString) removed = edit_text(ph_slice(text), EDIT_REMOVE, "ANNA", NULL, &found);
	g_assert_true(found);
	g_assert_cmpstr(removed->str, ==, "# top\n\nbert:x\n");

	g_autoptr(GString) added = edit_text(ph_slice("anna:x"), EDIT_ADD, "carl", "y", &found);
	g_assert_false(found);
	g_assert_cmpstr(added->str, ==, "anna:x\ncarl:y\n");
}

static void
a_file_is_made_changed_and_guarded(void)
{
	g_autofree char *folder = g_dir_make_tmp("posthorn-XXXXXX", NULL);
	g_autofree char *path = g_build_filename(folder, "users", NULL);
	g_autofree char *lock = g_strconcat(path, ".lock", NULL);
	g_autofree char *text = NULL;
	g_autoptr(GError) error = NULL;

	g_assert_true(edit_file(path, EDIT_ADD, "anna@example.org", "{PLAIN}a", &error));
	g_assert_false(edit_file(path, EDIT_ADD, "Anna@example.org", "{PLAIN}b", &error));
	g_assert_error(error, PH_ERROR, PH_ERROR_EXISTS);
	g_clear_error(&error);
	g_assert_false(edit_file(path, EDIT_CHANGE, "bert", "{PLAIN}b", &error));
	g_assert_error(error, PH_ERROR, PH_ERROR_NOT_FOUND);
	g_clear_error(&error);
	g_assert_false(edit_file(path, EDIT_ADD, "a:b", "{PLAIN}b", &error));
	g_assert_error(error, PH_ERROR, PH_ERROR_INVALID);
	g_clear_error(&error);
	g_assert_false(edit_file(path, EDIT_ADD, "bert", "{PLAIN}b:c", &error));
	g_assert_error(error, PH_ERROR, PH_ERROR_INVALID);
	g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
	g_assert_cmpstr(text, ==, "anna@example.org:{PLAIN}a\n");

	g_assert_cmpint(remove(path), ==, 0);
	g_assert_cmpint(remove(lock), ==, 0);
	g_assert_cmpint(remove(folder), ==, 0);
}

static void
aliases_have_targets_over_several_lines(void)
{
	static const char text[] = "# lists\n"
				   "Staff: anna@example.org, bert,\n"
				   "  carl\n"
				   "prog: |/bin/sh, /dev/null, :include:/x\n"
				   "root: anna\n";
	GHashTable *aliases = aliases_parse(ph_slice(text));
	const char *const *staff = aliases_find(aliases, ph_slice("staff"));

	g_assert_cmpuint(g_strv_length((char **) (uintptr_t) staff), ==, 3);
	g_assert_cmpstr(staff[0], ==, "anna@example.org");
	g_assert_cmpstr(staff[2], ==, "carl");
	g_assert_null(aliases_find(aliases, ph_slice("prog")));
	g_assert_cmpstr(aliases_find(aliases, ph_slice("ROOT"))[0], ==, "anna");
	g_hash_table_unref(aliases);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/passwd-file/reads-the-lines-of-passwd-and-dovecot",
	                reads_the_lines_of_passwd_and_dovecot);
	g_test_add_func("/passwd-file/says-which-lines-it-passes-over",
	                says_which_lines_it_passes_over);
	g_test_add_func("/passwd-file/edits-one-line-and-nothing-else",
	                edits_one_line_and_nothing_else);
	g_test_add_func("/passwd-file/a-file-is-made-changed-and-guarded",
	                a_file_is_made_changed_and_guarded);
	g_test_add_func("/passwd-file/aliases-have-targets-over-several-lines",
	                aliases_have_targets_over_several_lines);
	return g_test_run();
}
