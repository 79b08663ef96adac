/* helper.c: programs that are kept running to answer line after line
 *
 * One thread carries all questions of a helper: nobody else waits for a program. A copy belongs to one
 * question at a time. What is wrong with a copy is found out by the question that has it; one that was
 * kept and had died meanwhile is replaced once for the same question.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/secret.h>
#include <posthorn/slice.h>

#include "base/clock.h"
#include "base/lock.h"
#include "server/process.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	DEFAULT_ANSWER = 65536,
	ASKED_MAX = 4096, /* that wait for a copy */
	AGAIN_MS = 5,     /* a socket whose queue is full */
	LONGEST_SLEEP_MS = 60000,
	US_PER_MS = 1000,
};

/* One question. */
typedef struct {
	GString *line; /* with its end */
	size_t n_sent;
	GString *answer;
	uint64_t deadline_us;
	PhKept child; /* fd -1: none */
	bool was_kept;
	PhHelperFunc func;
	void *user_data;
} Ask;

struct PhHelper {
	char **argv; /* (nullable) of a program */
	char *path;  /* (nullable) of a socket */
	uint32_t copies;
	size_t max_answer;
	GArray *idle;       /* of PhKept; this and what follows is the thread's own */
	GPtrArray *running; /* of Ask */
	GArray *polled;     /* of pollfd, beside running; the last is wake */
	pthread_t thread;
	int wake;    /* eventfd */
	PhLock lock; /* guards what follows */
	bool is_started;
	bool stops;
	GQueue asked; /* of Ask, the oldest first */
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
	helper->wake = -1;
	ph_lock_init(&helper->lock);
	g_queue_init(&helper->asked);
	helper->running = g_ptr_array_new();
	helper->polled = g_array_new(FALSE, TRUE, sizeof(struct pollfd));
	helper->idle = g_array_new(FALSE, FALSE, sizeof(PhKept));
	return helper;
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

/* A TCP connection may still be on its way: whoever writes first waits for it. True without a
 * descriptor: the other end has no room at this moment. */
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
	good = good && fd >= 0 && errno == EAGAIN;
	if (!good)
		ph_error_set(error, PH_ERROR_TEMPORARY, "cannot connect to '%s': %s", path,
		             g_strerror(errno));
	if (fd >= 0)
		(void) close(fd);
	return good;
}

static bool
start(const PhHelper *helper, PhKept *child, GError **error)
{
	*child = (PhKept){ .fd = -1 };
	if (helper->path != NULL)
		return open_socket(helper->path, child, error);
	return ph_kept_start((const char *const *) helper->argv, child, error);
}

