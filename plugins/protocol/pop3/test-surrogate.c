/* test-surrogate.c: headers in ASCII that say the same
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/header.h>
#include <posthorn/slice.h>

#include "surrogate.h"

#include <string.h>

static char *
header_of(const char *block)
{
	GString *out = g_string_new(NULL);

	g_assert_true(surrogate_header(ph_slice(block), SURROGATE_MADE_MAX, out));
	g_assert_true(ph_slice_is_ascii(PH_SLICE(out->str, out->len)));
	return g_string_free(out, FALSE);
}

static void
assert_header(const char *block, const char *expected)
{
	g_autofree char *got = header_of(block);

	g_assert_cmpstr(got, ==, expected);
}

/* @value, written in ASCII, means @expected when it is read. */
static void
assert_means(const char *name, const char *value, const char *expected)
{
	g_autofree char *block = g_strdup_printf("%s: %s\r\n\r\n", name, value);
	g_autofree char *made = header_of(block);
	g_autoptr(GString) read = g_string_new(NULL);
	PhHeaderField field;
	g_auto(GStrv) lines = g_strsplit(made, "\r\n", -1);

	for (char **line = lines; *line != NULL; line++)
		g_assert_cmpuint(strlen(*line), <=, 78);
	g_assert_true(ph_header_find(ph_slice(made), name, &field));
	ph_header_decode(field.value, read);
	g_assert_cmpstr(read->str, ==, expected);
}

static void
test_ascii(void)
{
	static const char block[] = "Subject: plain\r\nFrom:  a@b,\r\n\tc@d\r\nodd line\r\n\r\n";

	assert_header(block, block);
	assert_header("", "");
	assert_header("A: b", "A: b");
}

