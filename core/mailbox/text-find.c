/* text-find.c: finds a string in text, whatever the case of its letters
 *
 * Boyer-Moore-Horspool over octets with ASCII case folded in its tables. A needle with other
 * letters is folded (Unicode simple folding) and looked for in folded text. A needle of ASCII
 * letters needs no folding of the text: the two characters outside ASCII that fold to one of its
 * letters (the Kelvin sign and the long s) are not matched.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "mailbox/text-find.h"

#include <posthorn/slice.h>

enum {
	N_OCTETS = 256,
};

struct PhNeedle {
	size_t length;
	bool is_ascii;
	size_t skip[N_OCTETS];
	char octets[]; /* folded */
};

static inline unsigned char
fold_octet(char c)
{
	return (unsigned char) g_ascii_tolower(c);
}

/* Appends the folded form; text that is not UTF-8 stays as it is from the first bad octet on. */
static void
append_folded(GString *out, PhSlice text)
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
			g_string_append_c(out, *p);
			p++;
			continue;
		}
		g_string_append_unichar(out, g_unichar_tolower(g_unichar_toupper(c)));
		p += g_utf8_skip[(unsigned char) *p];
	}
}

static void
fill_skips(PhNeedle *needle)
{
	for (size_t i = 0; i < N_OCTETS; i++)
		needle->skip[i] = needle->length;
	for (size_t i = 0; i + 1 < needle->length; i++) {
		unsigned char c = (unsigned char) needle->octets[i];
		needle->skip[c] = needle->length - 1 - i;
		if (c >= 'a' && c <= 'z')
			needle->skip[(unsigned char) g_ascii_toupper((char) c)] =
				needle->length - 1 - i;
	}
}

PhNeedle *
ph_needle_new(PhSlice text)
{
	g_autoptr(GString) folded = g_string_sized_new(text.length);
	append_folded(folded, text);

	PhNeedle *needle = g_malloc(sizeof *needle + folded->len + 1);
	needle->length = folded->len;
	needle->is_ascii = ph_slice_is_ascii(text);
	memcpy(needle->octets, folded->str, folded->len + 1);
	fill_skips(needle);
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

static bool
matches_at(const PhNeedle *needle, const char *at)
{
	for (size_t i = needle->length; i > 0; i--)
		if (fold_octet(at[i - 1]) != (unsigned char) needle->octets[i - 1])
			return false;
	return true;
}

static bool
find_octets(const PhNeedle *needle, PhSlice text)
{
	if (needle->length == 0)
		return true;

	size_t at = 0;
	while (at + needle->length <= text.length) {
		if (matches_at(needle, text.data + at))
			return true;
		at += needle->skip[(unsigned char) text.data[at + needle->length - 1]];
	}
	return false;
}

bool
ph_needle_in(const PhNeedle *needle, PhSlice text)
{
	if (needle->is_ascii || ph_slice_is_ascii(text))
		return find_octets(needle, text);

	g_autoptr(GString) folded = g_string_sized_new(text.length);
	append_folded(folded, text);
	return find_octets(needle, PH_SLICE(folded->str, folded->len));
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

bool
ph_haystack_feed(PhHaystack *haystack, PhSlice piece)
{
	if (haystack->found || piece.length == 0)
		return haystack->found;

	GString *window = haystack->window;
	size_t keep = overlap(haystack->needle);
	g_string_append_len(window, piece.data, (gssize) piece.length);
	haystack->found = ph_needle_in(haystack->needle, PH_SLICE(window->str, window->len));
	if (window->len > keep)
		g_string_erase(window, 0, (gssize) (window->len - keep));
	return haystack->found;
}

void
ph_haystack_clear(PhHaystack *haystack)
{
	g_string_free(haystack->window, TRUE);
}
