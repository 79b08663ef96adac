/* encode.c: quoted-printable and base64 as octets pass by
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "encode.h"

enum {
	GROUP = 3, /* octets that become four characters */
	GROUP_TEXT = 4,
	FIRST_PLAIN = 33,
	LAST_PLAIN = 126,
};

/* --- base64 ----------------------------------------------------------------------------------- */

static void
put_group(Encoder *encoder, GString *out)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *held = encoder->held;
	unsigned n = encoder->n_held;
	unsigned b = n > 1 ? held[1] : 0;
	unsigned c = n > 2 ? held[2] : 0;
	const char text[] = { digits[held[0] >> 2], digits[(held[0] & 3U) << 4 | b >> 4],
		              n > 1 ? digits[(b & 15U) << 2 | c >> 6] : '=',
		              n > 2 ? digits[c & 63U] : '=' };

	g_string_append_len(out, text, sizeof text);
	encoder->n_held = 0;
	encoder->column = (uint8_t) (encoder->column + GROUP_TEXT);
	if (encoder->column < ENCODE_LINE_MAX)
		return;
	g_string_append(out, "\r\n");
	encoder->column = 0;
}

static void
put_base64(Encoder *encoder, unsigned char c, GString *out)
{
	encoder->held[encoder->n_held++] = c;
	if (encoder->n_held == GROUP)
		put_group(encoder, out);
}

/* --- quoted-printable ------------------------------------------------------------------------- */

static void
make_room(Encoder *encoder, unsigned n, GString *out)
{
	if (encoder->column + n < ENCODE_LINE_MAX) {
		encoder->column = (uint8_t) (encoder->column + n);
		return;
	}
	g_string_append(out, "=\r\n");
	encoder->column = (uint8_t) n;
}

static void
put_escaped(Encoder *encoder, unsigned char c, GString *out)
{
	make_room(encoder, 3, out);
	g_string_append_printf(out, "=%02X", c);
}

static void
put_plain(Encoder *encoder, unsigned char c, GString *out)
{
	make_room(encoder, 1, out);
	g_string_append_c(out, (char) c);
}

static void
end_line(Encoder *encoder, GString *out)
{
	g_string_append(out, "\r\n");
	encoder->column = 0;
}

/* A blank at the end of a line must not stand as it is; a CR may begin a line end. */
static bool
settle_held(Encoder *encoder, unsigned char next, GString *out)
{
	unsigned char held = encoder->held[0];

	if (encoder->n_held == 0)
		return false;
	encoder->n_held = 0;
	if (held == '\r' && next == '\n') {
		end_line(encoder, out);
		return true;
	}
	if (held == '\r' || next == '\r' || next == '\n')
		put_escaped(encoder, held, out);
	else
		put_plain(encoder, held, out);
	return false;
}

static void
put_quoted(Encoder *encoder, unsigned char c, GString *out)
{
	if (settle_held(encoder, c, out))
		return;
	if (c == '\r' || c == ' ' || c == '\t') {
		encoder->held[0] = c;
		encoder->n_held = 1;
	} else if (c == '\n') {
		end_line(encoder, out);
	} else if (c == '=' || c < FIRST_PLAIN || c > LAST_PLAIN) {
		put_escaped(encoder, c, out);
	} else {
		put_plain(encoder, c, out);
	}
}

void
encode_feed(Encoder *encoder, PhSlice piece, GString *out)
{
	for (size_t i = 0; i < piece.length; i++)
		if (encoder->is_base64)
			put_base64(encoder, (unsigned char) piece.data[i], out);
		else
			put_quoted(encoder, (unsigned char) piece.data[i], out);
}

void
encode_finish(Encoder *encoder, GString *out)
{
	if (!encoder->is_base64) {
		(void) settle_held(encoder, '\r', out);
		return;
	}
	if (encoder->n_held > 0)
		put_group(encoder, out);
	if (encoder->column > 0)
		end_line(encoder, out);
}
