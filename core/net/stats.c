/* stats.c: what the network layer counts, by the names that `posthorn status` shows
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "net/stats.h"

PhNetStats ph_net_stats;

void
ph_net_stats_init(void)
{
	ph_net_stats = (PhNetStats){
		.accepted = ph_counter_new("sessions_accepted_total", "connections taken"),
		.refused = ph_counter_new("sessions_refused_total",
		                          "connections turned away because a limit was reached"),
		.open = ph_gauge_new("sessions_open", "sessions now, client sessions included"),
		.parked = ph_gauge_new("sessions_parked", "sessions that wait without a thread"),
		.octets_in = ph_counter_new("octets_in_total", "octets received, decrypted"),
		.octets_out = ph_counter_new("octets_out_total", "octets sent, before encryption"),
		.workers = ph_gauge_new("workers", "threads of the pool"),
		.timeouts = ph_counter_new("sessions_timed_out_total",
		                           "sessions whose deadline has passed"),
	};
}
