/* control-client.c: asks a running server through its control socket
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "cli/control-client.h"

#include <posthorn/error.h>

#include "server/outline.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	ANSWER_MAX = 64 * 1024 * 1024
};

int
ph_control_connect_at(const char *path, GError **error)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t length = strlen(path);
	int fd = -1;

	if (length >= sizeof address.sun_path) {
		g_set_error(error, PH_ERROR, PH_ERROR_INVALID,
		            "the path of the control socket is too long: '%s'", path);
		return -1;
	}
	memcpy(address.sun_path, path, length + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *) &address, sizeof address) == 0)
		return fd;
	if (errno == EACCES || errno == EPERM)
		g_set_error(error, PH_ERROR, PH_ERROR_DENIED,
		            "only root and the server's user may ask the server (socket '%s')",
		            path);
	else
		g_set_error(error, PH_ERROR, PH_ERROR_NOT_FOUND,
		            "the server does not run: nobody answers at '%s'", path);
	if (fd >= 0)
		close(fd);
	return -1;
}

static bool
exchange(int fd, const char *request, GString *answer, GError **error)
{
	char buffer[16384];
	ssize_t n = send(fd, request, strlen(request), MSG_NOSIGNAL);

	while (n > 0 && answer->len < ANSWER_MAX) {
		n = read(fd, buffer, sizeof buffer);
		if (n > 0)
			g_string_append_len(answer, buffer, n);
	}
	if (n == 0 && answer->len > 0)
		return true;
	g_set_error(error, PH_ERROR, PH_ERROR_TEMPORARY, "the server gave no answer");
	return false;
}

int
ph_control_connect(const char *config, GError **error)
{
	g_autoptr(PhOutline) outline = ph_outline_read(config, error);

	if (outline == NULL)
		return -1;
	if (outline->control == NULL) {
		g_set_error(error, PH_ERROR, PH_ERROR_INVALID, "'%s' has no `data` in [server]",
		            config);
		return -1;
	}
	return ph_control_connect_at(outline->control, error);
}

bool
ph_control_ask(const char *config,
               const char *command,
               bool as_text,
               GString *answer,
               GError **error)
{
	g_autofree char *request = NULL;
	int fd = ph_control_connect(config, error);
	bool answered = false;

	if (fd < 0)
		return false;
	request = g_strdup_printf("{\"command\":\"%s\",\"as\":\"%s\"}\n", command,
	                          as_text ? "text" : "json");
	answered = exchange(fd, request, answer, error);
	close(fd);
	return answered;
}
