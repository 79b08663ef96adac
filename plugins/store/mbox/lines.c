/* lines.c: walks over a source line by line, in pieces, with little memory
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "lines.h"

#include <posthorn/slice.h>

void
lines_init(Lines *lines, const Source *source, uint64_t offset, uint64_t limit)
{
	*lines = (Lines){ .source = source, .offset = offset, .limit = limit };
	lines->window = g_malloc(LINES_WINDOW);
	lines->at_end = offset >= limit;
}

void
lines_clear(Lines *lines)
{
	g_clear_pointer(&lines->window, g_free);
}

/* Moves what is left to the front and reads more behind it. */
static bool
fill(Lines *lines, GError **error)
{
	size_t left = lines->end - lines->begin;
	uint64_t at = lines->offset + left;

	if (left > 0 && lines->begin > 0)
		memmove(lines->window, lines->window + lines->begin, left);
	lines->begin = 0;
	lines->end = left;
	while (!lines->at_end && lines->end < LINES_WINDOW) {
		size_t room = (size_t) MIN(LINES_WINDOW - lines->end, lines->limit - at);
		ssize_t got = lines->source->read(lines->source->handle, at,
		                                  lines->window + lines->end, room, error);

		if (got < 0)
			return false;
		lines->end += (size_t) got;
		at += (size_t) got;
		lines->at_end = got == 0 || at >= lines->limit;
	}
	return true;
}

/* How much of the window is the next piece. */
static size_t
piece_length(const Lines *lines, bool *last_out)
{
	const char *text = lines->window + lines->begin;
	size_t left = lines->end - lines->begin;
	const char *feed = memchr(text, '\n', left);

	*last_out = feed != NULL || lines->at_end;
	if (feed != NULL)
		return (size_t) (feed - text) + 1;
	while (!lines->at_end && left > 1 && text[left - 1] == '\r')
		left--;
	return left;
}

bool
lines_next(Lines *lines, Line *line_out, bool *found_out, GError **error)
{
	bool last = false;
	size_t length = 0;

	if (!lines->at_end && lines->end - lines->begin < LINES_PREFIX && !fill(lines, error))
		return false;
	length = piece_length(lines, &last);
	*found_out = length > 0;
	if (length == 0)
		return true;
	*line_out = (Line){
		.text = PH_SLICE(lines->window + lines->begin, length),
		.offset = lines->offset,
		.first = !lines->in_line,
		.last = last,
	};
	lines->begin += length;
	lines->offset += length;
	lines->in_line = !last;
	return true;
}

PhSlice
line_body(const Line *line)
{
	size_t length = line->text.length;

	if (length > 0 && line->text.data[length - 1] == '\n')
		length--;
	else
		return line->text;
	if (length > 0 && line->text.data[length - 1] == '\r')
		length--;
	return PH_SLICE(line->text.data, length);
}

bool
line_is_blank(const Line *line)
{
	return line->first && line->last && line_body(line).length == 0;
}
