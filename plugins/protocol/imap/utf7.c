/* utf7.c: mailbox names between IMAP's modified UTF-7 and UTF-8
 *
 * Printable ASCII stands for itself, '&' is "&-", all else is UTF-16 in base64 with ',' for '/'
 * between '&' and '-'. Every name has exactly one form: what decodes but would be written in
 * another way (base64 of printable characters, two runs side by side, spare bits that are not
 * zero, lone surrogates) is refused, so that no two spellings mean one mailbox.
 * RFC 3501 section 5.1.3.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "utf7.h"

#include <posthorn/slice.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

/* Bits: a run of base64 on its way in or out. */
typedef struct {
	uint32_t bits;
	uint32_t n_bits;
	uint32_t high; /* the first half of a surrogate pair */
} Bits;

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
	return c == ',' ? 63 : -1;
}

static bool
is_direct(uint32_t c)
{
	return c >= 0x20 && c <= 0x7e;
}

static bool
take_unit(Bits *run, uint32_t unit, GString *out)
{
	if (run->high != 0) {
		if (unit < 0xdc00 || unit > 0xdfff)
			return false;
		g_string_append_unichar(out,
		                        0x10000 + ((run->high - 0xd800) << 10) + (unit - 0xdc00));
		run->high = 0;
		return true;
	}
	if (unit >= 0xd800 && unit <= 0xdbff) {
		run->high = unit;
		return true;
	}
	if (unit == 0 || is_direct(unit) || (unit >= 0xdc00 && unit <= 0xdfff))
		return false;
	g_string_append_unichar(out, unit);
	return true;
}

/* Decodes from behind '&' up to '-'. Returns: octets used with the '-', 0 when it is wrong. */
static size_t
decode_run(PhSlice text, GString *out)
{
	Bits run = { 0, 0, 0 };
	size_t i;

	for (i = 0; i < text.length && text.data[i] != '-'; i++) {
		int value = value_of(text.data[i]);

		if (value < 0)
			return 0;
		run.bits = run.bits << 6 | (uint32_t) value;
		run.n_bits += 6;
		if (run.n_bits < 16)
			continue;
		run.n_bits -= 16;
		if (!take_unit(&run, run.bits >> run.n_bits & 0xffff, out))
			return 0;
		run.bits &= (1U << run.n_bits) - 1;
	}
	if (i == text.length || run.high != 0 || run.n_bits >= 6 || run.bits != 0)
		return 0;
	return i + 1;
}

static bool
decode(PhSlice name, GString *out)
{
	bool after_run = false;

	for (size_t i = 0; i < name.length; i++) {
		size_t used;

		if (!is_direct((uint8_t) name.data[i]))
			return false;
		if (name.data[i] != '&') {
			g_string_append_c(out, name.data[i]);
			after_run = false;
			continue;
		}
		if (i + 1 < name.length && name.data[i + 1] == '-') {
			g_string_append_c(out, '&');
			after_run = false;
			i++;
			continue;
		}
		used = after_run ? 0 : decode_run(ph_slice_from(name, i + 1), out);
		if (used == 0)
			return false;
		i += used;
		after_run = true;
	}
	return true;
}

bool
imap_utf7_decode(PhSlice name, GString *out)
{
	gsize before = out->len;

	if (decode(name, out))
		return true;
	g_string_truncate(out, before);
	return false;
}

static void
put_unit(Bits *run, uint32_t unit, GString *out)
{
	run->bits = run->bits << 16 | unit;
	run->n_bits += 16;
	while (run->n_bits >= 6) {
		run->n_bits -= 6;
		g_string_append_c(out, alphabet[run->bits >> run->n_bits & 63]);
	}
	run->bits &= (1U << run->n_bits) - 1;
}

static void
encode_run(const char **at, const char *end, GString *out)
{
	Bits run = { 0, 0, 0 };

	g_string_append_c(out, '&');
	while (*at < end && !is_direct((uint8_t) * *at)) {
		uint32_t c = g_utf8_get_char(*at);

		if (c >= 0x10000) {
			put_unit(&run, 0xd800 + ((c - 0x10000) >> 10), out);
			put_unit(&run, 0xdc00 + ((c - 0x10000) & 0x3ff), out);
		} else {
			put_unit(&run, c, out);
		}
		*at += g_utf8_skip[(uint8_t) * *at];
	}
	if (run.n_bits > 0)
		g_string_append_c(out, alphabet[run.bits << (6 - run.n_bits) & 63]);
	g_string_append_c(out, '-');
}

void
imap_utf7_encode(PhSlice name, GString *out)
{
	const char *at = name.data;
	const char *end = name.data + name.length;

	while (at < end) {
		if (!is_direct((uint8_t) *at)) {
			encode_run(&at, end, out);
			continue;
		}
		g_string_append_c(out, *at);
		if (*at == '&')
			g_string_append_c(out, '-');
		at++;
	}
}
