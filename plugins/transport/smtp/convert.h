/* convert.h: line ends and dots of a message as it goes out
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef CONVERT_H
#define CONVERT_H

#include <posthorn/types.h>

enum {
	BODY_DOTS = 1U << 0,      /* stuff them (RFC 5321 section 4.5.2) */
	BODY_BEHIND_CR = 1U << 1, /* state */
	BODY_IN_LINE = 1U << 2,
};

typedef void (*BodyFunc)(PhSlice octets, void *user_data);

/* body_convert: passes on @piece with every line end as CR LF and, with BODY_DOTS, dots stuffed.
 * @state: (inout) BODY_DOTS or 0 at first. Pure. */
void body_convert(uint32_t *state, PhSlice piece, BodyFunc func, void *user_data);

/* body_finish: what is still held, and the last line end when it lacks. */
void body_finish(uint32_t *state, BodyFunc func, void *user_data);

#endif
