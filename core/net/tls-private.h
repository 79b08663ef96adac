/* tls-private.h: what the tls-*.c files share; the one header with OpenSSL in it
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_NET_TLS_PRIVATE_H
#define PH_NET_TLS_PRIVATE_H

#include "net/tls-context.h"

#include <openssl/ssl.h>

/* ph_tls_context_ssl: the context that a new connection begins with (borrowed). */
SSL_CTX *ph_tls_context_ssl(const PhTlsContext *context);

/* PhTlsSessions: of a client context: what later connections to the same peer go on with. peer: the
 * address and the name that is verified. keep: @session: (owned). take: (owned, nullable). */
typedef struct PhTlsSessions PhTlsSessions;

PhTlsSessions *ph_tls_sessions_new(SSL_CTX *ssl);
void ph_tls_sessions_free(PhTlsSessions *sessions);
void ph_tls_sessions_keep(PhTlsSessions *sessions, const char *peer, SSL_SESSION *session);
SSL_SESSION *ph_tls_sessions_take(PhTlsSessions *sessions, const char *peer);

/* ph_tls_context_sessions: (borrowed) NULL for a server's. */
PhTlsSessions *ph_tls_context_sessions(const PhTlsContext *context);

/* ph_tls_ticket_install: makes the context use the process's ticket keys. */
void ph_tls_ticket_install(SSL_CTX *ssl);

/* ph_tls_bio_new: the descriptor, which stays the caller's. @ssl: (borrowed) whose it will be. Returns:
 * (owned), NULL without memory. */
BIO *ph_tls_bio_new(const SSL *ssl, int fd);

/* ph_tls_reason: why the last OpenSSL call of this thread failed, as text for people; empties the
 * queue. Returns: (owned). */
char *ph_tls_reason(void);

#endif
