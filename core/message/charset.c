/* charset.c: octets in some charset to UTF-8, in pieces
 *
 * UTF-8, ASCII and no charset at all, which is nearly all mail, are handled here; the rest by
 * iconv. Output is always well formed and without NUL: what cannot be read becomes U+FFFD.
 *
 * iconv loads a library for most charsets and unloads it with the last converter that is closed, which
 * takes longer than many a text. So some that nobody uses are kept open.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "message/charset.h"

#include <posthorn/header.h>

#include "base/lock.h"
#include "message/lex.h"

#include <errno.h>
#include <string.h>

#define REPLACEMENT   "\xef\xbf\xbd"
#define OUTPUT_OCTETS 1024

/* The upper half of windows-1252 where it is not Latin 1. */
static const uint16_t windows_1252[32] = {
	0x20ac, 0xfffd, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160,
	0x2039, 0x0152, 0xfffd, 0x017d, 0xfffd, 0xfffd, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
	0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0xfffd, 0x017e, 0x0178,
};

typedef enum {
	NAME_UTF8,
	NAME_GUESS,
	NAME_ICONV,
	NAME_UNKNOWN,
} NameKind;

/* Names that mean something else in mail than in the C library. */
static NameKind
resolve_name(PhSlice name, char *iconv_name)
{
	static const struct {
		const char *name;
		NameKind kind;
		const char *iconv_name;
	} rows[] = {
		{ "utf-8", NAME_UTF8, NULL },
		{ "utf8", NAME_UTF8, NULL },
		{ "us-ascii", NAME_GUESS, NULL },
		{ "ascii", NAME_GUESS, NULL },
		{ "iso-8859-1", NAME_ICONV, "CP1252" },
		{ "gb2312", NAME_ICONV, "GB18030" },
		{ "ks_c_5601-1987", NAME_ICONV, "UHC" },
		{ "shift_jis", NAME_ICONV, "CP932" },
		{ "x-sjis", NAME_ICONV, "CP932" },
		{ "iso-8859-8-i", NAME_ICONV, "ISO-8859-8" },
		{ "unicode-1-1-utf-7", NAME_ICONV, "UTF-7" },
		{ "unicode-1-1-utf-8", NAME_UTF8, NULL },
	};

	if (name.length == 0)
		return NAME_GUESS;
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		if (ph_slice_is_nocase(name, rows[i].name)) {
			if (rows[i].iconv_name != NULL)
				g_strlcpy(iconv_name, rows[i].iconv_name, PH_CHARSET_NAME_MAX + 1);
			return rows[i].kind;
		}
	}
	if (name.length > PH_CHARSET_NAME_MAX || ph_lex_run(name, PH_LEX_TOKEN) != name.length)
		return NAME_UNKNOWN;
	memcpy(iconv_name, name.data, name.length);
	iconv_name[name.length] = '\0';
	return NAME_ICONV;
}

/* --- converters that are kept ------------------------------------------------------------------- */

enum {
	KEPT = 16,
};

static struct {
	PhLock lock; /* guards all */

	struct {
		GIConv handle;
		char name[PH_CHARSET_NAME_MAX + 1];
	} idle[KEPT]; /* the one that was put there last is first */

	size_t n;
} kept = { .lock = PH_LOCK_INIT };

static bool
take_kept(PhCharset *charset)
{
	PH_LOCKED(&kept.lock);
	for (size_t i = 0; i < kept.n; i++) {
		if (g_ascii_strcasecmp(kept.idle[i].name, charset->name) != 0)
			continue;
		charset->handle = kept.idle[i].handle;
		kept.n--;
		memmove(&kept.idle[i], &kept.idle[i + 1], (kept.n - i) * sizeof kept.idle[0]);
		return true;
	}
	return false;
}

