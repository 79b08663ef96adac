/* test-scanner.c: the scan in pieces, boundaries, and limits
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/message.h>
#include <posthorn/slice.h>

/* Parts as "type/subtype@header+size:body+size/lines", children in brackets behind their parent. */
static char *
outline(const PhStructure *structure)
{
	GString *out = g_string_new(NULL);
	uint32_t depth = 0;

	for (uint32_t i = 0; i < ph_structure_info(structure)->n_parts; i++) {
		const PhPart *part = ph_structure_part(structure, i);

		for (; depth > part->depth; depth--)
			g_string_append_c(out, ']');
		g_string_append_c(out, part->depth > depth ? '[' : ' ');
		depth = part->depth;
		g_string_append_printf(out, "%.*s", (int) part->subtype.length, part->subtype.data);
		g_string_append_printf(out, "@%d+%d:%d+%d/%d", (int) part->header_offset,
		                       (int) part->header_size, (int) part->body_offset,
		                       (int) part->body_size, (int) part->body_lines);
	}
	for (; depth > 0; depth--)
		g_string_append_c(out, ']');
	g_string_erase(out, 0, 1);
	return g_string_free(out, FALSE);
}

static void
check_pieces(PhSlice message, const PhStructure *whole)
{
	g_autoptr(PhScanner) scanner = ph_structure_scanner_new();
	PhSlice blob = ph_structure_blob(whole);

	for (size_t step = 1; step < 600; step += step < 20 ? 1 : 37) {
		g_autoptr(PhStructure) pieces = NULL;
		PhSlice rest = message;

		while (rest.length > 0) {
			ph_structure_scanner_feed(scanner,
			                          PH_SLICE(rest.data, MIN(step, rest.length)));
			rest = ph_slice_from(rest, step);
		}
		pieces = ph_structure_scanner_finish(scanner);
		g_assert_cmpmem(ph_structure_blob(pieces).data, ph_structure_blob(pieces).length,
		                blob.data, blob.length);
	}
}

static void
check(const char *text, const char *expected)
{
	PhSlice message = ph_slice(text);
	g_autoptr(PhStructure) structure = ph_structure_scan(message);
	g_autofree char *found = outline(structure);

	g_assert_cmpstr(found, ==, expected);
	check_pieces(message, structure);
}

#define MIXED "Content-Type: multipart/mixed; boundary=b\r\n\r\n"

static void
test_boundaries(void)
{
	check(MIXED "--b\r\n\r\none\r\n--b--\r\n", "mixed@0+45:45+19/4[plain@50+2:52+3/0]");
	check(MIXED "pre\r\n--b\r\n\r\none\r\n--b--\r\npost\r\n",
	      "mixed@0+45:45+30/6[plain@55+2:57+3/0]");
	/* blanks after it, the last one missing, nothing between two */
	check(MIXED "--b \t\r\n\r\none", "mixed@0+45:45+12/2[plain@52+2:54+3/0]");
	check(MIXED "--b\r\n\r\none\r\n--b\r\n",
	      "mixed@0+45:45+17/4[plain@50+2:52+3/0 plain@62+0:62+0/0]");
	check(MIXED "--b\r\n--b\r\n\r\n--b--",
	      "mixed@0+45:45+17/3[plain@50+0:50+0/0 plain@55+2:57+0/0]");
	check(MIXED "--b\r\n\r\n\r\n--b--", "mixed@0+45:45+14/3[plain@50+2:52+0/0]");
	check(MIXED "--b\r\n\r\none\r\n--b", "mixed@0+45:45+15/3[plain@50+2:52+3/0]");
	/* not at the start of a line; a bare LF ends a line too */
	check(MIXED "--b\r\n\r\nx--b\r\n--b--", "mixed@0+45:45+18/3[plain@50+2:52+4/0]");
	check(MIXED "--b\n\none\n--b--\n", "mixed@0+45:45+15/4[plain@49+1:50+3/0]");
	/* dashes that are no boundary */
	check(MIXED "--b\r\n\r\n-\r\n--\r\n--c\r\n--b--", "mixed@0+45:45+24/5[plain@50+2:52+10/2]");
	/* a header that a boundary cuts off */
	check(MIXED "--b\r\nA: b\r\n--b--", "mixed@0+45:45+16/2[plain@50+6:56+0/0]");
	check(MIXED "--b\r\nA: b\r\n c\r\n--b\r\n\r\nx",
	      "mixed@0+45:45+23/5[plain@50+10:60+0/0 plain@65+2:67+1/0]");
}

