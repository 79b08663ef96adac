/* test-framing.c: the same calls however input is split; limits; dots; flaws; counted octets
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/protocol.h>
#include <posthorn/slice.h>

#include "net/framing.h"

#include <string.h>

/* Runs a script of modes over input: each letter is what follows the frame before it: l(ine),
 * d(ata), 3 (octets in pieces), w (3 octets whole). Bodies are joined until their final piece. */
typedef struct {
	PhFraming framing;
	const char *script;
	GString *log;
	GString *body;
	bool flood;
} Feed;

static void
choose_mode(Feed *feed)
{
	char mode = *feed->script != '\0' ? *feed->script++ : 'l';

	if (mode == 'd')
		ph_framing_begin_data(&feed->framing);
	else if (mode == '3')
		ph_framing_begin_octets(&feed->framing, 3, false);
	else if (mode == 'w')
		ph_framing_begin_octets(&feed->framing, 3, true);
	else if (mode == '0')
		ph_framing_begin_octets(&feed->framing, 0, false);
}

static void
append_escaped(GString *log, PhSlice octets)
{
	for (size_t i = 0; i < octets.length; i++) {
		char c = octets.data[i];

		if (c < ' ' || c > '~')
			g_string_append_printf(log, "\\%02x", (unsigned char) c);
		else
			g_string_append_c(log, c);
	}
}

static void
take_frame(Feed *feed, const PhFrame *frame)
{
	if (frame->kind == PH_FRAME_FLOOD) {
		feed->flood = true;
		return;
	}
	if (frame->kind == PH_FRAME_LINE) {
		g_string_append(feed->log, "L(");
		append_escaped(feed->log, frame->slice);
		g_string_append_printf(feed->log, ")%u ", frame->flaws);
		choose_mode(feed);
		return;
	}
	if (frame->slice.length > 0)
		g_string_append_len(feed->body, frame->slice.data, (gssize) frame->slice.length);
	if (!frame->final)
		return;
	g_string_append(feed->log, "B(");
	append_escaped(feed->log, PH_SLICE(feed->body->str, feed->body->len));
	g_string_append_printf(feed->log, ")%u ", feed->framing.flaws & 0xff);
	g_string_truncate(feed->body, 0);
	choose_mode(feed);
}

static void
work_off(Feed *feed, GByteArray *buffer)
{
	for (;;) {
		PhFrame frame = { .kind = PH_FRAME_NONE };
		size_t used = 0;

		ph_framing_next(&feed->framing, PH_SLICE((const char *) buffer->data, buffer->len),
		                &frame, &used);
		if (frame.kind != PH_FRAME_NONE)
			take_frame(feed, &frame);
		if (used > 0)
			g_byte_array_remove_range(buffer, 0, (guint) used);
		if (frame.kind == PH_FRAME_NONE || feed->flood)
			return;
		g_assert_cmpuint(buffer->len, <, 1 << 20);
	}
}

/* @at: octets of the first part; @step: of all further ones; 0: the rest at once. */
static char *
run_split(const char *script, size_t limit, PhSlice input, size_t at, size_t step)
{
	g_autoptr(GByteArray) buffer = g_byte_array_new();
	Feed feed = { .script = script, .log = g_string_new(NULL), .body = g_string_new(NULL) };

	ph_framing_init(&feed.framing, limit);
	choose_mode(&feed);
	while (input.length > 0) {
		size_t n = MIN(at > 0 ? at : input.length, input.length);

		g_byte_array_append(buffer, (const guint8 *) input.data, (guint) n);
		work_off(&feed, buffer);
		g_assert_cmpuint(buffer->len, <=, ph_framing_wanted(&feed.framing));
		input = ph_slice_from(input, n);
		at = step;
	}
	g_string_append_printf(feed.log, "+%u", buffer->len);
	g_string_free(feed.body, TRUE);
	return g_string_free(feed.log, FALSE);
}

typedef struct {
	const char *script;
	size_t limit;
	PhSlice input;
	const char *expected;
} Row;

