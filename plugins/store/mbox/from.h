/* from.h: the line that begins each message of an mbox
 *
 *	From anna@example.org Sun Nov 22 03:53:52 2026
 *
 * A line that has no date of this form is no such line, whatever it begins with: bodies hold
 * "From here on". Seconds may be missing, words of a time zone or "+0100" may stand before or
 * after the year, "remote from HOST" behind it, and the sender may hold blanks.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef STORE_MBOX_FROM_H
#define STORE_MBOX_FROM_H

#include <posthorn/date.h>

enum {
	FROM_MAX = 1000, /* octets of a line that is looked at */
};

typedef struct {
	PhSlice sender;
	PhTime time;   /* as if the clock on the line were UTC */
	bool has_zone; /* @zone_minutes was on the line, and is in @time already */
	int32_t zone_minutes;
} FromLine;

/* from_parse: @line: without its line end. Pure. */
bool from_parse(PhSlice line, FromLine *from_out);

/* from_date: the instant: what has no zone was written in the server's own. */
PhDate from_date(const FromLine *from);

/* from_append: a whole line with LF; @time is written in the server's zone. */
void from_append(PhSlice sender, PhTime time, GString *out);

#endif
