/* listener.h: a listening socket, who may come in, and how many
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_NET_LISTENER_H
#define PH_NET_LISTENER_H

#include "net/proxy-header.h"
#include "net/session.h"

/* What the reactor keeps for its listeners. */
PhListener *ph_listener_new(PhReactor *reactor,
                            uint32_t number,
                            int fd,
                            const PhListenerParams *params);
PhListener *ph_listener_ref(PhListener *listener);
void ph_listener_unref(PhListener *listener);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PhListener, ph_listener_unref)
int ph_listener_fd(const PhListener *listener);
uint32_t ph_listener_number(const PhListener *listener);

/* ph_listener_shut: closes the socket; the listener stays for those who hold it. */
void ph_listener_shut(PhListener *listener);
void ph_listener_set_paused(PhListener *listener, bool paused);
bool ph_listener_is_paused(const PhListener *listener);

typedef enum {
	PH_ACCEPT_NONE = 0,    /* nobody was there, or refused */
	PH_ACCEPT_SESSION = 1, /* a session to run */
	PH_ACCEPT_REST = 2,    /* no descriptors or memory: try again later */
} PhAccept;

/* ph_listener_open_reserve: a descriptor for the process to give up when there are none left. */
void ph_listener_open_reserve(void);

/* ph_listener_accept: takes one connection. @home: of the new session. Thread: worker. */
PhAccept ph_listener_accept(PhListener *listener,
                            PhHome *home,
                            bool refuse_all,
                            PhSession **session_out);

/* ph_listener_introduce: the PROXY header says who the client is. false: that client is over the
 * limit and was refused. Thread: session. */
bool ph_listener_introduce(PhSession *session, const PhProxyHeader *header);

/* PhRefusal: why somebody does not come in. */
typedef enum {
	PH_REFUSED_BY_SERVER = 0, /* it is full */
	PH_REFUSED_BY_LISTENER = 1,
	PH_REFUSED_ADDRESS = 2,  /* it has as many as an address may */
	PH_REFUSED_FOR_LACK = 3, /* of descriptors or memory */
	PH_REFUSED_HEADER = 4,   /* the PROXY header is none */
	PH_REFUSED_REASONS = 5,
} PhRefusal;

/* ph_listener_tell: for the operator; at most one line a second for each listener and reason, with the
 * number of those since the one before. Strangers must not be able to fill the log, whose other
 * lines others wait for. @peer: (nullable). Thread: any. */
void ph_listener_tell(PhListener *listener,
                      PhRefusal why,
                      const PhListenerParams *params,
                      const PhPeer *peer);

/* ph_listener_session_gone: gives back the session's place in the counts. Thread: session. */
void ph_listener_session_gone(PhSession *session);

PhReactor *ph_listener_reactor(const PhListener *listener);

/* Generations before the present one: post_old leaves bits for their sessions; look_at_old aborts
 * them when their deadline has come and says when to look again; prune lets those go that have no session. */
void ph_listener_post_old(PhListener *listener, const PhHome *home, uint32_t bits);
void ph_listener_set_old_deadline(PhListener *listener, int64_t us);
int64_t ph_listener_look_at_old(PhListener *listener, const PhHome *home, int64_t now_us);
void ph_listener_prune(PhListener *listener);

/* PhPeerCounts: how many sessions each address has. */
typedef struct PhPeerCounts PhPeerCounts;
PhPeerCounts *ph_peer_counts_new(void);
void ph_peer_counts_free(PhPeerCounts *counts);
/* enter: false when the address has @limit already. Thread: any. */
bool ph_peer_counts_enter(PhPeerCounts *counts, const PhPeer *peer, uint32_t limit);
void ph_peer_counts_leave(PhPeerCounts *counts, const PhPeer *peer);
size_t ph_peer_counts_size(PhPeerCounts *counts);

#endif
