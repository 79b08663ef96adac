/* helper.c: programs that are kept running to answer line after line
 *
 * A copy belongs to one question at a time. What is wrong with a copy is found out by the question that
 * has it; one that was kept and had died meanwhile is replaced once for the same question.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/slice.h>

#include "base/clock.h"
#include "base/lock.h"
#include "server/process.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	DEFAULT_ANSWER = 65536,
	US_PER_MS = 1000,
};

struct PhHelper {
	char **argv; /* (nullable) of a program */
	char *path;  /* (nullable) of a socket */
	uint32_t copies;
	size_t max_answer;
	PhLock lock; /* guards what follows */
	PhSignal given_back;
	GArray *idle;    /* of PhKept */
	uint32_t n_used; /* by questions */
};

static const char unix_prefix[] = "unix:/";
static const char tcp_prefix[] = "tcp:";

typedef struct {
	union {
		struct sockaddr any;
		struct sockaddr_un un;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	};

	socklen_t length;
} Peer;

/* "127.0.0.1:9000", "[::1]:9000" */
static bool
parse_tcp(const char *text, Peer *out)
{
	const char *colon = strrchr(text, ':');
	bool is_v6 = text[0] == '[';
	g_autofree char *host = NULL;
	uint32_t port = 0;

	memset(out, 0, sizeof *out);
	if (colon == NULL || !ph_slice_to_u32(ph_slice(colon + 1), G_MAXUINT16, &port)
	    || colon - text < 4)
		return false;
	if (is_v6) {
		host = g_strndup(text + 1, (gsize) (colon - text) - 2);
		out->in6.sin6_family = AF_INET6;
		out->in6.sin6_port = htons((uint16_t) port);
		out->length = sizeof out->in6;
		return colon[-1] == ']' && inet_pton(AF_INET6, host, &out->in6.sin6_addr) == 1;
	}
	host = g_strndup(text, (gsize) (colon - text));
	out->in.sin_family = AF_INET;
	out->in.sin_port = htons((uint16_t) port);
	out->length = sizeof out->in;
	return inet_pton(AF_INET, host, &out->in.sin_addr) == 1;
}

PhHelper *
ph_helper_new(const PhHelperOptions *options, GError **error)
{
	PhHelper *helper = NULL;
	g_auto(GStrv) argv = NULL;
	Peer address;
	bool is_tcp = g_str_has_prefix(options->command, tcp_prefix);
	bool is_socket = is_tcp || g_str_has_prefix(options->command, unix_prefix);

	if (!is_socket
	    && (!g_shell_parse_argv(options->command, NULL, &argv, NULL) || argv[0][0] != '/')) {
		ph_error_set(error, PH_ERROR_INVALID,
		             "'%s' is neither an absolute path nor unix:/path", options->command);
		return NULL;
	}
	if (is_tcp && !parse_tcp(options->command + strlen(tcp_prefix), &address)) {
		ph_error_set(error, PH_ERROR_INVALID,
		             "'%s' is not as tcp:127.0.0.1:9000 or tcp:[::1]:9000",
		             options->command);
		return NULL;
	}
	helper = g_new0(PhHelper, 1);
	helper->argv = g_steal_pointer(&argv);
	if (is_socket)
		helper->path = g_strdup(is_tcp ? options->command
		                               : options->command + strlen(unix_prefix) - 1);
	helper->copies = MAX(options->copies, 1);
	helper->max_answer = options->max_answer > 0 ? options->max_answer : DEFAULT_ANSWER;
	ph_lock_init(&helper->lock);
	ph_signal_init(&helper->given_back);
	helper->idle = g_array_new(FALSE, FALSE, sizeof(PhKept));
	return helper;
}

void
ph_helper_free(PhHelper *helper)
{
	if (helper == NULL)
		return;
	for (guint i = 0; i < helper->idle->len; i++)
		ph_kept_end(&g_array_index(helper->idle, PhKept, i));
	g_array_unref(helper->idle);
	ph_signal_clear(&helper->given_back);
	ph_lock_clear(&helper->lock);
	g_strfreev(helper->argv);
	g_free(helper->path);
	g_free(helper);
}

static bool
set_peer(const char *path, Peer *out)
{
	if (g_str_has_prefix(path, tcp_prefix))
		return parse_tcp(path + strlen(tcp_prefix), out);
	memset(out, 0, sizeof *out);
	out->un.sun_family = AF_UNIX;
	out->length = sizeof out->un;
	return g_strlcpy(out->un.sun_path, path, sizeof out->un.sun_path) < sizeof out->un.sun_path;
}