/* Those that learn from a mark at the beginning which octet comes first do not forget it. */
static bool
may_be_kept(const char *name)
{
	return g_ascii_strncasecmp(name, "UTF", 3) != 0 && g_ascii_strncasecmp(name, "UCS", 3) != 0
	       && g_ascii_strncasecmp(name, "UNICODE", 7) != 0
	       && g_ascii_strncasecmp(name, "ISO-10646", 9) != 0
	       && g_ascii_strncasecmp(name, "CSUNICODE", 9) != 0;
}

/* Keeps it, and closes the one that was not used the longest where there are too many. */
static void
keep(const PhCharset *charset)
{
	GIConv old = charset->handle;
	bool is_full = false;

	/* a new beginning: nothing of this text is left for the next one */
	(void) g_iconv(charset->handle, NULL, NULL, NULL, NULL);
	ph_lock_take(&kept.lock);
	is_full = kept.n == KEPT;
	if (is_full)
		old = kept.idle[--kept.n].handle;
	memmove(&kept.idle[1], &kept.idle[0], kept.n * sizeof kept.idle[0]);
	kept.idle[0].handle = charset->handle;
	memcpy(kept.idle[0].name, charset->name, sizeof kept.idle[0].name);
	kept.n++;
	ph_lock_drop(&kept.lock);
	if (is_full)
		(void) g_iconv_close(old);
}

bool
ph_charset_open(PhCharset *charset, PhSlice name)
{
	NameKind kind = NAME_UNKNOWN;

	charset->name[0] = '\0';
	kind = resolve_name(name, charset->name);
	charset->has_handle = false;
	charset->n_held = 0;
	if (kind == NAME_ICONV) {
		charset->has_handle = take_kept(charset);
		if (!charset->has_handle)
			charset->handle = g_iconv_open("UTF-8", charset->name);
		charset->has_handle = charset->has_handle || (intptr_t) charset->handle != -1;
	}
	charset->guess = kind != NAME_UTF8 && !charset->has_handle;
	return kind != NAME_UNKNOWN && (kind != NAME_ICONV || charset->has_handle);
}

void
ph_charset_close(PhCharset *charset)
{
	if (charset->has_handle && may_be_kept(charset->name))
		keep(charset);
	else if (charset->has_handle)
		(void) g_iconv_close(charset->handle);
	charset->has_handle = false;
}

static void
append_invalid(const PhCharset *charset, char octet, GString *out)
{
	unsigned char c = (unsigned char) octet;

	if (!charset->guess || c == 0)
		g_string_append_len(out, REPLACEMENT, 3);
	else
		g_string_append_unichar(out, c < 0xa0 ? windows_1252[c - 0x80] : c);
}

/* Octets of the sequence that @c begins, 1 for what begins none. */
static size_t
sequence_length(char c)
{
	unsigned char u = (unsigned char) c;

	if (u >= 0xf0 && u <= 0xf4)
		return 4;
	if (u >= 0xe0)
		return u < 0xf0 ? 3 : 1;
	return u >= 0xc2 ? 2 : 1;
}

/* Could @text become a well-formed sequence with more octets? */
static bool
is_begun(PhSlice text, size_t wanted)
{
	unsigned char first = (unsigned char) text.data[0];
	unsigned char second = text.length > 1 ? (unsigned char) text.data[1] : 0;

	if (text.length >= wanted)
		return false;
	for (size_t i = 1; i < text.length; i++)
		if (((unsigned char) text.data[i] & 0xc0) != 0x80)
			return false;
	if (text.length > 1
	    && ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f)
	        || (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f)))
		return false;
	return true;
}

/* UTF-8 and guesses. Returns how many octets at the end are an unfinished character. */
static size_t
feed_utf8(const PhCharset *charset, PhSlice text, GString *out)
{
	while (text.length > 0) {
		size_t n = 0;
		PhSlice sequence = { NULL, 0 };

		while (n < text.length && !ph_lex_is_8bit(text.data[n]) && text.data[n] != '\0')
			n++;
		ph_lex_append(out, PH_SLICE(text.data, n));
		ph_lex_skip(&text, n);
		if (text.length == 0)
			break;
		n = sequence_length(text.data[0]);
		sequence = PH_SLICE(text.data, MIN(n, text.length));
		if (n > 1 && is_begun(sequence, n))
			return sequence.length;
		if (n == 1 || !ph_slice_is_utf8(sequence)) {
			append_invalid(charset, text.data[0], out);
			n = 1;
		} else {
			ph_lex_append(out, sequence);
		}
		ph_lex_skip(&text, n);
	}
	return 0;
}

