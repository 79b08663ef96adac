/* child.h: the other end: a process that serves one plugin's section over a link
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_ISOLATE_CHILD_H
#define PH_ISOLATE_CHILD_H

#include "config/section.h"
#include "isolate/link.h"

/* ph_isolate_serve: answers what comes over @fd with the section's instance, which was created in
 * this process. Returns: when the other end is closed (true), or speaks nonsense (false). */
bool ph_isolate_serve(PhSection *section, int fd);

/* --- inside core/isolate --------------------------------------------------------------------- */

typedef struct {
	PhSection *section;
	int fd;
	PhPacket packet;       /* received, then written */
	PhPacketReader reader; /* over what was received */
	GHashTable *states;    /* of kinds whose calls belong together, by their number */
} PhIsolateChild;

/* ph_isolated_begin: the packet is written anew. */
void ph_isolated_begin(PhIsolateChild *child, PhReply reply);

/* ph_isolated_send: sends what was written, or that it was too large. */
bool ph_isolated_send(PhIsolateChild *child);

/* ph_isolated_ask: the same, and waits for the answer, which stands in the reader then. */
bool ph_isolated_ask(PhIsolateChild *child);

/* ph_isolated_directory, _mechanism: one request, whose operation was read. Returns: false when it
 * made no sense. The answer is in the packet. */
bool ph_isolated_directory(PhIsolateChild *child, uint64_t operation);
bool ph_isolated_mechanism(PhIsolateChild *child, uint64_t operation);

/* ph_isolated_mechanism_end: frees a state of `states`. */
void ph_isolated_mechanism_end(PhIsolateChild *child, void *state);

#endif
