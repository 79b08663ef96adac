/* net.h: what the server asks of the network layer
 *
 * One reactor for the process. Reactor and workers are threads of this layer; the functions here
 * are for the main thread unless they say otherwise, and do not block.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_NET_NET_H
#define PH_NET_NET_H

#include <posthorn/protocol.h>

#include "net/services.h"
#include "net/stream.h"

typedef struct PhReactor PhReactor;
typedef struct PhListener PhListener;
typedef struct PhTlsContext PhTlsContext;
typedef struct PhAddressList PhAddressList;

/* PhReactorParams: 0 means the default. */
typedef struct {
	unsigned max_workers; /* 64; 1 is legal */
	unsigned processors;  /* those that the process may use */
	size_t max_sessions;  /* 100,000 */
	size_t max_output;    /* 256 MiB: unsent octets of all sessions together */
} PhReactorParams;

PhReactor *ph_reactor_new(const PhReactorParams *params, GError **error);
bool ph_reactor_start(PhReactor *reactor, GError **error);

/* ph_reactor_stop: aborts what is left, ends all threads and waits for them (at most until
 * @grace; threads that hang in a plugin are then left behind and false is returned). */
bool ph_reactor_stop(PhReactor *reactor, PhDuration grace);
void ph_reactor_free(PhReactor *reactor);

/* ph_reactor_drain: no listener accepts any more; idle sessions get `drain`, the others when they
 * become idle; whatever is left after @deadline is aborted. @done: called on a worker once, when no
 * session is left. */
void ph_reactor_drain(PhReactor *reactor, PhDuration deadline, PhWake *done);

/* ph_reactor_sessions: open server sessions. Thread: any. */
size_t ph_reactor_sessions(const PhReactor *reactor);

typedef enum {
	PH_TLS_NONE = 0,
	PH_TLS_STARTTLS = 1,
	PH_TLS_IMPLICIT = 2,
} PhTlsMode;

/* PhListenerParams: one listener of one generation; copied, what it points to is borrowed until
 * `release` is called: when neither the listener nor a session uses this generation any more. */
typedef struct {
	PhSection *section;
	const PhProtocol *protocol; /* the completed table */
	void *instance;
	const PhServices *services; /* (nullable) */
	const char *hostname;
	PhTlsContext *tls; /* (nullable) */
	uint32_t tls_mode; /* PhTlsMode */
	/* tls_stream_new: ph_tls_stream_new_server */
	PhStream *(*tls_stream_new)(PhTlsContext *context, int fd);
	/* proxy_networks: peers that must send a PROXY header first; NULL: nobody may. */
	const PhAddressList *proxy_networks;
	uint32_t max_sessions;             /* of this listener; 0: no limit but the reactor's */
	uint32_t max_sessions_per_address; /* 0: no limit; an IPv6 address counts by its /64 */
	PhDuration handshake_timeout;      /* TLS and PROXY header; 0: 30 s */
	uint32_t min_rate;                 /* octets a second that extend a deadline; 0: 500 */
	size_t line_limit;                 /* before the protocol sets its own; 0: 4096 */
	void (*release)(void *user_data);  /* (nullable) Thread: any, also a worker */
	void *user_data;
} PhListenerParams;

/* ph_reactor_add_listener: @fd: (owned) a bound, listening socket. Accepts from now on, or from
 * ph_reactor_start(). */
PhListener *ph_reactor_add_listener(PhReactor *reactor,
                                    int fd,
                                    const PhListenerParams *params,
                                    GError **error);

/* ph_listener_replace: new sessions use @params; the old generation's sessions go on. */
void ph_listener_replace(PhListener *listener, const PhListenerParams *params);
/* ph_listener_sessions: open sessions that it accepted, of all generations. Thread: any. */
uint32_t ph_listener_sessions(const PhListener *listener);
void ph_listener_pause(PhListener *listener);
void ph_listener_resume(PhListener *listener);

/* ph_listener_close: closes the socket; sessions go on. @listener: (owned) gone afterwards. */
void ph_listener_close(PhListener *listener);

/* ph_listener_drain_generation: sessions of @listener's generations before the present one get
 * `drain`, and are aborted after @deadline. */
void ph_listener_drain_old(PhListener *listener, PhDuration deadline);

/* ph_workers_submit: runs @func on the pool, in turn with the sessions. Thread: any. */
void ph_workers_submit(PhReactor *reactor, void (*func)(void *user_data), void *user_data);

/* PhProgramTable: how programs are begun for client sessions. start: @fd_out: (out, owned) its standard
 * input and output. end: kills it. Thread: any. */
typedef struct {
	bool (*start)(const char *const *argv, uint64_t *id_out, int *fd_out, GError **error);
	void (*end)(uint64_t id);
} PhProgramTable;

/* ph_tls_certificate_names: whose it is, and who says so, as in RFC 4514. @subject_out, @issuer_out: (out,
 * owned) untouched when it is no certificate. */
void ph_tls_certificate_names(PhSlice der, char **subject_out, char **issuer_out);

/* ph_client_set_programs: @table: (borrowed, for ever). Thread: load. */
void ph_client_set_programs(const PhProgramTable *table);

/* ph_workers_enter_blocking, _leave_blocking: around what may block on this thread, so that the
 * pool knows. Nothing happens on threads that are no workers. They nest. */
void ph_workers_enter_blocking(void);
void ph_workers_leave_blocking(void);

/* ph_workers_gate: how many threads of the calling thread's pool may be inside of directories,
 * mechanisms and filters at once, so that hanging back ends cannot take all; 0: it is of no pool. */
uint32_t ph_workers_gate(void);

#endif
