/* listener.c: a listening socket, who may come in, and how many
 *
 * A connection above a limit gets the protocol's refusal and is closed. When the process has no
 * descriptor left, a reserved one is given up for the moment that it takes to refuse somebody;
 * when even that fails the listener rests.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "net/listener.h"

#include <posthorn/log.h>

#include "base/clock.h"
#include "net/address-list.h"
#include "net/stats.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	TELL_INTERVAL_US = 1000 * 1000,
};

/* How many were refused for one reason, and from when on the log may hear of it again. */
typedef struct {
	_Atomic uint64_t next_us;
	_Atomic uint32_t n;
} Told;

struct PhListener {
	_Atomic uint32_t references;
	uint32_t number;
	_Atomic uint32_t n_sessions;
	_Atomic bool paused;
	_Atomic int fd;
	pthread_mutex_t lock; /* guards endpoint and old */
	PhEndpoint *endpoint;
	GPtrArray *old;         /* (owned) endpoints that still have sessions */
	_Atomic int64_t old_us; /* by when those must be over; 0: no hurry */
	PhReactor *reactor;
	PhPeerCounts *counts;
	Told told[PH_REFUSED_REASONS];
};

static struct {
	pthread_mutex_t lock; /* guards fd */
	int fd;
} reserve = { .lock = PTHREAD_MUTEX_INITIALIZER, .fd = -1 };

static void
unref_endpoint(gpointer endpoint)
{
	ph_endpoint_unref(endpoint);
}

static void
set_endpoint(PhListener *listener, const PhListenerParams *params)
{
	PhEndpoint *endpoint = params != NULL ? ph_endpoint_new(params) : NULL;
	PhEndpoint *before = NULL;

	if (endpoint != NULL)
		endpoint->listener = ph_listener_ref(listener);
	pthread_mutex_lock(&listener->lock);
	before = listener->endpoint;
	listener->endpoint = endpoint;
	if (before != NULL) {
		atomic_store(&before->retired, true);
		g_ptr_array_add(listener->old, before);
	}
	pthread_mutex_unlock(&listener->lock);
	ph_listener_prune(listener);
}

static PhEndpoint *
get_endpoint(PhListener *listener)
{
	PhEndpoint *endpoint = NULL;

	pthread_mutex_lock(&listener->lock);
	if (listener->endpoint != NULL)
		endpoint = ph_endpoint_ref(listener->endpoint);
	pthread_mutex_unlock(&listener->lock);
	return endpoint;
}