/* One that says something unasked is out of step: its next answer would be to another question. */
static bool
is_quiet(const PhKept *child)
{
	char octet = 0;

	return recv(child->fd, &octet, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

/* --- one question ------------------------------------------------------------------------------ */

typedef enum {
	GOING_ON = 0,
	ANSWERED = 1,
	CLOSED = 2, /* before it said anything */
	LATE = 3,
	BROKEN = 4, /* too much, or the end in the middle of a line */
	STOPPED = 5,
	CROWDED = 6,
} Reading;

static void
free_ask(Ask *ask)
{
	ph_secret_wipe(ask->line->str, ask->line->allocated_len);
	ph_secret_wipe(ask->answer->str, ask->answer->allocated_len);
	(void) g_string_free(ask->line, TRUE);
	(void) g_string_free(ask->answer, TRUE);
	g_free(ask);
}

static GError *
reason(const PhHelper *helper, Reading reading)
{
	static const char *const words[] = {
		[CLOSED] = "ended without an answer",
		[LATE] = "did not answer in time",
		[BROKEN] = "did not answer with one line of a bearable length",
		[STOPPED] = "is asked no more",
		[CROWDED] = "is asked too much at once",
	};
	GError *error = NULL;

	ph_error_set(&error, PH_ERROR_TEMPORARY, "'%s' %s",
	             helper->path != NULL ? helper->path : helper->argv[0], words[reading]);
	return error;
}

static void
answer(Ask *ask, GError *error)
{
	ask->func(ask->user_data,
	          error == NULL ? PH_SLICE(ask->answer->str, ask->answer->len) : PH_SLICE_EMPTY,
	          error);
	free_ask(ask);
}

/* The copy of a question that is over: kept when it did as it should. */
static void
give_back(PhHelper *helper, Ask *ask, bool is_good)
{
	if (is_good)
		g_array_append_val(helper->idle, ask->child);
	else if (ask->child.fd >= 0)
		ph_kept_end(&ask->child);
	ask->child.fd = -1;
}

static void
finish(PhHelper *helper, Ask *ask, Reading reading)
{
	give_back(helper, ask, reading == ANSWERED);
	answer(ask, reading == ANSWERED ? NULL : reason(helper, reading));
}

/* A copy for the question: one that was kept and is well, or a new one. False: it has failed and is gone.
 * True without a descriptor: not at this moment. */
static bool
find_copy(PhHelper *helper, Ask *ask)
{
	GError *error = NULL;

	ask->n_sent = 0;
	ask->was_kept = false;
	while (helper->idle->len > 0 && !ask->was_kept) {
		ask->child = g_array_index(helper->idle, PhKept, helper->idle->len - 1);
		g_array_set_size(helper->idle, helper->idle->len - 1);
		ask->was_kept = is_quiet(&ask->child);
		if (!ask->was_kept)
			ph_kept_end(&ask->child);
	}
	if (ask->was_kept || start(helper, &ask->child, &error))
		return true;
	answer(ask, error);
	return false;
}

static Reading
say(Ask *ask)
{
	while (ask->n_sent < ask->line->len) {
		ssize_t n = send(ask->child.fd, ask->line->str + ask->n_sent,
		                 ask->line->len - ask->n_sent, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n >= 0)
			ask->n_sent += (size_t) n;
		else if (errno == EAGAIN)
			return GOING_ON;
		else if (errno != EINTR)
			return CLOSED;
	}
	return GOING_ON;
}

/* Room for so many more. realloc would leave a copy behind, maybe of a stored password. */
static void
make_room(GString *text, size_t n)
{
	GString *wider = NULL;
	GString narrow = *text;

	if (n < text->allocated_len - text->len)
		return;
	wider = g_string_sized_new(2 * (text->len + n));
	g_string_append_len(wider, text->str, (gssize) text->len);
	*text = *wider;
	*wider = narrow;
	ph_secret_wipe(wider->str, wider->allocated_len);
	(void) g_string_free(wider, TRUE);
}

static Reading
take_octets(const PhHelper *helper, Ask *ask, char *buffer, size_t size)
{
	const size_t max = helper->max_answer;

	while (ask->answer->len <= max) {
		ssize_t n = recv(ask->child.fd, buffer, size, MSG_DONTWAIT);
		const char *end = n > 0 ? memchr(buffer, '\n', (size_t) n) : NULL;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return GOING_ON;
		if (n <= 0)
			return ask->answer->len == 0 ? CLOSED : BROKEN;
		make_room(ask->answer, (size_t) n);
		g_string_append_len(ask->answer, buffer, end != NULL ? end - buffer : n);
		if (end != NULL)
			return end == buffer + n - 1 && ask->answer->len <= max
			                       && ask->n_sent == ask->line->len
			               ? ANSWERED
			               : BROKEN;
	}
	return BROKEN;
}

static Reading
hear(const PhHelper *helper, Ask *ask)
{
	char buffer[4096];
	Reading reading = take_octets(helper, ask, buffer, sizeof buffer);

	ph_secret_wipe(buffer, sizeof buffer);
	return reading;
}

/* --- the thread ---------------------------------------------------------------------------------- */

/* True: the question is over. */
static bool
go_on(PhHelper *helper, Ask *ask)
{
	Reading reading = say(ask);

	if (reading == GOING_ON)
		reading = hear(helper, ask);
	if (reading == CLOSED && ask->was_kept) {
		ph_kept_end(&ask->child);
		if (!find_copy(helper, ask))
			return true;
		reading = ask->child.fd >= 0 ? say(ask) : GOING_ON;
	}
	if (reading == GOING_ON)
		return false;
	finish(helper, ask, reading);
	return true;
}

/* Copies that a socket had no room for are tried again. True: the question is over. */
static bool
look_at(PhHelper *helper, Ask *ask, bool is_ready, uint64_t now_us)
{
	if (ask->child.fd < 0 && !find_copy(helper, ask))
		return true;
	if (ask->child.fd >= 0 && (is_ready || ask->n_sent == 0) && go_on(helper, ask))
		return true;
	if (now_us < ask->deadline_us)
		return false;
	finish(helper, ask, LATE);
	return true;
}

static void
look_at_running(PhHelper *helper)
{
	uint64_t now_us = ph_clock_us();

	for (guint i = helper->running->len; i-- > 0;) {
		bool is_ready = i + 1 < helper->polled->len
		                && g_array_index(helper->polled, struct pollfd, i).revents != 0;

		if (look_at(helper, helper->running->pdata[i], is_ready, now_us))
			g_ptr_array_remove_index_fast(helper->running, i);
	}
}

/* The next question that may have a copy, or whose time is over. */
static Ask *
next_asked(PhHelper *helper, uint64_t now_us)
{
	const Ask *first = NULL;
	PH_LOCKED(&helper->lock);

	first = g_queue_peek_head(&helper->asked);
	if (first == NULL
	    || (helper->running->len >= helper->copies && now_us < first->deadline_us))
		return NULL;
	return g_queue_pop_head(&helper->asked);
}

static void
begin_asked(PhHelper *helper)
{
	uint64_t now_us = ph_clock_us();
	Ask *ask = NULL;

	while ((ask = next_asked(helper, now_us)) != NULL) {
		if (now_us >= ask->deadline_us)
			finish(helper, ask, LATE);
		else if (!look_at(helper, ask, false, now_us))
			g_ptr_array_add(helper->running, ask);
	}
}

/* Until something must be looked at without being told. */
static int
sleep_ms(PhHelper *helper)
{
	uint64_t now_us = ph_clock_us();
	uint64_t until_us = now_us + (uint64_t) LONGEST_SLEEP_MS * US_PER_MS;
	const Ask *first = NULL;

	for (guint i = 0; i < helper->running->len; i++) {
		const Ask *ask = helper->running->pdata[i];

		until_us = MIN(until_us, ask->deadline_us);
		if (ask->child.fd < 0)
			until_us = MIN(until_us, now_us + (uint64_t) AGAIN_MS * US_PER_MS);
	}
	PH_LOCKED(&helper->lock);
	first = g_queue_peek_head(&helper->asked);
	if (first != NULL)
		until_us = MIN(until_us,
		               helper->running->len < helper->copies ? 0 : first->deadline_us);
	return until_us <= now_us ? 0 : (int) ((until_us - now_us) / US_PER_MS) + 1;
}

static void
wait_for_answers(PhHelper *helper)
{
	struct pollfd wake = { .fd = helper->wake, .events = POLLIN };
	uint64_t count = 0;

	g_array_set_size(helper->polled, 0);
	for (guint i = 0; i < helper->running->len; i++) {
		const Ask *ask = helper->running->pdata[i];
		struct pollfd one = { .fd = ask->child.fd, .events = POLLIN };

		if (ask->n_sent < ask->line->len)
			one.events |= POLLOUT;
		g_array_append_val(helper->polled, one);
	}
	g_array_append_val(helper->polled, wake);
	(void) poll((struct pollfd *) (void *) helper->polled->data, helper->polled->len,
	            sleep_ms(helper));
	if (read(helper->wake, &count, sizeof count) < 0)
		return; /* nobody roused it */
}

static bool
must_stop(PhHelper *helper)
{
	PH_LOCKED(&helper->lock);

	return helper->stops;
}

static void *
carry(void *data)
{
	PhHelper *helper = data;

	while (!must_stop(helper)) {
		begin_asked(helper);
		wait_for_answers(helper);
		look_at_running(helper);
	}
	return NULL;
}

/* --- asking --------------------------------------------------------------------------------------- */

/* Under the lock. The first question starts the thread: others may be made in another process. */
static bool
start_once(PhHelper *helper)
{
	if (helper->is_started)
		return true;
	if (helper->wake < 0)
		helper->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	helper->is_started =
		helper->wake >= 0 && pthread_create(&helper->thread, NULL, carry, helper) == 0;
	return helper->is_started;
}

static void
rouse(const PhHelper *helper)
{
	const uint64_t one = 1;

	if (write(helper->wake, &one, sizeof one) < 0)
		return; /* it is roused already */
}

static bool
hand_over(PhHelper *helper, Ask *ask)
{
	PH_LOCKED(&helper->lock);

	if (!start_once(helper) || helper->asked.length >= ASKED_MAX)
		return false;
	g_queue_push_tail(&helper->asked, ask);
	return true;
}

void
ph_helper_begin(PhHelper *helper,
                PhSlice question,
                PhDuration timeout,
                PhHelperFunc func,
                void *user_data)
{
	GError *error = NULL;
	Ask *ask = NULL;

	if (ph_slice_find(question, '\n') >= 0) {
		ph_error_set(&error, PH_ERROR_INVALID, "a question is one line");
		func(user_data, PH_SLICE_EMPTY, error);
		return;
	}
	ask = g_new0(Ask, 1);
	ask->line = g_string_sized_new(question.length + 2);
	g_string_append_len(ask->line, question.data, (gssize) question.length);
	g_string_append_c(ask->line, '\n');
	ask->answer = g_string_new(NULL);
	ask->deadline_us = ph_clock_us() + timeout.us;
	ask->child.fd = -1;
	ask->func = func;
	ask->user_data = user_data;
	if (hand_over(helper, ask))
		rouse(helper);
	else
		finish(helper, ask, CROWDED);
}

void
ph_helper_free(PhHelper *helper)
{
	if (helper == NULL)
		return;
	ph_lock_take(&helper->lock);
	helper->stops = true;
	ph_lock_drop(&helper->lock);
	if (helper->is_started) {
		rouse(helper);
		(void) pthread_join(helper->thread, NULL);
	}
	for (guint i = 0; i < helper->running->len; i++)
		finish(helper, helper->running->pdata[i], STOPPED);
	while (helper->asked.length > 0)
		finish(helper, g_queue_pop_head(&helper->asked), STOPPED);
	for (guint i = 0; i < helper->idle->len; i++)
		ph_kept_end(&g_array_index(helper->idle, PhKept, i));
	if (helper->wake >= 0)
		(void) close(helper->wake);
	g_array_unref(helper->idle);
	g_array_unref(helper->polled);
	g_ptr_array_unref(helper->running);
	ph_lock_clear(&helper->lock);
	g_strfreev(helper->argv);
	g_free(helper->path);
	g_free(helper);
}

/* --- with a thread --------------------------------------------------------------------------------- */

typedef struct {
	PhLock lock; /* guards what follows */
	PhSignal done;
	bool is_done;
	GString *answer;
	GError *error;
} Waiter;

static void
wake_waiter(void *user_data, PhSlice said, GError *error)
{
	Waiter *waiter = user_data;
	PH_LOCKED(&waiter->lock);

	g_string_truncate(waiter->answer, 0);
	g_string_append_len(waiter->answer, said.data, (gssize) said.length);
	waiter->error = error;
	waiter->is_done = true;
	ph_signal_one(&waiter->done);
}

bool
ph_helper_ask(PhHelper *helper,
              PhSlice question,
              PhDuration timeout,
              GString *answer_out,
              GError **error)
{
	Waiter waiter = { .answer = answer_out };

	ph_lock_init(&waiter.lock);
	ph_signal_init(&waiter.done);
	ph_helper_begin(helper, question, timeout, wake_waiter, &waiter);
	ph_lock_take(&waiter.lock);
	while (!waiter.is_done)
		ph_signal_wait(&waiter.done, &waiter.lock);
	ph_lock_drop(&waiter.lock);
	ph_signal_clear(&waiter.done);
	ph_lock_clear(&waiter.lock);
	if (waiter.error == NULL)
		return true;
	g_propagate_error(error, waiter.error);
	return false;
}
