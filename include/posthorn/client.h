/* client.h: outbound sessions: the core connects, encrypts and frames, a plugin speaks
 *
 * A client session runs on the same reactor as the server's sessions and holds no thread while it
 * waits. It is used by transports and by filters and directories that ask a server. All input
 * functions, output functions and deadlines of session.h work on it; its callbacks are these
 * instead of a protocol's.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_CLIENT_H
#define POSTHORN_CLIENT_H

#include <posthorn/session.h>

G_BEGIN_DECLS

/* PhClientTls: how a connection is protected. */
typedef enum {
	PH_CLIENT_PLAIN = 0,
	PH_CLIENT_IMPLICIT_TLS = 1, /* handshake first */
	PH_CLIENT_STARTTLS = 2,     /* ph_session_start_tls() when the plugin says so */
} PhClientTls;

/* PhClientOptions: everything is copied. */
typedef struct {
	size_t size;         /* sizeof(PhClientOptions) */
	const char *address; /* "192.0.2.1", "2001:db8::1" or "unix:/path"; never a name */
	uint16_t port;
	uint32_t tls;         /* PhClientTls */
	const char *tls_name; /* SNI and the name to verify (RFC 6125); NULL: no verification */
	const char *ca_file;  /* (nullable) instead of the system's trust store; read again when it
	                       * has changed */
	const char *source_address; /* (nullable) to bind to */
	PhDuration connect_timeout; /* for connecting, and as long for the handshake; 0: 30 s */
	const char *sni;            /* (nullable) SNI when tls_name is NULL: named, not verified */
	/* (nullable) Instead of an address: the words of a program that a value of the config begins
	 * with (process.h). Spoken to over its standard input and output; it is killed when the
	 * session closes. */
	const char *const *program;
} PhClientOptions;

typedef struct {
	size_t size; /* sizeof(PhClientTable) */
	/* Callbacks as in protocol.h; `connected` follows the handshake of implicit TLS. */
	PhNext (*connected)(PhSession *session);
	PhNext (*line)(PhSession *session, PhSlice line, uint32_t flaws);
	PhNext (*octets)(PhSession *session, PhSlice piece, bool final);
	PhNext (*step)(PhSession *session);
	PhNext (*resumed)(PhSession *session);
	PhNext (*tls_started)(PhSession *session);
	PhNext (*timeout)(PhSession *session);
	/* closed: @error: (borrowed, nullable) why, when the plugin did not close it itself:
	 * could not connect, handshake or verification failed, peer closed. Required. */
	void (*closed)(PhSession *session, const GError *error);
	/* notified: somebody called ph_session_notify(). drain: the server stops, and the session
	 * waits for input; PH_DONE: it goes on until it closes itself or the time is over. Without
	 * it the session is closed. */
	PhNext (*notified)(PhSession *session);
	PhNext (*drain)(PhSession *session);
} PhClientTable;

/* ph_client_open: starts connecting and returns at once; the first callback is `connected` or
 * `closed`. @data becomes ph_session_data(). Thread: any. Errors: INVALID for a bad address,
 * LIMIT when no descriptor is left, TEMPORARY when no program can be run here. */
PH_PUBLIC bool ph_client_open(PhSection *section,
                              const PhClientOptions *options,
                              const PhClientTable *table,
                              void *data,
                              GError **error);

G_END_DECLS

#endif
