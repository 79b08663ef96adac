/* bench-net.c: a server that takes mail and throws it away, to measure the network layer alone
 *
 *	bench-net PORT [processors]
 *
 * It speaks enough SMTP for a load generator, acknowledges and forgets. Not run by the test suite.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "net/net.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static PhNext
opened(PhSession *session)
{
	ph_session_set_deadline(session, (PhDuration){ 300ULL * 1000 * 1000 });
	ph_session_write_text(session, "220 bench ESMTP\r\n");
	return PH_DONE;
}

static PhNext
line(PhSession *session, PhSlice text, uint32_t flaws)
{
	ph_session_set_deadline(session, (PhDuration){ 300ULL * 1000 * 1000 });
	if (ph_slice_starts_nocase(text, "EHLO")) {
		ph_session_write_text(session, "250-bench\r\n250 PIPELINING\r\n");
	} else if (ph_slice_starts_nocase(text, "DATA")) {
		ph_session_read_data(session);
		ph_session_write_text(session, "354 go on\r\n");
	} else if (ph_slice_starts_nocase(text, "QUIT")) {
		ph_session_write_text(session, "221 bye\r\n");
		return PH_CLOSE;
	} else {
		ph_session_write_text(session, "250 ok\r\n");
	}
	return PH_DONE;
}

static PhNext
octets(PhSession *session, PhSlice piece, bool final)
{
	if (final)
		ph_session_write_text(session, "250 forgotten\r\n");
	return PH_DONE;
}

static void
closed(PhSession *session)
{
}

static const PhProtocol discard = {
	.size = sizeof discard,
	.needs = PH_SPEAKS_FIRST,
	.opened = opened,
	.line = line,
	.octets = octets,
	.closed = closed,
};

static int
listen_on(uint16_t port)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		                       .sin_port = htons(port),
		                       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	union {
		struct sockaddr_in *in;
		struct sockaddr *any;
	} cast = { &address };

	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int yes = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
	if (bind(fd, cast.any, sizeof address) != 0 || listen(fd, 4096) != 0)
		return -1;
	return fd;
}

int
main(int argc, char **argv)
{
	g_autoptr(GError) error = NULL;
	PhReactorParams params = { .processors = 0 };
	PhListenerParams listener = { .protocol = &discard, .hostname = "bench" };
	PhReactor *reactor = NULL;
	uint64_t port = 0;
	uint64_t processors = 0;
	sigset_t end;
	int signal_number = 0;

	if (argc < 2 || !ph_slice_to_u64(ph_slice(argv[1]), 65535, &port))
		return 64;
	if (argc > 2 && ph_slice_to_u64(ph_slice(argv[2]), 64, &processors))
		params.processors = (unsigned) processors;
	sigemptyset(&end);
	sigaddset(&end, SIGTERM);
	sigaddset(&end, SIGINT);
	sigprocmask(SIG_BLOCK, &end, NULL);
	reactor = ph_reactor_new(&params, &error);
	g_assert_no_error(error);
	(void) ph_reactor_add_listener(reactor, listen_on((uint16_t) port), &listener, &error);
	if (!ph_reactor_start(reactor, &error))
		return 1;
	sigwait(&end, &signal_number);
	if (ph_reactor_stop(reactor, (PhDuration){ 1000 * 1000 }))
		ph_reactor_free(reactor);
	return 0;
}
