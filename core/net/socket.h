/* socket.h: sockets that listen
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_NET_SOCKET_H
#define PH_NET_SOCKET_H

#include <posthorn/types.h>

#include <sys/socket.h>
#include <sys/types.h>

/* PhSocketSpec: an address to listen on; borrowed. */
typedef struct {
	const struct sockaddr *address; /* AF_INET, AF_INET6 or AF_UNIX */
	socklen_t length;
	bool is_any; /* [::] that takes IPv4 too; 0.0.0.0 on a machine without IPv6 */
	mode_t mode; /* of a unix socket */
} PhSocketSpec;

/* ph_socket_listen: binds and listens, non-blocking, close-on-exec. A unix socket replaces a dead
 * one of the same name but never one that answers. Returns: the descriptor, or -1: EXISTS when the
 * address is in use, DENIED for a privileged port. Thread: any. Blocks: briefly. */
int ph_socket_listen(const PhSocketSpec *spec, GError **error);

/* ph_socket_describe: where a socket really listens: @address_out: (out, owned) "127.0.0.1",
 * "::", "unix:/path"; @port_out: 0 for unix. */
bool ph_socket_describe(int fd, char **address_out, uint16_t *port_out);

/* ph_socket_accept: the next connection, non-blocking, close-on-exec; -1 when there is none. */
int ph_socket_accept(int fd);

/* ph_socket_peer_user: who is at the other end of a unix socket; false when nobody can tell. */
bool ph_socket_peer_user(int fd, uid_t *user_out);

#endif
