/* wire.h: from the octets of a message in the file to those that clients see
 *
 * Feed it the lines of one message, its From_ line included. It leaves out what belongs to the
 * mbox, undoes quoting, ends lines with CR LF, and drops the empty line that separates messages.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef STORE_MBOX_WIRE_H
#define STORE_MBOX_WIRE_H

#include "lines.h"

typedef void (*WireFunc)(PhSlice octets, void *user_data);

typedef struct {
	WireFunc put; /* (nullable) then octets are only counted */
	void *user_data;
	uint32_t marks;
	bool in_from; /* the From_ line goes on */
	bool in_header;
	bool is_hidden;     /* the field that goes on */
	bool has_counted;   /* Content-Length was seen */
	uint64_t body_left; /* of a counted body */
	unsigned n_held;    /* line ends that may be the separator */
	PhSlice held[2];    /* static */
	uint64_t octets;
	uint64_t digest; /* of the header as clients see it */
} Wire;

/* wire_init: @marks: MARK_*. */
void wire_init(Wire *wire, uint32_t marks, WireFunc put, void *user_data);
void wire_line(Wire *wire, const Line *line);

/* wire_finish: the end of the message. */
void wire_finish(Wire *wire);

#endif
