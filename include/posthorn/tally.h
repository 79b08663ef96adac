/* tally.h: how much somebody has used of what is allowed in a time
 *
 * A tally is a table by name, shared by all sections of a process that open the same one, also those
 * of the generations before and after a reload. What is used is paid off evenly as time passes: so a
 * time's worth may come at once, and the rest in turn. One moment is kept for each key: when
 * everything that was used will have been paid off.
 *
 * Tables are kept in `tally` below [server] data: written when they are closed, and while they change
 * every 30 s, so that they survive a restart; a crash forgets what came in the last half minute. After
 * a reload that needs a new process, the old one goes on with a table of its own while it has sessions:
 * each takes in what the other has written whenever it writes, the larger figure of each key. What both
 * let pass within half a minute is not added up.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_TALLY_H
#define POSTHORN_TALLY_H

#include <posthorn/plugin.h>

G_BEGIN_DECLS

typedef struct PhTally PhTally;

/* ph_tally_open: @name: lower case letters, digits, '-', '_', '.'. @most: keys that are kept; above it those that
 * were used longest ago are forgotten. Not in processes of isolated plugins: there it is empty at
 * first and never written. Returns: (owned). Thread: load. Blocks: on the disk. */
PH_PUBLIC PhTally *ph_tally_open(PhSection *section, const char *name, size_t most);
PH_PUBLIC void ph_tally_close(PhTally *tally);

/* PhTallyCharge: one use. All borrowed for the call. */
typedef struct {
	const char *key;   /* at most 512 octets count */
	uint64_t per_us;   /* what may be open at most */
	uint64_t least_us; /* that must be free of it; 0: cost_us */
	uint64_t cost_us;  /* is added; may be more than there is room for, and is paid off later */
} PhTallyCharge;

/* ph_tally_charge: takes all the charges, or none. Returns: @n when all were taken; else the first that
 * there is no room for, with the time until there is. Thread: any. Blocks: no. */
PH_PUBLIC size_t ph_tally_charge(PhTally *tally,
                                 const PhTallyCharge *charges,
                                 size_t n,
                                 uint64_t *wait_us_out);

G_END_DECLS

#endif
