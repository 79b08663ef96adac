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

/* --- for the kinds of plugins ----------------------------------------------------------------- */

typedef struct {
	PhSection *section;
	int fd;
	PhPacket packet;       /* received, then written */
	PhPacketReader reader; /* over what was received */
	GHashTable *states;    /* of kinds whose calls belong together, by their number */
	int passed;            /* the descriptor that came with the packet; -1: none */
	int pass;              /* (owned) one that goes with the next; -1: none */
} PhIsolateChild;

/* ph_isolated_begin: the packet is written anew. */
void ph_isolated_begin(PhIsolateChild *child, PhReply reply);

/* ph_isolated_send: sends what was written, or that it was too large. */
bool ph_isolated_send(PhIsolateChild *child);

/* ph_isolated_ask: the same, and waits for the answer, which stands in the reader then. */
bool ph_isolated_ask(PhIsolateChild *child);

/* PhIsolatedKind: what requests to one kind of plugin are answered by. serve: one request, whose
 * operation was read: false when it made no sense; the answer is in the packet. end: frees a state of
 * `states`. */
typedef struct {
	bool (*serve)(PhIsolateChild *child, uint64_t operation);
	void (*end)(PhIsolateChild *child, void *state);
} PhIsolatedKind;

/* ph_isolated_set_filter: @kind: (borrowed, for ever); filters need what stands above. */
void ph_isolated_set_filter(const PhIsolatedKind *kind);

extern const PhIsolatedKind ph_isolated_directory;
extern const PhIsolatedKind ph_isolated_mechanism;

#endif
