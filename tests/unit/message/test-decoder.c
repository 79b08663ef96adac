/* test-decoder.c: transfer encodings and charsets, in pieces
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/header.h>
#include <posthorn/slice.h>

typedef struct {
	PhEncoding encoding;
	const char *charset; /* NULL: octets as they are */
	const char *text;
	const char *expected;
} Row;

static const Row rows[] = {
	{ PH_ENCODING_7BIT, NULL, "abc=41\r\n", "abc=41\r\n" },
	{ PH_ENCODING_BASE64, NULL, "aGVsbG8gd29ybGQ=", "hello world" },
	{ PH_ENCODING_BASE64, NULL, "aGVs\r\nbG8gd29y\r\nbGQ=\r\n", "hello world" },
	{ PH_ENCODING_BASE64, NULL, "aGVs*bG8gd29ybGQ", "hello world" },
	{ PH_ENCODING_BASE64, NULL, "aGVsbG8=aGVsbG8=", "hellohello" },
	{ PH_ENCODING_QUOTED_PRINTABLE, NULL, "a=3Db=\r\nc =\nd= \t\r\ne", "a=bc de" },
	{ PH_ENCODING_QUOTED_PRINTABLE, NULL, "a=3db", "a=b" },
	{ PH_ENCODING_QUOTED_PRINTABLE, NULL, "a=zb=4", "a=zb=4" },
	{ PH_ENCODING_QUOTED_PRINTABLE, NULL, "==41", "=A" },
	{ PH_ENCODING_QUOTED_PRINTABLE, NULL, "=4=41", "=4A" },
	{ PH_ENCODING_QUOTED_PRINTABLE, NULL, "=\rx", "=\rx" },
	{ PH_ENCODING_OTHER, NULL, "begin 644", "begin 644" },
	{ PH_ENCODING_QUOTED_PRINTABLE, "iso-8859-1", "gr=FC=DF", "gr\xc3\xbc\xc3\x9f" },
	{ PH_ENCODING_BASE64, "utf-8", "4oKs4oKs", "\xe2\x82\xac\xe2\x82\xac" },
	{ PH_ENCODING_8BIT, "utf-8", "\xe2\x82\xac\xff\xe2\x82",
	  "\xe2\x82\xac\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
	{ PH_ENCODING_8BIT, "", "\xe2\x82\xac\xe4\xe2\x82",
	  "\xe2\x82\xac\xc3\xa4\xc3\xa2\xe2\x80\x9a" },
	{ PH_ENCODING_8BIT, "us-ascii", "\x80", "\xe2\x82\xac" },
	{ PH_ENCODING_8BIT, "utf-16le",
	  "a\x01"
	  "b\x01",
	  "\xc5\xa1\xc5\xa2" },
	{ PH_ENCODING_8BIT, "shift_jis", "\x93\xfa\x96\x7b", "\xe6\x97\xa5\xe6\x9c\xac" },
	{ PH_ENCODING_7BIT, "iso-2022-jp", "\x1b$BF|K\\\x1b(B", "\xe6\x97\xa5\xe6\x9c\xac" },
	{ PH_ENCODING_7BIT, "utf-7", "+ZeVnLA-", "\xe6\x97\xa5\xe6\x9c\xac" },
	{ PH_ENCODING_8BIT, "unknown-8bit", "\xe4", "\xc3\xa4" },
};

static void
check(const Row *row, size_t step)
{
	PhSlice charset = ph_slice(row->charset);
	g_autoptr(PhDecoder) decoder =
		ph_decoder_new(row->encoding, row->charset != NULL ? &charset : NULL);
	g_autoptr(GString) out = g_string_new(NULL);
	PhSlice rest = ph_slice(row->text);

	while (rest.length > 0) {
		ph_decoder_feed(decoder, PH_SLICE(rest.data, MIN(step, rest.length)), out);
		rest = ph_slice_from(rest, step);
	}
	ph_decoder_finish(decoder, out);
	g_assert_cmpstr(out->str, ==, row->expected);
}

static void
test_rows(void)
{
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
		for (size_t step = 1; step < 20; step++)
			check(&rows[i], step);
}

/* A converter is used again: nothing of a text is left for the next one. */
static void
test_used_again(void)
{
	static const Row texts[] = {
		{ PH_ENCODING_7BIT, "iso-2022-jp", "\x1b$BF|K\\", "\xe6\x97\xa5\xe6\x9c\xac" },
		{ PH_ENCODING_7BIT, "ISO-2022-JP", "abc", "abc" },
		{ PH_ENCODING_BASE64, "utf-16", "/v8AYQ==", "a" },
		{ PH_ENCODING_BASE64, "utf-16", "//5hAA==", "a" },
		{ PH_ENCODING_BASE64, "utf-16", "/v8AYQ==", "a" },
		{ PH_ENCODING_8BIT, "koi8-r", "\xc1", "\xd0\xb0" },
		{ PH_ENCODING_8BIT, "gb18030", "\xc4", "\xef\xbf\xbd" },
		{ PH_ENCODING_8BIT, "gb18030", "\xc4\xe3", "\xe4\xbd\xa0" },
	};

	for (int round = 0; round < 3; round++)
		for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
			check(&texts[i], 100);
}

/* More charsets than are kept open, one within the other. */
static void
test_many_at_once(void)
{
	g_autoptr(GPtrArray) decoders =
		g_ptr_array_new_with_free_func((GDestroyNotify) ph_decoder_free);

	for (int round = 0; round < 2; round++) {
		for (int i = 1; i <= 40; i++) {
			g_autofree char *name = g_strdup_printf("windows-%d", 1250 + i % 9);
			PhSlice charset = ph_slice(name);

			g_ptr_array_add(decoders, ph_decoder_new(PH_ENCODING_8BIT, &charset));
		}
		for (guint i = 0; i < decoders->len; i++) {
			g_autoptr(GString) out = g_string_new(NULL);

			ph_decoder_feed(decoders->pdata[i], PH_SLICE_LITERAL("\x85"), out);
			ph_decoder_finish(decoders->pdata[i], out);
			g_assert_cmpstr(out->str, ==, "\xe2\x80\xa6");
		}
		g_ptr_array_set_size(decoders, 0);
	}
}

static void
test_names(void)
{
	g_assert_cmpint(ph_encoding_parse(ph_slice(" BASE64 ")), ==, PH_ENCODING_BASE64);
	g_assert_cmpint(ph_encoding_parse(ph_slice("(x) Quoted-Printable")), ==,
	                PH_ENCODING_QUOTED_PRINTABLE);
	g_assert_cmpint(ph_encoding_parse(ph_slice("7bit;")), ==, PH_ENCODING_7BIT);
	g_assert_cmpint(ph_encoding_parse(ph_slice("")), ==, PH_ENCODING_7BIT);
	g_assert_cmpint(ph_encoding_parse(ph_slice("x-uuencode")), ==, PH_ENCODING_OTHER);
	g_assert_true(ph_charset_known(ph_slice("UTF-8")));
	g_assert_true(ph_charset_known(ph_slice("us-ascii")));
	g_assert_true(ph_charset_known(ph_slice("ISO-8859-15")));
	g_assert_false(ph_charset_known(ph_slice("no-such-charset")));
	g_assert_false(ph_charset_known(ph_slice("UTF-8//IGNORE")));
}

static void
test_base64(void)
{
	static const char *const bad[] = { "a",        "ab",    "abc",  "ab=c", "a===", "====",
		                           "ab==cd==", "YQ=\n", "YR==", "YWF=", "YW Fh" };
	g_autoptr(GString) out = g_string_new(NULL);
	g_autoptr(GString) text = g_string_new(NULL);

	ph_base64_append(ph_slice(""), text);
	ph_base64_append(ph_slice("f"), text);
	ph_base64_append(ph_slice("fo"), text);
	ph_base64_append(ph_slice("foo"), text);
	ph_base64_append(PH_SLICE("\0\xff\xfe", 3), text);
	g_assert_cmpstr(text->str, ==, "Zg==Zm8=Zm9vAP/+");
	g_assert_true(ph_base64_decode(ph_slice(""), out));
	g_assert_true(ph_base64_decode(ph_slice("Zg=="), out));
	g_assert_true(ph_base64_decode(ph_slice("Zm8="), out));
	g_assert_true(ph_base64_decode(ph_slice("AP/+"), out));
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		g_assert_false(ph_base64_decode(ph_slice(bad[i]), out));
	g_assert_cmpmem(out->str, out->len, "ffo\0\xff\xfe", 6);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/message/decoder/gives-the-same-for-all-pieces", test_rows);
	g_test_add_func("/message/decoder/knows-names", test_names);
	g_test_add_func("/message/decoder/a-converter-forgets-its-text", test_used_again);
	g_test_add_func("/message/decoder/more-charsets-than-are-kept", test_many_at_once);
	g_test_add_func("/message/decoder/strict-base64", test_base64);
	return g_test_run();
}
