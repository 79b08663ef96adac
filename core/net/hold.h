/* hold.h: keeps a session's output back until what it shows is durable
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_NET_HOLD_H
#define PH_NET_HOLD_H

#include "net/session.h"

typedef enum {
	PH_HOLD_FREE = 0, /* may be sent */
	PH_HOLD_BACK = 1, /* not yet: PH_BIT_HORIZON follows */
	PH_HOLD_LOST = 2, /* never */
} PhHold;

/* ph_hold_look: may the session's output be sent? Thread: session. */
PhHold ph_hold_look(PhSession *session);

#endif
