/* test-header.c: stepping through header blocks
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/header.h>
#include <posthorn/slice.h>

static const char block[] = "From: a@b\r\n"
			    "Subject : one\r\n two\r\n\tthree \r\n"
			    "garbage line\r\n"
			    "X-Empty:\r\n"
			    "to:c@d\n"
			    "FROM: second@x\r\n"
			    "\r\n"
			    "Body: not a field\r\n";

static void
test_steps(void)
{
	static const char *const expected[][2] = {
		{ "From", "a@b" },      { "Subject", "one\r\n two\r\n\tthree " },
		{ "", "garbage line" }, { "X-Empty", "" },
		{ "to", "c@d" },        { "FROM", "second@x" },
	};
	PhSlice rest = ph_slice(block);
	size_t offset = 0;
	PhHeaderField field;
	size_t n = 0;

	for (; ph_header_next(&rest, &offset, &field); n++) {
		g_assert_cmpuint(n, <, G_N_ELEMENTS(expected));
		g_assert_true(ph_slice_is(field.name, expected[n][0]));
		g_assert_true(ph_slice_is(field.value, expected[n][1]));
		g_assert_true(field.whole.data == block + field.offset);
	}
	g_assert_cmpuint(n, ==, G_N_ELEMENTS(expected));
	g_assert_true(ph_slice_starts_nocase(rest, "\r\nBody"));
}

static void
test_edges(void)
{
	static const struct {
		const char *text;
		size_t fields;
	} rows[] = {
		{ "", 0 },          { "\r\n", 0 },      { "\n", 0 },          { "A: b", 1 },
		{ "A: b\r\n", 1 },  { "A: b\r\n ", 1 }, { "A", 1 },           { "\r", 1 },
		{ " A: b\r\n", 1 }, { ":\r\n", 1 },     { "A: b\r\nC:d", 2 }, { "\rx\r\n\r\n", 1 },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		PhSlice rest = ph_slice(rows[i].text);
		size_t offset = 0;
		PhHeaderField field;
		size_t n = 0;

		while (ph_header_next(&rest, &offset, &field))
			n++;
		g_assert_cmpuint(n, ==, rows[i].fields);
	}
}

static void
test_find(void)
{
	PhHeaderField field;

	g_assert_true(ph_header_find(ph_slice(block), "from", &field));
	g_assert_true(ph_slice_is(field.value, "a@b"));
	g_assert_true(ph_header_find(ph_slice(block), "TO", &field));
	g_assert_false(ph_header_find(ph_slice(block), "Body", &field));
	g_assert_false(ph_header_find(ph_slice(block), "Fro", &field));
}

static void
test_fields(void)
{
	const PhSlice names[] = { PH_SLICE_LITERAL("FROM"), PH_SLICE_LITERAL("subject") };
	g_autoptr(GString) out = g_string_new(NULL);

	ph_header_append_fields(ph_slice(block), names, 2, false, out);
	g_assert_cmpstr(out->str, ==,
	                "From: a@b\r\nSubject : one\r\n two\r\n\tthree \r\nFROM: second@x\r\n\r\n");
	g_string_truncate(out, 0);
	ph_header_append_fields(ph_slice(block), names, 2, true, out);
	g_assert_cmpstr(out->str, ==, "garbage line\r\nX-Empty:\r\nto:c@d\n\r\n");
	g_string_truncate(out, 0);
	ph_header_append_fields(ph_slice("A: b"), names, 2, true, out);
	g_assert_cmpstr(out->str, ==, "A: b\r\n\r\n");
}

static void
test_unfolded(void)
{
	static const struct {
		PhSlice value;
		const char *expected;
	} rows[] = {
		{ { " one\r\n two\r\n\tthree \r\n", 20 }, "one two\tthree" },
		{ { "a\n b", 4 }, "a b" },
		{ { "a\r\nb", 4 }, "a b" },
		{ { "a\rb", 3 }, "a b" },
		{ { "a\0b", 3 }, "a b" },
		{ { "\r\n \r\n", 5 }, "" },
		{ { "a  b", 4 }, "a  b" },
		{ { "a\r\n", 3 }, "a" },
		{ { "a\0", 2 }, "a" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autoptr(GString) out = g_string_new("x ");

		ph_header_append_unfolded(rows[i].value, out);
		g_assert_true(g_str_has_prefix(out->str, "x"));
		g_assert_cmpstr(out->len > 2 ? out->str + 2 : "", ==, rows[i].expected);
	}
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/message/header/steps-through-fields", test_steps);
	g_test_add_func("/message/header/ends-where-the-block-ends", test_edges);
	g_test_add_func("/message/header/finds-by-name", test_find);
	g_test_add_func("/message/header/filters-by-name", test_fields);
	g_test_add_func("/message/header/unfolds", test_unfolded);
	return g_test_run();
}
