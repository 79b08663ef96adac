/* reply.h: replies of a mail server, line by line
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef REPLY_H
#define REPLY_H

#include <posthorn/types.h>

enum {
	REPLY_TEXT_MAX = 512,  /* octets that are kept of all lines together */
	REPLY_LINES_MAX = 500, /* then it is no reply */
	REPLY_LINE_MAX = 4096, /* octets of one line */
};

typedef enum {
	REPLY_MORE = 0,
	REPLY_DONE = 1,
	REPLY_BROKEN = 2, /* this is no reply: the connection is of no use */
} ReplyResult;

/* Reply: zeroed at first and after DONE by reply_reset(). */
typedef struct {
	uint16_t code; /* 200 to 599 */
	uint16_t n_lines;
	uint16_t length;
	char text[REPLY_TEXT_MAX]; /* "550 5.1.1 no such user", printable ASCII */
} Reply;

/* reply_feed: one line without its end. @rest_out: (out) what stands behind the code. Pure. */
ReplyResult reply_feed(Reply *reply, PhSlice line, PhSlice *rest_out);
void reply_reset(Reply *reply);

#endif
