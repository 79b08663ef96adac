/* lines.h: walks over a source line by line, in pieces, with little memory
 *
 * A line of any length comes in pieces; the first piece of a line has at least LINES_PREFIX octets
 * or is the whole line. A CR LF is never cut between two pieces.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef STORE_MBOX_LINES_H
#define STORE_MBOX_LINES_H

#include <posthorn/types.h>

#include <sys/types.h>

enum {
	LINES_PREFIX = 4096,
	LINES_WINDOW = 64 * 1024,
};

/* Source: octets that can be read at any offset. @read: octets copied, short only at the end; -1
 * with @error. */
typedef struct {
	ssize_t (*read)(void *handle, uint64_t offset, char *buffer, size_t length, GError **error);
	void *handle;
} Source;

typedef struct {
	PhSlice text;    /* with its line end */
	uint64_t offset; /* of @text */
	bool first;      /* the line begins here */
	bool last;       /* and ends here */
} Line;

typedef struct {
	const Source *source;
	char *window; /* (owned) */
	size_t begin; /* what is left of the window */
	size_t end;
	uint64_t offset; /* of window[begin] */
	uint64_t limit;  /* not read beyond */
	bool in_line;
	bool at_end; /* of the source, or the limit */
} Lines;

/* lines_init: reads from @offset to @limit. lines_clear frees the window. */
void lines_init(Lines *lines, const Source *source, uint64_t offset, uint64_t limit);
void lines_clear(Lines *lines);

/* lines_next: @found_out: false at the end. The text is borrowed until the next call. */
bool lines_next(Lines *lines, Line *line_out, bool *found_out, GError **error);

/* line_body: the text without its line end. line_is_blank: nothing but a line end. */
PhSlice line_body(const Line *line);
bool line_is_blank(const Line *line);

#endif
