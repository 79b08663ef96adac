/* horizon.h: up to which position everything is durable, and who waits for it
 *
 * With a journal every change has a position, a number that only grows. What lies at or before the
 * horizon survives the loss of power. Whoever would tell somebody of a change waits until the
 * horizon has reached its position. Without a journal all positions are 0, which is always reached.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_BASE_HORIZON_H
#define PH_BASE_HORIZON_H

#include <posthorn/types.h>

#include <stdatomic.h>

/* PhHorizonWait: owned by who waits, until `func` is called, which may free it. */
typedef struct PhHorizonWait PhHorizonWait;

struct PhHorizonWait {
	PhHorizonWait *next; /* of the horizon */
	uint64_t position;
	/* func: once, on any thread. @durable: false: the journal failed, and nobody will ever know
	 * whether the change survives. Must not block for long. */
	void (*func)(PhHorizonWait *wait, bool durable);
};

extern _Atomic uint64_t ph_horizon;

/* Thread: any, for all. */

static inline bool
ph_horizon_reached(uint64_t position)
{
	return position <= atomic_load_explicit(&ph_horizon, memory_order_acquire);
}

/* ph_horizon_wait: `func` is called when the position is reached: at once, on this thread, when it
 * is already. */
void ph_horizon_wait(PhHorizonWait *wait);

/* ph_horizon_advance: everything up to @position is durable. ph_horizon_fail: nothing further will
 * ever be. ph_horizon_begin: a journal begins (again) at this position; for the start and tests. */
void ph_horizon_advance(uint64_t position);
void ph_horizon_fail(void);
bool ph_horizon_has_failed(void);
void ph_horizon_begin(uint64_t position);

/* ph_horizon_stats: what is held back now, and what ever was. */
typedef struct {
	uint64_t n_waiting;
	uint64_t n_ever;
} PhHorizonStats;

void ph_horizon_stats(PhHorizonStats *stats_out);

/* ph_horizon_collect: from now on this thread works for somebody who must not tell before *@shown is
 * reached. @shown: (nullable, borrowed). ph_horizon_show: it has seen a change of that position.
 * ph_horizon_is_collecting: is it worth asking for a position? */
void ph_horizon_collect(uint64_t *shown);
void ph_horizon_show(uint64_t position);
bool ph_horizon_is_collecting(void);

#endif
