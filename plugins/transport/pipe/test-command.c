/* test-command.c: words of a command, and what its end means
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "command.h"

static void
test_words(void)
{
	const CommandValues values = { .recipient = "a b;`id`$x@example.org",
		                       .sender = "",
		                       .user = "{sender}",
		                       .detail = "-x",
		                       .domain = "example.org",
		                       .id = "1" };
	g_auto(GStrv) words =
		command_split("/bin/x  -r {recipient} {sender} --u={user}+{detail} {id}", NULL);
	g_auto(GStrv) filled = command_fill(words, &values);
	g_autofree char *text = g_strjoinv("|", filled);

	g_assert_cmpstr(text, ==, "/bin/x|-r|a b;`id`$x@example.org||--u={sender}+-x|1");
}

static void
test_bad_words(void)
{
	static const char *const bad[] = { "", "prog", "/bin/x {what}", "/bin/x {", "/bin/{user}" };

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autoptr(GError) error = NULL;

		g_assert_null(command_split(bad[i], &error));
		g_assert_nonnull(error);
	}
}

static void
expect(int exit_status, const char *output, unsigned code, const char *wanted)
{
	char status[12] = "";

	g_assert_cmpuint(command_judge(exit_status, ph_slice(output), status), ==, code);
	g_assert_cmpstr(status, ==, wanted);
}

static void
test_ends(void)
{
	expect(0, "", 250, "2.0.0");
	expect(0, "5.1.1 ignored", 250, "2.0.0");
	expect(67, "", 550, "5.1.1");
	expect(75, "", 451, "4.3.0");
	expect(75, "5.7.1 never", 554, "5.7.1");
	expect(1, "4.2.2 full", 451, "4.2.2");
	expect(1, "4.2.2", 554, "5.3.0");
	expect(1, "4.2. x", 554, "5.3.0");
	expect(1, "3.2.2 x", 554, "5.3.0");
	expect(1, "", 554, "5.3.0");
	expect(127, "", 451, "4.3.5");
	expect(-9, "", 451, "4.3.0");
	expect(-9, "5.1.1 x", 451, "4.3.0");
}

static void
test_text(void)
{
	g_autoptr(GString) out = g_string_new(NULL);

	command_text(PH_SLICE_LITERAL("5.1.1  no \x1b user\nmore"), out);
	g_assert_cmpstr(out->str, ==, "no ? user");
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/pipe/a-value-stays-one-word", test_words);
	g_test_add_func("/pipe/a-command-is-a-path-and-known-words", test_bad_words);
	g_test_add_func("/pipe/exit-statuses-have-meanings", test_ends);
	g_test_add_func("/pipe/only-a-printable-line-is-passed-on", test_text);
	return g_test_run();
}
