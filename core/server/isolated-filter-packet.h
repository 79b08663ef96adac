/* isolated-filter-packet.h: the answer of an isolated filter, read from its packet; pure
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_SERVER_ISOLATED_FILTER_PACKET_H
#define PH_SERVER_ISOLATED_FILTER_PACKET_H

#include <posthorn/filter.h>

#include "isolate/packet.h"

/* PhFilterAnswer: zeroed at first, ph_filter_answer_clear() at the end. */
typedef struct {
	GError *error; /* (owned, nullable) it failed: nothing of the rest is there */
	PhVerdict verdict;
	char *sender;         /* (owned, nullable) a new one */
	GArray *parameters;   /* of PhMailParameter: new values */
	GArray *removed;      /* uint64_t: indexes of recipients, not compared with anything */
	PhSlice prepended;    /* borrowed from the packet */
	uint64_t header_mark; /* octets of a new header and one more; 0: it is the same */
	uint64_t body_mark;   /* the same of the body; with a header alone */
} PhFilterAnswer;

/* ph_filter_answer_read: @most: octets of a body. False: nonsense. */
bool ph_filter_answer_read(PhPacketReader *reader, uint64_t most, PhFilterAnswer *answer);
void ph_filter_answer_clear(PhFilterAnswer *answer);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PhFilterAnswer, ph_filter_answer_clear)

#endif
