/* stages.c: how a session begins and ends: connecting, PROXY header, handshake, greeting, closing
 *
 * Closing a socket whose input was not read would destroy the answer under way, so a session with
 * unread input ends its own side first and reads on for a moment.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "net/stages.h"

#include <posthorn/error.h>
#include <posthorn/log.h>

#include "net/listener.h"
#include "net/proxy-header.h"
#include "net/tls-stream.h"

#include <errno.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

enum {
	linger_us = 2 * 1000 * 1000,
	linger_octets = 256 * 1024,
};

/* --- STARTTLS --- */

static PhStream *
new_client_stream(const PhSession *session)
{
	const PhEndpoint *endpoint = session->endpoint;
	g_autofree char *peer =
		g_strdup_printf("%s %u", session->peer_text, (unsigned) session->peer.port);
	PhStream *stream = ph_tls_stream_new_client(endpoint->params.tls, session->plain.fd,
	                                            endpoint->tls_name, peer);

	if (endpoint->tls_name == NULL && endpoint->sni != NULL)
		ph_tls_stream_set_sni(stream, endpoint->sni);
	return stream;
}

/* Puts TLS between the session and its socket; the handshake is the next stage. */
static PhMove
wrap_in_tls(PhSession *session)
{
	const PhEndpoint *endpoint = session->endpoint;
	const PhListenerParams *params = &endpoint->params;
	PhStream *stream = NULL;

	if (session->client && params->tls != NULL)
		stream = new_client_stream(session);
	else if (params->tls_stream_new != NULL)
		stream = params->tls_stream_new(params->tls, session->plain.fd);
	if (stream == NULL)
		return ph_connection_die(session);
	session->stream->table->free(session->stream);
	session->stream = stream;
	session->stage = PH_STAGE_HANDSHAKE;
	session->stage_us = ph_net_now_us() + (int64_t) params->handshake_timeout.us;
	session->readable = true;
	return PH_MOVE_ON;
}

PhMove
ph_stage_start_tls(PhSession *session)
{
	PhMove move = PH_MOVE_ON;

	if (session->input.end > session->input.start) {
		ph_log_session(session, PH_LOG_INFO, "tls-failed",
		               "input came before the TLS handshake; the connection is closed",
		               PH_LOG_END);
		session->cut = true;
		return ph_connection_die(session);
	}
	move = ph_connection_flush(session);
	if (move != PH_MOVE_ON)
		return move;
	session->start_tls = false;
	return wrap_in_tls(session);
}

/* The one line of a server session whose handshake failed; a client session's owner is told. */
static void
tell_handshake_failure(PhSession *session)
{
	if (session->stream->table->failure != NULL && session->failure == NULL)
		(void) session->stream->table->failure(session->stream, &session->failure);
	if (!session->client && session->failure != NULL)
		ph_log_session(session, PH_LOG_INFO, "tls-failed", "no TLS with this client",
		               PH_LOG_FAILURE(session->failure), PH_LOG_END);
}

PhMove
ph_stage_handshake(PhSession *session)
{
	const PhProtocol *protocol = ph_connection_protocol(session);
	int result = ph_stream_handshake(session->stream);

	session->read_wants_write = result == PH_STREAM_WANT_WRITE;
	if (result == PH_STREAM_WANT_READ || result == PH_STREAM_WANT_WRITE)
		return PH_MOVE_PAUSE;
	if (result != 1) {
		session->cut = true;
		tell_handshake_failure(session);
		return ph_connection_die(session);
	}
	session->tls = true;
	session->stage_us = 0;
	session->readable = true;
	if (!session->opened) {
		session->stage = PH_STAGE_OPENING;
		return PH_MOVE_ON;
	}
	session->stage = PH_STAGE_OPEN;
	return protocol->tls_started != NULL ? ph_connection_call(session, protocol->tls_started)
	                                     : PH_MOVE_ON;
}

