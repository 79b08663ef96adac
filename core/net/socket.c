/* socket.c: sockets that listen
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "net/socket.h"

#include <posthorn/error.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	BACKLOG = 4096
};

static bool
is_alive(const PhSocketSpec *spec)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool alive = false;

	if (fd < 0)
		return true;
	alive = connect(fd, spec->address, spec->length) == 0 || errno == EAGAIN;
	close(fd);
	return alive;
}

/* A socket file that nobody listens on any more is removed. */
static void
remove_dead(const PhSocketSpec *spec)
{
	const char *path =
		((const struct sockaddr_un *) (const void *) spec->address)->sun_path;
	struct stat status;

	if (lstat(path, &status) == 0 && S_ISSOCK(status.st_mode) && !is_alive(spec))
		(void) unlink(path);
}

static void
set_options(int fd, const PhSocketSpec *spec)
{
	const int on = 1;
	const int v6_only = spec->is_any ? 0 : 1;

	if (spec->address->sa_family == AF_UNIX)
		return;
	(void) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	(void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (spec->address->sa_family == AF_INET6)
		(void) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6_only, sizeof v6_only);
}

static int
bind_and_listen(const PhSocketSpec *spec)
{
	int family = spec->address->sa_family;
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	mode_t old_mask = 0;
	int bound = 0;
	int saved_errno = 0;

	if (fd < 0)
		return -1;
	set_options(fd, spec);
	old_mask = umask((mode_t) (~spec->mode & 0777));
	bound = bind(fd, spec->address, spec->length);
	saved_errno = errno;
	(void) umask(old_mask);
	errno = saved_errno;
	if (bound == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	saved_errno = errno;
	close(fd);
	errno = saved_errno;
	return -1;
}

static bool
lacks_ipv6(int code)
{
	return code == EAFNOSUPPORT || code == EADDRNOTAVAIL || code == EPROTONOSUPPORT;
}

static int
listen_v4(const PhSocketSpec *spec)
{
	struct sockaddr_in6 v6;
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	PhSocketSpec substitute = { .address = (struct sockaddr *) &v4, .length = sizeof v4 };

	memcpy(&v6, spec->address, sizeof v6);
	v4.sin_port = v6.sin6_port;
	return bind_and_listen(&substitute);
}

static void
set_listen_error(int code, GError **error)
{
	switch (code) {
	case EADDRINUSE:
		g_set_error(error, PH_ERROR, PH_ERROR_EXISTS,
		            "the address is in use: another server listens there");
		break;
	case EADDRNOTAVAIL:
		g_set_error(error, PH_ERROR, PH_ERROR_TEMPORARY,
		            "this machine does not have the address; name one of its own (ip "
		            "address), or *:PORT for all");
		break;
	case EACCES:
		g_set_error(error, PH_ERROR, PH_ERROR_DENIED,
		            "permission denied: ports below 1024 need root, systemd, or "
		            "CAP_NET_BIND_SERVICE");
		break;
	default:
		g_set_error(error, PH_ERROR, PH_ERROR_TEMPORARY, "%s", g_strerror(code));
		break;
	}
}

int
ph_socket_listen(const PhSocketSpec *spec, GError **error)
{
	int fd = -1;

	if (spec->address->sa_family == AF_UNIX)
		remove_dead(spec);
	fd = bind_and_listen(spec);
	if (fd < 0 && spec->is_any && lacks_ipv6(errno))
		fd = listen_v4(spec);
	if (fd < 0)
		set_listen_error(errno, error);
	return fd;
}

typedef union {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	struct sockaddr_un local;
} SocketName;

bool
ph_socket_describe(int fd, char **address_out, uint16_t *port_out)
{
	SocketName name = { .any = { .sa_family = AF_UNSPEC } };
	socklen_t length = sizeof name;
	char text[INET6_ADDRSTRLEN] = "";

	if (getsockname(fd, &name.any, &length) != 0)
		return false;
	switch (name.any.sa_family) {
	case AF_INET:
		inet_ntop(AF_INET, &name.v4.sin_addr, text, sizeof text);
		*address_out = g_strdup(text);
		*port_out = ntohs(name.v4.sin_port);
		return true;
	case AF_INET6:
		inet_ntop(AF_INET6, &name.v6.sin6_addr, text, sizeof text);
		*address_out = g_strdup(text);
		*port_out = ntohs(name.v6.sin6_port);
		return true;
	case AF_UNIX:
		*address_out = g_strdup_printf("unix:%.*s", (int) sizeof name.local.sun_path,
		                               name.local.sun_path);
		*port_out = 0;
		return true;
	default:
		return false;
	}
}

int
ph_socket_accept(int fd)
{
	return accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

bool
ph_socket_peer_user(int fd, uid_t *user_out)
{
	struct ucred peer;
	socklen_t length = sizeof peer;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0)
		return false;
	*user_out = peer.uid;
	return true;
}
