/* base64.c: strict base64 for the AUTH exchange
 *
 * GLib's decoder skips what it does not know; RFC 4954 section 4 wants 501 for it. Pure.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "base64.h"

static int
value_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+')
		return 62;
	return c == '/' ? 63 : -1;
}

/* Decodes the last group, of 2 or 3 digits. */
static ssize_t
decode_short(const char *group, size_t n_digits, char *out)
{
	int a = value_of(group[0]);
	int b = value_of(group[1]);
	int c = n_digits == 3 ? value_of(group[2]) : 0;

	if (a < 0 || b < 0 || c < 0)
		return -1;
	if ((n_digits == 2 && (b & 15) != 0) || (n_digits == 3 && (c & 3) != 0))
		return -1;
	out[0] = (char) (a << 2 | b >> 4);
	if (n_digits == 3)
		out[1] = (char) (b << 4 | c >> 2);
	return (ssize_t) n_digits - 1;
}

ssize_t
base64_decode(PhSlice text, char *out)
{
	size_t n_digits = text.length;
	size_t i = 0;
	ssize_t length = 0;

	if (text.length % 4 != 0)
		return -1;
	while (n_digits > 0 && text.length - n_digits < 2 && text.data[n_digits - 1] == '=')
		n_digits--;
	for (; i + 4 <= n_digits; i += 4) {
		int a = value_of(text.data[i]);
		int b = value_of(text.data[i + 1]);
		int c = value_of(text.data[i + 2]);
		int d = value_of(text.data[i + 3]);

		if (a < 0 || b < 0 || c < 0 || d < 0)
			return -1;
		out[length++] = (char) (a << 2 | b >> 4);
		out[length++] = (char) (b << 4 | c >> 2);
		out[length++] = (char) (c << 6 | d);
	}
	if (i < n_digits) {
		ssize_t more = decode_short(text.data + i, n_digits - i, out + length);

		return more < 0 ? -1 : length + more;
	}
	return length;
}