static const Row rows[] = {
	{ "l", 10, PH_SLICE_LITERAL("one\r\ntwo\r\n"), "L(one)0 L(two)0 +0" },
	{ "l", 10, PH_SLICE_LITERAL("\r\n\r\n"), "L()0 L()0 +0" },
	{ "l", 10, PH_SLICE_LITERAL("one\ntwo"), "L(one)2 +3" },
	{ "l", 10, PH_SLICE_LITERAL("a\rb\r\n"), "L(a\\0db)4 +0" },
	{ "l", 10, PH_SLICE_LITERAL("a\r\r\n"), "L(a\\0d)4 +0" },
	{ "l", 10, PH_SLICE_LITERAL("a\0b\r\n"), "L(a\\00b)8 +0" },
	{ "l", 4, PH_SLICE_LITERAL("1234\r\nx\r\n"), "L(1234)0 L(x)0 +0" },
	{ "l", 4, PH_SLICE_LITERAL("12345\r\nx\r\n"), "L(1234)1 L(x)0 +0" },
	{ "l", 4, PH_SLICE_LITERAL("1234\n"), "L(1234)2 +0" },
	{ "l", 4, PH_SLICE_LITERAL("1234\r5\r\nx\r\n"), "L(1234)1 L(x)0 +0" },
	{ "l", 4, PH_SLICE_LITERAL("12345\nx\r\n"), "L(1234)1 L(x)0 +0" },
	{ "l", 4, PH_SLICE_LITERAL("1234567890123\r\nx\r\n"), "L(1234)1 L(x)0 +0" },
	{ "l3l", 10, PH_SLICE_LITERAL("n\r\nabcx\r\n"), "L(n)0 B(abc)0 L(x)0 +0" },
	{ "lwl", 10, PH_SLICE_LITERAL("n\r\na\ncx\r\n"), "L(n)0 B(a\\0ac)2 L(x)0 +0" },
	{ "l0l", 10, PH_SLICE_LITERAL("n\r\nx\r\n"), "L(n)0 B()0 L(x)0 +0" },
	{ "lw", 10, PH_SLICE_LITERAL("n\r\nab"), "L(n)0 +2" },
	{ "d", 10, PH_SLICE_LITERAL(".\r\n"), "B()0 +0" },
	{ "d", 10, PH_SLICE_LITERAL("a\r\n.\r\nx\r\n"), "B(a\\0d\\0a)0 L(x)0 +0" },
	{ "d", 10, PH_SLICE_LITERAL("..\r\n...\r\n.\r\n"), "B(.\\0d\\0a..\\0d\\0a)0 +0" },
	{ "d", 10, PH_SLICE_LITERAL(".a\r\n.\r\n"), "B(a\\0d\\0a)0 +0" },
	{ "d", 10, PH_SLICE_LITERAL("a.\r\n.b\r\n.\r\n"), "B(a.\\0d\\0ab\\0d\\0a)0 +0" },
	/* What must not end the data: CVE-2023-51764 and its kin. */
	{ "d", 10, PH_SLICE_LITERAL("a\n.\nb\r\n.\r\n"), "B(a\\0a.\\0ab\\0d\\0a)2 +0" },
	{ "d", 10, PH_SLICE_LITERAL("a\n.\r\nb\r\n.\r\n"), "B(a\\0a.\\0d\\0ab\\0d\\0a)2 +0" },
	{ "d", 10, PH_SLICE_LITERAL("a\r\n.\nb\r\n.\r\n"), "B(a\\0d\\0a\\0ab\\0d\\0a)2 +0" },
	{ "d", 10, PH_SLICE_LITERAL("a\r.\rb\r\n.\r\n"), "B(a\\0d.\\0db\\0d\\0a)1 +0" },
	{ "d", 10, PH_SLICE_LITERAL("a\r\n.\rb\r\n.\r\n"), "B(a\\0d\\0a\\0db\\0d\\0a)1 +0" },
	{ "d", 10, PH_SLICE_LITERAL("a\r\n.\r\r\n.\r\n"), "B(a\\0d\\0a\\0d\\0d\\0a)1 +0" },
	{ "d", 10, PH_SLICE_LITERAL("a\r\r\n.\r\n"), "B(a\\0d\\0d\\0a)1 +0" },
	{ "d", 10, PH_SLICE_LITERAL("\xe9\0\r\n.\r\n"), "B(\\e9\\00\\0d\\0a)12 +0" },
	{ "d", 10, PH_SLICE_LITERAL("a\r\n.\r"), "+0" },
	{ "dd", 10, PH_SLICE_LITERAL("a\r\n.\r\n.\r\n"), "B(a\\0d\\0a)0 B()0 +0" },
};

static void
test_rows(void)
{
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		const Row *row = &rows[i];
		g_autofree char *whole = run_split(row->script, row->limit, row->input, 0, 0);

		g_assert_cmpstr(whole, ==, row->expected);
	}
}

static void
test_every_split(void)
{
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		const Row *row = &rows[i];
		g_autofree char *single = run_split(row->script, row->limit, row->input, 1, 1);

		g_assert_cmpstr(single, ==, row->expected);
		for (size_t at = 1; at < row->input.length; at++) {
			g_autofree char *twice =
				run_split(row->script, row->limit, row->input, at, 0);
			g_autofree char *steps =
				run_split(row->script, row->limit, row->input, at, 2);

			g_assert_cmpstr(twice, ==, row->expected);
			g_assert_cmpstr(steps, ==, row->expected);
		}
	}
}

