/* bulkhead.c: so many at once; the others wait in a bounded queue, in turn, without a thread
 *
 * Wakes are completed without the lock: what they do is the owner's business.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "plugin/bulkhead.h"

void
ph_bulkhead_init(PhBulkhead *bulkhead)
{
	ph_lock_init(&bulkhead->lock);
	ph_signal_init(&bulkhead->granted);
	g_queue_init(&bulkhead->waiting);
	bulkhead->limit = 0;
	bulkhead->n_inside = 0;
}

void
ph_bulkhead_clear(PhBulkhead *bulkhead)
{
	ph_signal_clear(&bulkhead->granted);
	ph_lock_clear(&bulkhead->lock);
}

static bool
has_room(const PhBulkhead *bulkhead)
{
	return bulkhead->limit == 0 || bulkhead->n_inside < bulkhead->limit;
}

PhBulkheadAnswer
ph_bulkhead_enter(PhBulkhead *bulkhead, PhPlace *place, uint32_t limit, uint32_t longest)
{
	PH_LOCKED(&bulkhead->lock);

	bulkhead->limit = limit;
	if (g_queue_is_empty(&bulkhead->waiting) && has_room(bulkhead)) {
		bulkhead->n_inside++;
		return PH_BULKHEAD_IN;
	}
	if (bulkhead->waiting.length >= longest)
		return PH_BULKHEAD_FULL;
	*place = (PhPlace){ .waits = true };
	place->link.data = place;
	g_queue_push_tail_link(&bulkhead->waiting, &place->link);
	return PH_BULKHEAD_WAITS;
}

void
ph_bulkhead_wake(PhBulkhead *bulkhead, PhPlace *place, PhWake *wake)
{
	PhWake *before = NULL;

	ph_lock_take(&bulkhead->lock);
	before = g_steal_pointer(&place->wake);
	if (!place->granted && !place->roused)
		place->wake = g_steal_pointer(&wake);
	ph_lock_drop(&bulkhead->lock);
	if (before != NULL)
		ph_wake_complete(before);
	if (wake != NULL)
		ph_wake_complete(wake);
}

bool
ph_bulkhead_take(PhBulkhead *bulkhead, PhPlace *place)
{
	bool granted = false;
	PH_LOCKED(&bulkhead->lock);

	granted = place->granted;
	place->granted = false;
	place->roused = false;
	return granted;
}

/* Under the lock: the first who waits gets in, if there is room. Returns: (owned, nullable). */
static PhWake *
grant(PhBulkhead *bulkhead)
{
	PhPlace *place;

	if (!has_room(bulkhead) || g_queue_is_empty(&bulkhead->waiting))
		return NULL;
	place = g_queue_pop_head_link(&bulkhead->waiting)->data;
	place->waits = false;
	place->granted = true;
	bulkhead->n_inside++;
	ph_signal_all(&bulkhead->granted);
	return g_steal_pointer(&place->wake);
}

static void
grant_all(PhBulkhead *bulkhead)
{
	bool more = true;

	while (more) {
		PhWake *wake = NULL;

		ph_lock_take(&bulkhead->lock);
		wake = grant(bulkhead);
		more = has_room(bulkhead) && !g_queue_is_empty(&bulkhead->waiting);
		ph_lock_drop(&bulkhead->lock);
		if (wake != NULL)
			ph_wake_complete(wake);
	}
}

bool
ph_bulkhead_wait(PhBulkhead *bulkhead, PhPlace *place, uint64_t deadline_us)
{
	bool granted = false;
	PH_LOCKED(&bulkhead->lock);

	while (!place->granted && !place->roused)
		if (!ph_signal_wait_until(&bulkhead->granted, &bulkhead->lock, deadline_us))
			break;
	if (place->waits)
		g_queue_unlink(&bulkhead->waiting, &place->link);
	granted = place->granted;
	*place = (PhPlace){ .waits = false };
	return granted;
}

void
ph_bulkhead_forget(PhBulkhead *bulkhead, PhPlace *place)
{
	PhWake *wake = NULL;
	bool was_granted = false;

	ph_lock_take(&bulkhead->lock);
	if (place->waits)
		g_queue_unlink(&bulkhead->waiting, &place->link);
	place->waits = false;
	was_granted = place->granted;
	place->granted = false;
	wake = g_steal_pointer(&place->wake);
	ph_lock_drop(&bulkhead->lock);
	if (wake != NULL)
		ph_wake_complete(wake);
	if (was_granted)
		ph_bulkhead_leave(bulkhead);
}

void
ph_bulkhead_leave(PhBulkhead *bulkhead)
{
	PhWake *wake = NULL;

	ph_lock_take(&bulkhead->lock);
	bulkhead->n_inside--;
	wake = grant(bulkhead);
	ph_lock_drop(&bulkhead->lock);
	if (wake != NULL)
		ph_wake_complete(wake);
}

void
ph_bulkhead_limit(PhBulkhead *bulkhead, uint32_t limit)
{
	ph_lock_take(&bulkhead->lock);
	bulkhead->limit = limit;
	ph_lock_drop(&bulkhead->lock);
	grant_all(bulkhead);
}

void
ph_bulkhead_rouse(PhBulkhead *bulkhead)
{
	GPtrArray *wakes = g_ptr_array_new();

	ph_lock_take(&bulkhead->lock);
	for (GList *at = bulkhead->waiting.head; at != NULL; at = at->next) {
		PhPlace *place = at->data;

		place->roused = true;
		if (place->wake != NULL)
			g_ptr_array_add(wakes, g_steal_pointer(&place->wake));
	}
	ph_signal_all(&bulkhead->granted);
	ph_lock_drop(&bulkhead->lock);
	for (guint i = 0; i < wakes->len; i++)
		ph_wake_complete(wakes->pdata[i]);
	g_ptr_array_free(wakes, TRUE);
}

uint32_t
ph_bulkhead_waiting(PhBulkhead *bulkhead)
{
	PH_LOCKED(&bulkhead->lock);

	return bulkhead->waiting.length;
}
