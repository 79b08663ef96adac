/* stats.h: what the network layer counts, by the names that `posthorn status` shows
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_NET_STATS_H
#define PH_NET_STATS_H

#include "base/counters.h"

typedef struct {
	PhCounter accepted;
	PhCounter refused;
	PhCounter open;   /* gauge */
	PhCounter parked; /* gauge */
	PhCounter octets_in;
	PhCounter octets_out;
	PhCounter workers;  /* gauge */
	PhCounter timeouts; /* deadlines of sessions that passed */
} PhNetStats;

/* ph_net_stats: registered by ph_net_stats_init(), before that the cell that nobody sees. */
extern PhNetStats ph_net_stats;
void ph_net_stats_init(void);

#endif
