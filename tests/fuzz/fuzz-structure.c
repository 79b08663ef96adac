/* fuzz-structure.c: a message scanned whole and in pieces; what the structure then tells
 *
 * The first octet chooses the size of the pieces.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/message.h>
#include <posthorn/slice.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_parts(const PhStructure *structure)
{
	const PhMessageInfo *info = ph_structure_info(structure);

	for (uint32_t i = 0; i < info->n_parts; i++) {
		const PhPart *part = ph_structure_part(structure, i);

		g_assert_cmpuint(part->header_offset + part->header_size, <=, part->body_offset);
		g_assert_cmpuint(part->body_offset + part->body_size, <=, info->size);
		g_assert_true(ph_slice_is_utf8(part->filename));
		g_assert_cmpint(part->kind == PH_PART_LEAF, ==, part->n_children == 0);
	}
	g_assert_true(ph_slice_is_utf8(info->subject));
	g_assert_true(ph_slice_is_utf8(info->from_name));
}

/* An answer is balanced brackets, strings, numbers and NIL; literals end inside it. */
static void
check_answer(PhSlice text)
{
	int depth = 0;

	for (size_t i = 0; i < text.length; i++) {
		char c = text.data[i];

		g_assert_true(c != '\0' && c != '\r' && c != '\n' && (unsigned char) c < 0x80);
		depth += c == '(' ? 1 : c == ')' ? -1 : 0;
		if (c == '"')
			for (i++; text.data[i] != '"'; i++)
				i += text.data[i] == '\\' ? 1 : 0;
		if (c == '{')
			i += (size_t) g_ascii_strtoull(text.data + i + 1, NULL, 10)
			     + (size_t) (strchr(text.data + i, '\n') - text.data - (ssize_t) i);
		g_assert_cmpuint(i, <, text.length);
		g_assert_true(depth > 0 || i + 1 == text.length);
	}
	g_assert_cmpint(depth, ==, 0);
}

static void
check_sections(const PhStructure *structure)
{
	static const char *const sections[] = { "1",   "1.1", "1.MIME",   "2.HEADER",    "2.1.TEXT",
		                                "1.2", "3",   "1.1.MIME", "2.2.2.HEADER" };

	for (size_t i = 0; i < G_N_ELEMENTS(sections); i++) {
		PhRange range;

		if (ph_structure_find(structure, ph_slice(sections[i]), &range) == PH_FIND_OK)
			g_assert_cmpuint(range.offset + range.size, <=,
			                 ph_structure_info(structure)->size);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	PhSlice message = ph_slice_from(PH_SLICE((const char *) data, size), 1);
	size_t step = size > 0 && data[0] > 0 ? data[0] : 1;
	g_autoptr(PhStructure) whole = ph_structure_scan(message);
	g_autoptr(PhStructure) pieces = NULL;
	g_autoptr(PhStructure) again = ph_structure_from_blob(ph_structure_blob(whole), NULL);
	g_autoptr(PhScanner) scanner = ph_structure_scanner_new();
	g_autoptr(GString) body = g_string_new(NULL);

	g_assert_nonnull(whole);
	g_assert_nonnull(again);
	for (PhSlice rest = message; rest.length > 0; rest = ph_slice_from(rest, step))
		ph_structure_scanner_feed(scanner, PH_SLICE(rest.data, MIN(step, rest.length)));
	pieces = ph_structure_scanner_finish(scanner);
	g_assert_true(ph_slice_equal(ph_structure_blob(whole), ph_structure_blob(pieces)));
	check_parts(whole);
	check_sections(whole);
	ph_structure_append_body(whole, body);
	check_answer(ph_structure_envelope(whole));
	check_answer(ph_structure_bodystructure(whole));
	check_answer(PH_SLICE(body->str, body->len));
	return 0;
}
