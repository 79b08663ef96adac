/* reactor.h: what this folder's files ask of the reactor (the server's side is in net.h)
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_NET_REACTOR_H
#define PH_NET_REACTOR_H

#include "net/net.h"
#include "net/slot.h"
#include "net/workers.h"

/* ph_reactor_default: the one that was started; NULL before. Client sessions live there. */
PhReactor *ph_reactor_default(void);
PhHome *ph_reactor_home(PhReactor *reactor);
PhWorkers *ph_reactor_workers(PhReactor *reactor);

/* ph_reactor_count_session: a session that no listener accepted. */
void ph_reactor_count_session(PhReactor *reactor);

#endif
