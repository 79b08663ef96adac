/* horizon.c: up to which position everything is durable, and who waits for it
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "base/horizon.h"

#include "base/lock.h"

_Atomic uint64_t ph_horizon;

static struct {
	PhLock lock; /* guards all but `failed` when read */
	PhHorizonWait *first;
	PhHorizonWait **last_link;
	PhHorizonStats stats;
	atomic_bool failed;
} waiting = { .lock = PH_LOCK_INIT, .last_link = &waiting.first };

static _Thread_local uint64_t *collector;

/* Notes who waits; false: the outcome is known already. */
static bool
note(PhHorizonWait *wait)
{
	PH_LOCKED(&waiting.lock);
	if (ph_horizon_reached(wait->position) || ph_horizon_has_failed())
		return false;
	wait->next = NULL;
	*waiting.last_link = wait;
	waiting.last_link = &wait->next;
	waiting.stats.n_waiting++;
	waiting.stats.n_ever++;
	return true;
}

void
ph_horizon_wait(PhHorizonWait *wait)
{
	if (!note(wait))
		wait->func(wait, ph_horizon_reached(wait->position));
}

/* With the lock held: takes out all whose position is reached, in their order. */
static PhHorizonWait *
take_reached(uint64_t position)
{
	PhHorizonWait *reached = NULL;
	PhHorizonWait **end = &reached;
	PhHorizonWait **link = &waiting.first;

	while (*link != NULL) {
		PhHorizonWait *wait = *link;

		if (wait->position > position) {
			link = &wait->next;
			continue;
		}
		*link = wait->next;
		waiting.stats.n_waiting--;
		wait->next = NULL;
		*end = wait;
		end = &wait->next;
	}
	waiting.last_link = link;
	return reached;
}

static void
tell(PhHorizonWait *wait, bool durable)
{
	while (wait != NULL) {
		PhHorizonWait *next = wait->next;

		wait->func(wait, durable);
		wait = next;
	}
}

void
ph_horizon_advance(uint64_t position)
{
	PhHorizonWait *reached = NULL;

	ph_lock_take(&waiting.lock);
	if (!ph_horizon_has_failed() && !ph_horizon_reached(position)) {
		atomic_store_explicit(&ph_horizon, position, memory_order_release);
		reached = take_reached(position);
	}
	ph_lock_drop(&waiting.lock);
	tell(reached, true);
}

void
ph_horizon_fail(void)
{
	PhHorizonWait *lost = NULL;

	ph_lock_take(&waiting.lock);
	atomic_store(&waiting.failed, true);
	lost = take_reached(UINT64_MAX);
	ph_lock_drop(&waiting.lock);
	tell(lost, false);
}

bool
ph_horizon_has_failed(void)
{
	return atomic_load_explicit(&waiting.failed, memory_order_relaxed);
}

void
ph_horizon_begin(uint64_t position)
{
	PH_LOCKED(&waiting.lock);
	atomic_store(&waiting.failed, false);
	atomic_store(&ph_horizon, position);
}

void
ph_horizon_stats(PhHorizonStats *stats_out)
{
	PH_LOCKED(&waiting.lock);
	*stats_out = waiting.stats;
}

void
ph_horizon_collect(uint64_t *shown)
{
	collector = shown;
}

void
ph_horizon_show(uint64_t position)
{
	if (collector != NULL && position > *collector)
		*collector = position;
}

bool
ph_horizon_is_collecting(void)
{
	return collector != NULL;
}
