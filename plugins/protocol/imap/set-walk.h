/* set-walk.h: steps through the members of a set, one at a time, over several calls
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef IMAP_SET_WALK_H
#define IMAP_SET_WALK_H

#include <posthorn/uidset.h>

/* SetWalk: zeroed at first; the set must not change meanwhile. */
typedef struct {
	size_t range;
	uint64_t next;
} SetWalk;

/* imap_set_walk: the next member; 0 at the end. */
static inline uint32_t
imap_set_walk(SetWalk *walk, const PhUidSet *set)
{
	size_t n;
	const PhUidRange *ranges = ph_uid_set_ranges(set, &n);

	if (walk->range >= n)
		return 0;
	if (walk->next < ranges[walk->range].first)
		walk->next = ranges[walk->range].first;
	if (walk->next >= ranges[walk->range].last) {
		uint32_t last = ranges[walk->range].last;

		walk->range++;
		walk->next = 0;
		return last;
	}
	return (uint32_t) walk->next++;
}

#endif