PhListener *
ph_listener_new(PhReactor *reactor, uint32_t number, int fd, const PhListenerParams *params)
{
	PhListener *listener = g_new0(PhListener, 1);
	int yes = 1;

	atomic_init(&listener->references, 1);
	atomic_init(&listener->fd, fd);
	listener->number = number;
	listener->reactor = reactor;
	listener->counts = ph_peer_counts_new();
	listener->old = g_ptr_array_new_with_free_func(unref_endpoint);
	pthread_mutex_init(&listener->lock, NULL);
	set_endpoint(listener, params);
	/* What is accepted inherits both. A unix socket has no such option. */
	(void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
	(void) fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	return listener;
}

PhListener *
ph_listener_ref(PhListener *listener)
{
	atomic_fetch_add_explicit(&listener->references, 1, memory_order_relaxed);
	return listener;
}

void
ph_listener_unref(PhListener *listener)
{
	if (listener == NULL)
		return;
	if (atomic_fetch_sub_explicit(&listener->references, 1, memory_order_acq_rel) != 1)
		return;
	ph_peer_counts_free(listener->counts);
	g_ptr_array_unref(listener->old);
	pthread_mutex_destroy(&listener->lock);
	g_free(listener);
}

int
ph_listener_fd(const PhListener *listener)
{
	return atomic_load(&listener->fd);
}

uint32_t
ph_listener_number(const PhListener *listener)
{
	return listener->number;
}

void
ph_listener_shut(PhListener *listener)
{
	int fd = atomic_exchange(&listener->fd, -1);

	if (fd >= 0)
		(void) close(fd);
	set_endpoint(listener, NULL);
}

void
ph_listener_replace(PhListener *listener, const PhListenerParams *params)
{
	set_endpoint(listener, params);
}

void
ph_listener_set_paused(PhListener *listener, bool paused)
{
	atomic_store(&listener->paused, paused);
}

bool
ph_listener_is_paused(const PhListener *listener)
{
	return atomic_load(&listener->paused);
}

void
ph_listener_session_gone(PhSession *session)
{
	PhListener *listener = session->endpoint->listener;

	if (listener == NULL)
		return;
	atomic_fetch_sub(&listener->n_sessions, 1);
	if (session->counted)
		ph_peer_counts_leave(listener->counts, &session->counted_peer);
}

static void
send_refusal(int fd, const PhListenerParams *params)
{
	const char *text = params->protocol->refused;

	ph_counter_add(ph_net_stats.refused, 1);
	if (text != NULL && params->tls_mode != PH_TLS_IMPLICIT) {
		g_autofree char *line =
			g_strconcat(text, g_str_has_suffix(text, "\r\n") ? "" : "\r\n", NULL);

		(void) send(fd, line, strlen(line), MSG_NOSIGNAL | MSG_DONTWAIT);
	}
	(void) shutdown(fd, SHUT_WR);
}

typedef struct {
	uint32_t level;
	const char *event;
	const char *sentence;
} Reason;

static const Reason reasons[PH_REFUSED_REASONS] = {
	[PH_REFUSED_BY_SERVER] = { PH_LOG_WARNING, "connection-refused",
	                           "the server has as many connections as it may" },
	[PH_REFUSED_BY_LISTENER] = { PH_LOG_WARNING, "connection-refused",
	                             "this listener has as many connections as it may" },
	[PH_REFUSED_ADDRESS] = { PH_LOG_WARNING, "connection-refused",
	                         "this address has as many connections as it may" },
	[PH_REFUSED_FOR_LACK] = { PH_LOG_ERROR, "no-descriptors",
	                          "clients are turned away: no descriptor or no memory is left; "
	                          "raise LimitNOFILE, or lower max-connections" },
	[PH_REFUSED_HEADER] = { PH_LOG_WARNING, "proxy-header",
	                        "a connection from a network in 'proxy-protocol' does not begin "
	                        "with a PROXY header; it is closed" },
};

/* Returns: how many the line stands for; 0: it is not time yet. */
static uint32_t
take_turn(Told *told)
{
	uint64_t now_us = ph_clock_us();
	uint64_t next_us = atomic_load(&told->next_us);

	atomic_fetch_add(&told->n, 1);
	if (now_us < next_us
	    || !atomic_compare_exchange_strong(&told->next_us, &next_us, now_us + TELL_INTERVAL_US))
		return 0;
	return atomic_exchange(&told->n, 0);
}

void
ph_listener_tell(PhListener *listener,
                 PhRefusal why,
                 const PhListenerParams *params,
                 const PhPeer *peer)
{
	const Reason *reason = &reasons[why];
	char address[INET6_ADDRSTRLEN] = "unix";
	uint32_t n = take_turn(&listener->told[why]);

	if (n == 0)
		return;
	if (peer != NULL && peer->is_ip)
		inet_ntop(peer->is_v6 ? AF_INET6 : AF_INET, peer->octets, address, sizeof address);
	ph_log_section(params->section, reason->level, reason->event, reason->sentence,
	               PH_LOG_NUMBER("refused", n),
	               peer != NULL ? PH_LOG_TEXT("address", address) : PH_LOG_END, PH_LOG_END);
}

static void
refuse(int fd, const PhListenerParams *params)
{
	send_refusal(fd, params);
	(void) close(fd);
}

static bool
lacks_resources(int error_number)
{
	return error_number == EMFILE || error_number == ENFILE || error_number == ENOBUFS
	       || error_number == ENOMEM;
}

void
ph_listener_open_reserve(void)
{
	pthread_mutex_lock(&reserve.lock);
	if (reserve.fd < 0)
		reserve.fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	pthread_mutex_unlock(&reserve.lock);
}

/* Gives up the reserved descriptor to refuse one connection. */
static PhAccept
refuse_with_reserve(PhListener *listener, const PhListenerParams *params)
{
	int listening = atomic_load(&listener->fd);
	int fd = -1;
	bool kept = false;

	pthread_mutex_lock(&reserve.lock);
	if (reserve.fd >= 0) {
		(void) close(reserve.fd);
		fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0)
			refuse(fd, params);
	}
	reserve.fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	kept = reserve.fd >= 0;
	pthread_mutex_unlock(&reserve.lock);
	ph_listener_tell(listener, PH_REFUSED_FOR_LACK, params, NULL);
	return fd >= 0 && kept ? PH_ACCEPT_NONE : PH_ACCEPT_REST;
}

