/* worker-shared.h: the memory that a worker shares with the supervisor and with other workers
 *
 * The supervisor makes it and hands each worker a descriptor. A worker that cannot use it serves all
 * the same and says in the log what will be missing.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_SERVER_WORKER_SHARED_H
#define PH_SERVER_WORKER_SHARED_H

#include "net/channel.h"

/* ph_worker_share_attempts: the table of what is being tried, by which a crash finds its cause. Takes
 * the descriptor out of the message. */
void ph_worker_share_attempts(PhChannelMessage *message);

/* ph_worker_share_echo: the ring of changes. Without it sessions of the other process see changes when
 * they look at a mailbox anew. The descriptor stays the message's. */
void ph_worker_share_echo(const PhChannelMessage *message);

#endif
