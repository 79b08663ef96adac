/* session.c: makes and frees sessions, and answers what a protocol asks of its session
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "net/session.h"

#include <posthorn/slice.h>

#include "net/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum {
	default_line_limit = 4096,
	printf_octets = 1024,
	look_every_us = 50 * 1000,
};

static _Atomic uint64_t last_number;

int64_t
ph_net_now_us(void)
{
	struct timespec now = { 0, 0 };

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t) now.tv_sec * G_USEC_PER_SEC + now.tv_nsec / 1000;
}

PhEndpoint *
ph_endpoint_new(const PhListenerParams *params)
{
	PhEndpoint *endpoint = g_new0(PhEndpoint, 1);

	atomic_init(&endpoint->references, 1);
	endpoint->params = *params;
	endpoint->hostname = g_strdup(params->hostname != NULL ? params->hostname : "localhost");
	if (endpoint->params.line_limit == 0)
		endpoint->params.line_limit = default_line_limit;
	if (endpoint->params.min_rate == 0)
		endpoint->params.min_rate = 500;
	if (endpoint->params.handshake_timeout.us == 0)
		endpoint->params.handshake_timeout.us = 30 * G_USEC_PER_SEC;
	return endpoint;
}

PhEndpoint *
ph_endpoint_ref(PhEndpoint *endpoint)
{
	atomic_fetch_add_explicit(&endpoint->references, 1, memory_order_relaxed);
	return endpoint;
}

void
ph_endpoint_unref(PhEndpoint *endpoint)
{
	if (endpoint == NULL)
		return;
	if (atomic_fetch_sub_explicit(&endpoint->references, 1, memory_order_acq_rel) != 1)
		return;
	if (endpoint->params.release != NULL)
		endpoint->params.release(endpoint->params.user_data);
	ph_listener_unref(endpoint->listener);
	g_free(endpoint->hostname);
	g_free(endpoint->tls_name);
	g_free(endpoint->sni);
	g_free(endpoint);
}

/* Short, unique for the life of the process, and without meaning: base 32 of a running number. */
static void
write_id(char *id, size_t size, uint64_t number)
{
	static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";
	char reversed[16];
	size_t n = 0;

	do {
		reversed[n++] = digits[number & 31];
		number >>= 5;
	} while (number > 0 && n < size - 1);
	for (size_t i = 0; i < n; i++)
		id[i] = reversed[n - 1 - i];
	id[n] = '\0';
}

PhSession *
ph_session_new(PhHome *home, PhEndpoint *endpoint, int fd, PhStream *stream)
{
	PhSession *session = g_new0(PhSession, 1);

	session->slot = ph_slot_new(session, home, endpoint);
	if (session->slot == NULL) {
		g_free(session);
		if (fd >= 0)
			(void) close(fd);
		return NULL;
	}
	session->slot->ready.run = ph_connection_run_slot;
	session->generation = ph_slot_generation(session->slot);
	session->endpoint = ph_endpoint_ref(endpoint);
	atomic_fetch_add_explicit(&endpoint->n_sessions, 1, memory_order_relaxed);
	ph_stream_init_plain(&session->plain, fd);
	session->stream = stream != NULL ? stream : &session->plain;
	ph_framing_init(&session->framing, endpoint->params.line_limit);
	ph_output_init(&session->output);
	session->number = atomic_fetch_add_explicit(&last_number, 1, memory_order_relaxed) + 1;
	write_id(session->id, sizeof session->id, session->number);
	session->stage = PH_STAGE_OPENING;
	return session;
}

static void
leave_endpoint(PhEndpoint *endpoint)
{
	bool last = atomic_fetch_sub(&endpoint->n_sessions, 1) == 1;

	/* The last one of an old generation: its listener lets it go. */
	if (last && endpoint->listener != NULL && atomic_load(&endpoint->retired))
		ph_listener_prune(endpoint->listener);
	ph_endpoint_unref(endpoint);
}

void
ph_session_free(PhSession *session)
{
	int fd = session->plain.fd;

	ph_slot_free(session->slot);
	ph_output_clear(&session->output);
	ph_input_clear(&session->input);
	session->stream->table->free(session->stream);
	if (fd >= 0)
		(void) close(fd);
	g_clear_error(&session->failure);
	g_free(session->local);
	leave_endpoint(session->endpoint);
	g_free(session);
}

