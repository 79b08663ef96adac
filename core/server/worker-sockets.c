/* worker-sockets.c: the listening sockets that a worker was given
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "server/worker-sockets.h"

#include "net/socket.h"
#include "server/status.h"

#include <string.h>
#include <unistd.h>

/* Open: a socket that was handed over; `listener` is NULL until it is in use. */
typedef struct {
	char *name;
	char *address; /* as written in the config */
	char *where;   /* as it really is */
	uint16_t port;
	int fd; /* -1 when the listener has it */
	PhListener *listener;
} Open;

struct PhWorkerSockets {
	GArray *open; /* of Open */
};

static void
clear_open(gpointer pointer)
{
	Open *open = pointer;

	if (open->listener != NULL)
		ph_listener_close(open->listener);
	if (open->fd >= 0)
		close(open->fd);
	g_free(open->name);
	g_free(open->address);
	g_free(open->where);
}

void
ph_worker_sockets_take(PhWorkerSockets *sockets, PhChannelMessage *message)
{
	const char *end = strchr(message->text, '\n');
	Open taken = { .fd = message->fd };

	if (end == NULL || taken.fd < 0)
		return;
	for (guint i = 0; i < sockets->open->len; i++) {
		const Open *open = &g_array_index(sockets->open, Open, i);

		if (strlen(open->name) == (size_t) (end - message->text)
		    && strncmp(open->name, message->text, strlen(open->name)) == 0
		    && strcmp(open->address, end + 1) == 0)
			return;
	}
	taken.name = g_strndup(message->text, (gsize) (end - message->text));
	taken.address = g_strdup(end + 1);
	if (!ph_socket_describe(taken.fd, &taken.where, &taken.port))
		taken.where = g_strdup(taken.address);
	message->fd = -1;
	g_array_append_val(sockets->open, taken);
}

/* Use: whose sessions begin now. */
typedef struct {
	PhReactor *reactor;
	PhGeneration *generation;
} Use;

/* Lets the socket's sessions begin with the present generation. */
static bool
use_socket(const Use *use, Open *open, GError **error)
{
	PhListenerParams params;

	if (!ph_generation_listener(use->generation, open->name, &params))
		return false;
	if (open->listener != NULL) {
		ph_listener_replace(open->listener, &params);
		return true;
	}
	open->listener = ph_reactor_add_listener(use->reactor, open->fd, &params, error);
	open->fd = -1;
	return open->listener != NULL;
}

/* Is this address still in the config? */
static bool
is_configured(const PhGeneration *generation, const Open *open)
{
	PhSection *section =
		ph_config_section(ph_generation_config(generation), "listener", open->name);
	const PhListenerSettings *settings = section != NULL ? ph_section_listener(section) : NULL;

	return settings != NULL && g_strv_contains(settings->address, open->address);
}

bool
ph_worker_sockets_use(PhWorkerSockets *sockets,
                      PhReactor *reactor,
                      PhGeneration *generation,
                      GError **error)
{
	const Use use = { reactor, generation };

	for (guint i = sockets->open->len; i > 0; i--) {
		Open *open = &g_array_index(sockets->open, Open, i - 1);

		if (!is_configured(generation, open))
			g_array_remove_index(sockets->open, i - 1);
		else if (!use_socket(&use, open, error))
			return false;
	}
	return true;
}

/* --- all of them ------------------------------------------------------------------------------ */

PhWorkerSockets *
ph_worker_sockets_new(void)
{
	PhWorkerSockets *sockets = g_new0(PhWorkerSockets, 1);

	sockets->open = g_array_new(FALSE, FALSE, sizeof(Open));
	g_array_set_clear_func(sockets->open, clear_open);
	return sockets;
}

void
ph_worker_sockets_free(PhWorkerSockets *sockets)
{
	g_array_unref(sockets->open);
	g_free(sockets);
}

void
ph_worker_sockets_close(PhWorkerSockets *sockets)
{
	for (guint i = 0; i < sockets->open->len; i++)
		g_clear_pointer(&g_array_index(sockets->open, Open, i).listener, ph_listener_close);
}

void
ph_worker_sockets_pause(PhWorkerSockets *sockets)
{
	for (guint i = 0; i < sockets->open->len; i++)
		ph_listener_pause(g_array_index(sockets->open, Open, i).listener);
}

void
ph_worker_sockets_drain_old(PhWorkerSockets *sockets, PhDuration goodbye)
{
	for (guint i = 0; i < sockets->open->len; i++)
		ph_listener_drain_old(g_array_index(sockets->open, Open, i).listener, goodbye);
}

size_t
ph_worker_sockets_n_sessions(const PhWorkerSockets *sockets)
{
	size_t n = 0;

	for (guint i = 0; i < sockets->open->len; i++)
		n += ph_listener_sessions(g_array_index(sockets->open, Open, i).listener);
	return n;
}

void
ph_worker_sockets_list(const PhWorkerSockets *sockets, GArray *listeners)
{
	for (guint i = 0; i < sockets->open->len; i++) {
		const Open *open = &g_array_index(sockets->open, Open, i);
		PhStatusListener listener = {
			.name = open->name,
			.address = open->where,
			.port = open->port,
			.sessions = ph_listener_sessions(open->listener),
		};

		g_array_append_val(listeners, listener);
	}
}
