/* control.c: the socket that `posthorn status` and `posthorn reload` speak to, in the worker
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "server/control.h"

#include <posthorn/slice.h>

#include "login/cache.h"
#include "net/socket.h"
#include "server/json.h"

#include <glib-unix.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum {
	REQUEST_MAX = 8192,
	CLIENTS_MAX = 64,
	PATIENCE_SECONDS = 10
};

typedef struct {
	PhControl *control;
	int fd;
	int stream;    /* -1: none was sent along */
	guint watch;   /* source that waits for the request; 0 when it has come */
	guint timeout; /* source */
	GString *request;
	bool as_text;
	bool waits_for_result;
} Client;

struct PhControl {
	int fd;
	guint watch;
	const PhControlTable *table;
	void *user_data;
	GPtrArray *clients; /* of Client */
};

static void
free_client(gpointer pointer)
{
	Client *client = pointer;

	g_clear_handle_id(&client->watch, g_source_remove);
	g_clear_handle_id(&client->timeout, g_source_remove);
	if (client->fd >= 0)
		close(client->fd);
	if (client->stream >= 0)
		close(client->stream);
	g_string_free(client->request, TRUE);
	g_free(client);
}

static void
dismiss(Client *client)
{
	g_ptr_array_remove_fast(client->control->clients, client);
}

