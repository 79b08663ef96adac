/* connect.c: outbound sessions: the socket, the options, and the plugin's table as a protocol
 *
 * A client session is a session like any other whose first stage is the connecting; its endpoint
 * is its own. It begins its life on a worker, whoever asked for it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/client.h>
#include <posthorn/error.h>

#include "config/config.h"
#include "net/reactor.h"
#include "net/session.h"
#include "net/tls-context.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	default_connect_us = 30 * 1000 * 1000,
};

typedef struct {
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_un un;
	};

	socklen_t length;
} Address;

static bool
parse_address(const char *text, uint16_t port, Address *out)
{
	memset(out, 0, sizeof *out);
	if (g_str_has_prefix(text, "unix:")) {
		const char *path = text + strlen("unix:");

		out->un.sun_family = AF_UNIX;
		out->length = sizeof out->un;
		return g_strlcpy(out->un.sun_path, path, sizeof out->un.sun_path)
		       < sizeof out->un.sun_path;
	}
	if (inet_pton(AF_INET, text, &out->in.sin_addr) == 1) {
		out->in.sin_family = AF_INET;
		out->in.sin_port = htons(port);
		out->length = sizeof out->in;
		return true;
	}
	out->in6.sin6_family = AF_INET6;
	out->in6.sin6_port = htons(port);
	out->length = sizeof out->in6;
	return inet_pton(AF_INET6, text, &out->in6.sin6_addr) == 1;
}

static bool
bind_source(int fd, const char *source, GError **error)
{
	Address address;

	if (!parse_address(source, 0, &address)) {
		g_set_error(error, PH_ERROR, PH_ERROR_INVALID, "'%s' is no address to connect from",
		            source);
		return false;
	}
	if (bind(fd, &address.any, address.length) == 0)
		return true;
	g_set_error(error, PH_ERROR, PH_ERROR_TEMPORARY, "cannot connect from '%s': %s", source,
	            g_strerror(errno));
	return false;
}

/* Returns: a descriptor that is connecting or connected; -1 with @error. */
static int
begin_connecting(const PhClientOptions *options, const Address *address, GError **error)
{
	int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int yes = 1;

	if (fd < 0) {
		g_set_error(error, PH_ERROR, PH_ERROR_LIMIT, "no socket for '%s': %s",
		            options->address, g_strerror(errno));
		return -1;
	}
	(void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
	if (options->source_address != NULL && !bind_source(fd, options->source_address, error)) {
		(void) close(fd);
		return -1;
	}
	if (connect(fd, &address->any, address->length) == 0 || errno == EINPROGRESS)
		return fd;
	g_set_error(error, PH_ERROR, PH_ERROR_TEMPORARY, "cannot connect to '%s': %s",
	            options->address, g_strerror(errno));
	(void) close(fd);
	return -1;
}

static const PhProgramTable *programs; /* (nullable) */

void
ph_client_set_programs(const PhProgramTable *table)
{
	programs = table;
}

/* Held: what must live as long as the session. */
typedef struct {
	PhTlsContext *tls; /* (nullable) */
	PhConfig *config;  /* (nullable) of the section */
	uint64_t program;  /* 0: none */
} Held;

static void
release(void *user_data)
{
	Held *held = user_data;

	ph_tls_context_unref(held->tls);
	ph_config_unref(held->config);
	if (held->program > 0)
		programs->end(held->program);
	g_free(held);
}

/* A plugin's settings must not go while its sessions run. */
static Held *
hold(PhSection *section)
{
	Held *held = g_new0(Held, 1);

	if (section != NULL && section->config != NULL)
		held->config = ph_config_ref(section->config);
	return held;
}

static PhProtocol
adapt_table(const PhClientTable *table)
{
	return (PhProtocol){
		.size = sizeof(PhProtocol),
		.opened = table->connected,
		.line = table->line,
		.octets = table->octets,
		.step = table->step,
		.resumed = table->resumed,
		.tls_started = table->tls_started,
		.timeout = table->timeout,
		.notified = table->notified,
		.drain = table->drain,
	};
}

static PhEndpoint *
make_endpoint(PhSection *section,
              const PhClientOptions *options,
              const PhClientTable *table,
              GError **error)
{
	g_autofree Held *held = NULL;
	PhListenerParams params = { .section = section,
		                    .release = release,
		                    .handshake_timeout = options->connect_timeout,
		                    .hostname =
		                            section != NULL ? ph_section_hostname(section) : NULL };
	PhEndpoint *endpoint = NULL;

	if (options->tls != PH_CLIENT_PLAIN) {
		params.tls = ph_tls_context_for_client(options->ca_file, error);
		if (params.tls == NULL)
			return NULL;
		params.tls_mode =
			options->tls == PH_CLIENT_IMPLICIT_TLS ? PH_TLS_IMPLICIT : PH_TLS_STARTTLS;
	}
	held = hold(section);
	held->tls = params.tls;
	params.user_data = g_steal_pointer(&held);
	endpoint = ph_endpoint_new(&params);
	endpoint->tls_name = g_strdup(options->tls_name);
	endpoint->sni = g_strdup(options->sni);
	endpoint->client_table = adapt_table(table);
	endpoint->params.protocol = &endpoint->client_table;
	endpoint->client_closed = table->closed;
	return endpoint;
}

/* Options and tables of older plugins are shorter. */
static PhClientOptions
copy_options(const PhClientOptions *options)
{
	PhClientOptions copy = { .size = 0 };

	memcpy(&copy, options, MIN(options->size, sizeof copy));
	return copy;
}

static PhClientTable
copy_table(const PhClientTable *table)
{
	PhClientTable copy = { .size = 0 };

	memcpy(&copy, table, MIN(table->size, sizeof copy));
	return copy;
}

/* Returns: a descriptor that is connected to a program; -1 with @error. */
static int
begin_program(const PhClientOptions *options, PhEndpoint *endpoint, GError **error)
{
	Held *held = endpoint->params.user_data;
	int fd = -1;

	if (programs == NULL) {
		g_set_error(error, PH_ERROR, PH_ERROR_TEMPORARY, "no program can be run here");
		return -1;
	}
	if (!programs->start(options->program, &held->program, &fd, error))
		return -1;
	(void) fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	return fd;
}

static bool
take_address(const PhClientOptions *options, Address *address, GError **error)
{
	if (options->program != NULL) {
		memset(address, 0, sizeof *address);
		address->any.sa_family = AF_UNIX;
		return true;
	}
	if (options->address != NULL && parse_address(options->address, options->port, address))
		return true;
	g_set_error(error, PH_ERROR, PH_ERROR_INVALID, "'%s' is no address to connect to",
	            options->address != NULL ? options->address : "");
	return false;
}

static void
set_up(PhSession *session, const PhClientOptions *options, const Address *address, void *data)
{
	uint64_t timeout = options->connect_timeout.us;
	PhPeer peer = { 0 };

	if (timeout == 0)
		timeout = default_connect_us;
	ph_peer_set(&peer, &address->any);
	ph_session_set_peer(session, &peer);
	session->client = true;
	session->data = data;
	session->stage = PH_STAGE_CONNECTING;
	session->stage_us = ph_net_now_us() + (int64_t) MIN(timeout, (uint64_t) G_MAXINT32 * 1000);
}

bool
ph_client_open(PhSection *section,
               const PhClientOptions *options,
               const PhClientTable *table,
               void *data,
               GError **error)
{
	PhClientOptions own = copy_options(options);
	PhClientTable callbacks = copy_table(table);
	PhReactor *reactor = ph_reactor_default();
	PhEndpoint *endpoint = NULL;
	PhSession *session = NULL;
	Address address;
	int fd = -1;

	g_return_val_if_fail(callbacks.connected != NULL && callbacks.closed != NULL
	                             && callbacks.line != NULL,
	                     false);
	if (!take_address(&own, &address, error))
		return false;
	if (reactor == NULL) {
		g_set_error(error, PH_ERROR, PH_ERROR_INVALID, "nobody can be connected to here");
		return false;
	}
	endpoint = make_endpoint(section, &own, &callbacks, error);
	if (endpoint == NULL)
		return false;
	fd = own.program != NULL ? begin_program(&own, endpoint, error)
	                         : begin_connecting(&own, &address, error);
	if (fd >= 0)
		session = ph_session_new(ph_reactor_home(reactor), endpoint, fd, NULL);
	ph_endpoint_unref(endpoint);
	if (fd >= 0 && session == NULL)
		g_set_error(error, PH_ERROR, PH_ERROR_LIMIT, "no place for another session");
	if (session == NULL)
		return false;
	set_up(session, &own, &address, data);
	ph_reactor_count_session(reactor);
	ph_slot_requeue(session->slot, PH_BIT_GO);
	return true;
}
