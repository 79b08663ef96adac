/* test-json.c: JSON comes out well-formed, requests are found
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "server/json.h"

static void
test_writes(void)
{
	g_autoptr(GString) out = g_string_new(NULL);

	ph_json_open(out, NULL, '{');
	ph_json_text(out, "a\"b", "line\n\\ \x01 \xff");
	ph_json_number(out, "n", -5);
	ph_json_open(out, "list", '[');
	ph_json_number(out, NULL, 1);
	ph_json_open(out, NULL, '{');
	ph_json_close(out, '}');
	ph_json_boolean(out, NULL, true);
	ph_json_close(out, ']');
	ph_json_text(out, "none", NULL);
	ph_json_close(out, '}');
	g_assert_cmpstr(out->str, ==,
	                "{\"a\\\"b\":\"line\\u000a\\\\ \\u0001 \xef\xbf\xbd\",\"n\":-5,"
	                "\"list\":[1,{},true],\"none\":\"\"}");
}

static void
check_lookup(const char *object, const char *key, const char *expected)
{
	g_autofree char *found = ph_json_lookup(ph_slice(object), key);

	g_assert_cmpstr(found, ==, expected);
}

static void
test_finds(void)
{
	check_lookup("{\"command\":\"status\"}", "command", "status");
	check_lookup(" { \"a\" : \"b\" , \"command\" : \"reload\" } ", "command", "reload");
	check_lookup("{\"a\":\"b\"}", "command", NULL);
	check_lookup("{\"command\":", "command", NULL);
	check_lookup("{\"command\":\"x\\\"y\"}", "command", NULL);
	check_lookup("[]", "command", NULL);
	check_lookup("", "command", NULL);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/server/json/tokens-become-well-formed-text", test_writes);
	g_test_add_func("/server/json/members-of-a-request-are-found", test_finds);
	return g_test_run();
}