static bool
came_early(PhSession *session)
{
	char octet = 0;

	if ((ph_connection_protocol(session)->needs & PH_SPEAKS_FIRST) == 0)
		return false;
	if (ph_stream_pending(session->stream) > 0)
		return true;
	if (session->plain.fd < 0 || session->tls)
		return false;
	return recv(session->plain.fd, &octet, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
}

PhMove
ph_stage_open(PhSession *session)
{
	const PhProtocol *protocol = ph_connection_protocol(session);
	PhMove move = PH_MOVE_ON;

	session->early = came_early(session);
	session->opened = true;
	session->stage_us = 0;
	move = ph_connection_call(session, protocol->opened);
	if (session->stage != PH_STAGE_OPENING)
		return move;
	session->stage = PH_STAGE_OPEN;
	if (session->early)
		ph_connection_enter_closing(session);
	return move;
}

/* --- the end --- */

static bool
has_unread(PhSession *session)
{
	int unread = 0;

	if (session->ended || session->plain.fd < 0)
		return false;
	if (session->input.end > session->input.start || session->framing.skipping
	    || ph_framing_in_body(&session->framing))
		return true;
	return ioctl(session->plain.fd, FIONREAD, &unread) == 0 && unread > 0;
}

/* Closing a socket with unread input would destroy the answer under way: end our side, read on. */
PhMove
ph_stage_close(PhSession *session)
{
	PhMove move = ph_connection_flush(session);

	if (move != PH_MOVE_ON)
		return move;
	(void) ph_stream_shutdown(session->stream);
	if (!has_unread(session))
		return ph_connection_die(session);
	(void) shutdown(session->plain.fd, SHUT_WR);
	session->stage = PH_STAGE_LINGER;
	session->stage_us = ph_net_now_us() + linger_us;
	session->readable = true;
	return PH_MOVE_ON;
}

PhMove
ph_stage_linger(PhSession *session)
{
	ssize_t n = 0;

	for (size_t total = 0; total < linger_octets; total += (size_t) n) {
		n = recv(session->plain.fd, session->scratch->in, sizeof session->scratch->in, 0);
		if (n < 0 && errno == EAGAIN)
			return PH_MOVE_PAUSE;
		if (n <= 0)
			break;
	}
	return ph_connection_die(session);
}

/* --- the beginning --- */

static PhMove
begin_session(PhSession *session)
{
	const PhListenerParams *params = &session->endpoint->params;

	session->stage_us = 0;
	session->stage = PH_STAGE_OPENING;
	if (params->tls_mode == PH_TLS_IMPLICIT)
		return wrap_in_tls(session);
	return PH_MOVE_ON;
}

/* The kernel would report the same octets again and again: it is asked to report when there are
 * more than these. */
static PhMove
wait_for_header(PhSession *session, size_t n)
{
	int more = (int) n + 1;

	if (setsockopt(session->plain.fd, SOL_SOCKET, SO_RCVLOWAT, &more, sizeof more) != 0)
		return ph_connection_die(session);
	session->readable = false;
	return PH_MOVE_PAUSE;
}

/* The header is looked at in the socket's own buffer and only itself is taken from there, so that
 * what follows it (a TLS handshake, perhaps) is untouched. */
PhMove
ph_stage_proxy(PhSession *session)
{
	const PhListenerParams *params = &session->endpoint->params;
	char octets[PH_PROXY_HEADER_MAX];
	PhProxyHeader header = { 0 };
	const int one = 1;
	ssize_t n = 0;

	if (!session->readable)
		return PH_MOVE_PAUSE;
	n = recv(session->plain.fd, octets, sizeof octets, MSG_PEEK | MSG_DONTWAIT);
	if (n <= 0)
		return n < 0 && errno == EAGAIN ? PH_MOVE_PAUSE : ph_connection_die(session);
	switch (ph_proxy_header_parse(PH_SLICE(octets, (size_t) n), &header)) {
	case PH_PROXY_OK:
		break;
	case PH_PROXY_INCOMPLETE:
		return wait_for_header(session, (size_t) n);
	case PH_PROXY_INVALID:
		ph_listener_tell(session->endpoint->listener, PH_REFUSED_HEADER, params,
		                 &session->peer);
		return ph_connection_die(session);
	}
	if (recv(session->plain.fd, octets, header.used, MSG_DONTWAIT) != (ssize_t) header.used)
		return ph_connection_die(session);
	(void) setsockopt(session->plain.fd, SOL_SOCKET, SO_RCVLOWAT, &one, sizeof one);
	session->readable = false;
	if (!ph_listener_introduce(session, &header))
		return ph_connection_die(session);
	return begin_session(session);
}

PhMove
ph_stage_connect(PhSession *session)
{
	int failure = 0;
	socklen_t length = sizeof failure;

	if (!session->connected)
		return PH_MOVE_PAUSE;
	if (getsockopt(session->plain.fd, SOL_SOCKET, SO_ERROR, &failure, &length) != 0)
		failure = errno;
	if (failure != 0) {
		g_set_error(&session->failure, PH_ERROR, PH_ERROR_TEMPORARY,
		            "cannot connect to '%s': %s", session->peer_text, g_strerror(failure));
		return ph_connection_die(session);
	}
	return begin_session(session);
}

void
ph_connection_begin(PhSession *session, bool behind_proxy)
{
	const PhListenerParams *params = &session->endpoint->params;

	if (behind_proxy) {
		session->stage = PH_STAGE_PROXY;
		session->stage_us = ph_net_now_us() + (int64_t) params->handshake_timeout.us;
	} else if (!session->client) {
		(void) begin_session(session);
	}
}
