/* supervisor-sockets.c: the sockets that the supervisor opens and keeps over workers and reloads
 *
 * A socket is known by its listener's name and its address as written. One that a service manager
 * opened is taken by its name (systemd:NAME, or the listener's own name).
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "server/supervisor-sockets.h"

#include <posthorn/error.h>
#include <posthorn/log.h>

#include "config/listen.h"
#include "net/socket.h"
#include "server/notify.h"

#include <string.h>
#include <sys/un.h>
#include <unistd.h>

typedef struct {
	char *name;
	char *text;
	int fd;
	char *unlink_path; /* (nullable) a unix socket that we made */
} Entry;

struct PhSockets {
	GArray *entries;   /* of Entry */
	GArray *activated; /* of PhActivated; fd -1 when taken */
	char *control_path;
	int control_fd;
};

static void
clear_entry(gpointer pointer)
{
	Entry *entry = pointer;

	close(entry->fd);
	if (entry->unlink_path != NULL)
		(void) unlink(entry->unlink_path);
	g_free(entry->unlink_path);
	g_free(entry->name);
	g_free(entry->text);
}

PhSockets *
ph_sockets_new(void)
{
	PhSockets *sockets = g_new0(PhSockets, 1);

	sockets->entries = g_array_new(FALSE, FALSE, sizeof(Entry));
	g_array_set_clear_func(sockets->entries, clear_entry);
	sockets->activated = ph_notify_sockets();
	sockets->control_fd = -1;
	return sockets;
}

static void
close_control(PhSockets *sockets)
{
	if (sockets->control_fd < 0)
		return;
	close(sockets->control_fd);
	(void) unlink(sockets->control_path);
	g_clear_pointer(&sockets->control_path, g_free);
	sockets->control_fd = -1;
}

void
ph_sockets_free(PhSockets *sockets)
{
	if (sockets == NULL)
		return;
	close_control(sockets);
	g_array_unref(sockets->entries);
	g_array_unref(sockets->activated);
	g_free(sockets);
}

static bool
is_open(const PhSockets *sockets, const PhOutlineAddress *wanted)
{
	for (guint i = 0; i < sockets->entries->len; i++) {
		const Entry *entry = &g_array_index(sockets->entries, Entry, i);

		if (strcmp(entry->name, wanted->name) == 0
		    && strcmp(entry->text, wanted->text) == 0)
			return true;
	}
	return false;
}

/* A socket that the service manager opened under this name; -1 when there is none. */
static int
take_activated(PhSockets *sockets, const char *name)
{
	for (guint i = 0; i < sockets->activated->len; i++) {
		PhActivated *activated = &g_array_index(sockets->activated, PhActivated, i);
		int fd = activated->fd;

		if (fd >= 0 && strcmp(activated->name, name) == 0) {
			activated->fd = -1;
			return fd;
		}
	}
	return -1;
}

static int
open_address(PhSockets *sockets,
             const PhOutlineAddress *wanted,
             PhListenAddress *parsed,
             GError **error)
{
	g_autoptr(GString) problem = g_string_new(NULL);
	PhSocketSpec spec = { .address = (struct sockaddr *) &parsed->socket, .mode = 0666 };
	int fd = -1;

	if (!ph_listen_parse(wanted->text, parsed, problem)) {
		g_set_error(error, PH_ERROR, PH_ERROR_INVALID, "%s", problem->str);
		return -1;
	}
	fd = take_activated(sockets,
	                    parsed->systemd_name[0] != '\0' ? parsed->systemd_name : wanted->name);
	if (fd >= 0)
		return fd;
	if (parsed->systemd_name[0] != '\0') {
		g_set_error(error, PH_ERROR, PH_ERROR_NOT_FOUND,
		            "systemd passed no socket of that name (FileDescriptorName=%s)",
		            parsed->systemd_name);
		return -1;
	}
	spec.length = parsed->length;
	spec.is_any = parsed->is_any;
	return ph_socket_listen(&spec, error);
}

