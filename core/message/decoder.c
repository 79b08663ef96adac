/* decoder.c: undoes a transfer encoding and a charset in one go, in pieces
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "message/charset.h"
#include "message/lex.h"
#include "message/transfer.h"

#define PIECE_OCTETS 4096 /* of encoded input at a time: what bounds the scratch string */

struct PhDecoder {
	PhTransfer transfer;
	PhCharset charset;
	bool has_charset;
	GString *scratch; /* transfer decoded, charset not yet */
};

PhDecoder *
ph_decoder_new(PhEncoding encoding, const PhSlice *charset)
{
	PhDecoder *decoder = g_new0(PhDecoder, 1);

	decoder->transfer.encoding = encoding;
	decoder->has_charset = charset != NULL;
	decoder->scratch = g_string_new(NULL);
	if (charset != NULL)
		(void) ph_charset_open(&decoder->charset, *charset);
	return decoder;
}

void
ph_decoder_feed(PhDecoder *decoder, PhSlice octets, GString *out)
{
	if (!decoder->has_charset) {
		ph_transfer_feed(&decoder->transfer, octets, out);
		return;
	}
	while (octets.length > 0) {
		PhSlice piece = PH_SLICE(octets.data, MIN(octets.length, PIECE_OCTETS));

		g_string_truncate(decoder->scratch, 0);
		ph_transfer_feed(&decoder->transfer, piece, decoder->scratch);
		ph_charset_feed(&decoder->charset,
		                PH_SLICE(decoder->scratch->str, decoder->scratch->len), out);
		ph_lex_skip(&octets, piece.length);
	}
}

void
ph_decoder_finish(PhDecoder *decoder, GString *out)
{
	if (!decoder->has_charset) {
		ph_transfer_finish(&decoder->transfer, out);
		return;
	}
	g_string_truncate(decoder->scratch, 0);
	ph_transfer_finish(&decoder->transfer, decoder->scratch);
	ph_charset_feed(&decoder->charset, PH_SLICE(decoder->scratch->str, decoder->scratch->len),
	                out);
	ph_charset_flush(&decoder->charset, out);
}

void
ph_decoder_free(PhDecoder *decoder)
{
	if (decoder == NULL)
		return;
	if (decoder->has_charset)
		ph_charset_close(&decoder->charset);
	g_string_free(decoder->scratch, TRUE);
	g_free(decoder);
}