void
ph_peer_set(PhPeer *peer, const struct sockaddr *address)
{
	*peer = (PhPeer){ .is_ip = 0 };
	if (address->sa_family == AF_INET) {
		struct sockaddr_in in = { 0 };

		memcpy(&in, address, sizeof in);
		peer->is_ip = 1;
		peer->port = ntohs(in.sin_port);
		memcpy(peer->octets, &in.sin_addr, sizeof in.sin_addr);
	} else if (address->sa_family == AF_INET6) {
		struct sockaddr_in6 in = { 0 };

		memcpy(&in, address, sizeof in);
		peer->is_ip = 1;
		peer->port = ntohs(in.sin6_port);
		peer->is_v6 = !IN6_IS_ADDR_V4MAPPED(&in.sin6_addr);
		if (peer->is_v6)
			memcpy(peer->octets, &in.sin6_addr, sizeof in.sin6_addr);
		else
			memcpy(peer->octets, (const char *) &in.sin6_addr + 12, 4);
	}
}

void
ph_session_set_peer(PhSession *session, const PhPeer *peer)
{
	session->peer = *peer;
	if (!peer->is_ip)
		g_strlcpy(session->peer_text, "unix", sizeof session->peer_text);
	else
		inet_ntop(peer->is_v6 ? AF_INET6 : AF_INET, peer->octets, session->peer_text,
		          sizeof session->peer_text);
}

/* --- input --- */

void
ph_session_limit_line(PhSession *session, size_t octets)
{
	ph_framing_set_limit(&session->framing, octets);
}

void
ph_session_read_octets(PhSession *session, uint64_t n, bool buffered)
{
	ph_framing_begin_octets(&session->framing, n, buffered);
}

void
ph_session_read_data(PhSession *session)
{
	ph_framing_begin_data(&session->framing);
}

uint32_t
ph_session_data_flaws(const PhSession *session)
{
	return session->framing.flaws & 0xff;
}

bool
ph_session_has_input(const PhSession *session)
{
	if (session->stage == PH_STAGE_OPENING && session->early)
		return true;
	return session->input.end > session->input.start;
}

/* --- output --- */

void
ph_session_write(PhSession *session, PhSlice octets)
{
	g_return_if_fail(session->scratch != NULL);
	ph_output_write(&session->output, session->scratch, octets);
}

void
ph_session_write_text(PhSession *session, const char *text)
{
	ph_session_write(session, ph_slice(text));
}

void
ph_session_printf(PhSession *session, const char *format, ...)
{
	char buffer[printf_octets];
	g_autofree char *longer = NULL;
	va_list arguments;
	va_list again;
	int n = 0;

	va_start(arguments, format);
	va_copy(again, arguments);
	n = vsnprintf(buffer, sizeof buffer, format, arguments);
	if (n >= (int) sizeof buffer)
		longer = g_strdup_vprintf(format, again);
	va_end(again);
	va_end(arguments);
	if (longer != NULL)
		ph_session_write_text(session, longer);
	else if (n > 0)
		ph_session_write(session, PH_SLICE(buffer, (size_t) n));
}

void
ph_session_write_content(PhSession *session, PhContent *content, uint64_t offset, uint64_t length)
{
	g_return_if_fail(session->scratch != NULL);
	ph_output_write_content(&session->output, session->scratch, content, offset, length);
}

bool
ph_session_output_full(const PhSession *session)
{
	return ph_output_full(&session->output, session->scratch);
}

bool
ph_session_should_yield(const PhSession *session)
{
	return ph_session_output_full(session)
	       || ph_net_now_us() - session->turn_us >= PH_SESSION_STEP_US;
}

/* Nothing is armed while a callback runs: look at the socket itself, but not often. */
static bool
looks_dead(PhSession *session, int64_t now)
{
	struct pollfd socket = { .fd = session->plain.fd };

	if (socket.fd < 0
	    || now < atomic_load_explicit(&session->next_look_us, memory_order_relaxed))
		return false;
	atomic_store_explicit(&session->next_look_us, now + look_every_us, memory_order_relaxed);
	return poll(&socket, 1, 0) == 1 && (socket.revents & (POLLERR | POLLHUP)) != 0;
}

bool
ph_session_cancelled(const PhSession *session)
{
	PhSession *self = session->slot->session;
	int64_t now = 0;

	if (atomic_load_explicit(&self->cancelled, memory_order_relaxed)
	    || (ph_slot_peek(session->slot) & (PH_BIT_GONE | PH_BIT_ABORT)) != 0)
		return true;
	now = ph_net_now_us();
	if (session->deadline_us != 0 && session->deadline_us <= now)
		return true;
	if (looks_dead(self, now))
		atomic_store_explicit(&self->cancelled, true, memory_order_relaxed);
	return atomic_load_explicit(&self->cancelled, memory_order_relaxed);
}

/* --- times --- */

void
ph_session_set_deadline(PhSession *session, PhDuration from_now)
{
	uint64_t us = MIN(from_now.us, (uint64_t) G_MAXINT32 * G_USEC_PER_SEC);

	session->period_us = (int64_t) us;
	session->deadline_us = us > 0 ? ph_net_now_us() + (int64_t) us : 0;
}

