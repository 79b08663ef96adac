/* text-find.c: finds a string in text, whatever the case of its letters
 *
 * Sixteen places at a time are asked for the needle's first and last octet, with the bit that tells
 * an ASCII capital from a small letter set where the octet is a letter; only where both agree the
 * rest is compared. A needle with other letters is folded (Unicode simple folding) and looked for
 * in folded text. A needle of ASCII letters needs no folding of the text: the two characters
 * outside ASCII that fold to one of its letters (the Kelvin sign and the long s) are not matched.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "mailbox/text-find.h"

#include <posthorn/slice.h>

enum {
	LANES = 16,
	CASE_BIT = 0x20,
};

typedef unsigned char Lanes __attribute__((vector_size(LANES)));

struct PhNeedle {
	size_t length;
	bool is_ascii;
	bool has_blank;
	char octets[]; /* folded */
};

static inline unsigned char
fold_octet(char c)
{
	return (unsigned char) (c >= 'A' && c <= 'Z' ? c | CASE_BIT : c);
}

/* Appends the folded form. @bad: (nullable) stands for octets that are not UTF-8; NULL: they stay. */
static void
append_folded_with(GString *out, PhSlice text, const char *bad)
{
	const char *p = text.data;
	const char *end = text.data + text.length;

	while (p < end) {
		if ((unsigned char) *p < 0x80) {
			g_string_append_c(out, (char) fold_octet(*p));
			p++;
			continue;
		}
		gunichar c = g_utf8_get_char_validated(p, end - p);
		if (c == (gunichar) -1 || c == (gunichar) -2) {
			if (bad != NULL)
				g_string_append(out, bad);
			else
				g_string_append_c(out, *p);
			p++;
			continue;
		}
		g_string_append_unichar(out, g_unichar_tolower(g_unichar_toupper(c)));
		p += g_utf8_skip[(unsigned char) *p];
	}
}

static void
append_folded(GString *out, PhSlice text)
{
	append_folded_with(out, text, NULL);
}

void
ph_text_fold(GString *out, PhSlice text)
{
	size_t at = out->len;

	append_folded_with(out, text, "\xef\xbf\xbd");
	for (; at < out->len; at++)
		if (out->str[at] == '\0')
			out->str[at] = ' ';
}

PhNeedle *
ph_needle_new(PhSlice text)
{
	g_autoptr(GString) folded = g_string_sized_new(text.length);
	append_folded(folded, text);

	PhNeedle *needle = g_malloc(sizeof *needle + folded->len + 1);
	needle->length = folded->len;
	needle->is_ascii = ph_slice_is_ascii(text);
	needle->has_blank = strpbrk(folded->str, " \t\r\n") != NULL;
	memcpy(needle->octets, folded->str, folded->len + 1);
	return needle;
}

void
ph_needle_free(PhNeedle *needle)
{
	g_free(needle);
}

bool
ph_needle_is_empty(const PhNeedle *needle)
{
	return needle->length == 0;
}

bool
ph_needle_is_ascii(const PhNeedle *needle)
{
	return needle->is_ascii;
}

bool
ph_needle_has_blank(const PhNeedle *needle)
{
	return needle->has_blank;
}

/* @folded: not empty. */
static bool
matches_at(PhSlice folded, const char *at)
{
	for (size_t i = folded.length; i > 0; i--)
		if (fold_octet(at[i - 1]) != (unsigned char) folded.data[i - 1])
			return false;
	return true;
}

static Lanes
load(const char *at)
{
	Lanes lanes;

	memcpy(&lanes, at, sizeof lanes);
	return lanes;
}

/* One octet of the needle in all lanes, and what makes the text's octets comparable to it. */
static void
spread(char octet, Lanes *wanted_out, Lanes *bits_out)
{
	bool is_letter = octet >= 'a' && octet <= 'z';

	*wanted_out = (Lanes){ 0 } + (unsigned char) octet;
	*bits_out = (Lanes){ 0 } + (unsigned char) (is_letter ? CASE_BIT : 0);
}

