/* relay.h: mail to other hosts by SMTP and LMTP: what the files of this folder share
 *
 * A Relay is the instance of one config section. Recipients are sorted into Jobs, one for each
 * destination; a Destination has the jobs that wait and its Hops, the connections. A hop finds a
 * host, says hello, and takes one job after the other; when there is none it stays for a while.
 *
 * Thread: a hop's functions are serial: either the DNS is asked for it, or its session runs. What
 * several hops share lies behind the relay's lock (pool.c).
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef RELAY_H
#define RELAY_H

#include <posthorn/client.h>
#include <posthorn/resolver.h>
#include <posthorn/secret.h>
#include <posthorn/transport.h>

#include "reply.h"
#include "sasl.h"

typedef struct Relay Relay;
typedef struct Mechanism Mechanism;
typedef struct Destination Destination;
typedef struct Hop Hop;

typedef enum {
	TLS_NONE = 0,
	TLS_MAY = 1,     /* when it is offered and works */
	TLS_REQUIRE = 2, /* or not at all; whoever the host is */
	TLS_VERIFY = 3,  /* and the certificate must be for the host's name */
} TlsPolicy;

typedef enum {
	IP_ANY = 0, /* IPv6 first */
	IP_V4_FIRST = 1,
	IP_V4 = 2,
	IP_V6 = 3,
} IpOrder;

typedef enum {
	LINES_KEEP = 0,   /* of more than 998 octets: as they are */
	LINES_ENCODE = 1, /* where no signature breaks */
	LINES_REFUSE = 2, /* the message comes back */
} LongLines;

typedef struct {
	const char *relay_host; /* (nullable) of lmtp: its address */
	int64_t port;
	uint32_t tls; /* TlsPolicy */
	bool implicit_tls;
	const char *ca_file;
	const char *tls_name;
	const char *user;
	const PhSecret *password;
	bool plaintext_auth;
	const char *const *mechanisms; /* (nullable) the best first */
	const char *helo;
	uint32_t ip; /* IpOrder */
	const char *source_ipv4;
	const char *source_ipv6;
	const char *const *destinations;
	int64_t max_connections;
	int64_t connections_per_destination;
	int64_t max_recipients;
	int64_t max_messages;
	int64_t max_hosts;
	int64_t max_tries;
	PhDuration idle_time;
	PhDuration max_age;
	PhDuration connect_timeout;
	PhDuration greeting_timeout;
	PhDuration helo_timeout;
	PhDuration mail_timeout;
	PhDuration rcpt_timeout;
	PhDuration data_timeout;
	PhDuration block_timeout;
	PhDuration end_timeout;
	bool chunking;
	uint32_t long_lines; /* LongLines */
} Settings;

/* NextHop: where a connection goes, as written. */
typedef struct {
	char *host;    /* name or address, or "unix:/path" */
	uint16_t port; /* 0: as configured */
	bool is_address;
	bool is_unix;
} NextHop;

/* next_hop_parse: "host", "host:port", "192.0.2.1:25", "[2001:db8::1]:25", "unix:/path". Pure.
 * false: it is none of these. */
bool next_hop_parse(const char *text, NextHop *out);
void next_hop_clear(NextHop *hop);

/* Rule: what is particular about some domains. */
typedef struct {
	char *domain;
	bool is_suffix; /* "*.example.org" */
	bool has_next_hop;
	NextHop next_hop;
	int tls;         /* TlsPolicy; -1: as configured */
	uint32_t n_hops; /* 0: as configured */
	uint16_t port;   /* 0: as configured */
} Rule;

/* rule_parse: "example.org tls=verify next-hop=mx.example.net:2525 connections=2 port=25". Pure. */
bool rule_parse(const char *text, Rule *out, GError **error);
void rule_clear(Rule *rule);
bool rule_matches(const Rule *rule, const char *domain);

/* Failure: why something did not go well, as the sender may read it. */
typedef struct {
	uint32_t code;                   /* PhError; 0: none */
	char reply[REPLY_TEXT_MAX + 64]; /* "550 5.1.1 ..." */
	char mta[256];                   /* who said so; empty: we did */
	bool is_away;                    /* it was said to everybody, not of this mail */
} Failure;

/* failure_set: @smtp_code and @status as in a reply; a 4 is temporary. */
void failure_set(Failure *failure, unsigned smtp_code, const char *status, const char *format, ...)
	G_GNUC_PRINTF(4, 5);

