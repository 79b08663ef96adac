/* hold.c: keeps a session's output back until what it shows is durable
 *
 * While a session runs, whatever it reads of an account leaves its position with the session
 * (base/horizon.h). Output behind such a reading is not sent before that position is durable. The
 * session is woken then; no thread is held. When the journal has failed the output is dropped and
 * the connection cut: nothing may be told that is perhaps not so.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "net/hold.h"

#include "base/horizon.h"

typedef struct {
	PhHorizonWait wait; /* first */
	PhSlot *slot;
	uint32_t generation;
} Hold;

static void
reached(PhHorizonWait *wait, bool durable)
{
	Hold *hold = (Hold *) wait;

	ph_slot_post(hold->slot, hold->generation, PH_BIT_HORIZON);
	g_free(hold);
}

static void
wait_for(PhSession *session)
{
	Hold *hold = g_new0(Hold, 1);

	hold->wait = (PhHorizonWait){ .position = session->shown, .func = reached };
	hold->slot = session->slot;
	hold->generation = session->generation;
	session->awaited = session->shown;
	ph_horizon_wait(&hold->wait);
}

PhHold
ph_hold_look(PhSession *session)
{
	if (ph_horizon_reached(session->shown))
		return PH_HOLD_FREE;
	if (ph_horizon_has_failed())
		return PH_HOLD_LOST;
	if (session->awaited < session->shown)
		wait_for(session);
	return PH_HOLD_BACK;
}