/* --- the connection --- */

void
ph_session_describe(PhSession *session, const char **id_out, const char **peer_out)
{
	*id_out = session->id;
	*peer_out = session->peer_text;
}

const char *
ph_session_id(const PhSession *session)
{
	return session->id;
}

const char *
ph_session_peer(const PhSession *session)
{
	return session->peer_text;
}

uint16_t
ph_session_peer_port(const PhSession *session)
{
	return session->peer.port;
}

bool
ph_session_peer_is_loopback(const PhSession *session)
{
	static const uint8_t v6_loopback[16] = { [15] = 1 };

	if (!session->peer.is_ip)
		return true;
	if (session->peer.is_v6)
		return memcmp(session->peer.octets, v6_loopback, sizeof v6_loopback) == 0;
	return session->peer.octets[0] == 127;
}

static char *
describe_local(int fd)
{
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_un un;
		struct sockaddr_storage storage;
	} local = { .storage = { 0 } };

	socklen_t length = sizeof local;
	char text[INET6_ADDRSTRLEN] = "";

	if (fd < 0 || getsockname(fd, &local.any, &length) != 0)
		return g_strdup("unknown");
	if (local.any.sa_family == AF_INET) {
		inet_ntop(AF_INET, &local.in.sin_addr, text, sizeof text);
		return g_strdup_printf("%s:%u", text, ntohs(local.in.sin_port));
	}
	if (local.any.sa_family == AF_INET6) {
		inet_ntop(AF_INET6, &local.in6.sin6_addr, text, sizeof text);
		return g_strdup_printf("[%s]:%u", text, ntohs(local.in6.sin6_port));
	}
	return g_strdup("unix");
}

const char *
ph_session_local(const PhSession *session)
{
	/* Made at the first question; the session is serial, so nobody else looks. */
	PhSession *self = session->slot->session;

	if (self->local == NULL)
		self->local = describe_local(self->plain.fd);
	return self->local;
}

const char *
ph_session_hostname(const PhSession *session)
{
	return session->endpoint->hostname;
}

PhSection *
ph_session_section(const PhSession *session)
{
	return session->endpoint->params.section;
}

void *
ph_session_instance(const PhSession *session)
{
	return session->endpoint->params.instance;
}

const PhServices *
ph_session_services(const PhSession *session)
{
	return session->endpoint->params.services;
}

void
ph_session_set_data(PhSession *session, void *data)
{
	session->data = data;
}

void *
ph_session_data(const PhSession *session)
{
	return session->data;
}

bool
ph_session_tls_available(const PhSession *session)
{
	const PhListenerParams *params = &session->endpoint->params;

	if (session->client)
		return params->tls != NULL && !session->tls;
	return params->tls_mode == PH_TLS_STARTTLS && params->tls_stream_new != NULL
	       && !session->tls;
}

bool
ph_session_is_tls(const PhSession *session)
{
	return session->tls;
}

void
ph_session_start_tls(PhSession *session)
{
	g_return_if_fail(!session->tls);
	session->start_tls = true;
}

const char *
ph_session_tls_description(const PhSession *session)
{
	if (!session->tls || session->stream->table->description == NULL)
		return NULL;
	return session->stream->table->description(session->stream);
}

bool
ph_session_tls_binding(const PhSession *session, const char *type, GByteArray *out)
{
	if (!session->tls || session->stream->table->binding == NULL)
		return false;
	return session->stream->table->binding(session->stream, type, out);
}

bool
ph_session_tls_certificate(const PhSession *session, GByteArray *out)
{
	if (!session->tls || session->stream->table->certificate == NULL)
		return false;
	return session->stream->table->certificate(session->stream, out);
}

uint32_t
ph_session_tls_version(const PhSession *session)
{
	if (!session->tls || session->stream->table->version == NULL)
		return 0;
	return session->stream->table->version(session->stream);
}

bool
ph_session_charge(PhSession *session, size_t octets)
{
	if (octets > PH_SESSION_BUDGET - session->charged)
		return false;
	session->charged += octets;
	return true;
}

void
ph_session_refund(PhSession *session, size_t octets)
{
	g_return_if_fail(octets <= session->charged);
	session->charged -= octets;
}

bool
ph_session_is_draining(const PhSession *session)
{
	return session->draining || (ph_slot_peek(session->slot) & PH_BIT_DRAIN) != 0;
}

uint32_t
ph_session_count_login_failure(PhSession *session)
{
	if (session->login_failures < UINT8_MAX)
		session->login_failures++;
	return session->login_failures;
}

uint32_t
ph_session_login_failures(const PhSession *session)
{
	return session->login_failures;
}
