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

/* ph_tls_ticket_install: makes the context use the process's ticket keys. */
void ph_tls_ticket_install(SSL_CTX *ssl);

/* ph_tls_bio_new: the descriptor, which stays the caller's. Returns: (owned), NULL without memory. */
BIO *ph_tls_bio_new(int fd);

/* ph_tls_reason: why the last OpenSSL call of this thread failed, as text for people; empties the
 * queue. Returns: (owned). */
char *ph_tls_reason(void);

#endif