/* A TCP connection may still be on its way: whoever writes first waits for it. */
static bool
open_socket(const char *path, PhKept *child, GError **error)
{
	Peer peer;
	bool good = set_peer(path, &peer);
	int fd = socket(peer.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (good && fd >= 0 && (connect(fd, &peer.any, peer.length) == 0 || errno == EINPROGRESS)) {
		child->fd = fd;
		return true;
	}
	ph_error_set(error, PH_ERROR_TEMPORARY, "cannot connect to '%s': %s", path,
	             g_strerror(errno));
	if (fd >= 0)
		(void) close(fd);
	return false;
}

static bool
start(const PhHelper *helper, PhKept *child, GError **error)
{
	*child = (PhKept){ .fd = -1 };
	if (helper->path != NULL)
		return open_socket(helper->path, child, error);
	return ph_kept_start((const char *const *) helper->argv, child, error);
}

/* The right to use one copy. @child: its fd is -1 when it must be started. */
static bool
take(PhHelper *helper, uint64_t deadline_us, PhKept *child)
{
	PH_LOCKED(&helper->lock);

	*child = (PhKept){ .fd = -1 };
	while (helper->n_used >= helper->copies)
		if (!ph_signal_wait_until(&helper->given_back, &helper->lock, deadline_us)
		    && ph_clock_us() >= deadline_us)
			return false;
	helper->n_used++;
	if (helper->idle->len > 0) {
		*child = g_array_index(helper->idle, PhKept, helper->idle->len - 1);
		g_array_set_size(helper->idle, helper->idle->len - 1);
	}
	return true;
}

static void
give_back(PhHelper *helper, PhKept *child, bool is_good)
{
	if (!is_good && child->fd >= 0)
		ph_kept_end(child);
	PH_LOCKED(&helper->lock);
	if (is_good)
		g_array_append_val(helper->idle, *child);
	helper->n_used--;
	ph_signal_one(&helper->given_back);
}

/* One that says something unasked is out of step: its next answer would be to another question. */
static bool
is_quiet(const PhKept *child)
{
	char octet = 0;

	return recv(child->fd, &octet, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

/* --- one question ------------------------------------------------------------------------------ */

static bool
wait_for(int fd, short events, uint64_t deadline_us)
{
	struct pollfd polled = { .fd = fd, .events = events };
	int ready = 0;

	do {
		uint64_t now_us = ph_clock_us();

		if (now_us >= deadline_us)
			return false;
		ready = poll(&polled, 1, (int) MIN((deadline_us - now_us) / US_PER_MS + 1, 60000));
	} while (ready == 0 || (ready < 0 && errno == EINTR));
	return ready > 0;
}

static bool
write_all(int fd, PhSlice text, uint64_t deadline_us)
{
	while (text.length > 0) {
		ssize_t n = send(fd, text.data, text.length, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n > 0)
			text = ph_slice_from(text, (size_t) n);
		else if (errno != EINTR && errno != EAGAIN)
			return false;
		else if (!wait_for(fd, POLLOUT, deadline_us))
			return false;
	}
	return true;
}

typedef enum {
	ANSWERED = 1,
	CLOSED = 2, /* before it said anything */
	LATE = 3,
	BROKEN = 4, /* too much, or the end in the middle of a line */
} Reading;

static Reading
read_line(int fd, size_t max, uint64_t deadline_us, GString *answer)
{
	char buffer[4096];

	g_string_truncate(answer, 0);
	while (answer->len <= max) {
		ssize_t n = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
		const char *end = n > 0 ? memchr(buffer, '\n', (size_t) n) : NULL;

		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			return answer->len == 0 ? CLOSED : BROKEN;
		if (n < 0) {
			if (!wait_for(fd, POLLIN, deadline_us))
				return LATE;
			continue;
		}
		g_string_append_len(answer, buffer, end != NULL ? end - buffer : n);
		if (end != NULL)
			return end == buffer + n - 1 && answer->len <= max ? ANSWERED : BROKEN;
	}
	return BROKEN;
}

static Reading
converse(const PhHelper *helper,
         const PhKept *child,
         PhSlice question,
         uint64_t deadline_us,
         GString *answer)
{
	if (!write_all(child->fd, question, deadline_us)
	    || !write_all(child->fd, PH_SLICE_LITERAL("\n"), deadline_us))
		return ph_clock_us() >= deadline_us ? LATE : CLOSED;
	return read_line(child->fd, helper->max_answer, deadline_us, answer);
}

static bool
fail(const PhHelper *helper, Reading reading, GError **error)
{
	static const char *const words[] = {
		[CLOSED] = "ended without an answer",
		[LATE] = "did not answer in time",
		[BROKEN] = "did not answer with one line of a bearable length",
	};

	ph_error_set(error, PH_ERROR_TEMPORARY, "'%s' %s",
	             helper->path != NULL ? helper->path : helper->argv[0], words[reading]);
	return false;
}

bool
ph_helper_ask(PhHelper *helper,
              PhSlice question,
              PhDuration timeout,
              GString *answer,
              GError **error)
{
	uint64_t deadline_us = ph_clock_us() + timeout.us;
	PhKept child = { .fd = -1 };
	Reading reading = CLOSED;
	bool was_kept = false;

	if (ph_slice_find(question, '\n') >= 0) {
		ph_error_set(error, PH_ERROR_INVALID, "a question is one line");
		return false;
	}
	if (!take(helper, deadline_us, &child))
		return fail(helper, LATE, error);
	if (child.fd >= 0 && !is_quiet(&child))
		ph_kept_end(&child);
	was_kept = child.fd >= 0;
	if (was_kept)
		reading = converse(helper, &child, question, deadline_us, answer);
	if (was_kept && reading == CLOSED)
		ph_kept_end(&child);
	if (child.fd < 0) {
		if (!start(helper, &child, error)) {
			give_back(helper, &child, false);
			return false;
		}
		reading = converse(helper, &child, question, deadline_us, answer);
	}
	give_back(helper, &child, reading == ANSWERED);
	return reading == ANSWERED || fail(helper, reading, error);
}
