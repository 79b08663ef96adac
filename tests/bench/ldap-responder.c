/* ldap-responder.c: stands in for an LDAP server that answers each bind after a fixed time
 *
 *	ldap-responder MILLISECONDS
 *
 * Prints the loopback port that the kernel chose and serves until its input ends. Every bind with the
 * password "wrong" fails, every other one is good; a search finds nothing.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <glib.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	BUFFER = 4096,
	EVENTS = 256,
	US_PER_MS = 1000,
	BIND_REQUEST = 0x60,
	UNBIND_REQUEST = 0x42,
	SEARCH_REQUEST = 0x63,
	INVALID_CREDENTIALS = 49,
};

typedef struct {
	int fd;
	size_t length;
	uint8_t buffer[BUFFER];
} Client;

/* Answer: due at its time; all wait equally long, so the queue is in order. */
typedef struct {
	int fd;
	gint64 due_us;
	uint8_t octets[16];
	size_t length;
} Answer;

static GQueue answers = G_QUEUE_INIT;
static gint64 delay_us;

/* A BER length of at most two octets behind the first. Returns: its own octets, 0 when incomplete. */
static size_t
read_length(const uint8_t *at, size_t left, size_t *out)
{
	size_t n = left > 0 && at[0] > 0x80 ? at[0] & 0x7fU : 0;

	if (left < 1 + n || n > 2)
		return 0;
	*out = at[0];
	if (n > 0)
		*out = n == 1 ? at[1] : (size_t) at[1] << 8 | at[2];
	return 1 + n;
}

static void
answer(const Client *client, const uint8_t *id, size_t id_length, uint8_t tag, uint8_t code)
{
	Answer *one = g_new0(Answer, 1);
	const uint8_t tail[] = { tag, 7, 0x0a, 1, code, 0x04, 0, 0x04, 0 };

	one->fd = client->fd;
	one->due_us = g_get_monotonic_time() + delay_us;
	one->octets[0] = 0x30;
	one->octets[1] = (uint8_t) (id_length + sizeof tail);
	memcpy(one->octets + 2, id, id_length);
	memcpy(one->octets + 2 + id_length, tail, sizeof tail);
	one->length = 2 + id_length + sizeof tail;
	g_queue_push_tail(&answers, one);
}

/* @message: what is in the outer sequence. False ends the connection. */
static bool
take_message(const Client *client, const uint8_t *message, size_t length)
{
	size_t id_length = length > 2 ? 2U + message[1] : 0;
	uint8_t tag = id_length > 2 && id_length < length ? message[id_length] : 0;
	bool is_wrong = length > 5 && memcmp(message + length - 5, "wrong", 5) == 0;

	if (id_length > 6 || (tag != BIND_REQUEST && tag != SEARCH_REQUEST))
		return false;
	answer(client, message, id_length, (uint8_t) (tag + (tag == SEARCH_REQUEST ? 2 : 1)),
	       is_wrong ? INVALID_CREDENTIALS : 0);
	return true;
}

static bool
take_octets(Client *client)
{
	ssize_t n = recv(client->fd, client->buffer + client->length, BUFFER - client->length, 0);

	if (n <= 0)
		return false;
	client->length += (size_t) n;
	while (client->length >= 2) {
		size_t length = 0;
		size_t head = 1 + read_length(client->buffer + 1, client->length - 1, &length);

		if (head == 1 || head + length > client->length)
			return client->length < BUFFER;
		if (!take_message(client, client->buffer + head, length))
			return false;
		client->length -= head + length;
		memmove(client->buffer, client->buffer + head + length, client->length);
	}
	return true;
}

static void
send_due(void)
{
	gint64 now_us = g_get_monotonic_time();
	Answer *one = NULL;

	while ((one = g_queue_peek_head(&answers)) != NULL && one->due_us <= now_us) {
		(void) g_queue_pop_head(&answers);
		(void) send(one->fd, one->octets, one->length, MSG_NOSIGNAL | MSG_DONTWAIT);
		g_free(one);
	}
}

static int
sleep_ms(void)
{
	const Answer *next = g_queue_peek_head(&answers);
	gint64 left_us = next != NULL ? next->due_us - g_get_monotonic_time() : US_PER_MS * 1000;

	return left_us <= 0 ? 0 : (int) ((left_us + US_PER_MS - 1) / US_PER_MS);
}

static void
take_client(int epoll, int listener)
{
	const int on = 1;
	Client *client = g_new0(Client, 1);
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = client };

	client->fd = accept(listener, NULL, NULL);
	(void) setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	(void) epoll_ctl(epoll, EPOLL_CTL_ADD, client->fd, &event);
}

static int
listen_on_loopback(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		                       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof address;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (bind(fd, (struct sockaddr *) &address, length) != 0 || listen(fd, EVENTS) != 0
	    || getsockname(fd, (struct sockaddr *) &address, &length) != 0)
		return -1;
	printf("%d\n", ntohs(address.sin_port));
	(void) fflush(stdout);
	return fd;
}

int
main(int argc, char **argv)
{
	int listener = listen_on_loopback();
	int epoll = epoll_create1(0);
	struct epoll_event events[EVENTS];
	struct epoll_event event = { .events = EPOLLIN };
	bool over = listener < 0;

	delay_us = argc > 1 ? g_ascii_strtoll(argv[1], NULL, 10) * US_PER_MS : 0;
	(void) epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
	event.data.ptr = &over;
	(void) epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &event);
	while (!over) {
		int n = epoll_wait(epoll, events, EVENTS, sleep_ms());

		for (int i = 0; i < n; i++) {
			Client *client = events[i].data.ptr;

			if (events[i].data.ptr == &over)
				over = true;
			else if (client == NULL)
				take_client(epoll, listener);
			else if (!take_octets(client))
				(void) close(client->fd);
		}
		send_due();
	}
	return 0;
}
