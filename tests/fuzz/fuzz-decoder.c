/* fuzz-decoder.c: transfer encodings and charsets, whole and in pieces
 *
 * The first three octets choose the encoding, the charset and the size of the pieces.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/header.h>
#include <posthorn/slice.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
decode(PhDecoder *decoder, PhSlice text, size_t step, GString *out)
{
	for (; text.length > 0; text = ph_slice_from(text, step))
		ph_decoder_feed(decoder, PH_SLICE(text.data, MIN(step, text.length)), out);
	ph_decoder_finish(decoder, out);
	ph_decoder_free(decoder);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const charsets[] = {
		"",        "utf-8",    "us-ascii",    "iso-8859-1",
		"koi8-r",  "utf-16",   "iso-2022-jp", "gb2312",
		"big5",    "utf-7",    "euc-kr",      "shift_jis",
		"unknown", "utf-16be", "hz-gb-2312",  "iso-8859-15"
	};
	PhSlice charset = PH_SLICE_EMPTY;
	PhSlice text = PH_SLICE((const char *) data, size);
	g_autoptr(GString) whole = g_string_new(NULL);
	g_autoptr(GString) pieces = g_string_new(NULL);
	bool has_charset = false;
	PhEncoding encoding = PH_ENCODING_7BIT;

	if (size < 3)
		return 0;
	text = ph_slice_from(text, 3);
	encoding = (PhEncoding) (data[0] % (PH_ENCODING_OTHER + 1));
	has_charset = data[1] < 0x80;
	charset = ph_slice(charsets[data[1] % G_N_ELEMENTS(charsets)]);
	decode(ph_decoder_new(encoding, has_charset ? &charset : NULL), text, MAX(size, 1), whole);
	decode(ph_decoder_new(encoding, has_charset ? &charset : NULL), text, MAX(data[2], 1),
	       pieces);
	if (has_charset) {
		g_assert_true(ph_slice_is_utf8(PH_SLICE(whole->str, whole->len)));
		g_assert_true(ph_slice_is_utf8(PH_SLICE(pieces->str, pieces->len)));
	} else {
		g_assert_true(g_string_equal(whole, pieces));
	}
	g_string_truncate(whole, 0);
	g_string_truncate(pieces, 0);
	if (ph_base64_decode(text, whole)) {
		ph_base64_append(PH_SLICE(whole->str, whole->len), pieces);
		g_assert_true(ph_slice_equal(PH_SLICE(pieces->str, pieces->len), text));
	}
	return 0;
}