/* What the flaws are, told octet by octet. */
static uint32_t
tell_flaws(PhSlice text)
{
	uint32_t flaws = 0;
	size_t line = 0;

	for (size_t i = 0; i < text.length; i++) {
		char c = text.data[i];
		bool cr_before = i > 0 && text.data[i - 1] == '\r';
		bool lf_behind = i + 1 < text.length && text.data[i + 1] == '\n';

		if (c == '\n' && !cr_before)
			flaws |= PH_FLAW_BARE_LF;
		if (c == '\r' && !lf_behind)
			flaws |= PH_FLAW_BARE_CR;
		if (c == 0)
			flaws |= PH_FLAW_NUL;
		if (c & 0x80)
			flaws |= PH_FLAW_8BIT;
		line = c == '\n' ? 0 : line + !(c == '\r' && lf_behind);
		if (line > 998)
			flaws |= PH_FLAW_LONG_LINE;
	}
	return flaws;
}

static void
test_scan_agrees(void)
{
	static const char letters[] = "abcdefgh\r\n\r\n";

	for (int round = 0; round < 3000; round++) {
		char text[2600];
		size_t n = (size_t) g_test_rand_int_range(0, sizeof text);
		uint32_t state = 0;
		size_t at = 0;
		int kind = g_test_rand_int_range(0, 3);

		for (size_t i = 0; i < n; i++) {
			text[i] = 'x';
			if (kind == 0)
				text[i] = letters[g_test_rand_int_range(0, 12)];
			if (g_test_rand_int_range(0, 3000) == 0)
				text[i] = (char) g_test_rand_int_range(0, 256);
		}
		if (kind == 1)
			for (size_t i = 0; i + 1 < n; i += 200)
				memcpy(text + i, "\r\n", 2);
		do {
			size_t piece = (size_t) g_test_rand_int_range(0, 300);

			piece = MIN(piece, n - at);
			if (g_test_rand_int_range(0, 10) == 0)
				piece = n - at;
			state = ph_session_scan_flaws(state, PH_SLICE(text + at, piece),
			                              at + piece == n);
			at += piece;
		} while (at < n);
		g_assert_cmphex(state & 0xff, ==, tell_flaws(PH_SLICE(text, n)));
	}
}

static void
test_endless_line(void)
{
	g_autofree char *block = g_malloc(65536);
	PhFraming framing;
	bool flood = false;
	size_t fed = 0;
	unsigned lines = 0;

	memset(block, 'x', 65536);
	ph_framing_init(&framing, 100);
	while (!flood && fed < 64U << 20) {
		PhSlice rest = PH_SLICE(block, 65536);

		for (;;) {
			PhFrame frame;
			size_t used = 0;

			ph_framing_next(&framing, rest, &frame, &used);
			rest = ph_slice_from(rest, used);
			flood = frame.kind == PH_FRAME_FLOOD;
			lines += frame.kind == PH_FRAME_LINE;
			if (frame.kind != PH_FRAME_LINE)
				break;
		}
		g_assert_cmpuint(rest.length, ==, 0);
		fed += 65536;
	}
	g_assert_true(flood);
	g_assert_cmpuint(lines, ==, 1);
	g_assert_cmpuint(fed, <=, PH_FRAMING_MAX_SKIP + 131072);
}

static void
test_large_body_is_not_whole(void)
{
	PhFraming framing;
	PhFrame frame;
	size_t used = 0;

	ph_framing_init(&framing, 100);
	ph_framing_begin_octets(&framing, UINT64_MAX, true);
	ph_framing_next(&framing, PH_SLICE_LITERAL("abc"), &frame, &used);
	g_assert_cmpint(frame.kind, ==, PH_FRAME_PIECE);
	g_assert_false(frame.final);
	g_assert_cmpuint(used, ==, 3);
	g_assert_cmpuint(framing.remaining, ==, UINT64_MAX - 3);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/net/framing/each-form-is-cut-as-promised", test_rows);
	g_test_add_func("/net/framing/every-split-gives-the-same-calls", test_every_split);
	g_test_add_func("/net/framing/flaws-agree-with-octet-by-octet", test_scan_agrees);
	g_test_add_func("/net/framing/an-endless-line-is-given-up", test_endless_line);
	g_test_add_func("/net/framing/a-large-count-comes-in-pieces", test_large_body_is_not_whole);
	return g_test_run();
}
