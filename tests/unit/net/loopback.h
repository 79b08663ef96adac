/* loopback.h: a client on the loopback interface that says and hears, for tests
 *
 * Every wait ends when something has come, and gives up only after 20 s.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef TESTS_NET_LOOPBACK_H
#define TESTS_NET_LOOPBACK_H

#include <arpa/inet.h>
#include <glib.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	PATIENCE_S = 20,
};

static inline int
listen_somewhere(uint16_t *port_out)
{
	union {
		struct sockaddr any;
		struct sockaddr_in in;
	} address = { .in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) } };

	socklen_t length = sizeof address;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	g_assert_cmpint(bind(fd, &address.any, sizeof address.in), ==, 0);
	g_assert_cmpint(listen(fd, 1000), ==, 0);
	g_assert_cmpint(getsockname(fd, &address.any, &length), ==, 0);
	*port_out = ntohs(address.in.sin_port);
	return fd;
}

static inline int
connect_to(uint16_t port)
{
	union {
		struct sockaddr any;
		struct sockaddr_in in;
	} address = { .in = { .sin_family = AF_INET,
		              .sin_port = htons(port),
		              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) } };
	struct timeval patience = { .tv_sec = PATIENCE_S };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	g_assert_cmpint(connect(fd, &address.any, sizeof address.in), ==, 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	return fd;
}

static inline void
say(int fd, const char *text)
{
	g_assert_cmpint(send(fd, text, strlen(text), MSG_NOSIGNAL), ==, (ssize_t) strlen(text));
}

static inline void
hear(int fd, const char *expected)
{
	char got[4096];
	size_t n = 0;

	while (n < strlen(expected)) {
		ssize_t part = recv(fd, got + n, strlen(expected) - n, 0);

		if (part <= 0)
			break;
		n += (size_t) part;
	}
	got[n] = '\0';
	g_assert_cmpstr(got, ==, expected);
}

static inline void
hear_end(int fd)
{
	char octet = 0;

	g_assert_cmpint(recv(fd, &octet, 1, 0), ==, 0);
	close(fd);
}

#endif
