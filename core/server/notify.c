/* notify.c: what a service manager is told, and the sockets that it opened for us
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "server/notify.h"

#include <posthorn/slice.h>

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum {
	FIRST_FD = 3,
	SOCKETS_MAX = 1024
};

static struct {
	struct sockaddr_un address;
	socklen_t length; /* 0: nobody to tell */
	uint64_t watchdog_us;
} manager;

static bool
is_for_us(const char *variable)
{
	const char *text = g_getenv(variable);
	uint64_t pid = 0;

	return text != NULL && ph_slice_to_u64(ph_slice(text), G_MAXINT32, &pid)
	       && pid == (uint64_t) getpid();
}

static void
read_watchdog(void)
{
	const char *text = g_getenv("WATCHDOG_USEC");
	uint64_t us = 0;

	if (text != NULL && (g_getenv("WATCHDOG_PID") == NULL || is_for_us("WATCHDOG_PID"))
	    && ph_slice_to_u64(ph_slice(text), G_MAXINT64, &us))
		manager.watchdog_us = us / 2;
	g_unsetenv("WATCHDOG_USEC");
	g_unsetenv("WATCHDOG_PID");
}

void
ph_notify_open(void)
{
	const char *path = g_getenv("NOTIFY_SOCKET");
	size_t length = path != NULL ? strlen(path) : 0;

	if (length > 1 && (path[0] == '/' || path[0] == '@')
	    && length < sizeof manager.address.sun_path) {
		manager.address.sun_family = AF_UNIX;
		memcpy(manager.address.sun_path, path, length);
		if (path[0] == '@')
			manager.address.sun_path[0] = '\0';
		manager.length = (socklen_t) (offsetof(struct sockaddr_un, sun_path) + length);
	}
	read_watchdog();
	g_unsetenv("NOTIFY_SOCKET");
}

void
ph_notify_send(const char *assignments)
{
	int fd = -1;

	if (manager.length == 0)
		return;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	(void) sendto(fd, assignments, strlen(assignments), MSG_NOSIGNAL,
	              (const struct sockaddr *) &manager.address, manager.length);
	close(fd);
}

void
ph_notify_reloading(void)
{
	g_autofree char *text = NULL;
	struct timespec now = { 0, 0 };

	(void) clock_gettime(CLOCK_MONOTONIC, &now);
	text = g_strdup_printf("RELOADING=1\nMONOTONIC_USEC=%" G_GINT64_FORMAT,
	                       (gint64) now.tv_sec * G_USEC_PER_SEC + now.tv_nsec / 1000);
	ph_notify_send(text);
}

uint64_t
ph_notify_watchdog_us(void)
{
	return manager.watchdog_us;
}

static void
clear_activated(gpointer activated)
{
	g_free(((PhActivated *) activated)->name);
}

static void
take_socket(GArray *sockets, int fd, const char *name)
{
	PhActivated activated = { .fd = fd, .name = NULL };
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0)
		return;
	(void) fcntl(fd, F_SETFD, FD_CLOEXEC);
	(void) fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	activated.name = g_strdup(name);
	g_array_append_val(sockets, activated);
}

GArray *
ph_notify_sockets(void)
{
	GArray *sockets = g_array_new(FALSE, FALSE, sizeof(PhActivated));
	const char *count = g_getenv("LISTEN_FDS");
	const char *names = g_getenv("LISTEN_FDNAMES");
	g_auto(GStrv) split = g_strsplit(names != NULL ? names : "", ":", -1);
	guint n_names = g_strv_length(split);
	uint32_t n = 0;

	g_array_set_clear_func(sockets, clear_activated);
	if (count != NULL && is_for_us("LISTEN_PID"))
		(void) ph_slice_to_u32(ph_slice(count), SOCKETS_MAX, &n);
	for (uint32_t i = 0; i < n; i++)
		take_socket(sockets, FIRST_FD + (int) i, i < n_names ? split[i] : "");
	g_unsetenv("LISTEN_FDS");
	g_unsetenv("LISTEN_PID");
	g_unsetenv("LISTEN_FDNAMES");
	return sockets;
}
