/* tls-stream.h: a stream that encrypts over a socket
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_NET_TLS_STREAM_H
#define PH_NET_TLS_STREAM_H

#include "net/stream.h"
#include "net/tls-context.h"

/* ph_tls_stream_new_server: the accepting side over a connected, non-blocking socket; the
 * handshake comes with ph_stream_handshake(). @context: referenced. @fd: (borrowed).
 * Returns: (owned) freed through its table. */
PhStream *ph_tls_stream_new_server(PhTlsContext *context, int fd);

/* ph_tls_stream_new_client: the connecting side. @name: (nullable) asked for and verified
 * (RFC 6125: DNS names without partial wildcards, or an IP address); NULL: nothing is verified. @peer:
 * (nullable) address and port: goes on with an earlier session with the same peer and name. */
PhStream *ph_tls_stream_new_client(PhTlsContext *context,
                                   int fd,
                                   const char *name,
                                   const char *peer);

/* ph_tls_stream_set_sni: before the handshake of a connecting side that verifies nothing: the name it
 * asks for. */
void ph_tls_stream_set_sni(PhStream *stream, const char *name);

/* ph_tls_stream_was_resumed: did the handshake continue an earlier session? */
bool ph_tls_stream_was_resumed(const PhStream *stream);

#endif