/* What iconv made: it passes on some sequences that are no well-formed UTF-8, and NUL. */
static void
append_checked(GString *out, const char *text, size_t length)
{
	static const PhCharset utf8 = { .guess = false };
	size_t left = feed_utf8(&utf8, PH_SLICE(text, length), out);

	for (; left > 0; left--)
		append_invalid(&utf8, text[length - left], out);
}

static size_t
feed_iconv(const PhCharset *charset, PhSlice text, GString *out)
{
	char buffer[OUTPUT_OCTETS];
	char *in = NULL;
	gsize in_left = text.length;

	memcpy(&in, &text.data, sizeof in); /* iconv does not say that it only reads */
	while (in_left > 0) {
		char *to = buffer;
		gsize to_left = sizeof buffer;
		gsize done = g_iconv(charset->handle, &in, &in_left, &to, &to_left);
		int reason = errno;

		append_checked(out, buffer, sizeof buffer - to_left);
		if (done != (gsize) -1)
			break;
		if (reason == EINVAL && in_left < PH_CHARSET_HELD_MAX)
			return in_left;
		if (reason != E2BIG) {
			g_string_append_len(out, REPLACEMENT, 3);
			in++;
			in_left--;
		}
	}
	return 0;
}

static size_t
feed_some(const PhCharset *charset, PhSlice text, GString *out)
{
	if (charset->has_handle)
		return feed_iconv(charset, text, out);
	return feed_utf8(charset, text, out);
}

/* A character was cut by the last piece: completes it from this one. */
static void
complete_held(PhCharset *charset, PhSlice *octets, GString *out)
{
	size_t before = charset->n_held;
	size_t n = MIN(sizeof charset->held - before, octets->length);
	size_t left = 0;

	memcpy(charset->held + before, octets->data, n);
	left = feed_some(charset, PH_SLICE(charset->held, before + n), out);
	ph_lex_skip(octets, n);
	memmove(charset->held, charset->held + before + n - left, left);
	charset->n_held = left;
	if (left == sizeof charset->held)
		ph_charset_flush(charset, out);
}

void
ph_charset_feed(PhCharset *charset, PhSlice octets, GString *out)
{
	size_t left = 0;

	while (charset->n_held > 0 && octets.length > 0)
		complete_held(charset, &octets, out);
	if (octets.length == 0)
		return;
	left = feed_some(charset, octets, out);
	if (left > 0)
		memcpy(charset->held, octets.data + octets.length - left, left);
	charset->n_held = left;
}

void
ph_charset_flush(PhCharset *charset, GString *out)
{
	for (size_t i = 0; i < charset->n_held; i++)
		append_invalid(charset, charset->held[i], out);
	charset->n_held = 0;
	if (charset->has_handle) {
		char buffer[64];
		char *to = buffer;
		gsize to_left = sizeof buffer;

		(void) g_iconv(charset->handle, NULL, NULL, &to, &to_left);
		append_checked(out, buffer, sizeof buffer - to_left);
	}
}

bool
ph_charset_append(PhSlice name, PhSlice octets, GString *out)
{
	PhCharset charset = { .has_handle = false };
	bool known = ph_charset_open(&charset, name);

	ph_charset_feed(&charset, octets, out);
	ph_charset_flush(&charset, out);
	ph_charset_close(&charset);
	return known;
}

bool
ph_charset_known(PhSlice name)
{
	PhCharset charset = { .has_handle = false };
	bool known = ph_charset_open(&charset, name);

	ph_charset_close(&charset);
	return known;
}