/* Sends everything, within a second or not at all, and ends the connection. */
static void
answer(Client *client, const GString *text)
{
	const struct timeval patience = { 1, 0 };
	size_t sent = 0;
	ssize_t n = 1;

	(void) setsockopt(client->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
	(void) g_unix_set_fd_nonblocking(client->fd, FALSE, NULL);
	while (sent < text->len && n > 0) {
		n = send(client->fd, text->str + sent, text->len - sent, MSG_NOSIGNAL);
		sent += n > 0 ? (size_t) n : 0;
	}
	dismiss(client);
}

static void
answer_result(Client *client, const char *result)
{
	g_autoptr(GString) text = g_string_new(NULL);
	const char *rest = strchr(result, '\n');
	bool done = g_str_has_prefix(result, "ok\n");

	if (client->as_text) {
		g_string_append(text, result);
	} else {
		ph_json_open(text, NULL, '{');
		ph_json_boolean(text, "ok", done);
		ph_json_text(text, done ? "text" : "error", rest != NULL ? rest + 1 : result);
		ph_json_close(text, '}');
		g_string_append_c(text, '\n');
	}
	answer(client, text);
}

/* The job has the sockets from now on. */
static void
hand_over(Client *client)
{
	PhControl *control = client->control;
	int fd = client->fd;
	int stream = client->stream;

	client->fd = -1;
	client->stream = -1;
	(void) g_unix_set_fd_nonblocking(fd, FALSE, NULL);
	control->table->store(PH_SLICE(client->request->str, client->request->len), fd, stream,
	                      control->user_data);
	dismiss(client);
}

static void
obey(Client *client, const char *command)
{
	PhControl *control = client->control;
	g_autoptr(GString) text = g_string_new(NULL);

	if (g_strcmp0(command, "status") == 0) {
		control->table->status(client->as_text, text, control->user_data);
		answer(client, text);
	} else if (g_strcmp0(command, "reload") == 0) {
		client->waits_for_result = true;
		g_clear_handle_id(&client->timeout, g_source_remove);
		if (!control->table->reload(control->user_data))
			answer_result(client, "failed\nthe server stops");
	} else if (g_strcmp0(command, "store") == 0 || g_strcmp0(command, "queue") == 0) {
		hand_over(client);
	} else if (g_strcmp0(command, "forget") == 0) {
		ph_cache_forget();
		answer_result(client, "ok\nwhat directories said is asked for again");
	} else if (g_strcmp0(command, "stop") == 0) {
		answer_result(client, "ok\nthe server stops");
		control->table->stop(control->user_data);
	} else {
		answer_result(
			client,
			"failed\nunknown command: status, reload, store, queue, forget or stop");
	}
}

/* What has come, and a descriptor that was sent along. */
static ssize_t
receive(Client *client, char *buffer, size_t size)
{
	union {
		struct cmsghdr header;
		char octets[CMSG_SPACE(sizeof(int))];
	} control = { .octets = { 0 } };
	struct iovec piece = { buffer, size };
	struct msghdr packet = {
		.msg_iov = &piece,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof control,
	};
	ssize_t n = recvmsg(client->fd, &packet, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	const struct cmsghdr *header = n >= 0 ? CMSG_FIRSTHDR(&packet) : NULL;

	if (header != NULL && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS
	    && header->cmsg_len == CMSG_LEN(sizeof(int))) {
		if (client->stream >= 0)
			close(client->stream);
		memcpy(&client->stream, CMSG_DATA(header), sizeof(int));
	}
	return n;
}

static gboolean
read_request(gint fd, GIOCondition condition, gpointer user_data)
{
	Client *client = user_data;
	char buffer[REQUEST_MAX];
	ssize_t n = receive(client, buffer, sizeof buffer);
	g_autofree char *command = NULL;
	g_autofree char *as = NULL;
	ssize_t end = 0;

	if (n > 0)
		g_string_append_len(client->request, buffer, n);
	end = ph_slice_find(PH_SLICE(client->request->str, client->request->len), '\n');
	if (end < 0 && n > 0 && client->request->len < REQUEST_MAX)
		return G_SOURCE_CONTINUE;
	client->watch = 0;
	if (end < 0) {
		dismiss(client);
		return G_SOURCE_REMOVE;
	}
	command = ph_json_lookup(PH_SLICE(client->request->str, (size_t) end), "command");
	as = ph_json_lookup(PH_SLICE(client->request->str, (size_t) end), "as");
	client->as_text = g_strcmp0(as, "text") == 0;
	obey(client, command);
	return G_SOURCE_REMOVE;
}

static gboolean
lose_patience(gpointer user_data)
{
	Client *client = user_data;

	client->timeout = 0;
	dismiss(client);
	return G_SOURCE_REMOVE;
}

static bool
may_ask(int fd)
{
	uid_t user = 0;

	return ph_socket_peer_user(fd, &user) && (user == 0 || user == geteuid());
}

static gboolean
take_client(gint fd, GIOCondition condition, gpointer user_data)
{
	PhControl *control = user_data;
	int accepted = ph_socket_accept(fd);
	Client *client = NULL;

	if (accepted < 0)
		return G_SOURCE_CONTINUE;
	if (control->clients->len >= CLIENTS_MAX || !may_ask(accepted)) {
		close(accepted);
		return G_SOURCE_CONTINUE;
	}
	client = g_new0(Client, 1);
	client->control = control;
	client->fd = accepted;
	client->stream = -1;
	client->request = g_string_new(NULL);
	client->watch = g_unix_fd_add(accepted, G_IO_IN | G_IO_HUP, read_request, client);
	client->timeout = g_timeout_add_seconds(PATIENCE_SECONDS, lose_patience, client);
	g_ptr_array_add(control->clients, client);
	return G_SOURCE_CONTINUE;
}

PhControl *
ph_control_new(int fd, const PhControlTable *table, void *user_data)
{
	PhControl *control = g_new0(PhControl, 1);

	control->fd = fd;
	control->table = table;
	control->user_data = user_data;
	control->clients = g_ptr_array_new_with_free_func(free_client);
	control->watch = g_unix_fd_add(fd, G_IO_IN, take_client, control);
	return control;
}

void
ph_control_result(PhControl *control, const char *result)
{
	for (guint i = control->clients->len; i > 0; i--) {
		Client *client = control->clients->pdata[i - 1];

		if (client->waits_for_result)
			answer_result(client, result);
	}
}

void
ph_control_free(PhControl *control)
{
	if (control == NULL)
		return;
	g_clear_handle_id(&control->watch, g_source_remove);
	g_ptr_array_unref(control->clients);
	close(control->fd);
	g_free(control);
}
