/* test-json.c: any text becomes a valid JSON string
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "base/json.h"

static void
test_strings(void)
{
	static const struct {
		PhSlice text;
		const char *expected;
	} rows[] = {
		{ { "", 0 }, "\"\"" },
		{ { "a\"\\/", 4 }, "\"a\\\"\\\\/\"" },
		{ { "\n\t\x7f", 3 }, "\"\\u000a\\u0009\\u007f\"" },
		{ { "gr\xc3\xbc", 4 }, "\"gr\xc3\xbc\"" },
		{ { "a\xff", 2 }, "\"a\xef\xbf\xbd\"" },
		{ { NULL, 0 }, "\"\"" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autoptr(GString) out = g_string_new("");

		ph_json_string(out, rows[i].text);
		g_assert_cmpstr(out->str, ==, rows[i].expected);
	}
}

static void
test_members(void)
{
	g_autoptr(GString) out = g_string_new("");

	ph_json_member(out, "a", "b");
	ph_json_member(out, "c", NULL);
	g_assert_cmpstr(out->str, ==, "\"a\":\"b\"\"c\":null");
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/base/json/strings-are-escaped", test_strings);
	g_test_add_func("/base/json/members-may-be-null", test_members);
	return g_test_run();
}
