/* transfer.c: base64 and quoted-printable
 *
 * Decoding of bodies is lenient (RFC 2045 sections 6.7 and 6.8 ask for that): what is outside the
 * base64 alphabet is skipped, padding ends a quantum, and an '=' that is no escape stays.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "message/transfer.h"

#include "message/lex.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* What each octet stands for, and one more; 0: not in the alphabet. */
static const uint8_t values[256] = {
	['A'] = 1,  ['B'] = 2,  ['C'] = 3,  ['D'] = 4,  ['E'] = 5,  ['F'] = 6,  ['G'] = 7,
	['H'] = 8,  ['I'] = 9,  ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14,
	['O'] = 15, ['P'] = 16, ['Q'] = 17, ['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21,
	['V'] = 22, ['W'] = 23, ['X'] = 24, ['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28,
	['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32, ['g'] = 33, ['h'] = 34, ['i'] = 35,
	['j'] = 36, ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40, ['o'] = 41, ['p'] = 42,
	['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48, ['w'] = 49,
	['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56,
	['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62, ['+'] = 63,
	['/'] = 64,
};

static int
sextet(char c)
{
	return values[(unsigned char) c] - 1;
}

PhEncoding
ph_encoding_parse(PhSlice value)
{
	static const struct {
		const char *name;
		PhEncoding encoding;
	} rows[] = {
		{ "7bit", PH_ENCODING_7BIT },
		{ "8bit", PH_ENCODING_8BIT },
		{ "binary", PH_ENCODING_BINARY },
		{ "quoted-printable", PH_ENCODING_QUOTED_PRINTABLE },
		{ "base64", PH_ENCODING_BASE64 },
	};

	ph_lex_skip_cfws(&value);
	value.length = ph_lex_run(value, PH_LEX_TOKEN);
	if (value.length == 0)
		return PH_ENCODING_7BIT;
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
		if (ph_slice_is_nocase(value, rows[i].name))
			return rows[i].encoding;
	return PH_ENCODING_OTHER;
}

/* Makes room and returns where to write; the caller sets the length. */
static char *
reserve(GString *out, size_t n)
{
	gsize length = out->len;

	g_string_set_size(out, length + n);
	return out->str + length;
}

/* Whole quanta from the start of @octets, as far as nothing but the alphabet stands there. Returns
 * octets read; @to gets three for four. */
static size_t
decode_quanta(PhSlice octets, char *to)
{
	size_t i = 0;

	for (; i + 4 <= octets.length; i += 4, to += 3) {
		const unsigned char *from = (const unsigned char *) octets.data + i;
		uint32_t a = values[from[0]];
		uint32_t b = values[from[1]];
		uint32_t c = values[from[2]];
		uint32_t d = values[from[3]];

		if (a == 0 || b == 0 || c == 0 || d == 0)
			break;
		uint32_t bits = (a - 1) << 18 | (b - 1) << 12 | (c - 1) << 6 | (d - 1);
		to[0] = (char) (bits >> 16);
		to[1] = (char) (bits >> 8);
		to[2] = (char) bits;
	}
	return i;
}

static void
feed_base64(PhTransfer *transfer, PhSlice octets, GString *out)
{
	gsize before = out->len;
	char *to = reserve(out, octets.length / 4 * 3 + 6);
	size_t n = 0;

	for (size_t i = 0; i < octets.length; i++) {
		int value = 0;

		if (transfer->n_bits == 0) {
			size_t done = decode_quanta(ph_slice_from(octets, i), to + n);

			i += done;
			n += done / 4 * 3;
			if (i == octets.length)
				break;
		}
		value = sextet(octets.data[i]);

		if (value < 0) {
			if (octets.data[i] == '=')
				transfer->n_bits = 0;
			continue;
		}
		transfer->bits = (transfer->bits << 6 | (uint32_t) value) & 0xffffff;
		transfer->n_bits += 6;
		if (transfer->n_bits >= 8) {
			transfer->n_bits -= 8;
			to[n++] = (char) (transfer->bits >> transfer->n_bits);
		}
	}
	g_string_truncate(out, before + n);
}

/* "=" and up to two octets are held: what do they mean with one more? */
static void
feed_escape(PhTransfer *transfer, char c, GString *out)
{
	char first = transfer->n_held > 1 ? transfer->held[1] : '\0';

	if (transfer->n_held == 1) {
		if (c == '\n') {
			transfer->n_held = 0;
			return;
		}
		if (c == ' ' || c == '\t')
			return;
		if (c == '\r' || ph_lex_hex(c) >= 0) {
			transfer->held[1] = c;
			transfer->n_held = 2;
			return;
		}
	} else if (first == '\r' && c == '\n') {
		transfer->n_held = 0;
		return;
	} else if (first != '\r' && ph_lex_hex(c) >= 0) {
		g_string_append_c(out, (char) (ph_lex_hex(first) * 16 + ph_lex_hex(c)));
		transfer->n_held = 0;
		return;
	}
	g_string_append_len(out, transfer->held, (gssize) transfer->n_held);
	transfer->n_held = 0;
	if (c == '=') {
		transfer->held[0] = '=';
		transfer->n_held = 1;
	} else {
		g_string_append_c(out, c);
	}
}

static void
feed_quoted(PhTransfer *transfer, PhSlice octets, GString *out)
{
	while (octets.length > 0) {
		const char *equals = NULL;
		size_t n = 0;

		if (transfer->n_held > 0) {
			feed_escape(transfer, octets.data[0], out);
			ph_lex_skip(&octets, 1);
			continue;
		}
		equals = memchr(octets.data, '=', octets.length);
		n = equals != NULL ? (size_t) (equals - octets.data) : octets.length;
		ph_lex_append(out, PH_SLICE(octets.data, n));
		ph_lex_skip(&octets, n);
		if (equals != NULL) {
			transfer->held[0] = '=';
			transfer->n_held = 1;
			ph_lex_skip(&octets, 1);
		}
	}
}

void
ph_transfer_feed(PhTransfer *transfer, PhSlice octets, GString *out)
{
	if (transfer->encoding == PH_ENCODING_BASE64)
		feed_base64(transfer, octets, out);
	else if (transfer->encoding == PH_ENCODING_QUOTED_PRINTABLE)
		feed_quoted(transfer, octets, out);
	else
		ph_lex_append(out, octets);
}

void
ph_transfer_finish(PhTransfer *transfer, GString *out)
{
	if (transfer->n_held > 1)
		g_string_append_len(out, transfer->held, (gssize) transfer->n_held);
	transfer->n_held = 0;
	transfer->n_bits = 0;
}

void
ph_q_decode(PhSlice text, GString *out)
{
	for (size_t i = 0; i < text.length; i++) {
		char c = text.data[i];

		if (c == '=' && text.length - i > 2 && ph_lex_hex(text.data[i + 1]) >= 0
		    && ph_lex_hex(text.data[i + 2]) >= 0) {
			c = (char) (ph_lex_hex(text.data[i + 1]) * 16
			            + ph_lex_hex(text.data[i + 2]));
			i += 2;
		} else if (c == '_') {
			c = ' ';
		}
		g_string_append_c(out, c);
	}
}

void
ph_base64_append(PhSlice octets, GString *out)
{
	size_t n = 0;
	gsize before = out->len;
	char *to = reserve(out, (octets.length + 2) / 3 * 4);

	for (size_t i = 0; i < octets.length; i += 3) {
		size_t left = MIN(octets.length - i, 3);
		uint32_t bits = (uint32_t) (unsigned char) octets.data[i] << 16;

		if (left > 1)
			bits |= (uint32_t) (unsigned char) octets.data[i + 1] << 8;
		if (left > 2)
			bits |= (unsigned char) octets.data[i + 2];
		to[n++] = alphabet[bits >> 18];
		to[n++] = alphabet[bits >> 12 & 63];
		to[n++] = (char) (left > 1 ? alphabet[bits >> 6 & 63] : '=');
		to[n++] = (char) (left > 2 ? alphabet[bits & 63] : '=');
	}
	g_string_truncate(out, before + n);
}

bool
ph_base64_decode(PhSlice text, GString *out)
{
	PhTransfer transfer = { .encoding = PH_ENCODING_BASE64 };
	size_t padding = 0;

	if (text.length % 4 != 0)
		return false;
	while (padding < 2 && text.length > 0 && text.data[text.length - 1] == '=') {
		text.length--;
		padding++;
	}
	for (size_t i = 0; i < text.length; i++)
		if (sextet(text.data[i]) < 0)
			return false;
	if (padding > 0) {
		/* bits that stand for nothing must be zero, so that each value has one spelling */
		if (text.length == 0
		    || (sextet(text.data[text.length - 1]) & (padding == 1 ? 3 : 15)) != 0)
			return false;
	}
	feed_base64(&transfer, text, out);
	return true;
}
