/* test-notify.c: a service manager hears datagrams, its sockets are taken
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "server/notify.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void
test_datagrams(void)
{
	g_autofree char *folder = g_dir_make_tmp("posthorn-XXXXXX", NULL);
	g_autofree char *path = g_build_filename(folder, "notify", NULL);
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	char buffer[200];
	ssize_t n = 0;

	g_strlcpy(address.sun_path, path, sizeof address.sun_path);
	g_assert_cmpint(bind(fd, (struct sockaddr *) &address, sizeof address), ==, 0);
	g_setenv("NOTIFY_SOCKET", path, TRUE);
	g_setenv("WATCHDOG_USEC", "30000000", TRUE);
	ph_notify_open();
	g_assert_null(g_getenv("NOTIFY_SOCKET"));
	g_assert_cmpuint(ph_notify_watchdog_us(), ==, 15000000);
	ph_notify_send("READY=1\nSTATUS=Serving");
	n = read(fd, buffer, sizeof buffer);
	g_assert_cmpmem(buffer, n, "READY=1\nSTATUS=Serving", 22);
	ph_notify_reloading();
	n = read(fd, buffer, sizeof buffer - 1);
	buffer[MAX(n, 0)] = '\0';
	g_assert_true(g_str_has_prefix(buffer, "RELOADING=1\nMONOTONIC_USEC="));
	close(fd);
	g_unlink(path);
	g_rmdir(folder);
}

static void
test_no_sockets_of_others(void)
{
	g_autoptr(GArray) sockets = NULL;

	g_setenv("LISTEN_FDS", "1", TRUE);
	g_setenv("LISTEN_PID", "1", TRUE);
	sockets = ph_notify_sockets();
	g_assert_cmpuint(sockets->len, ==, 0);
	g_assert_null(g_getenv("LISTEN_FDS"));
}

static void
test_sockets(void)
{
	g_autoptr(GArray) sockets = NULL;
	g_autofree char *pid = g_strdup_printf("%d", (int) getpid());
	const PhActivated *first = NULL;

	/* Whatever descriptor 3 is in this process, it is taken over. */
	if (fcntl(3, F_GETFD) < 0)
		g_assert_cmpint(dup2(STDERR_FILENO, 3), ==, 3);
	g_setenv("LISTEN_FDS", "1", TRUE);
	g_setenv("LISTEN_PID", pid, TRUE);
	g_setenv("LISTEN_FDNAMES", "imaps:other", TRUE);
	sockets = ph_notify_sockets();
	g_assert_cmpuint(sockets->len, ==, 1);
	first = &g_array_index(sockets, PhActivated, 0);
	g_assert_cmpint(first->fd, ==, 3);
	g_assert_cmpstr(first->name, ==, "imaps");
	g_assert_cmpint(fcntl(3, F_GETFD) & FD_CLOEXEC, !=, 0);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/server/notify/the-manager-hears-datagrams", test_datagrams);
	g_test_add_func("/server/notify/sockets-for-another-process-are-left",
	                test_no_sockets_of_others);
	g_test_add_func("/server/notify/sockets-are-taken-by-name", test_sockets);
	return g_test_run();
}
