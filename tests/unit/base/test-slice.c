/* test-slice.c: octet slices: case, trimming, numbers, hashes, UTF-8
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

static void
test_case(void)
{
	g_assert_true(ph_slice_is_nocase(ph_slice("Content-TYPE"), "content-type"));
	g_assert_false(ph_slice_is_nocase(ph_slice("Content-TYPE"), "content-typ"));
	g_assert_false(ph_slice_is_nocase(ph_slice("@"), "`"));
	g_assert_false(ph_slice_is_nocase(ph_slice("["), "{"));
	g_assert_false(ph_slice_is_nocase(ph_slice("\xc4"), "\xe4"));
	g_assert_true(ph_slice_is_nocase(PH_SLICE_EMPTY, ""));
	g_assert_true(ph_slice_starts_nocase(ph_slice("MAIL FROM:<a>"), "mail from:"));
	g_assert_false(ph_slice_starts_nocase(ph_slice("MAIL"), "mail from:"));
	g_assert_true(ph_slice_starts_nocase(PH_SLICE_EMPTY, ""));
}

static void
test_trim_split(void)
{
	PhSlice rest = ph_slice("a,b,,c");

	g_assert_true(ph_slice_is(ph_slice_trim(ph_slice(" \t a b \t")), "a b"));
	g_assert_true(ph_slice_is(ph_slice_trim(ph_slice(" \t ")), ""));
	g_assert_true(ph_slice_is(ph_slice_trim(PH_SLICE_EMPTY), ""));
	g_assert_cmpint(ph_slice_find(ph_slice("abcabc"), 'c'), ==, 2);
	g_assert_cmpint(ph_slice_find(ph_slice("abc"), 'x'), ==, -1);
	g_assert_cmpint(ph_slice_find(PH_SLICE_EMPTY, 'x'), ==, -1);
	g_assert_cmpint(ph_slice_find(PH_SLICE("a\0b", 3), 'b'), ==, 2);
	g_assert_true(ph_slice_is(ph_slice_split(&rest, ','), "a"));
	g_assert_true(ph_slice_is(ph_slice_split(&rest, ','), "b"));
	g_assert_true(ph_slice_is(ph_slice_split(&rest, ','), ""));
	g_assert_true(ph_slice_is(rest, "c"));
	g_assert_true(ph_slice_is(ph_slice_split(&rest, ','), "c"));
	g_assert_cmpuint(rest.length, ==, 0);
	g_assert_true(ph_slice_is(ph_slice_from(ph_slice("abc"), 1), "bc"));
	g_assert_cmpuint(ph_slice_from(ph_slice("abc"), 4).length, ==, 0);
}

static void
test_dup(void)
{
	g_autofree char *copy = ph_slice_dup(PH_SLICE("a\0b", 3));
	g_autofree char *empty = ph_slice_dup(PH_SLICE_EMPTY);

	g_assert_cmpmem(copy, 4, "a\0b\0", 4);
	g_assert_cmpstr(empty, ==, "");
}

static void
test_numbers(void)
{
	static const struct {
		const char *text;
		uint64_t max;
		bool good;
		uint64_t value;
	} rows[] = {
		{ "0", 0, true, 0 },
		{ "1", 0, false, 0 },
		{ "10", 9, false, 0 },
		{ "9", 9, true, 9 },
		{ "007", 7, true, 7 },
		{ "", 9, false, 0 },
		{ "-1", 9, false, 0 },
		{ "+1", 9, false, 0 },
		{ " 1", 9, false, 0 },
		{ "1 ", 9, false, 0 },
		{ "1x", 99, false, 0 },
		{ "18446744073709551615", UINT64_MAX, true, UINT64_MAX },
		{ "18446744073709551616", UINT64_MAX, false, 0 },
		{ "99999999999999999999999", UINT64_MAX, false, 0 },
		{ "9223372036854775808", INT64_MAX, false, 0 },
		{ "4294967296", UINT32_MAX, false, 0 },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		uint64_t value = 12345;
		bool good = ph_slice_to_u64(ph_slice(rows[i].text), rows[i].max, &value);

		g_assert_cmpint(good, ==, rows[i].good);
		g_assert_cmpuint(value, ==, rows[i].good ? rows[i].value : 12345);
	}
}

static void
test_numbers_32(void)
{
	uint32_t value = 7;

	g_assert_true(ph_slice_to_u32(ph_slice("4294967295"), UINT32_MAX, &value));
	g_assert_cmpuint(value, ==, UINT32_MAX);
	g_assert_false(ph_slice_to_u32(ph_slice("4294967296"), UINT32_MAX, &value));
	g_assert_cmpuint(value, ==, UINT32_MAX);
	g_assert_false(ph_slice_to_u32(PH_SLICE("1\0", 2), UINT32_MAX, &value));
}

static void
test_hash(void)
{
	g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);
	char key[32] = "";

	for (int i = 0; i < 10000; i++) {
		g_snprintf(key, sizeof key, "user%d@example.org", i);
		g_hash_table_add(seen, GUINT_TO_POINTER(ph_str_hash(key)));
	}
	g_assert_cmpuint(g_hash_table_size(seen), >=, 9990);
	g_assert_cmpuint(ph_slice_hash(ph_slice("abc")), ==, ph_str_hash("abc"));
	g_assert_cmpuint(ph_slice_hash(ph_slice("abc")), !=, ph_slice_hash(ph_slice("ABC")));
	g_assert_cmpuint(ph_slice_hash(PH_SLICE("a\0", 2)), !=, ph_slice_hash(PH_SLICE("a", 1)));
	g_assert_cmpuint(ph_slice_hash(PH_SLICE_EMPTY), ==, ph_slice_hash(ph_slice("")));
}

static void
test_hash_nocase(void)
{
	char low[256] = "";
	char high[256] = "";

	for (size_t length = 0; length < 40; length++) {
		for (size_t i = 0; i < length; i++) {
			low[i] = g_ascii_tolower((char) (33 + ((i * 7 + length * 11) % 222)));
			high[i] = g_ascii_toupper(low[i]);
		}
		g_assert_cmpuint(ph_slice_hash_nocase(PH_SLICE(low, length)), ==,
		                 ph_slice_hash_nocase(PH_SLICE(high, length)));
	}
	g_assert_cmpuint(ph_slice_hash_nocase(ph_slice("@[")), !=,
	                 ph_slice_hash_nocase(ph_slice("`{")));
	g_assert_cmpuint(ph_slice_hash_nocase(ph_slice("\xc1")), !=,
	                 ph_slice_hash_nocase(ph_slice("\xe1")));
}

static void
test_utf8(void)
{
	static const struct {
		const char *text;
		bool good;
	} rows[] = {
		{ "", true },
		{ "plain ascii, longer than eight", true },
		{ "gr\xc3\xbc\xc3\x9f", true },
		{ "\xe2\x82\xac", true },
		{ "\xf0\x9f\x98\x80", true },
		{ "\xf4\x8f\xbf\xbf", true },
		{ "\xf4\x90\x80\x80", false },
		{ "\xc0\xaf", false },
		{ "\xc1\xbf", false },
		{ "\xe0\x9f\xbf", false },
		{ "\xf0\x8f\xbf\xbf", false },
		{ "\xed\xa0\x80", false },
		{ "\xed\x9f\xbf", true },
		{ "\xef\xbf\xbf", true },
		{ "\x80", false },
		{ "12345678\xff", false },
		{ "1234567\xc3", false },
		{ "\xe2\x82", false },
		{ "\xe2\x82z", false },
		{ "\xf5\x80\x80\x80", false },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_assert_cmpint(ph_slice_is_utf8(ph_slice(rows[i].text)), ==, rows[i].good);
		g_assert_cmpint(rows[i].good, ==,
		                g_utf8_validate(rows[i].text, (gssize) strlen(rows[i].text), NULL));
	}
	g_assert_false(ph_slice_is_utf8(PH_SLICE("a\0b", 3)));
	g_assert_false(ph_slice_is_utf8(PH_SLICE("1234567\0", 8)));
}

static void
test_ascii(void)
{
	char text[24];

	g_assert_true(ph_slice_is_ascii(PH_SLICE_EMPTY));
	for (size_t at = 0; at < sizeof text; at++) {
		memset(text, 'x', sizeof text);
		g_assert_true(ph_slice_is_ascii(PH_SLICE(text, sizeof text)));
		text[at] = '\0';
		g_assert_false(ph_slice_is_ascii(PH_SLICE(text, sizeof text)));
		text[at] = (char) 0x80;
		g_assert_false(ph_slice_is_ascii(PH_SLICE(text, sizeof text)));
		text[at] = (char) 0x7f;
		g_assert_true(ph_slice_is_ascii(PH_SLICE(text, sizeof text)));
		text[at] = (char) 0x01;
		g_assert_true(ph_slice_is_ascii(PH_SLICE(text, sizeof text)));
	}
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/base/slice/letters-fold-in-ascii-only", test_case);
	g_test_add_func("/base/slice/trims-and-splits", test_trim_split);
	g_test_add_func("/base/slice/copies-nul", test_dup);
	g_test_add_func("/base/slice/numbers-never-wrap", test_numbers);
	g_test_add_func("/base/slice/numbers-of-32-bits", test_numbers_32);
	g_test_add_func("/base/slice/hashes-spread", test_hash);
	g_test_add_func("/base/slice/folded-hashes-agree", test_hash_nocase);
	g_test_add_func("/base/slice/utf8-is-checked", test_utf8);
	g_test_add_func("/base/slice/ascii-is-checked", test_ascii);
	return g_test_run();
}
