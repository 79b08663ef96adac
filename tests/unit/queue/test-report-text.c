/* test-report-text.c: hostile texts made fit for a report
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/header.h>
#include <posthorn/slice.h>

#include "queue/report-text.h"

#include <string.h>

static void
assert_clean(const char *text, bool ascii, const char *expected)
{
	g_autoptr(GString) out = g_string_new(NULL);

	ph_report_clean(text, 20, ascii, out);
	g_assert_cmpstr(out->str, ==, expected);
}

static void
test_clean(void)
{
	assert_clean(" a\r\n\r\n b\tc ", false, "a b c");
	assert_clean("\x1b[31mred\x7f", false, "?[31mred?");
	assert_clean("gr\xc3\xbc\xc3\x9f", false, "gr\xc3\xbc\xc3\x9f");
	assert_clean("gr\xc3\xbc\xc3\x9f", true, "gr??");
	assert_clean("bad \xc3(\xff", false, "bad ?(?");
	assert_clean("\xe2\x80\xae"
	             "evil\xc2\x85",
	             false, "?evil?");
	assert_clean("01234567890123456789ab", false, "01234567890123456789");
	assert_clean("0123456789012345678\xc3\xbc", false, "0123456789012345678");
	assert_clean("", false, "");
}

static void
test_field(void)
{
	g_autoptr(GString) out = g_string_new(NULL);
	g_autofree char *word = g_strnfill(60, 'x');
	g_autofree char *value = g_strdup_printf("smtp; %s %s end", word, word);
	g_auto(GStrv) lines = NULL;

	ph_report_field("Diagnostic-Code", value, out);
	lines = g_strsplit(out->str, "\r\n", -1);
	g_assert_cmpstr(lines[0], ==, "Diagnostic-Code: smtp;");
	g_assert_true(g_str_has_prefix(lines[1], " x"));
	g_assert_true(g_str_has_suffix(lines[2], "x end"));
	g_assert_cmpstr(lines[3], ==, "");
	g_assert_null(lines[4]);
}

static void
test_long_word(void)
{
	g_autoptr(GString) out = g_string_new(NULL);
	g_autoptr(GString) word = g_string_new(NULL);
	PhReportShape shape;

	for (size_t i = 0; i < 1000; i++)
		g_string_append(word, "\xc3\xbc");
	ph_report_field("Original-Recipient", word->str, out);
	ph_report_paragraph(word->str, 4, out);
	shape = ph_report_shape(PH_SLICE(out->str, out->len));
	g_assert_false(shape.is_unfit);
	g_assert_true(g_utf8_validate(out->str, -1, NULL));
}

/* What the decoder of mail reads is what was put in, and the lines are short and plain. */
static void
assert_quoted(PhSlice octets)
{
	g_autoptr(GString) quoted = g_string_new(NULL);
	g_autoptr(GString) back = g_string_new(NULL);
	g_autoptr(PhDecoder) decoder = ph_decoder_new(PH_ENCODING_QUOTED_PRINTABLE, NULL);
	g_auto(GStrv) lines = NULL;

	ph_report_quote(octets, quoted);
	g_assert_true(ph_slice_is_ascii(PH_SLICE(quoted->str, quoted->len)));
	lines = g_strsplit(quoted->str, "\r\n", -1);
	for (char **line = lines; *line != NULL; line++) {
		g_assert_cmpuint(strlen(*line), <=, 76);
		g_assert_null(strpbrk(*line, "\r\n"));
	}
	ph_decoder_feed(decoder, PH_SLICE(quoted->str, quoted->len), back);
	ph_decoder_finish(decoder, back);
	g_assert_cmpmem(back->str, back->len, octets.data, octets.length);
}

static void
test_quote(void)
{
	g_autofree char *zeros = g_strnfill(300, '0');

	assert_quoted(PH_SLICE_LITERAL("plain\r\n"));
	assert_quoted(PH_SLICE_LITERAL("ends in blank \r\n\ttab\t\r\n last "));
	assert_quoted(PH_SLICE_LITERAL("a=b \x80\xff\x00 bare\r cr \n lf\r\n"));
	assert_quoted(PH_SLICE(zeros, 300));
	memset(zeros, '\xe4', 300);
	assert_quoted(PH_SLICE(zeros, 300));
}

static void
test_addresses(void)
{
	g_autoptr(GString) out = g_string_new(NULL);

	ph_report_append_address("two words@example.org", out);
	g_assert_cmpstr(out->str, ==, "\"two words\"@example.org");
	g_string_truncate(out, 0);
	ph_report_append_unicode("j\xc3\xb6 e+x@b\xc3\xbc"
	                         "cher.example",
	                         out);
	g_assert_cmpstr(out->str, ==, "j\\x{F6}\\x{20}e\\x{2B}x@b\\x{FC}cher.example");
}

static void
test_shape(void)
{
	g_autofree char *line = g_strnfill(999, 'a');
	PhReportShape shape = ph_report_shape(PH_SLICE_LITERAL("a\r\nb\r\n"));

	g_assert_false(shape.has_8bit || shape.is_unfit);
	g_assert_true(ph_report_shape(PH_SLICE_LITERAL("a\nb")).is_unfit);
	g_assert_true(ph_report_shape(PH_SLICE_LITERAL("a\rb")).is_unfit);
	g_assert_true(ph_report_shape(PH_SLICE("a\0b", 3)).is_unfit);
	g_assert_true(ph_report_shape(PH_SLICE(line, 999)).is_unfit);
	g_assert_false(ph_report_shape(PH_SLICE(line, 998)).is_unfit);
	shape = ph_report_shape(PH_SLICE_LITERAL("\xc3\xbc"));
	g_assert_true(shape.has_8bit && shape.is_utf8 && !shape.is_unfit);
	shape = ph_report_shape(PH_SLICE_LITERAL("\xfc"));
	g_assert_true(shape.has_8bit && !shape.is_utf8);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/queue/report-text/leaves-no-control-octet", test_clean);
	g_test_add_func("/queue/report-text/folds-fields-at-blanks", test_field);
	g_test_add_func("/queue/report-text/breaks-words-that-no-line-holds", test_long_word);
	g_test_add_func("/queue/report-text/quotes-so-that-it-can-be-read-back", test_quote);
	g_test_add_func("/queue/report-text/writes-addresses-for-both-forms", test_addresses);
	g_test_add_func("/queue/report-text/sees-what-octets-need", test_shape);
	return g_test_run();
}