static void
test_nesting(void)
{
	check(MIXED
	      "--b\r\nContent-Type: multipart/x; boundary=bb\r\n\r\n--bb\r\n\r\none\r\n--bb--\r\n"
	      "--b\r\n\r\ntwo\r\n--b--\r\n",
	      "mixed@0+45:45+87/11[x@50+42:92+19/3[plain@98+2:100+3/0] plain@118+2:120+3/0]");
	/* the inner one is never closed: the outer boundary ends it */
	check(MIXED "--b\r\nContent-Type: multipart/x; boundary=y\r\n\r\n--y\r\n\r\none\r\n"
	            "--b\r\n\r\ntwo\r\n--b--\r\n",
	      "mixed@0+45:45+77/10[x@50+41:91+10/2[plain@96+2:98+3/0] plain@108+2:110+3/0]");
	check("Content-Type: message/rfc822\r\n\r\n" MIXED "--b\r\n\r\none\r\n--b--\r\n",
	      "rfc822@0+32:32+64/6[mixed@32+45:77+19/4[plain@82+2:84+3/0]]");
	check(MIXED "--b\r\nContent-Type: message/rfc822\r\n\r\nA: b\r\n--b--",
	      "mixed@0+45:45+48/4[rfc822@50+32:82+4/0[plain@82+6:88+0/0]]");
}

static void
test_depth(void)
{
	g_autoptr(GString) message = g_string_new(NULL);
	g_autoptr(PhStructure) structure = NULL;
	g_autoptr(PhStructure) part_of_it = NULL;
	uint32_t deepest = 0;

	for (int i = 0; i < 300; i++)
		g_string_append_printf(
			message, "Content-Type: multipart/x; boundary=b%d\r\n\r\n--b%d\r\n", i, i);
	structure = ph_structure_scan(PH_SLICE(message->str, message->len));
	g_assert_true(ph_structure_info(structure)->is_cut);
	for (uint32_t i = 0; i < ph_structure_info(structure)->n_parts; i++)
		deepest = MAX(deepest, ph_structure_part(structure, i)->depth);
	g_assert_cmpuint(deepest, ==, PH_PART_DEPTH_MAX);
	part_of_it = ph_structure_scan(PH_SLICE(message->str, 3000));
	check_pieces(PH_SLICE(message->str, 3000), part_of_it);
}

static void
test_messages_in_messages(void)
{
	g_autoptr(GString) message = g_string_new(NULL);
	g_autoptr(PhStructure) structure = NULL;
	PhSlice body = PH_SLICE_EMPTY;

	for (int i = 0; i < 1000; i++)
		g_string_append(message, "Content-Type: message/rfc822\r\n\r\n");
	structure = ph_structure_scan(PH_SLICE(message->str, message->len));
	body = ph_structure_bodystructure(structure);
	g_assert_true(ph_structure_info(structure)->is_cut);
	g_assert_cmpuint(ph_structure_info(structure)->n_parts, ==, PH_PART_DEPTH_MAX + 1);
	g_assert_cmpuint(body.length, <, 20000);
}

static void
test_parts(void)
{
	g_autoptr(GString) message = g_string_new(MIXED);
	g_autoptr(PhStructure) structure = NULL;

	for (int i = 0; i < PH_PARTS_MAX + 100; i++)
		g_string_append(message, "--b\r\n\r\nx\r\n");
	structure = ph_structure_scan(PH_SLICE(message->str, message->len));
	g_assert_cmpuint(ph_structure_info(structure)->n_parts, ==, PH_PARTS_MAX);
	g_assert_true(ph_structure_info(structure)->is_cut);
}