static void
log_listening(const Entry *entry)
{
	g_autofree char *address = NULL;
	uint16_t port = 0;

	if (ph_socket_describe(entry->fd, &address, &port))
		ph_log(PH_LOG_NOTICE, "listening", "listener is open",
		       PH_LOG_TEXT("name", entry->name), PH_LOG_TEXT("address", address),
		       PH_LOG_NUMBER("port", port), PH_LOG_END);
}

static bool
open_one(PhSockets *sockets, const PhOutlineAddress *wanted, GError **error)
{
	PhListenAddress parsed = { .length = 0 };
	Entry entry = { .fd = open_address(sockets, wanted, &parsed, error) };

	if (entry.fd < 0) {
		g_prefix_error(error, "listener '%s' cannot listen on %s: ", wanted->name,
		               wanted->text);
		return false;
	}
	entry.name = g_strdup(wanted->name);
	entry.text = g_strdup(wanted->text);
	if (parsed.socket.ss_family == AF_UNIX)
		entry.unlink_path = g_strdup(
			((const struct sockaddr_un *) (const void *) &parsed.socket)->sun_path);
	g_array_append_val(sockets->entries, entry);
	return true;
}

bool
ph_sockets_open(PhSockets *sockets, const PhOutline *outline, GError **error)
{
	guint n_before = sockets->entries->len;

	for (guint i = 0; i < outline->addresses->len; i++) {
		const PhOutlineAddress *wanted =
			&g_array_index(outline->addresses, PhOutlineAddress, i);

		if (is_open(sockets, wanted))
			continue;
		if (!open_one(sockets, wanted, error)) {
			g_array_set_size(sockets->entries, n_before);
			return false;
		}
	}
	for (guint i = n_before; i < sockets->entries->len; i++)
		log_listening(&g_array_index(sockets->entries, Entry, i));
	return true;
}

static bool
is_wanted(const PhOutline *outline, const Entry *entry)
{
	for (guint i = 0; i < outline->addresses->len; i++) {
		const PhOutlineAddress *wanted =
			&g_array_index(outline->addresses, PhOutlineAddress, i);

		if (strcmp(wanted->name, entry->name) == 0
		    && strcmp(wanted->text, entry->text) == 0)
			return true;
	}
	return false;
}

void
ph_sockets_keep(PhSockets *sockets, const PhOutline *outline)
{
	for (guint i = sockets->entries->len; i > 0; i--)
		if (!is_wanted(outline, &g_array_index(sockets->entries, Entry, i - 1)))
			g_array_remove_index(sockets->entries, i - 1);
}

bool
ph_sockets_get(const PhSockets *sockets, size_t index, PhSocket *out)
{
	const Entry *entry = NULL;

	if (index >= sockets->entries->len)
		return false;
	entry = &g_array_index(sockets->entries, Entry, index);
	*out = (PhSocket){ .name = entry->name, .text = entry->text, .fd = entry->fd };
	return true;
}

static int
listen_control(const char *path, GError **error)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	PhSocketSpec spec = { .address = (struct sockaddr *) &address, .mode = 0600 };
	size_t length = strlen(path);

	if (length >= sizeof address.sun_path) {
		g_set_error(error, PH_ERROR, PH_ERROR_INVALID,
		            "the path is longer than %zu octets; set `control` in [server]",
		            sizeof address.sun_path - 1);
		return -1;
	}
	memcpy(address.sun_path, path, length + 1);
	spec.length = (socklen_t) (offsetof(struct sockaddr_un, sun_path) + length + 1);
	return ph_socket_listen(&spec, error);
}

int
ph_sockets_control(PhSockets *sockets, const char *path, uid_t user, GError **error)
{
	int fd = -1;

	if (sockets->control_fd >= 0 && strcmp(sockets->control_path, path) == 0)
		return sockets->control_fd;
	fd = listen_control(path, error);
	if (fd < 0) {
		g_prefix_error(error, "cannot open the control socket '%s': ", path);
		return -1;
	}
	if (geteuid() == 0)
		(void) !lchown(path, user, (gid_t) -1);
	close_control(sockets);
	sockets->control_fd = fd;
	sockets->control_path = g_strdup(path);
	return fd;
}
