/* bulkhead.h: so many at once; the others wait in a bounded queue, in turn, without a thread
 *
 * A place in the queue is granted by whoever leaves. It belongs to the one who asked for it and must
 * be given up (ph_bulkhead_forget) or left (ph_bulkhead_leave). The limit stands with each call,
 * because it may change while some are inside.
 *
 * Thread: any, for all.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_PLUGIN_BULKHEAD_H
#define PH_PLUGIN_BULKHEAD_H

#include <posthorn/wake.h>

#include "base/lock.h"

typedef struct {
	PhLock lock; /* guards everything here, and the places in the queue */
	PhSignal granted;
	uint32_t limit;
	uint32_t n_inside;
	GQueue waiting; /* of PhPlace */
} PhBulkhead;

/* PhPlace: zero to begin with; must not move while it waits. */
typedef struct {
	GList link;
	PhWake *wake; /* (owned, nullable) told once */
	bool waits;
	bool granted;
	bool roused; /* look again, whether granted or not */
} PhPlace;

typedef enum {
	PH_BULKHEAD_IN = 1,
	PH_BULKHEAD_WAITS = 2, /* the place is in the queue */
	PH_BULKHEAD_FULL = 3,  /* so is the queue */
} PhBulkheadAnswer;

void ph_bulkhead_init(PhBulkhead *bulkhead);
void ph_bulkhead_clear(PhBulkhead *bulkhead);

/* ph_bulkhead_enter: @limit: 0 for none. @longest: the queue's. */
PhBulkheadAnswer ph_bulkhead_enter(PhBulkhead *bulkhead,
                                   PhPlace *place,
                                   uint32_t limit,
                                   uint32_t longest);

/* ph_bulkhead_wake: @wake (owned) is completed when the place is granted or roused: at once if that
 * has happened. */
void ph_bulkhead_wake(PhBulkhead *bulkhead, PhPlace *place, PhWake *wake);

/* ph_bulkhead_take: true: the place was granted, and is over: the caller is inside. */
bool ph_bulkhead_take(PhBulkhead *bulkhead, PhPlace *place);

/* ph_bulkhead_wait: the same for one who has a thread to wait with, until @deadline_us; false: the
 * place is over, and the caller not inside. */
bool ph_bulkhead_wait(PhBulkhead *bulkhead, PhPlace *place, uint64_t deadline_us);

/* ph_bulkhead_forget: gives the place up, granted or not. */
void ph_bulkhead_forget(PhBulkhead *bulkhead, PhPlace *place);

void ph_bulkhead_leave(PhBulkhead *bulkhead);

/* ph_bulkhead_limit: a new limit for those who wait. */
void ph_bulkhead_limit(PhBulkhead *bulkhead, uint32_t limit);

/* ph_bulkhead_rouse: all who wait look whether they still want to. */
void ph_bulkhead_rouse(PhBulkhead *bulkhead);

uint32_t ph_bulkhead_waiting(PhBulkhead *bulkhead);

#endif
