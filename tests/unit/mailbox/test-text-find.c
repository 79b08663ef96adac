/* test-text-find.c: strings are found whatever the case of their letters
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "mailbox/text-find.h"

static const struct {
	const char *needle;
	const char *text;
	bool found;
} rows[] = {
	{ "", "", true },
	{ "", "anything", true },
	{ "a", "", false },
	{ "hello", "Say HELLO there", true },
	{ "hello", "hell o", false },
	{ "aab", "aaaaaaaaab", true },
	{ "abcabd", "abcabcabd", true },
	{ "grüße", "Viele GRÜSSE, viele GRÜßE", true },
	{ "ÉTÉ", "un été", true },
	{ "привет", "ПРИВЕТ, мир", true },
	{ "привет", "ПРИВ", false },
	{ "x", "\xff\xfeX", true },
	{ "é", "\xff\xc3\x89", true },
};

static void
finds_in_one_piece(void)
{
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autoptr(PhNeedle) needle = ph_needle_new(ph_slice(rows[i].needle));
		g_assert_cmpint(ph_needle_in(needle, ph_slice(rows[i].text)), ==, rows[i].found);
	}
}

static bool
find_split(const PhNeedle *needle, PhSlice text, size_t at, size_t step)
{
	PhHaystack haystack;

	ph_haystack_init(&haystack, needle);
	(void) ph_haystack_feed(&haystack, PH_SLICE(text.data, at));
	for (PhSlice rest = ph_slice_from(text, at); rest.length > 0;
	     rest = ph_slice_from(rest, step))
		(void) ph_haystack_feed(&haystack, PH_SLICE(rest.data, MIN(step, rest.length)));
	bool found = haystack.found;
	ph_haystack_clear(&haystack);
	return found;
}

static void
finds_across_every_split(void)
{
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autoptr(PhNeedle) needle = ph_needle_new(ph_slice(rows[i].needle));
		PhSlice text = ph_slice(rows[i].text);
		for (size_t at = 0; at <= text.length; at++)
			for (size_t step = 1; step < 4; step++)
				g_assert_cmpint(find_split(needle, text, at, step), ==,
				                rows[i].found);
	}
}

static void
finds_the_same_as_a_plain_search(void)
{
	for (unsigned round = 0; round < 20000; round++) {
		char text[60] = { 0 };
		char word[9] = { 0 };
		for (size_t i = 0; i < sizeof text - 1; i++)
			text[i] = "abABabAB@`.!"[g_test_rand_int_range(0, 12)];
		size_t length = (size_t) g_test_rand_int_range(1, sizeof word);
		for (size_t i = 0; i < length; i++)
			word[i] = "abab@`.!"[g_test_rand_int_range(0, round % 2 == 0 ? 2 : 8)];
		g_autofree char *lower = g_ascii_strdown(text, -1);
		g_autoptr(PhNeedle) needle = ph_needle_new(ph_slice(word));
		g_assert_cmpint(ph_needle_in(needle, ph_slice(text)), ==,
		                strstr(lower, word) != NULL);
	}
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/mailbox/text-find/finds-in-one-piece", finds_in_one_piece);
	g_test_add_func("/mailbox/text-find/finds-across-every-split", finds_across_every_split);
	g_test_add_func("/mailbox/text-find/finds-the-same-as-a-plain-search",
	                finds_the_same_as_a_plain_search);
	return g_test_run();
}
