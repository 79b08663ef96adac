/* xtext.c: the encoding of ESMTP parameter values
 *
 *	xtext   = *( xchar / hexchar )
 *	xchar   = %d33-126 except "+" and "="
 *	hexchar = "+" 2 upper-case hex digits                   (RFC 3461 section 4)
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/address.h>

#include "message/lex.h"

static bool
is_xchar(char c)
{
	return c >= '!' && c <= '~' && c != '+' && c != '=';
}

void
ph_xtext_encode(PhSlice octets, GString *out)
{
	static const char digits[] = "0123456789ABCDEF";

	for (size_t i = 0; i < octets.length; i++) {
		unsigned char c = (unsigned char) octets.data[i];

		if (is_xchar(octets.data[i])) {
			g_string_append_c(out, octets.data[i]);
			continue;
		}
		g_string_append_c(out, '+');
		g_string_append_c(out, digits[c >> 4]);
		g_string_append_c(out, digits[c & 15]);
	}
}

static int
upper_hex(char c)
{
	return c >= 'a' && c <= 'f' ? -1 : ph_lex_hex(c);
}

bool
ph_xtext_decode(PhSlice text, GString *out)
{
	gsize before = out->len;

	for (size_t i = 0; i < text.length; i++) {
		int high = -1;
		int low = -1;

		if (is_xchar(text.data[i])) {
			g_string_append_c(out, text.data[i]);
			continue;
		}
		if (text.data[i] == '+' && text.length - i > 2) {
			high = upper_hex(text.data[i + 1]);
			low = upper_hex(text.data[i + 2]);
		}
		if (high < 0 || low < 0) {
			g_string_truncate(out, before);
			return false;
		}
		g_string_append_c(out, (char) (high * 16 + low));
		i += 2;
	}
	return true;
}
