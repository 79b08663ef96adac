/* stages.h: the moves of a session's turn, shared by connection.c and stages.c
 *
 * Thread: session, for all.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_NET_STAGES_H
#define PH_NET_STAGES_H

#include "net/session.h"

/* PhMove: what one move says about the turn. */
typedef enum {
	PH_MOVE_ON = 0,    /* go on */
	PH_MOVE_PAUSE = 1, /* nothing to do before something happens */
	PH_MOVE_YIELD = 2, /* others have their turn */
	PH_MOVE_END = 3,   /* the session is dead */
} PhMove;

static inline const PhProtocol *
ph_connection_protocol(const PhSession *session)
{
	return session->endpoint->params.protocol;
}

/* die: no further call but `closed`. call: one callback, and what it asks for. flush: sends all
 * output. enter_closing: what is queued goes out, then the end. */
PhMove ph_connection_die(PhSession *session);
PhMove ph_connection_call(PhSession *session, PhNext (*callback)(PhSession *));
PhMove ph_connection_flush(PhSession *session);
void ph_connection_enter_closing(PhSession *session);

/* One move of each stage. */
PhMove ph_stage_connect(PhSession *session);
PhMove ph_stage_proxy(PhSession *session);
PhMove ph_stage_handshake(PhSession *session);
PhMove ph_stage_open(PhSession *session);
PhMove ph_stage_start_tls(PhSession *session);
PhMove ph_stage_close(PhSession *session);
PhMove ph_stage_linger(PhSession *session);

#endif
