/* wake.c: the right to resume a parked session once
 *
 * A wake holds numbers, not pointers: completing it for a session that is gone, or that meanwhile
 * waits for something else, does nothing.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "net/session.h"

struct PhWake {
	PhWakeFunc func; /* NULL: of a session */
	void *user_data;
	PhSlot *slot;
	uint32_t generation;
	uint32_t park;
};

PhWake *
ph_wake_new_func(PhWakeFunc func, void *user_data)
{
	PhWake *wake = g_new0(PhWake, 1);

	wake->func = func;
	wake->user_data = user_data;
	return wake;
}

void
ph_wake_complete(PhWake *wake)
{
	g_return_if_fail(wake != NULL);
	if (wake->func != NULL)
		wake->func(wake->user_data);
	else
		ph_slot_wake(wake->slot, wake->generation, wake->park);
	g_free(wake);
}

PhWake *
ph_session_park(PhSession *session)
{
	PhWake *wake = g_new0(PhWake, 1);

	wake->slot = session->slot;
	wake->generation = session->generation;
	wake->park = ph_slot_park(session->slot);
	session->events &= ~(uint32_t) PH_BIT_WAKE;
	session->parked = true;
	return wake;
}

static int64_t
time_after(PhDuration delay)
{
	return ph_net_now_us() + (int64_t) MIN(delay.us, (uint64_t) G_MAXINT32 * G_USEC_PER_SEC);
}

PhWake *
ph_session_park_for(PhSession *session, PhDuration longest)
{
	session->delay_us = time_after(longest);
	return ph_session_park(session);
}

void
ph_session_delay(PhSession *session, PhDuration delay)
{
	(void) ph_slot_park(session->slot);
	session->events &= ~(uint32_t) PH_BIT_WAKE;
	session->parked = true;
	session->delay_us = time_after(delay);
}

PhSessionRef
ph_session_ref(const PhSession *session)
{
	return (PhSessionRef){ session->slot->index, session->generation };
}

void
ph_session_notify(PhSessionRef ref)
{
	PhSlot *slot = ph_slot_at((uint32_t) ref.slot);

	if (slot != NULL)
		ph_slot_post(slot, (uint32_t) ref.generation, PH_BIT_NOTIFY);
}
