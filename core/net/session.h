/* session.h: the inside of a session, for the files of this folder
 *
 * A session belongs to whoever runs it (slot.h); nobody else touches it. Endpoints are what many
 * sessions share: one generation of a listener, or the options of one client.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_NET_SESSION_H
#define PH_NET_SESSION_H

#include "net/framing.h"
#include "net/net.h"
#include "net/output.h"
#include "net/slot.h"

#include <netinet/in.h>

enum {
	PH_SESSION_BUDGET = 16 * 1024 * 1024,
	PH_SESSION_STEP_US = 5000, /* then others have their turn */
};

/* PhPeer: an address without its port; is_ip 0 is a unix socket. */
typedef struct {
	uint16_t port;
	uint8_t is_v6;
	uint8_t is_ip;
	uint8_t octets[16];
} PhPeer;

/* PhEndpoint: counted; the last reference calls `release`. */
typedef struct {
	_Atomic uint32_t references;
	_Atomic uint32_t n_sessions;
	_Atomic bool retired; /* new sessions use another */
	PhListenerParams params;
	PhListener *listener;                               /* (owned, nullable) */
	char *hostname;                                     /* (owned) */
	void (*client_closed)(PhSession *, const GError *); /* client sessions only */
	char *tls_name;          /* (owned, nullable) client sessions: whom to verify */
	char *sni;               /* (owned, nullable) client sessions: named without verifying */
	PhProtocol client_table; /* what params.protocol is then */
} PhEndpoint;

PhEndpoint *ph_endpoint_new(const PhListenerParams *params);
PhEndpoint *ph_endpoint_ref(PhEndpoint *endpoint);
void ph_endpoint_unref(PhEndpoint *endpoint);

typedef enum {
	PH_STAGE_CONNECTING = 0, /* client: the socket is not connected yet */
	PH_STAGE_PROXY = 1,      /* the PROXY header is awaited */
	PH_STAGE_HANDSHAKE = 2,  /* TLS, before `opened` or after STARTTLS */
	PH_STAGE_OPENING = 3,    /* `opened` is called next */
	PH_STAGE_OPEN = 4,
	PH_STAGE_CLOSING = 5, /* output goes out, then the end */
	PH_STAGE_LINGER = 6,  /* what the peer still sends is read and dropped */
	PH_STAGE_DEAD = 7,
} PhStage;

/* PhInput: octets that were read and not used. While the session runs they lie in the worker's
 * buffer or, when there are many, in their own. */
typedef struct {
	char *kept; /* (owned) between turns; NULL when nothing is kept */
	uint32_t kept_start;
	uint32_t kept_length;
	uint32_t kept_capacity;
	char *base; /* of the window, while running */
	uint32_t start;
	uint32_t end;
	uint32_t capacity;
} PhInput;

struct PhSession {
	PhSlot *slot;
	uint32_t generation;
	uint32_t events; /* PH_BIT_* not yet looked at */
	PhEndpoint *endpoint;
	PhScratch *scratch; /* while running */
	PhStream *stream;
	PhStream plain;
	PhFraming framing;
	PhInput input;
	PhOutput output;
	void *data;
	GError *failure; /* (owned) why a client session ended */
	int64_t turn_us; /* when this turn began */

	/* Times in us of the monotonic clock; 0: none. */
	int64_t deadline_us;
	int64_t period_us; /* what the deadline was set to */
	int64_t delay_us;
	int64_t stage_us;             /* by when this stage must be over */
	int64_t output_us;            /* by when the peer must have read on */
	_Atomic int64_t next_look_us; /* at the socket, for ph_session_cancelled() */

	uint64_t shown;   /* output waits until this position is durable: hold.h */
	uint64_t awaited; /* that was asked for */
	uint64_t number;
	uint32_t armed; /* EPOLL* events that the reactor will report; 0: none */
	uint8_t stage;  /* PhStage */
	uint8_t login_failures;
	bool added; /* the descriptor is in the reactor */
	bool opened;
	bool client;
	bool connected; /* client: the socket has said something */
	bool own_end;   /* the plugin has closed it, not the world */
	bool parked;
	bool shown_parked; /* as the gauge has it */
	bool woken;        /* while parked: by its wake */
	bool more;
	bool held;     /* paused because the output is full */
	bool ended;    /* the peer has ended its side */
	bool half;     /* that was reported, and will not be asked again */
	bool gone;     /* dead in both directions */
	bool blocked;  /* the socket took no more in this pass */
	bool withheld; /* the output shows what is not durable yet */
	bool readable;
	bool read_wants_write;
	bool start_tls;
	bool tls;
	bool early; /* input came before the greeting */
	bool draining;
	bool drain_asked;
	bool cut; /* output is dropped: the connection is broken */
	_Atomic bool cancelled;

	bool counted; /* in its listener's counts, as counted_peer */
	size_t charged;
	PhPeer peer;
	PhPeer counted_peer;
	char id[16];
	char peer_text[48];
	char *local; /* (owned) made when asked for */
};

/* ph_session_new: the caller runs it first. @fd: (owned) -1 with @stream for tests. NULL: no
 * slot is left; then @fd was closed. */
PhSession *ph_session_new(PhHome *home, PhEndpoint *endpoint, int fd, PhStream *stream);
void ph_session_free(PhSession *session);
void ph_session_set_peer(PhSession *session, const PhPeer *peer);

/* ph_connection_begin: sets the first stage, before the first turn. @behind_proxy: a PROXY header
 * comes first. */
void ph_connection_begin(PhSession *session, bool behind_proxy);

/* ph_connection_run: the session's turn: works off @bits and whatever it can, sends, arms.
 * Returns: false when the session was freed. */
bool ph_connection_run(PhSession *session, uint32_t bits, PhScratch *scratch);

/* ph_connection_run_slot: `run` of a slot. */
void ph_connection_run_slot(PhReady *ready, PhScratch *scratch);

/* ph_input_*: the window over what was read. */
void ph_input_open(PhInput *input, PhScratch *scratch);
void ph_input_close(PhInput *input, PhScratch *scratch);
char *ph_input_room(PhInput *input, size_t wanted, size_t *room_out);
void ph_input_clear(PhInput *input);

int64_t ph_net_now_us(void);

/* ph_session_describe: for the log. */
void ph_session_describe(PhSession *session, const char **id_out, const char **peer_out);

/* ph_peer_set: from what accept or a PROXY header said. */
void ph_peer_set(PhPeer *peer, const struct sockaddr *address);

#endif