static void
test_long_fields(void)
{
	g_autoptr(GString) message = g_string_new("Subject: ");
	g_autoptr(PhStructure) whole = NULL;
	g_autoptr(PhStructure) pieces = NULL;
	g_autoptr(PhScanner) scanner = ph_structure_scanner_new();

	while (message->len < 3 * PH_HEADER_FIELD_MAX)
		g_string_append(message, "word word word word word word\r\n ");
	g_string_append(message, "end\r\nTo: a@b\r\n\r\nbody");
	whole = ph_structure_scan(PH_SLICE(message->str, message->len));
	g_assert_true(ph_structure_info(whole)->is_cut);
	g_assert_true(ph_slice_is(ph_structure_info(whole)->to, "a"));
	g_assert_cmpuint(ph_structure_envelope(whole).length, <, PH_HEADER_FIELD_MAX + 1000);
	for (size_t at = 0; at < message->len; at += 65536)
		ph_structure_scanner_feed(
			scanner, PH_SLICE(message->str + at, MIN(65536, message->len - at)));
	pieces = ph_structure_scanner_finish(scanner);
	g_assert_true(ph_slice_equal(ph_structure_blob(whole), ph_structure_blob(pieces)));
}

/* A scanner that was given up in the middle of a message leaves nothing to the next one. */
static void
test_abandoned(void)
{
	static const char *const starts[] = { "",
		                              "Subject: not",
		                              "Subject: not\r\n",
		                              "Subject: not\r\n\r",
		                              MIXED "--b\r\nSubject: not\r\n",
		                              MIXED "--b\r\n\r\n--",
		                              MIXED "--b" };
	PhSlice message = ph_slice("Subject: yes\r\n\r\nbody\r\n");
	g_autoptr(PhStructure) expected = ph_structure_scan(message);

	for (size_t i = 0; i < G_N_ELEMENTS(starts); i++) {
		PhScanner *scanner = ph_structure_scanner_new();
		g_autoptr(PhStructure) next = NULL;

		ph_structure_scanner_feed(scanner, ph_slice(starts[i]));
		ph_structure_scanner_free(scanner);
		next = ph_structure_scan(message);
		g_assert_true(ph_slice_equal(ph_structure_blob(next), ph_structure_blob(expected)));
	}
}

/* Shapes that would cost quadratic time if anything were read twice. */
static void
test_linear(void)
{
	static const char *const units[] = {
		"--b\r\n",
		"--b\r\n\r\n",
		"-",
		"--b--\r\n",
		"\r\n",
		"A: b\r\n",
		" folded\r\n",
		"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n",
		"Content-Type: text/plain;\r\n a=b;",
		"References: <a@b>\r\n <c@d>",
		"To: (((\r\n",
	};

	for (size_t u = 0; u < G_N_ELEMENTS(units); u++) {
		g_autoptr(GString) message = g_string_new(MIXED);
		g_autoptr(PhStructure) whole = NULL;
		g_autoptr(PhStructure) pieces = NULL;
		g_autoptr(PhScanner) scanner = ph_structure_scanner_new();
		gint64 start = g_get_monotonic_time();

		while (message->len < 2 * 1024 * 1024)
			g_string_append(message, units[u]);
		whole = ph_structure_scan(PH_SLICE(message->str, message->len));
		for (size_t at = 0; at < message->len; at += 7)
			ph_structure_scanner_feed(
				scanner, PH_SLICE(message->str + at, MIN(7, message->len - at)));
		pieces = ph_structure_scanner_finish(scanner);
		g_assert_true(ph_slice_equal(ph_structure_blob(whole), ph_structure_blob(pieces)));
		g_assert_cmpint(g_get_monotonic_time() - start, <, 3 * G_USEC_PER_SEC);
	}
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/message/scanner/finds-boundaries", test_boundaries);
	g_test_add_func("/message/scanner/nests", test_nesting);
	g_test_add_func("/message/scanner/bounds-depth", test_depth);
	g_test_add_func("/message/scanner/bounds-messages-in-messages", test_messages_in_messages);
	g_test_add_func("/message/scanner/bounds-parts", test_parts);
	g_test_add_func("/message/scanner/bounds-fields", test_long_fields);
	g_test_add_func("/message/scanner/forgets-what-was-abandoned", test_abandoned);
	g_test_add_func("/message/scanner/costs-linear-time", test_linear);
	return g_test_run();
}