static void
test_texts(void)
{
	assert_header("A: b\r\nSubject: Gr\xc3\xbc\xc3\x9f\x65\r\n\r\n",
	              "A: b\r\nSubject: =?UTF-8?B?R3LDvMOfZQ==?=\r\n\r\n");
	/* No UTF-8: windows-1252. */
	assert_header("Subject: Gr\xfc\xdf\x65\r\n\r\n",
	              "Subject: =?UTF-8?B?R3LDvMOfZQ==?=\r\n\r\n");
	assert_means("Subject", "\xc3\xa4 =?iso-8859-1?Q?=F6?= \xc3\xbc",
	             "\xc3\xa4 \xc3\xb6 \xc3\xbc");
	assert_means("X-Note",
	             "\xc3\xa4"
	             "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	             "\xc3\xbc",
	             "\xc3\xa4"
	             "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	             "\xc3\xbc");
}

static void
test_addresses(void)
{
	assert_means("From", "J\xc3\xb6rg <joerg@example.org>", "J\xc3\xb6rg <joerg@example.org>");
	assert_means("From", "\"J\xc3\xb6rg, \\\"x\\\"\" <joerg@example.org>",
	             "J\xc3\xb6rg, \"x\" <joerg@example.org>");
	assert_means("To", "a@b.example, J\xc3\xb6rg <j@example.org>, \"c, d\" <e@f.example>",
	             "a@b.example, J\xc3\xb6rg <j@example.org>, \"c, d\" <e@f.example>");
	assert_means("Cc", "j\xc3\xb6rg@example.org",
	             "j\xc3\xb6rg@example.org <invalid@internationalized-address.invalid>");
	assert_means("To", "J <j\xc3\xb6rg@example.org>, k@example.org",
	             "J <j\xc3\xb6rg@example.org> <invalid@internationalized-address.invalid>, "
	             "k@example.org");
	assert_header("Return-Path: <j\xc3\xb6rg@example.org>\r\n\r\n",
	              "Return-Path: <invalid@internationalized-address.invalid>\r\n\r\n");
	assert_means("Reply-To", "j@example.org (J\xc3\xb6rg)", "J\xc3\xb6rg <j@example.org>");
	assert_means("To", "Fr\xc3\xbchst\xc3\xbc\x63k: a@b.example, J\xc3\xb6 <j@example.org>;",
	             "Fr\xc3\xbchst\xc3\xbc\x63k: a@b.example, J\xc3\xb6 <j@example.org>;");
}

static void
test_parameters(void)
{
	assert_header(
		"Content-Disposition: attachment; filename=\"\xc3\xbc \x62.pdf\"\r\n\r\n",
		"Content-Disposition: attachment;\r\n filename*=UTF-8''%C3%BC%20b.pdf\r\n\r\n");
	assert_header(
		"Content-Type: text/plain; charset=utf-8; name=\"\xc3\xbc\"; x=\"a b\"\r\n\r\n",
		"Content-Type: text/plain;\r\n charset=utf-8;\r\n name*=UTF-8''%C3%BC;\r\n"
		" x=\"a b\"\r\n\r\n");
}

static void
test_left_out(void)
{
	assert_header(
		"Received: from \xc3\xbc by b; c\r\n d\r\nMessage-ID: <\xc3\xbc@b>\r\nA: b\r\n"
		"X-\xc3\xbc: c\r\n\xc3\xbc\r\n\r\n",
		"A: b\r\n\r\n");
}

static const char whole[] = "Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
			    "--b\r\nContent-Disposition: attachment; filename=\xc3\xbc\r\n\r\n"
			    "b\xc3\xb6\x64y\r\n--b--\r\n";

static void
test_parts(void)
{
	g_autoptr(PhContent) content = ph_content_new_copy(ph_slice(whole));
	g_autoptr(PhContent) made = surrogate_new(content, NULL);
	char octets[512] = { 0 };

	g_assert_nonnull(made);
	g_assert_cmpint(ph_content_read(made, 0, octets, sizeof octets, NULL), ==,
	                (ssize_t) ph_content_length(made));
	g_assert_cmpstr(
		octets, ==,
		"Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
		"--b\r\nContent-Disposition: attachment;\r\n filename*=UTF-8''%C3%BC\r\n\r\n"
		"b\xc3\xb6\x64y\r\n--b--\r\n");
}

static void
test_unchanged(void)
{
	g_autoptr(PhContent) narrow = ph_content_new_copy(PH_SLICE_LITERAL("A: b\r\n\r\nc"));
	g_autoptr(PhContent) wide = ph_content_new_copy(PH_SLICE_LITERAL("A: b\r\n\r\n\xc3\xbc"));
	g_autoptr(PhContent) first = surrogate_new(narrow, NULL);
	g_autoptr(PhContent) second = surrogate_new(wide, NULL);

	g_assert_true(first == narrow);
	g_assert_true(second == wide);
}

static void
append_many(GString *out, const char *text, size_t octets)
{
	for (size_t end = out->len + octets; out->len + strlen(text) <= end;)
		g_string_append(out, text);
}

/* Parts whose headers, of nearly 1 MiB each, would become 25 times as long. */
static void
test_bounds(void)
{
	g_autoptr(GString) text = g_string_new("Content-Type: multipart/mixed; boundary=b\r\n"
	                                       "Subject: \xc3\xbc\r\n\r\n");
	g_autoptr(PhContent) content = NULL;
	g_autoptr(PhContent) made = NULL;
	char start[64] = { 0 };

	for (int i = 0; i < 8; i++) {
		g_string_append(text, "--b\r\nTo: ");
		append_many(text, "\xc3\xa9,\r\n ", SURROGATE_READ_MAX - 4096);
		g_string_append(text, "\xc3\xa9\r\n\r\nbody\r\n");
	}
	g_string_append(text, "--b--\r\n");
	content = ph_content_new_copy(PH_SLICE(text->str, text->len));
	made = surrogate_new(content, NULL);
	g_assert_nonnull(made);
	g_assert_cmpuint(ph_content_length(made), <, text->len + SURROGATE_MADE_MAX);
	/* What fits was made. */
	g_assert_cmpint(ph_content_read(made, 43, start, 15, NULL), ==, 15);
	g_assert_cmpstr(start, ==, "Subject: =?UTF-");
}

static void
test_many_headers(void)
{
	g_autoptr(GString) text = g_string_new("Content-Type: multipart/mixed; boundary=b\r\n\r\n");
	g_autoptr(PhContent) content = NULL;
	g_autoptr(PhContent) made = NULL;
	g_autofree char *octets = NULL;
	g_auto(GStrv) words = NULL;

	for (int i = 0; i < 8; i++) {
		g_string_append(text, "--b\r\nSubject: \xc3\xbc\r\nX-Plain: ");
		append_many(text, "aaaaaaaaaaaaaaa\r\n ", SURROGATE_READ_MAX / 4);
		g_string_append(text, "\r\n\r\nbody\r\n");
	}
	g_string_append(text, "--b--\r\n");
	content = ph_content_new_copy(PH_SLICE(text->str, text->len));
	made = surrogate_new(content, NULL);
	g_assert_nonnull(made);
	octets = g_malloc0(ph_content_length(made) + 1);
	g_assert_cmpint(ph_content_read(made, 0, octets, ph_content_length(made), NULL), ==,
	                (ssize_t) ph_content_length(made));
	words = g_strsplit(octets, "Subject: =?", -1);
	g_assert_cmpuint(g_strv_length(words), ==, 4);
	g_assert_nonnull(strstr(octets, "Subject: \xc3\xbc\r\n"));
}

static void
test_long_header(void)
{
	g_autoptr(GString) text = g_string_new("Subject: x\r\nX-Plain: ");
	g_autoptr(PhContent) narrow = NULL;
	g_autoptr(PhContent) wide = NULL;
	g_autoptr(PhContent) first = NULL;
	g_autoptr(PhContent) second = NULL;

	append_many(text, "aaaaaaaaaaaaaaa\r\n ", SURROGATE_READ_MAX + 4096);
	g_string_append(text, "\r\n\r\nb\xc3\xb6\x64y\r\n");
	narrow = ph_content_new_copy(PH_SLICE(text->str, text->len));
	g_string_prepend(text, "X-Wide: \xc3\xb6\r\n");
	wide = ph_content_new_copy(PH_SLICE(text->str, text->len));
	first = surrogate_new(narrow, NULL);
	second = surrogate_new(wide, NULL);
	g_assert_true(first == narrow);
	g_assert_true(second == wide);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/pop3/surrogate/leaves-ascii-alone", test_ascii);
	g_test_add_func("/pop3/surrogate/texts-become-encoded-words", test_texts);
	g_test_add_func("/pop3/surrogate/addresses-lead-nowhere-or-where-they-did", test_addresses);
	g_test_add_func("/pop3/surrogate/parameters-are-percent-encoded", test_parameters);
	g_test_add_func("/pop3/surrogate/what-cannot-be-said-is-left-out", test_left_out);
	g_test_add_func("/pop3/surrogate/parts-have-headers-too", test_parts);
	g_test_add_func("/pop3/surrogate/most-messages-are-sent-as-they-are", test_unchanged);
	g_test_add_func("/pop3/surrogate/what-is-made-is-bounded", test_bounds);
	g_test_add_func("/pop3/surrogate/what-is-rewritten-is-bounded", test_many_headers);
	g_test_add_func("/pop3/surrogate/a-message-with-a-long-header-stays-readable",
	                test_long_header);
	return g_test_run();
}
