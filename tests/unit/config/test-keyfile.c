/* test-keyfile.c: sections and keys with their lines; mistakes do not stop the reading
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "config/keyfile.h"

static PhKeyfile *
parse(const char *text, PhMistakes *mistakes)
{
	return ph_keyfile_parse(ph_slice(text), mistakes);
}

static void
test_lines(void)
{
	g_autoptr(PhMistakes) mistakes = ph_mistakes_new("f");
	g_autoptr(PhKeyfile) keyfile = parse("\xef\xbb\xbf# comment\r\n[ listener  imap ]\r\n"
	                                     "  a = b = c  \r\n\n[server]\nx=\ny = # no comment\n",
	                                     mistakes);
	const PhKeyfileSection *listener = NULL;
	const PhKeyfileSection *server = NULL;

	g_assert_cmpuint(ph_mistakes_n_errors(mistakes), ==, 0);
	g_assert_cmpuint(keyfile->sections->len, ==, 2);
	listener = keyfile->sections->pdata[0];
	server = keyfile->sections->pdata[1];
	g_assert_cmpstr(listener->kind, ==, "listener");
	g_assert_cmpstr(listener->name, ==, "imap");
	g_assert_cmpuint(listener->line, ==, 2);
	g_assert_cmpstr(ph_keyfile_key(listener, "a")->value, ==, "b = c");
	g_assert_cmpuint(ph_keyfile_key(listener, "a")->line, ==, 3);
	g_assert_cmpstr(ph_keyfile_key(server, "x")->value, ==, "");
	g_assert_cmpstr(ph_keyfile_key(server, "y")->value, ==, "# no comment");
	g_assert_null(ph_keyfile_key(server, "z"));
}

static void
test_mistakes(void)
{
	g_autoptr(PhMistakes) mistakes = ph_mistakes_new("f");
	g_autoptr(PhKeyfile) keyfile =
		parse("a = 1\n[x\nb = 2\n[x y z]\n[x]\nc\nd = 1\nd = 2\n[x]\n"
	              "e = 1\n[y]\nf = 1",
	              mistakes);
	static const unsigned int lines[] = { 1, 2, 4, 6, 8, 9 };

	g_assert_cmpuint(ph_mistakes_n_errors(mistakes), ==, G_N_ELEMENTS(lines));
	for (size_t i = 0; i < G_N_ELEMENTS(lines); i++)
		g_assert_cmpuint(ph_mistakes_get(mistakes, i)->line, ==, lines[i]);
	g_assert_cmpuint(keyfile->sections->len, ==, 2);
	g_assert_cmpstr(ph_keyfile_key(keyfile->sections->pdata[0], "d")->value, ==, "1");
	g_assert_nonnull(ph_keyfile_key(keyfile->sections->pdata[1], "f"));
}

static void
test_any_octets(void)
{
	g_autoptr(PhMistakes) mistakes = ph_mistakes_new("f");
	g_autoptr(PhKeyfile) keyfile =
		ph_keyfile_parse(PH_SLICE("[a]\nb\0c = 1\n\xff = 2\nd = 3", 22), mistakes);

	g_assert_cmpuint(ph_mistakes_n_errors(mistakes), ==, 2);
	g_assert_cmpuint(keyfile->sections->len, ==, 1);
}

static void
test_order(void)
{
	g_autoptr(PhMistakes) mistakes = ph_mistakes_new("f.conf");
	g_autofree char *text = NULL;

	ph_mistakes_add(mistakes, 9, "nine %d", 9);
	ph_mistakes_warn(mistakes, 2, "two");
	ph_mistakes_add(mistakes, 0, "all");
	ph_mistakes_add(mistakes, 9, "nine 9");
	g_assert_cmpuint(ph_mistakes_n_errors(mistakes), ==, 2);
	g_assert_cmpuint(ph_mistakes_n_warnings(mistakes), ==, 1);
	text = ph_mistakes_text(mistakes);
	g_assert_cmpstr(text, ==, "f.conf: all\nf.conf:2: warning: two\nf.conf:9: nine 9\n");
	g_assert_null(ph_mistakes_get(mistakes, 3));
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/config/keyfile/keys-have-lines", test_lines);
	g_test_add_func("/config/keyfile/mistakes-do-not-stop-it", test_mistakes);
	g_test_add_func("/config/keyfile/any-octets-are-read", test_any_octets);
	g_test_add_func("/config/keyfile/mistakes-are-sorted-and-told-once", test_order);
	return g_test_run();
}