uint32_t
ph_listener_sessions(const PhListener *listener)
{
	return atomic_load_explicit(&listener->n_sessions, memory_order_relaxed);
}

static bool
enter(PhListener *listener, const PhListenerParams *params)
{
	uint32_t n = atomic_fetch_add(&listener->n_sessions, 1);

	if (params->max_sessions == 0 || n < params->max_sessions)
		return true;
	atomic_fetch_sub(&listener->n_sessions, 1);
	return false;
}

/* Sessions of one address are counted by that of the client, not of a proxy. */
static bool
enter_address(PhListener *listener, const PhListenerParams *params, const PhPeer *peer)
{
	if (params->max_sessions_per_address == 0 || !peer->is_ip)
		return true;
	return ph_peer_counts_enter(listener->counts, peer, params->max_sessions_per_address);
}

static void
note_counted(PhSession *session)
{
	session->counted =
		session->endpoint->params.max_sessions_per_address > 0 && session->peer.is_ip;
	session->counted_peer = session->peer;
}

static char *
describe(const PhProxyEnd *end)
{
	char text[INET6_ADDRSTRLEN] = "";

	if (end->any.sa_family == AF_INET) {
		inet_ntop(AF_INET, &end->v4.sin_addr, text, sizeof text);
		return g_strdup_printf("%s:%u", text, ntohs(end->v4.sin_port));
	}
	if (end->any.sa_family != AF_INET6)
		return NULL;
	inet_ntop(AF_INET6, &end->v6.sin6_addr, text, sizeof text);
	return g_strdup_printf("[%s]:%u", text, ntohs(end->v6.sin6_port));
}

bool
ph_listener_introduce(PhSession *session, const PhProxyHeader *header)
{
	const PhListenerParams *params = &session->endpoint->params;
	PhPeer peer = { 0 };

	if (header->is_local)
		return true;
	ph_peer_set(&peer, &header->peer.any);
	ph_session_set_peer(session, &peer);
	session->local = describe(&header->local);
	if (!enter_address(session->endpoint->listener, params, &peer)) {
		ph_listener_tell(session->endpoint->listener, PH_REFUSED_ADDRESS, params, &peer);
		send_refusal(session->plain.fd, params);
		return false;
	}
	note_counted(session);
	return true;
}

