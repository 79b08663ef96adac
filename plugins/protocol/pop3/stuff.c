/* stuff.c: doubles leading dots and cuts a message after so many body lines, piece by piece
 *
 * RFC 1939 sections 3 and 7. A line begins behind every LF, also one without CR: such a message
 * is rare, and a client that takes LF for a line end must not be made to see an end that is none.
 * Pure; linear by memchr.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "stuff.h"

#include <string.h>

void
stuff_begin(Stuff *stuff, bool is_limited, uint64_t n_lines)
{
	*stuff = (Stuff){ .lines_left = n_lines, .is_limited = is_limited, .is_blank = true };
}

/* How much of the piece is wanted; notes where the header ends. */
static size_t
measure(Stuff *stuff, PhSlice piece)
{
	size_t at = 0;

	while (at < piece.length && (!stuff->is_body || stuff->lines_left > 0)) {
		const char *line = piece.data + at;
		const char *end = memchr(line, '\n', piece.length - at);
		size_t length = end != NULL ? (size_t) (end - line) : piece.length - at;

		if (length > 1 || (length == 1 && (line[0] != '\r' || stuff->has_cr)))
			stuff->is_blank = false;
		stuff->has_cr |= length > 0;
		if (end == NULL)
			return piece.length;
		at += length + 1;
		if (stuff->is_body)
			stuff->lines_left--;
		else
			stuff->is_body = stuff->is_blank;
		stuff->is_blank = true;
		stuff->has_cr = false;
	}
	return at;
}

bool
stuff_piece(Stuff *stuff, PhSlice piece, StuffFunc out, void *user_data)
{
	size_t wanted = stuff->is_limited ? measure(stuff, piece) : piece.length;
	const char *from = piece.data; /* not yet passed on */
	const char *end = piece.data + wanted;
	const char *at = from;

	if (wanted == 0)
		return !stuff->is_limited;
	while ((at = memchr(at, '.', (size_t) (end - at))) != NULL) {
		if (at > piece.data ? at[-1] == '\n' : !stuff->is_inside) {
			out(PH_SLICE(from, (size_t) (at + 1 - from)), user_data);
			from = at;
		}
		at++;
	}
	out(PH_SLICE(from, (size_t) (end - from)), user_data);
	stuff->is_inside = end[-1] != '\n';
	return !stuff->is_limited || !stuff->is_body || stuff->lines_left > 0;
}

void
stuff_end(const Stuff *stuff, StuffFunc out, void *user_data)
{
	if (stuff->is_inside)
		out(PH_SLICE_LITERAL("\r\n.\r\n"), user_data);
	else
		out(PH_SLICE_LITERAL(".\r\n"), user_data);
}
