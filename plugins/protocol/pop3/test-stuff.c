/* test-stuff.c: dots are doubled and TOP cuts, whatever the pieces are
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "stuff.h"

#include <string.h>

static void
gather(PhSlice octets, void *user_data)
{
	g_string_append_len(user_data, octets.data, (gssize) octets.length);
}

/* Sends @text in pieces of @step octets; @n_lines below 0: all of it. */
static char *
send(const char *text, size_t step, int n_lines)
{
	GString *out = g_string_new(NULL);
	size_t length = strlen(text);
	Stuff stuff;

	stuff_begin(&stuff, n_lines >= 0, (uint64_t) MAX(n_lines, 0));
	for (size_t at = 0; at < length; at += step)
		if (!stuff_piece(&stuff, PH_SLICE(text + at, MIN(step, length - at)), gather, out))
			break;
	stuff_end(&stuff, gather, out);
	return g_string_free(out, FALSE);
}

static void
assert_sent(const char *text, int n_lines, const char *expected)
{
	for (size_t step = 1; step < strlen(text) + 2; step++) {
		g_autofree char *got = send(text, step, n_lines);

		g_assert_cmpstr(got, ==, expected);
	}
}

static void
test_dots(void)
{
	assert_sent("", -1, ".\r\n");
	assert_sent(".", -1, "..\r\n.\r\n");
	assert_sent("a\r\n.\r\n..\r\n.b\r\n", -1, "a\r\n..\r\n...\r\n..b\r\n.\r\n");
	assert_sent("a.b\r\n", -1, "a.b\r\n.\r\n");
	assert_sent("a", -1, "a\r\n.\r\n");
	assert_sent("a\n.\nb\r\n", -1, "a\n..\nb\r\n.\r\n");
}

static void
test_top(void)
{
	static const char text[] = "A: b\r\n c\r\n\r\n1\r\n.2\r\n\r\n3\r\n";

	assert_sent(text, 0, "A: b\r\n c\r\n\r\n.\r\n");
	assert_sent(text, 1, "A: b\r\n c\r\n\r\n1\r\n.\r\n");
	assert_sent(text, 2, "A: b\r\n c\r\n\r\n1\r\n..2\r\n.\r\n");
	assert_sent(text, 3, "A: b\r\n c\r\n\r\n1\r\n..2\r\n\r\n.\r\n");
	assert_sent(text, 100, "A: b\r\n c\r\n\r\n1\r\n..2\r\n\r\n3\r\n.\r\n");
	assert_sent("A: b\r\n", 5, "A: b\r\n.\r\n");
	assert_sent("\r\nbody\r\n", 0, "\r\n.\r\n");
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/pop3/stuff/doubles-leading-dots", test_dots);
	g_test_add_func("/pop3/stuff/cuts-after-lines-of-the-body", test_top);
	return g_test_run();
}
