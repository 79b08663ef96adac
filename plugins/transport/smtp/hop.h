/* hop.h: one connection to a next hop, from the search for it to the last reply
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef HOP_H
#define HOP_H

#include "convert.h"
#include "relay.h"

/* --- where to: path.c ------------------------------------------------------------------------- */

enum {
	PATH_HOSTS_MAX = 50,
	PATH_ADDRESSES_MAX = 16, /* of one host */
};

typedef struct {
	char *name;
	uint16_t preference;
	uint32_t chance; /* among those of the same preference */
} Host;

/* path_order: sorts @hosts (of Host) as they are to be tried, and takes away those at and behind
 * @own, so that mail never goes round. Pure. false: nothing was left but ourselves. */
bool path_order(GArray *hosts, const char *own);

typedef struct {
	GArray *hosts;        /* of Host */
	size_t host_at;       /* the one whose addresses are tried */
	GPtrArray *addresses; /* of char * */
	size_t address_at;
	uint32_t n_tried;
	uint32_t family; /* PH_DNS_* that was asked for */
	bool has_mx;
	bool is_secure;   /* every answer was validated */
	bool was_unclear; /* something failed that may work later */
} Path;

void path_init(Path *path);
void path_clear(Path *path);

/* path_begin: finds out the hosts; path_found follows, or path_failed. */
void path_begin(Hop *hop);

/* path_next: the next address is at path_address(), now or when hop_found() is called; or
 * hop_unreachable(). */
void path_next(Hop *hop);
bool path_has_more(const Hop *hop);
const char *path_address(const Path *path);
const char *path_host(const Path *path);

/* --- what the peer can do: caps.c ------------------------------------------------------------- */

enum {
	CAP_PIPELINING = 1U << 0,
	CAP_SIZE = 1U << 1,
	CAP_8BITMIME = 1U << 2,
	CAP_STARTTLS = 1U << 3,
	CAP_CHUNKING = 1U << 4,
	CAP_BINARYMIME = 1U << 5,
	CAP_SMTPUTF8 = 1U << 6,
	CAP_DSN = 1U << 7,
	CAP_REQUIRETLS = 1U << 8,
	CAP_DELIVERBY = 1U << 9,
	CAP_PRIORITY = 1U << 10,
	CAP_AUTH_PLAIN = 1U << 11,
	CAP_AUTH_LOGIN = 1U << 12,
	CAP_AUTH_CRAM_MD5 = 1U << 13,
	CAP_AUTH_SCRAM_SHA_1 = 1U << 14,
	CAP_AUTH_SCRAM_SHA_256 = 1U << 15,
};

typedef struct {
	uint32_t flags;          /* CAP_* */
	uint64_t size;           /* 0: no limit was told */
	uint32_t max_recipients; /* LIMITS RCPTMAX (RFC 9422); 0: none */
	uint32_t max_messages;   /* LIMITS MAILMAX */
	uint32_t min_deliver_by;
} Caps;

/* caps_add: one line of an EHLO reply behind its first, without the code. Pure. */
void caps_add(Caps *caps, PhSlice line);

/* by_left: what is left of a BY parameter, "120;R" or "-5;NT" (RFC 2852 section 4). @seconds_out and
 * @mode_out: (out) for true only. Pure. false: it is none. */
bool by_left(PhSlice value, int64_t elapsed_seconds, int64_t *seconds_out, PhSlice *mode_out);

/* --- a connection: hop.c, hello.c, transact.c ------------------------------------------------- */

typedef enum {
	PHASE_PATH = 0, /* the DNS is asked */
	PHASE_GREETING = 1,
	PHASE_EHLO = 2,
	PHASE_HELO = 3,
	PHASE_STARTTLS = 4,
	PHASE_HANDSHAKE = 5,
	PHASE_AUTH = 6,
	PHASE_IDLE = 7, /* established from here on */
	PHASE_ENVELOPE = 8,
	PHASE_BODY = 9,
	PHASE_RESULT = 10,
	PHASE_RSET = 11,
	PHASE_QUIT = 12,
} Phase;

