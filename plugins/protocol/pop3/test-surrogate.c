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

	surrogate_header(ph_slice(block), out);
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
	return g_test_run();
}
