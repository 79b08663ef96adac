/* test-socket.c: sockets open where they should, and say what stands in the way
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>

#include "net/socket.h"

#include <glib/gstdio.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static void
test_port_of_the_kernel(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		                       .sin_addr = { htonl(INADDR_LOOPBACK) } };
	PhSocketSpec spec = { .address = (struct sockaddr *) &address, .length = sizeof address };
	int first = ph_socket_listen(&spec, NULL);
	g_autofree char *where = NULL;
	g_autoptr(GError) error = NULL;
	uint16_t port = 0;

	g_assert_cmpint(first, >=, 0);
	g_assert_true(ph_socket_describe(first, &where, &port));
	g_assert_cmpstr(where, ==, "127.0.0.1");
	g_assert_cmpuint(port, >, 0);
	address.sin_port = htons(port);
	g_assert_cmpint(ph_socket_listen(&spec, &error), ==, -1);
	g_assert_error(error, PH_ERROR, PH_ERROR_EXISTS);
	g_assert_cmpint(ph_socket_accept(first), ==, -1);
	close(first);
}

static int
listen_unix(const char *path, GError **error)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	PhSocketSpec spec = { .address = (struct sockaddr *) &address,
		              .length = sizeof address,
		              .mode = 0600 };

	g_strlcpy(address.sun_path, path, sizeof address.sun_path);
	return ph_socket_listen(&spec, error);
}

static void
test_unix_sockets(void)
{
	g_autofree char *folder = g_dir_make_tmp("posthorn-XXXXXX", NULL);
	g_autofree char *path = g_build_filename(folder, "s", NULL);
	g_autoptr(GError) error = NULL;
	int first = listen_unix(path, NULL);
	struct stat status;

	g_assert_cmpint(first, >=, 0);
	g_assert_cmpint(stat(path, &status), ==, 0);
	g_assert_cmpuint(status.st_mode & 0777, ==, 0600);
	g_assert_cmpint(listen_unix(path, &error), ==, -1);
	g_assert_error(error, PH_ERROR, PH_ERROR_EXISTS);
	close(first);
	first = listen_unix(path, NULL);
	g_assert_cmpint(first, >=, 0);
	close(first);
	g_unlink(path);
	g_rmdir(folder);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/net/socket/a-port-of-the-kernels-choice", test_port_of_the_kernel);
	g_test_add_func("/net/socket/dead-unix-sockets-are-replaced-live-ones-not",
	                test_unix_sockets);
	return g_test_run();
}
