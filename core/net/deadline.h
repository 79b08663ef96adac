/* deadline.h: one timer wheel for all due times of slots
 *
 * A due time is a field of the slot. The wheel holds a slot at a place that is not later than its
 * due time, and looks when it comes by: was the time moved on meanwhile, the slot is put further
 * on. So moving a deadline on, as every command does, touches nothing but the field; and a slot
 * that a new session took over is simply still there.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_NET_DEADLINE_H
#define PH_NET_DEADLINE_H

#include "net/slot.h"

typedef struct PhWheel PhWheel;

PhWheel *ph_wheel_new(int64_t now_us);
void ph_wheel_free(PhWheel *wheel);

/* ph_wheel_add: makes sure that the slot is looked at when @due_us has come. Returns: true when
 * the wheel must now be visited earlier than ph_wheel_next() said. Thread: any. */
bool ph_wheel_add(PhWheel *wheel, PhSlot *slot, int64_t due_us);

/* ph_wheel_visit: posts PH_BIT_DUE to all slots that are due. Thread: one. */
void ph_wheel_visit(PhWheel *wheel, int64_t now_us);

/* ph_wheel_next: when to visit next; INT64_MAX: nothing is there. */
int64_t ph_wheel_next(PhWheel *wheel);

#endif
