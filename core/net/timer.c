/* timer.c: one thread that waits for the first of many times
 *
 * Most timers are cancelled long before they are due, so the thread sleeps on until the time that it
 * went to sleep for, and is only roused for an earlier one. It is made by the first timer.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "net/timer.h"

#include "base/clock.h"
#include "base/lock.h"

#define IDLE_US (UINT64_C(3600) * G_USEC_PER_SEC)

static struct {
	PhLock lock; /* guards all below, and the places of the timers */
	PhSignal earlier;
	GSequence *timers;    /* of PhTimer, borrowed: the first one due first; NULL: no thread */
	uint64_t sleeps_till; /* 0: it does not sleep */
} clockwork = { .lock = PH_LOCK_INIT };

static gint
compare(gconstpointer a, gconstpointer b, gpointer user_data)
{
	uint64_t first = ((const PhTimer *) a)->due_us;
	uint64_t second = ((const PhTimer *) b)->due_us;

	return first < second ? -1 : first > second;
}

/* Under the lock. Returns: one that is due, taken out; NULL: none, and how long to sleep. */
static PhTimer *
next_due(uint64_t *till_out)
{
	GSequenceIter *first = g_sequence_get_begin_iter(clockwork.timers);
	PhTimer *timer = NULL;

	*till_out = ph_clock_us() + IDLE_US;
	if (g_sequence_iter_is_end(first))
		return NULL;
	timer = g_sequence_get(first);
	*till_out = timer->due_us;
	if (timer->due_us > ph_clock_us())
		return NULL;
	g_sequence_remove(first);
	timer->place = NULL;
	return timer;
}

static void *
run_for_ever(void *unused)
{
	ph_lock_take(&clockwork.lock);
	for (;;) {
		uint64_t till = 0;
		const PhTimer *timer = next_due(&till);

		if (timer != NULL) {
			PhTimer due = *timer;

			ph_lock_drop(&clockwork.lock);
			due.func(due.user_data);
			ph_lock_take(&clockwork.lock);
			continue;
		}
		clockwork.sleeps_till = till;
		(void) ph_signal_wait_until(&clockwork.earlier, &clockwork.lock, till);
		clockwork.sleeps_till = 0;
	}
	return NULL;
}

void
ph_timer_set(PhTimer *timer, uint64_t due_us, void (*func)(void *user_data), void *user_data)
{
	PH_LOCKED(&clockwork.lock);

	if (clockwork.timers == NULL) {
		clockwork.timers = g_sequence_new(NULL);
		ph_signal_init(&clockwork.earlier);
		g_thread_unref(g_thread_new("timer", run_for_ever, NULL));
	}
	timer->due_us = due_us;
	timer->func = func;
	timer->user_data = user_data;
	timer->place = g_sequence_insert_sorted(clockwork.timers, timer, compare, NULL);
	if (due_us < clockwork.sleeps_till)
		ph_signal_all(&clockwork.earlier);
}

bool
ph_timer_cancel(PhTimer *timer)
{
	PH_LOCKED(&clockwork.lock);

	if (timer->place == NULL)
		return false;
	g_sequence_remove(timer->place);
	timer->place = NULL;
	return true;
}
