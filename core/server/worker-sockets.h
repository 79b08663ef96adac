/* worker-sockets.h: the listening sockets that a worker was given
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_SERVER_WORKER_SOCKETS_H
#define PH_SERVER_WORKER_SOCKETS_H

#include "net/channel.h"
#include "net/net.h"
#include "server/generation.h"

typedef struct PhWorkerSockets PhWorkerSockets;

/* Thread: main, for all. */
PhWorkerSockets *ph_worker_sockets_new(void);

/* ph_worker_sockets_free: closes them. ph_worker_sockets_close: nothing is accepted any more. */
void ph_worker_sockets_free(PhWorkerSockets *sockets);
void ph_worker_sockets_close(PhWorkerSockets *sockets);

/* ph_worker_sockets_take: the supervisor's message "listener". */
void ph_worker_sockets_take(PhWorkerSockets *sockets, PhChannelMessage *message);

/* ph_worker_sockets_use: sessions begin with this generation; what is not in its config is closed. */
bool ph_worker_sockets_use(PhWorkerSockets *sockets,
                           PhReactor *reactor,
                           PhGeneration *generation,
                           GError **error);

/* ph_worker_sockets_pause: no session begins any more. ph_worker_sockets_drain_old: sessions of earlier
 * generations are told to end. ph_worker_sockets_n_sessions: on all of them. */
void ph_worker_sockets_pause(PhWorkerSockets *sockets);
void ph_worker_sockets_drain_old(PhWorkerSockets *sockets, PhDuration goodbye);
size_t ph_worker_sockets_n_sessions(const PhWorkerSockets *sockets);

/* ph_worker_sockets_list: appends a PhStatusListener for each, borrowed from it. */
void ph_worker_sockets_list(const PhWorkerSockets *sockets, GArray *listeners);

#endif
