/* link.h: one packet there, one packet back, over a socket that keeps boundaries
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_ISOLATE_LINK_H
#define PH_ISOLATE_LINK_H

#include "isolate/packet.h"

/* What the first number of a packet from the child means. */
typedef enum {
	PH_REPLY_HELLO = 1, /* the plugin is there; comes once, before everything else */
	PH_REPLY_ITEMS = 2, /* some of what was asked for; wants a number: 1 go on, 0 enough */
	PH_REPLY_CALL = 3,  /* the plugin asks something itself; wants an answer */
	PH_REPLY_DONE = 4,  /* the answer, or the last of it */
} PhReply;

typedef enum {
	PH_LINK_PACKET = 1,
	PH_LINK_LATE = 2, /* the deadline has passed */
	PH_LINK_GONE = 3, /* the other end is closed */
} PhLinkResult;

/* ph_link_open: both ends, close-on-exec. */
bool ph_link_open(int ends_out[2], GError **error);

/* ph_link_send: false when the other end is gone or takes nothing. ph_link_send_with: @passed:
 * (borrowed) a descriptor that goes with it; -1 for none. */
bool ph_link_send(int fd, PhSlice octets);
bool ph_link_send_with(int fd, PhSlice octets, int passed);

/* ph_link_receive: @packet: its octets and length are replaced. @deadline_us: 0 for none. @passed_out:
 * (out, owned, nullable) the descriptor that came with it, or -1.
 * Blocks: until there is a packet, or the deadline. */
PhLinkResult ph_link_receive(int fd, PhPacket *packet, uint64_t deadline_us, int *passed_out);

/* ph_link_reader: over what was received. */
PhPacketReader ph_link_reader(const PhPacket *packet);

#endif
