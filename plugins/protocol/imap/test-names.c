/* test-names.c: modified UTF-7 in both directions, and the patterns of LIST
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "list-match.h"
#include "utf7.h"

static void
test_both_ways(void)
{
	static const struct {
		const char *utf7;
		const char *utf8;
	} rows[] = {
		{ "INBOX", "INBOX" },
		{ "a&-b", "a&b" },
		{ "Entw&APw-rfe", "Entwürfe" },
		{ "~peter/mail/&U,BTFw-/&ZeVnLIqe-", "~peter/mail/台北/日本語" },
		{ "&2D3eAA-", "😀" },
		{ "&AOQA9gD8-", "äöü" },
		{ "", "" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autoptr(GString) decoded = g_string_new("x");
		g_autoptr(GString) encoded = g_string_new(NULL);

		g_assert_true(imap_utf7_decode(ph_slice(rows[i].utf7), decoded));
		g_assert_cmpstr(decoded->str + 1, ==, rows[i].utf8);
		imap_utf7_encode(ph_slice(rows[i].utf8), encoded);
		g_assert_cmpstr(encoded->str, ==, rows[i].utf7);
	}
}

static void
test_one_form_only(void)
{
	static const char *const bad[] = {
		"&",          /* not ended */
		"&AOQ",       /* not ended */
		"&AGE-",      /* "a" in base64 */
		"&AC4ALgAv-", /* "../" in base64 */
		"&AAA-",      /* NUL */
		"&AOQ-&APY-", /* two runs side by side */
		"&AOR-",      /* spare bits */
		"&AOQA-",     /* spare character */
		"&2D0-",      /* half a pair */
		"&3gDYPQ-",   /* the wrong way round */
		"&A/Q-",      /* '/' is not in the alphabet */
		"\303\244",   /* UTF-8 */
		"a\tb",       "a\177",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autoptr(GString) out = g_string_new("kept");

		g_test_message("%s", bad[i]);
		g_assert_false(imap_utf7_decode(ph_slice(bad[i]), out));
		g_assert_cmpstr(out->str, ==, "kept");
	}
}

static void
test_match(void)
{
	static const struct {
		const char *pattern;
		const char *name;
		bool match;
	} rows[] = {
		{ "*", "a/b/c", true },
		{ "%", "a", true },
		{ "%", "a/b", false },
		{ "%/%", "a/b", true },
		{ "%/%", "a/b/c", false },
		{ "a*", "a", true },
		{ "a*c", "a/b/c", true },
		{ "a%c", "a/b/c", false },
		{ "*b*", "a/b/c", true },
		{ "inbox", "INBOX", true },
		{ "Inbox/%", "INBOX/a", true },
		{ "inbox", "inbox2", false },
		{ "iNBOX*", "INBOX/x", true },
		{ "a", "A", false },
		{ "", "", true },
		{ "", "a", false },
		{ "a/%", "a/", true },
		{ "%%%", "abc", true },
		{ "*%", "a/b", true },
		{ "%*", "a/b", true },
		{ "a/*/b", "a/x/y/b", true },
		{ "a/%/b", "a/x/y/b", false },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_test_message("%s %s", rows[i].pattern, rows[i].name);
		g_assert_cmpint(imap_list_match(ph_slice(rows[i].pattern), ph_slice(rows[i].name)),
		                ==, rows[i].match);
	}
}

static void
test_no_backtracking(void)
{
	g_autoptr(GString) pattern = g_string_new(NULL);
	g_autofree char *name = g_strnfill(1000, 'a');
	gint64 start = g_get_monotonic_time();

	for (int i = 0; i < 250; i++)
		g_string_append(pattern, "%*a");
	g_string_append(pattern, "b");
	g_assert_false(imap_list_match(PH_SLICE(pattern->str, pattern->len), ph_slice(name)));
	g_assert_cmpint(g_get_monotonic_time() - start, <, 1000000);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/imap/names/utf7-both-ways", test_both_ways);
	g_test_add_func("/imap/names/utf7-has-one-form-only", test_one_form_only);
	g_test_add_func("/imap/names/patterns-match", test_match);
	g_test_add_func("/imap/names/patterns-cannot-be-made-slow", test_no_backtracking);
	return g_test_run();
}
