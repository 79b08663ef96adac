/* timer.h: what has to happen at a time, without a thread for each
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_NET_TIMER_H
#define PH_NET_TIMER_H

#include <posthorn/types.h>

/* PhTimer: zero to begin with; must not move while it is set. */
typedef struct {
	GSequenceIter *place; /* NULL: not set */
	uint64_t due_us;
	void (*func)(void *user_data);
	void *user_data;
} PhTimer;

/* ph_timer_set: @func is called once at @due_us of ph_clock_us(), on a thread of its own that it must
 * not hold up. Thread: any. */
void ph_timer_set(PhTimer *timer, uint64_t due_us, void (*func)(void *user_data), void *user_data);

/* ph_timer_cancel: Returns: false when it was not set any more: then @func has been called, or is
 * being called. */
bool ph_timer_cancel(PhTimer *timer);

#endif