/* --- jobs ------------------------------------------------------------------------------------- */

typedef struct {
	uint32_t index;   /* in the delivery */
	bool is_done;     /* has a result */
	bool is_left_out; /* cannot be offered to this peer */
	bool is_accepted; /* by RCPT */
	bool is_put_off;  /* by this peer: for another host */
	Failure *put_off; /* (owned, nullable) what the last host said: another one may take it */
} Recipient;

typedef struct {
	PhDelivery *delivery;
	Destination *destination;
	GList link;
	unsigned n_tries;
	unsigned n_hosts;  /* that it was offered to */
	bool requires_tls; /* RFC 8689 */
	size_t n_recipients;
	size_t n_left; /* without a result */
	Recipient recipients[];
} Job;

/* job_complete: one recipient's result; of those that have one already nothing happens. */
void job_complete(Job *job, size_t at, const PhDeliveryResult *result);

/* job_fail_one: the same with what was said. job_fail: all that have no result yet. */
void job_fail_one(Job *job, size_t at, const Failure *failure);
void job_fail(Job *job, const Failure *failure);

/* job_put_off: one that has no result yet waits for another host. job_fail_rest: all that have no
 * result yet get what they were put off with, or else @failure. */
void job_put_off(Job *job, size_t at, const Failure *failure);
void job_fail_rest(Job *job, const Failure *failure);

/* job_shrink: forgets those who have a result; the others are nobody's now. */
void job_shrink(Job *job);

/* job_split: takes away all recipients but the first @most; none has a result yet. Returns: (owned)
 * the job with the others, or NULL when there are none. */
Job *job_split(Job *job, size_t most);

/* job_free: @job: (owned) every recipient has its result. */
void job_free(Job *job);

/* --- logging in: auth.c ------------------------------------------------------------------------ */

/* auth_list: what settings->mechanisms names, or all that are known, to relay->mechanisms. */
bool auth_list(Relay *relay, GError **error);

/* --- the relay and its pool: pool.c ----------------------------------------------------------- */

struct Relay {
	gatomicrefcount references; /* of the section, of each hop */
	PhSection *section;
	const Settings *settings;
	bool is_lmtp;
	NextHop next_hop;   /* of relay-host */
	GArray *mechanisms; /* of const Mechanism *, the best first */
	SaslLibrary *sasl;  /* (nullable) when there is a user to log in as */
	GArray *rules;      /* of Rule */

	GMutex lock; /* guards all below, and what pool.c says of hops and destinations */
	GHashTable *destinations;
	GQueue starved; /* of Destination: wait until a connection may be opened */
	uint32_t n_hops;
	uint32_t n_idle;
	bool is_closing;
};

struct Destination {
	char *key;
	char *domain;
	const Rule *rule; /* (nullable) */
	bool requires_tls;
	GQueue waiting; /* of Job */
	GQueue idle;    /* of Hop */
	uint32_t n_hops;
	uint32_t n_established;
	bool is_starved;
	GList starved_link;
};

Relay *relay_new(PhSection *section, const Settings *settings, bool is_lmtp, GError **error);
Relay *relay_ref(Relay *relay);
void relay_unref(Relay *relay);

/* relay_close: no more jobs come; idle connections end. */
void relay_close(Relay *relay);

/* relay_key: under which mail for @domain shares connections. */
void relay_key(const Relay *relay, const char *domain, GString *out);
const Rule *relay_rule(const Relay *relay, const char *domain);

/* pool_submit: @job: (owned) for @domain. */
void pool_submit(Relay *relay, const char *domain, Job *job);

/* pool_submit_again: the connection was lost before the peer had said anything. */
void pool_submit_again(Relay *relay, Job *job);

/* pool_established: the hop has said hello. */
void pool_established(Hop *hop);

/* pool_next: the next job for this hop; NULL: it is idle now, and may be given one later: then its
 * session is notified; or it shall end. */
Job *pool_next(Hop *hop, bool *ends_out);

/* pool_take: what an idle hop that was notified has been given; NULL with @ends_out when it shall
 * end; NULL without when there was nothing. */
Job *pool_take(Hop *hop, bool *ends_out);

/* pool_leave: an idle hop wants to end. false: it has just been given a job. */
bool pool_leave(Hop *hop);

/* pool_gone: the hop has ended. @failure: (nullable) it never was established: what waits has no
 * other way. Frees the hop. */
void pool_gone(Hop *hop, const Failure *failure);

#endif
