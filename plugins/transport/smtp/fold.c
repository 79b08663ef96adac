/* fold.c: header fields with lines that are too long
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "fold.h"

#include <posthorn/slice.h>

#include <string.h>

enum {
	LINE_MAX_OCTETS = 998, /* RFC 5322 section 2.1.1 */
};

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Where @line is cut, which has only blanks from @last on: the last blank from which a line of fitting
 * length ends, else the first; 0: nowhere. Before @least nothing would be gained. */
static size_t
find_cut(PhSlice line, size_t last, size_t least)
{
	size_t found = 0;

	for (size_t at = least; at < last; at++) {
		if (!is_blank(line.data[at]) || is_blank(line.data[at - 1]))
			continue;
		if (at > LINE_MAX_OCTETS && found > 0)
			break;
		found = at;
		if (at > LINE_MAX_OCTETS)
			break;
	}
	return found;
}

static void
fold_line(PhSlice line, bool is_first, GString *out)
{
	size_t length = line.length;
	const char *colon = is_first ? memchr(line.data, ':', line.length) : NULL;
	size_t least = colon != NULL ? (size_t) (colon - line.data) + 2 : 1;
	size_t cut = 0;
	size_t last = 0;

	while (length > 0 && (line.data[length - 1] == '\n' || line.data[length - 1] == '\r'))
		length--;
	/* A line of blanks alone would look like the end of the header to some. */
	last = length;
	while (last > 0 && is_blank(line.data[last - 1]))
		last--;
	while (length > LINE_MAX_OCTETS && (cut = find_cut(line, last, least)) > 0) {
		g_string_append_len(out, line.data, (gssize) cut);
		g_string_append(out, "\r\n");
		line = ph_slice_from(line, cut);
		length -= cut;
		last -= cut;
		least = 1;
	}
	g_string_append_len(out, line.data, (gssize) line.length);
}

void
fold_field(PhSlice field, GString *out)
{
	bool is_first = true;

	while (field.length > 0) {
		const char *end = memchr(field.data, '\n', field.length);
		size_t n = end != NULL ? (size_t) (end - field.data) + 1 : field.length;

		fold_line(PH_SLICE(field.data, n), is_first, out);
		field = ph_slice_from(field, n);
		is_first = false;
	}
}
