/* test-table.c: command lines are parsed by their rows; mistakes are told with status 2
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "cli/table.h"

#include <string.h>

static GString *seen;

static int
run(const PhArguments *arguments)
{
	const char *const *rest = ph_arguments_rest(arguments);

	g_string_printf(seen, "config=%s json=%d", ph_arguments_config(arguments),
	                ph_arguments_has(arguments, "json"));
	for (size_t i = 0; rest[i] != NULL; i++)
		g_string_append_printf(seen, " %s", rest[i]);
	return PH_EXIT_OK;
}

static const PhCommandOption options[] = { PH_COMMAND_CONFIG, PH_COMMAND_JSON, PH_COMMAND_END };

static const PhCommand command = {
	.name = "look",
	.synopsis = "NAME",
	.summary = "look at something",
	.options = options,
	.min_rest = 1,
	.max_rest = 2,
	.run = run,
};

static const PhCommand two_words = {
	.name = "user add",
	.synopsis = "",
	.summary = "add a user",
	.max_rest = 1,
	.options = options,
	.run = run,
};

static const PhCommand *const commands[] = { &command, &two_words, NULL };

static int
call(const char *line)
{
	g_auto(GStrv) argv = g_strsplit(line, " ", -1);

	g_string_truncate(seen, 0);
	return ph_command_main(commands, (int) g_strv_length(argv), argv);
}

static void
test_good(void)
{
	static const struct {
		const char *line;
		const char *expected;
	} rows[] = {
		{ "posthorn look a", " a" },
		{ "posthorn look -j a b", " a b" },
		{ "posthorn look --json -- -j", " -j" },
		{ "posthorn look -c x a", " a" },
		{ "posthorn look --config=x a", " a" },
		{ "posthorn look a --config x", " a" },
		{ "posthorn look -", " -" },
		{ "posthorn user add x", " x" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_assert_cmpint(call(rows[i].line), ==, PH_EXIT_OK);
		g_assert_true(g_str_has_suffix(seen->str, rows[i].expected));
		g_assert_cmpint(strstr(seen->str, "json=1") != NULL, ==,
		                strstr(rows[i].line, "j a") != NULL
		                        || strstr(rows[i].line, "--json") != NULL);
		g_assert_cmpint(strstr(seen->str, "config=x") != NULL, ==,
		                strstr(rows[i].line, "x a") != NULL
		                        || strstr(rows[i].line, "config") != NULL);
	}
}

/* What goes wrong is printed: in a process of its own. */
static void
test_bad(void)
{
	static const char *const lines[] = {
		"posthorn nothing",         "posthorn look",
		"posthorn look a b c",      "posthorn look --nothing a",
		"posthorn look -x a",       "posthorn look a --config",
		"posthorn look --json=1 a", "posthorn user",
		"posthorn user remove x",   "posthorn lock"
	};

	if (!g_test_subprocess()) {
		g_test_trap_subprocess(NULL, 0, 0);
		g_test_trap_assert_passed();
		g_test_trap_assert_stderr(
			"*unknown command 'nothing'*an argument is missing: "
			"'NAME'*too many arguments: 'c'*unknown option "
			"'--nothing'*unknown option '-x'*a value is missing after "
			"'--config'*takes no value: '--json=1'*"
			"'user' is only the first word of a command:\n  user add  add a user\n"
			"*unknown command 'user remove'; these begin with 'user':\n  user add*"
			"unknown command 'lock'; did you mean 'look'?*");
		return;
	}
	for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
		g_assert_cmpint(call(lines[i]), ==, PH_EXIT_USAGE);
		g_assert_cmpuint(seen->len, ==, 0);
	}
}

static void
test_group_help(void)
{
	if (g_test_subprocess()) {
		g_assert_cmpint(call("posthorn user --help"), ==, PH_EXIT_OK);
		return;
	}
	g_test_trap_subprocess(NULL, 0, 0);
	g_test_trap_assert_passed();
	g_test_trap_assert_stdout("*  user add  add a user\n*");
}

static void
test_columns(void)
{
	static const char *const headings[] = { "NAME", ">N", "LAST", NULL };

	if (g_test_subprocess()) {
		g_autoptr(PhTable) table = ph_table_new(headings);

		ph_table_row(table,
		             (const char *const[]){ "gr\xc3\xbc\xc3\x9f", "5", "a b", NULL });
		ph_table_row(table, (const char *const[]){ "x", "1000", "", NULL });
		ph_table_print(table);
		ph_table_free(NULL);
		return;
	}
	g_test_trap_subprocess(NULL, 0, 0);
	g_test_trap_assert_passed();
	g_test_trap_assert_stdout(
		"*NAME     N  LAST\ngr\xc3\xbc\xc3\x9f     5  a b\nx     1000  \n*");
}

int
main(int argc, char **argv)
{
	int status = 0;

	g_test_init(&argc, &argv, NULL);
	seen = g_string_new("");
	g_test_add_func("/cli/table/options-stand-anywhere", test_good);
	g_test_add_func("/cli/table/mistakes-are-told", test_bad);
	g_test_add_func("/cli/table/first-words-have-help", test_group_help);
	g_test_add_func("/cli/table/columns-are-aligned", test_columns);
	status = g_test_run();
	g_string_free(seen, TRUE);
	return status;
}