static bool
is_any(Lanes lanes)
{
	uint64_t halves[2];

	memcpy(halves, &lanes, sizeof halves);
	return (halves[0] | halves[1]) != 0;
}

/* Does it stand at one of the @n places from @at on? */
static bool
matches_in(PhSlice folded, const char *at, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (matches_at(folded, at + i))
			return true;
	return false;
}

static bool
find_octets(PhSlice folded, PhSlice text)
{
	Lanes first;
	Lanes first_bits;
	Lanes last;
	Lanes last_bits;
	size_t at = 0;

	if (folded.length == 0)
		return true;
	if (folded.length > text.length)
		return false;

	size_t places = text.length - folded.length + 1;
	spread(folded.data[0], &first, &first_bits);
	spread(folded.data[folded.length - 1], &last, &last_bits);
	for (; at + LANES <= places; at += LANES) {
		const char *here = text.data + at;
		Lanes found = (Lanes) (((load(here) | first_bits) == first)
		                       & ((load(here + folded.length - 1) | last_bits) == last));
		if (is_any(found) && matches_in(folded, here, LANES))
			return true;
	}
	return matches_in(folded, text.data + at, places - at);
}

static PhSlice
folded_octets(const PhNeedle *needle)
{
	return PH_SLICE(needle->octets, needle->length);
}

PhSlice
ph_needle_folded(const PhNeedle *needle)
{
	return folded_octets(needle);
}

bool
ph_text_has_encoded_word(PhSlice text)
{
	return find_octets(PH_SLICE_LITERAL("=?"), text);
}

bool
ph_needle_in(const PhNeedle *needle, PhSlice text)
{
	if (needle->is_ascii || ph_slice_is_ascii(text))
		return find_octets(folded_octets(needle), text);

	g_autoptr(GString) folded = g_string_sized_new(text.length);
	append_folded(folded, text);
	return find_octets(folded_octets(needle), PH_SLICE(folded->str, folded->len));
}

void
ph_haystack_init(PhHaystack *haystack, const PhNeedle *needle)
{
	haystack->needle = needle;
	haystack->window = g_string_new(NULL);
	haystack->found = ph_needle_is_empty(needle);
}

/* How much of the text's end must be looked at again with the next piece: a match that begins in
 * it, or a character that is not whole. Folding may change a character's length. */
static size_t
overlap(const PhNeedle *needle)
{
	const size_t longest_growth = 4;

	return needle->is_ascii ? needle->length - 1 : needle->length * longest_growth;
}

/* The piece is searched where it lies; only what may begin in the piece before is put together. */
static bool
feed_octets(PhHaystack *haystack, PhSlice piece, size_t keep)
{
	GString *window = haystack->window;
	size_t n = MIN(keep, piece.length);
	bool found = false;

	g_string_append_len(window, piece.data, (gssize) n);
	found = find_octets(folded_octets(haystack->needle), PH_SLICE(window->str, window->len))
	        || find_octets(folded_octets(haystack->needle), piece);
	if (piece.length > n) {
		g_string_truncate(window, 0);
		g_string_append_len(window, piece.data + piece.length - keep, (gssize) keep);
	}
	return found;
}

bool
ph_haystack_feed(PhHaystack *haystack, PhSlice piece)
{
	if (haystack->found || piece.length == 0)
		return haystack->found;

	GString *window = haystack->window;
	size_t keep = overlap(haystack->needle);
	if (haystack->needle->is_ascii) {
		haystack->found = feed_octets(haystack, piece, keep);
	} else {
		g_string_append_len(window, piece.data, (gssize) piece.length);
		haystack->found =
			ph_needle_in(haystack->needle, PH_SLICE(window->str, window->len));
	}
	if (window->len > keep)
		g_string_erase(window, 0, (gssize) (window->len - keep));
	return haystack->found;
}

void
ph_haystack_clear(PhHaystack *haystack)
{
	g_string_free(haystack->window, TRUE);
}