/* Sending: how the message goes to this peer. */
typedef struct {
	PhContent *content; /* (owned) trace fields and octets, converted if need be */
	uint64_t length;    /* of it */
	uint64_t at;        /* what was sent of it */
	uint32_t state;     /* of body_convert() */
	bool is_8bit;
	bool is_binary;     /* octets as they are, by BDAT */
	bool is_utf8;       /* SMTPUTF8 is said */
	int64_t by_seconds; /* what is left of DELIVERBY */
	PhSlice by_mode;    /* "R", "N", "RT", "NT"; empty without; of the mail */
	bool by_bdat;
	bool is_small;     /* may go out with the envelope */
	uint32_t n_chunks; /* whose replies are awaited */
	bool is_whole;     /* its end went out: the peer may take it */
} Sending;

struct Hop {
	Relay *relay;             /* (counted) */
	Destination *destination; /* of the pool */
	GList idle_link;
	PhSessionRef ref;
	Job *job;      /* (owned, nullable) of the session alone */
	Job *given;    /* (owned, nullable) by the pool while it was idle; under the lock */
	bool is_idle;  /* under the lock */
	bool must_end; /* under the lock */
	bool is_established;
	PhSession *session; /* while one is open */
	Path path;
	Phase phase;
	Caps caps;
	Reply reply;
	Failure failure;
	Failure *kept; /* (owned, nullable) of an earlier host, temporary: outweighs a final one */
	TlsPolicy tls;
	bool is_tls;
	bool goes_plain; /* TLS did not work, and need not */
	bool is_reused;  /* this job is not the first one */
	bool had_reply;  /* to this job */
	bool is_broken;  /* only the end is left */
	bool is_moving;  /* with its job from one host to the next */
	bool is_detour;  /* this host gets that job alone */
	uint8_t auth_step;
	const Mechanism *mechanism;
	Sasl *sasl; /* (owned, nullable) */
	uint32_t n_messages;
	int64_t born_us;
	/* the transaction: step 0 is MAIL, then the recipients, then DATA or BDAT */
	Sending sending;
	size_t n_sent;
	size_t n_answered;
	size_t n_accepted;
	size_t result_at; /* LMTP: whose result comes next */
	bool is_clean;    /* the peer waits for MAIL again, without RSET */
};

Hop *hop_new(Relay *relay, Destination *destination);
void hop_free(Hop *hop);

/* hop_start: begins to look for a host. Thread: any. */
void hop_start(Hop *hop);

/* hop_found: there is an address to try. hop_unreachable: there is none any more; hop->failure says
 * why. Both by path.c. */
void hop_found(Hop *hop);
void hop_unreachable(Hop *hop);

/* hop_fail_host: this host will not do (hop->failure): the next one. */
PhNext hop_fail_host(Hop *hop);

/* hop_give_up: the established connection is of no use any more. */
PhNext hop_give_up(Hop *hop);
PhNext hop_quit(Hop *hop);

/* hop_keep_failure: hop->failure is remembered when it is temporary, whatever comes next. */
void hop_keep_failure(Hop *hop);

/* hop_note_reply: hop->failure says what the peer has said. */
void hop_note_reply(Hop *hop);

bool hop_wants_tls(const Hop *hop);

/* hello_*: from the greeting to the first job. */
PhNext hello_reply(Hop *hop);
PhNext hello_ehlo(Hop *hop);

/* auth_begin: logs in, when there is somebody to log in as, then takes a job. */
PhNext auth_begin(Hop *hop);
PhNext auth_reply(Hop *hop);

/* transact_next: takes a job, or waits for one. transact_begin: does hop->job. */
PhNext transact_next(Hop *hop);
PhNext transact_begin(Hop *hop);
PhNext transact_reply(Hop *hop);
PhNext transact_step(Hop *hop);

/* transact_lost: the connection ended: what becomes of the job. hop->is_moving: it is offered to the
 * next host. */
void transact_lost(Hop *hop);
void sending_clear(Sending *sending);

/* --- the message: body.c ---------------------------------------------------------------------- */

/* body_prepare: fills in hop->sending. false: hop->failure says why the message cannot go there. */
bool body_prepare(Hop *hop);

/* body_send: writes what the output has room for. */
typedef enum {
	BODY_MORE = 0,
	BODY_SENT = 1,
	BODY_FAILED = 2, /* the message could not be read: hop->failure */
} BodyResult;

BodyResult body_send(Hop *hop);

/* body_is_ascii: no octet above 127 in an address. */
bool body_is_ascii(const char *text);

#endif