static PhAccept
admit(PhListener *listener,
      PhEndpoint *endpoint,
      PhHome *home,
      int fd,
      const struct sockaddr *address,
      PhSession **session_out)
{
	const PhListenerParams *params = &endpoint->params;
	bool behind_proxy = params->proxy_networks != NULL
	                    && ph_address_list_has(params->proxy_networks, address);
	PhPeer peer = { 0 };
	PhRefusal why = PH_REFUSED_REASONS;

	ph_peer_set(&peer, address);
	if (!enter(listener, params)) {
		why = PH_REFUSED_BY_LISTENER;
	} else if (!behind_proxy && !enter_address(listener, params, &peer)) {
		atomic_fetch_sub(&listener->n_sessions, 1);
		why = PH_REFUSED_ADDRESS;
	}
	if (why != PH_REFUSED_REASONS) {
		ph_listener_tell(listener, why, params, &peer);
		refuse(fd, params);
		return PH_ACCEPT_NONE;
	}
	*session_out = ph_session_new(home, endpoint, fd, NULL);
	if (*session_out == NULL) {
		atomic_fetch_sub(&listener->n_sessions, 1);
		if (!behind_proxy && params->max_sessions_per_address > 0 && peer.is_ip)
			ph_peer_counts_leave(listener->counts, &peer);
		return PH_ACCEPT_NONE;
	}
	ph_session_set_peer(*session_out, &peer);
	if (!behind_proxy)
		note_counted(*session_out);
	ph_connection_begin(*session_out, behind_proxy);
	return PH_ACCEPT_SESSION;
}

PhAccept
ph_listener_accept(PhListener *listener, PhHome *home, bool refuse_all, PhSession **session_out)
{
	union {
		struct sockaddr any;
		struct sockaddr_storage storage;
	} address = { .storage = { 0 } };

	socklen_t length = sizeof address;
	int listening = atomic_load(&listener->fd);
	PhEndpoint *endpoint = get_endpoint(listener);
	PhAccept result = PH_ACCEPT_NONE;
	int fd = -1;

	if (endpoint == NULL)
		return PH_ACCEPT_NONE;
	fd = accept4(listening, &address.any, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= 0 && refuse_all) {
		PhPeer peer = { 0 };

		ph_peer_set(&peer, &address.any);
		ph_listener_tell(listener, PH_REFUSED_BY_SERVER, &endpoint->params, &peer);
		refuse(fd, &endpoint->params);
	} else if (fd >= 0) {
		result = admit(listener, endpoint, home, fd, &address.any, session_out);
	} else if (lacks_resources(errno)) {
		result = refuse_with_reserve(listener, &endpoint->params);
	}
	ph_endpoint_unref(endpoint);
	return result;
}

PhReactor *
ph_listener_reactor(const PhListener *listener)
{
	return listener->reactor;
}

void
ph_listener_post_old(PhListener *listener, const PhHome *home, uint32_t bits)
{
	pthread_mutex_lock(&listener->lock);
	for (guint i = 0; i < listener->old->len; i++)
		ph_slot_post_all(home, g_ptr_array_index(listener->old, i), bits);
	pthread_mutex_unlock(&listener->lock);
}

void
ph_listener_set_old_deadline(PhListener *listener, int64_t us)
{
	atomic_store(&listener->old_us, us);
}

int64_t
ph_listener_look_at_old(PhListener *listener, const PhHome *home, int64_t now_us)
{
	int64_t us = atomic_load(&listener->old_us);

	if (us == 0)
		return INT64_MAX;
	if (now_us < us)
		return us;
	atomic_store(&listener->old_us, 0);
	ph_listener_post_old(listener, home, PH_BIT_ABORT);
	return INT64_MAX;
}

void
ph_listener_prune(PhListener *listener)
{
	g_autoptr(GPtrArray) unused = g_ptr_array_new_with_free_func(unref_endpoint);

	pthread_mutex_lock(&listener->lock);
	for (guint i = listener->old->len; i > 0; i--) {
		PhEndpoint *endpoint = g_ptr_array_index(listener->old, i - 1);

		if (atomic_load(&endpoint->n_sessions) == 0)
			g_ptr_array_add(unused, g_ptr_array_steal_index_fast(listener->old, i - 1));
	}
	pthread_mutex_unlock(&listener->lock);
}
