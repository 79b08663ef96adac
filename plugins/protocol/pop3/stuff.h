/* stuff.h: doubles leading dots and cuts a message after so many body lines, piece by piece
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_POP3_STUFF_H
#define POSTHORN_POP3_STUFF_H

#include <posthorn/types.h>

/* Stuff: the state between two pieces. */
typedef struct {
	uint64_t lines_left; /* of the body */
	bool is_limited;     /* TOP */
	bool is_body;        /* the empty line was seen */
	bool is_inside;      /* the last octet did not end a line */
	bool is_blank;       /* this line holds at most a CR so far */
	bool has_cr;         /* it holds something */
} Stuff;

/* StuffFunc: takes octets that go out as they are. */
typedef void (*StuffFunc)(PhSlice octets, void *user_data);

/* stuff_begin: @n_lines: of the body, for TOP; ignored unless @is_limited. */
void stuff_begin(Stuff *stuff, bool is_limited, uint64_t n_lines);

/* stuff_piece: the next octets of the message. false: everything wanted has been seen. */
bool stuff_piece(Stuff *stuff, PhSlice piece, StuffFunc out, void *user_data);

/* stuff_end: completes the last line and writes the lone dot. */
void stuff_end(const Stuff *stuff, StuffFunc out, void *user_data);

#endif
