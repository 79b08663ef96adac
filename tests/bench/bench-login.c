/* bench-login.c: how many IMAP logins a second a server takes
 *
 *	bench-login PORT SESSIONS SECONDS USERS PASSWORD
 *
 * SESSIONS connections at once, each: greeting, LOGIN as user0, user1, ... of USERS, LOGOUT, close, again.
 * One thread. Prints logins a second and how long one took (median and 99th of a hundred).
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	EVENTS = 256,
	PER_CENT = 100,
	NINETY_NINE = 99,
};

typedef struct {
	int fd;
	int step; /* lines that were answered */
	gint64 began_us;
} Client;

static struct {
	int epoll;
	int port;
	unsigned n_users;
	const char *password;
	unsigned next_user;
	unsigned failed;
	GArray *times; /* of gint64 */
} bench;

static void
begin(Client *client)
{
	const int on = 1;
	const struct linger at_once = { .l_onoff = 1 };
	struct sockaddr_in address = { .sin_family = AF_INET,
		                       .sin_port = htons((uint16_t) bench.port),
		                       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = client };

	client->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	client->step = 0;
	(void) setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	(void) setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
	if (connect(client->fd, (struct sockaddr *) &address, sizeof address) != 0
	    && errno != EINPROGRESS)
		bench.failed++;
	(void) epoll_ctl(bench.epoll, EPOLL_CTL_ADD, client->fd, &event);
}

static void
again(Client *client)
{
	(void) close(client->fd);
	begin(client);
}

static void
say(const Client *client, const char *text)
{
	if (send(client->fd, text, strlen(text), MSG_NOSIGNAL) < 0)
		bench.failed++;
}

static void
log_in(Client *client)
{
	g_autofree char *line = g_strdup_printf("a LOGIN user%u@example.org \"%s\"\r\n",
	                                        bench.next_user++ % bench.n_users, bench.password);

	client->began_us = g_get_monotonic_time();
	client->step = 1;
	say(client, line);
}

static void
hear(Client *client)
{
	char buffer[4096];
	ssize_t n = recv(client->fd, buffer, sizeof buffer - 1, 0);
	gint64 took_us = g_get_monotonic_time() - client->began_us;

	if (n <= 0) {
		bench.failed += client->step < 2;
		again(client);
		return;
	}
	buffer[n] = '\0';
	if (client->step == 0) {
		log_in(client);
	} else if (client->step == 1 && strstr(buffer, "a OK") != NULL) {
		g_array_append_val(bench.times, took_us);
		client->step = 2;
		say(client, "b LOGOUT\r\n");
	} else if (client->step == 1) {
		bench.failed++;
		again(client);
	} else if (strstr(buffer, "b OK") != NULL) {
		again(client);
	}
}

static gint
compare_times(gconstpointer a, gconstpointer b)
{
	gint64 left = *(const gint64 *) a;
	gint64 right = *(const gint64 *) b;

	return (left > right) - (left < right);
}

int
main(int argc, char **argv)
{
	struct epoll_event events[EVENTS];
	unsigned n_sessions = argc > 5 ? (unsigned) g_ascii_strtoull(argv[2], NULL, 10) : 0;
	double seconds = argc > 5 ? g_ascii_strtod(argv[3], NULL) : 0;
	gint64 end_us = g_get_monotonic_time() + (gint64) (seconds * G_USEC_PER_SEC);

	if (n_sessions == 0)
		return 2;
	bench.port = (int) g_ascii_strtoull(argv[1], NULL, 10);
	bench.n_users = (unsigned) g_ascii_strtoull(argv[4], NULL, 10);
	bench.password = argv[5];
	bench.epoll = epoll_create1(0);
	bench.times = g_array_new(FALSE, FALSE, sizeof(gint64));
	for (unsigned i = 0; i < n_sessions; i++)
		begin(g_new0(Client, 1));
	while (g_get_monotonic_time() < end_us) {
		int n = epoll_wait(bench.epoll, events, EVENTS, PER_CENT);

		for (int i = 0; i < n; i++)
			hear(events[i].data.ptr);
	}
	g_array_sort(bench.times, compare_times);
	if (bench.times->len == 0)
		return 1;
	printf("%.0f logins/s, median %.2f ms, 99%% %.2f ms, %u failed\n",
	       bench.times->len / seconds,
	       (double) g_array_index(bench.times, gint64, bench.times->len / 2) / 1000.0,
	       (double) g_array_index(bench.times, gint64,
	                              bench.times->len * NINETY_NINE / PER_CENT)
	               / 1000.0,
	       bench.failed);
	return 0;
}
