/* isolated-filter.h: filters whose plugin runs in processes of its own (both ends)
 *
 * A question: the state's number, what is known of the mail, and its octets: in the packet, or in
 * sealed memory that goes with it, or not again when they are those of the last question. The
 * answer: the verdict, and what the filter has changed; a new header and body are in memory that
 * goes with it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_SERVER_ISOLATED_FILTER_H
#define PH_SERVER_ISOLATED_FILTER_H

#include <posthorn/filter.h>

#include "isolate/child.h"
#include "isolate/isolate.h"

enum {
	PH_ASK_QUESTION = 1,
	PH_CALL_ADD_RECIPIENT = 1,      /* address; PhRcpt */
	PH_FILTER_INLINE_MAX = 32 << 10 /* octets of a message in a packet */
};

/* PhFilterOctets: where the octets of the message are. */
typedef enum {
	PH_OCTETS_NONE = 0,
	PH_OCTETS_SAME = 1,   /* as with the last question of this state */
	PH_OCTETS_HERE = 2,   /* in the packet */
	PH_OCTETS_PASSED = 3, /* their number; in the descriptor */
} PhFilterOctets;

/* PhFilterShown: what the octets are. */
typedef enum {
	PH_SHOWN_MESSAGE = 0,
	PH_SHOWN_HEADER = 1, /* what is behind it is still coming */
} PhFilterShown;

/* ph_isolated_filter_table: for ph_isolate_set_filter(). */
void *ph_isolated_filter_table(const void *real);

/* ph_isolated_filter_open: this process answers questions to filters. */
void ph_isolated_filter_open(void);

/* ph_isolated_filter_park: ph_filter_park() in such a process, which waits by itself. */
PhWake *ph_isolated_filter_park(PhFilterQuestion *question);

/* ph_isolated_filter_read: what a child has answered, done to the question's mail; of nonsense nothing is.
 * @passed: -1: no descriptor came with it. @most: octets of a new body. */
typedef enum {
	PH_FILTER_ANSWERED = 1,
	PH_FILTER_FAILED = 2,   /* with an error */
	PH_FILTER_NONSENSE = 3, /* without one */
} PhFilterReading;

PhFilterReading ph_isolated_filter_read(PhPacketReader *reader,
                                        int passed,
                                        uint64_t most,
                                        PhFilterQuestion *question,
                                        GError **error);

/* ph_isolated_octets: @content in memory that nobody can change any more, to be passed; -1 with an
 * error. @head: stands before it. */
int ph_isolated_octets(PhSlice head, PhContent *content, GError **error);

#endif
