/* process.c: the worker's end of running a program
 *
 * One socket pair carries the program's input and output. The caller feeds and reads it with a
 * deadline, then waits for the supervisor's word on how the program ended, which the main thread
 * receives.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "server/process.h"

#include <posthorn/content.h>
#include <posthorn/error.h>
#include <posthorn/plugin.h>
#include <posthorn/slice.h>

#include "base/clock.h"
#include "base/lock.h"
#include "net/channel.h"
#include "net/net.h"
#include "server/process-spawn.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	DEFAULT_OUTPUT = 65536,
	PIECE = 65536, /* of a content */
};

#define DEFAULT_TIMEOUT_US UINT64_C(30000000)
#define GRACE_US           UINT64_C(2000000) /* for the supervisor's word after the deadline */

/* Waiting: one program that a thread waits for; on that thread's stack. */
typedef struct {
	uint64_t id;
	bool ended;
	int status;
} Waiting;

static struct {
	PhLock lock; /* guards all below */
	PhSignal ended;
	int channel;
	bool starts_itself; /* a tool */
	uint64_t last_id;
	GPtrArray *waiting; /* of Waiting, borrowed */
} programs = { .lock = PH_LOCK_INIT, .channel = -1 };

void
ph_process_ended(const char *text)
{
	PhSlice rest = ph_slice(text);
	PhSlice id_text = ph_slice_split(&rest, ' ');
	bool negative = rest.length > 0 && rest.data[0] == '-';
	uint64_t id = 0;
	uint32_t status = 0;

	if (!ph_slice_to_u64(id_text, G_MAXINT64, &id)
	    || !ph_slice_to_u32(ph_slice_from(rest, negative ? 1 : 0), 10000, &status))
		return;
	PH_LOCKED(&programs.lock);
	for (guint i = 0; i < programs.waiting->len; i++) {
		Waiting *waiting = programs.waiting->pdata[i];

		if (waiting->id != id)
			continue;
		waiting->ended = true;
		waiting->status = negative ? -(int) status : (int) status;
		ph_signal_all(&programs.ended);
	}
}

static void
append_words(GString *text, const char *const *words)
{
	for (size_t i = 0; words != NULL && words[i] != NULL; i++) {
		g_string_append(text, "\n=");
		g_string_append_uri_escaped(text, words[i], NULL, FALSE);
	}
}

/* Sends the request; @waiting is known before the answer can come. */
static bool
ask(const PhProcessOptions *options, uint64_t timeout_us, Waiting *waiting, int fd)
{
	g_autoptr(GString) text = g_string_new(NULL);

	PH_LOCKED(&programs.lock);
	if (programs.channel < 0)
		return false;
	waiting->id = ++programs.last_id;
	g_string_printf(text, "%" G_GUINT64_FORMAT "\n%" G_GUINT64_FORMAT, waiting->id, timeout_us);
	append_words(text, options->argv);
	g_string_append_c(text, '\n');
	append_words(text, options->environment);
	if (text->len > PH_CHANNEL_TEXT_MAX
	    || !ph_channel_send(programs.channel, "run", text->str, fd))
		return false;
	g_ptr_array_add(programs.waiting, waiting);
	return true;
}

static int
milliseconds_until(uint64_t deadline_us)
{
	uint64_t now_us = ph_clock_us();

	return now_us >= deadline_us ? 0 : (int) MIN((deadline_us - now_us) / 1000 + 1, 1000000);
}

/* Feed: what the program still has to be given. */
typedef struct {
	PhSlice now;
	PhContent *content; /* (nullable) */
	uint64_t at;        /* of the content */
	char *piece;        /* of it; NULL before the first one */
	bool failed;        /* the content could not be read */
} Feed;

/* Is there something to send now? What cannot be read ends it. */
static bool
fill(Feed *feed)
{
	ssize_t n = 0;

	if (feed->now.length > 0)
		return true;
	if (feed->content == NULL || feed->failed)
		return false;
	if (feed->piece == NULL)
		feed->piece = g_malloc(PIECE);
	n = ph_content_read(feed->content, feed->at, feed->piece, PIECE, NULL);
	feed->failed = n < 0;
	if (n <= 0)
		return false;
	feed->at += (uint64_t) n;
	feed->now = PH_SLICE(feed->piece, (size_t) n);
	return true;
}

/* Sends what still has to be sent. Returns: is there more? */
static bool
feed_some(int fd, Feed *feed)
{
	ssize_t n = send(fd, feed->now.data, feed->now.length, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n > 0) {
		feed->now = ph_slice_from(feed->now, (size_t) n);
	} else if (n < 0 && errno != EAGAIN && errno != EINTR) {
		feed->now = PH_SLICE_EMPTY;
		feed->content = NULL;
	}
	if (fill(feed))
		return true;
	(void) shutdown(fd, SHUT_WR);
	return false;
}

/* Returns: false when the program has closed its end. */
static bool
take(int fd, GByteArray *output)
{
	char buffer[16384];
	ssize_t n = read(fd, buffer, sizeof buffer);

	if (n > 0)
		g_byte_array_append(output, (const guint8 *) buffer, (guint) n);
	return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

/* Feeds and reads until the program closes its end, the deadline, or too much output. */
static void
converse(int fd, Feed *feed, size_t max_output, uint64_t deadline_us, PhProcessResult *result)
{
	GByteArray *output = g_byte_array_new();
	bool more = fill(feed);
	bool open = true;

	if (!more)
		(void) shutdown(fd, SHUT_WR);
	while (open && !result->timed_out && !result->overflowed) {
		short events = (short) (POLLIN | (more ? POLLOUT : 0));
		struct pollfd polled = { .fd = fd, .events = events };

		(void) poll(&polled, 1, milliseconds_until(deadline_us));
		result->timed_out = ph_clock_us() >= deadline_us;
		if ((polled.revents & POLLOUT) != 0)
			more = feed_some(fd, feed);
		if ((polled.revents & (POLLIN | POLLHUP | POLLERR)) != 0)
			open = take(fd, output);
		result->overflowed = output->len > max_output;
	}
	result->output = g_byte_array_free_to_bytes(output);
	g_free(feed->piece);
}

/* Waits for the supervisor's word. */
static bool
wait_for_end(Waiting *waiting, uint64_t until_us)
{
	PH_LOCKED(&programs.lock);
	while (!waiting->ended && ph_clock_us() < until_us)
		(void) ph_signal_wait_until(&programs.ended, &programs.lock, until_us);
	g_ptr_array_remove_fast(programs.waiting, waiting);
	return waiting->ended;
}

static bool
judge(const Waiting *waiting, const char *program, PhProcessResult *result, GError **error)
{
	if (waiting->ended && waiting->status == PH_PROCESS_DENIED) {
		g_set_error(error, PH_ERROR, PH_ERROR_DENIED,
		            "the config does not name the program '%s'", program);
		return false;
	}
	if (!waiting->ended || waiting->status == PH_PROCESS_FAILED) {
		g_set_error(error, PH_ERROR, PH_ERROR_TEMPORARY, "'%s' could not be run", program);
		return false;
	}
	result->exit_status = waiting->status;
	return true;
}

bool
ph_process_run(PhSection *section,
               const PhProcessOptions *options,
               PhProcessResult *result_out,
               GError **error)
{
	uint64_t timeout_us = options->timeout.us > 0 ? options->timeout.us : DEFAULT_TIMEOUT_US;
	size_t max_output = options->max_output > 0 ? options->max_output : DEFAULT_OUTPUT;
	Feed feed = { .now = options->input };
	uint64_t deadline_us = ph_clock_us() + timeout_us;
	PhProcessResult result = { .output = NULL };
	Waiting waiting = { .ended = false };
	int ends[2];
	bool asked = false;

	if (options->size > offsetof(PhProcessOptions, content))
		feed.content = options->content;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
		g_set_error(error, PH_ERROR, PH_ERROR_LIMIT, "cannot make a socket pair: %s",
		            g_strerror(errno));
		return false;
	}
	asked = ask(options, timeout_us, &waiting, ends[1]);
	close(ends[1]);
	if (asked)
		converse(ends[0], &feed, max_output, deadline_us, &result);
	/* A program that writes on is ended by its next write. */
	close(ends[0]);
	if (asked)
		(void) wait_for_end(&waiting, deadline_us + GRACE_US);
	if (!asked || !judge(&waiting, options->argv[0], &result, error)) {
		ph_process_result_clear(&result);
		if (!asked)
			g_set_error(error, PH_ERROR, PH_ERROR_TEMPORARY,
			            "no program can be run here");
		return false;
	}
	if (feed.failed) {
		ph_process_result_clear(&result);
		ph_error_set(error, PH_ERROR_TEMPORARY, "the input for '%s' could not be read",
		             options->argv[0]);
		return false;
	}
	*result_out = result;
	return true;
}

/* --- programs that are kept -------------------------------------------------------------------- */

void
ph_process_use_own(void)
{
	programs.starts_itself = true;
}

/* Without a supervisor: the process is the id. */
static bool
spawn_own(const char *const *argv, int fd, PhKept *child, GError **error)
{
	static const char *const environment[] = { "PATH=/usr/bin:/bin", NULL };
	const PhSpawn spawn = { .argv = argv,
		                .environment = environment,
		                .channel = -1,
		                .input = fd,
		                .output = fd,
		                .errors = -1,
		                .own_group = true };
	pid_t pid = ph_spawn(&spawn, error);

	child->id = pid > 0 ? (uint64_t) pid : 0;
	return pid > 0;
}

static bool
request_child(const char *const *argv, int fd, PhKept *child, GError **error)
{
	g_autoptr(GString) text = g_string_new(NULL);
	PH_LOCKED(&programs.lock);

	child->id = ++programs.last_id;
	g_string_printf(text, "%" G_GUINT64_FORMAT "\n0", child->id);
	append_words(text, argv);
	if (programs.channel >= 0 && ph_channel_send(programs.channel, "run", text->str, fd))
		return true;
	ph_error_set(error, PH_ERROR_TEMPORARY, "no program can be run here");
	return false;
}

bool
ph_kept_start(const char *const *argv, PhKept *child_out, GError **error)
{
	PhKept child = { .fd = -1 };
	int ends[2];
	bool good = false;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
		ph_error_set_errno(error, errno, "cannot make a socket pair");
		return false;
	}
	good = programs.starts_itself ? spawn_own(argv, ends[1], &child, error)
	                              : request_child(argv, ends[1], &child, error);
	(void) close(ends[1]);
	child.fd = ends[0];
	if (!good)
		(void) close(ends[0]);
	else
		*child_out = child;
	return good;
}

static void
kill_kept(uint64_t id)
{
	g_autofree char *text = g_strdup_printf("end %" G_GUINT64_FORMAT, id);

	if (programs.starts_itself) {
		(void) kill(-(pid_t) id, SIGKILL);
		(void) waitpid((pid_t) id, NULL, 0);
		return;
	}
	PH_LOCKED(&programs.lock);
	(void) ph_channel_send(programs.channel, "run", text, -1);
}

void
ph_kept_end(PhKept *child)
{
	(void) close(child->fd);
	child->fd = -1;
	if (child->id > 0)
		kill_kept(child->id);
}

/* --- for client sessions ----------------------------------------------------------------------- */

static bool
start_for_session(const char *const *argv, uint64_t *id_out, int *fd_out, GError **error)
{
	PhKept child = { .fd = -1 };

	if (!ph_kept_start(argv, &child, error))
		return false;
	*id_out = child.id;
	*fd_out = child.fd;
	return true;
}

static const PhProgramTable for_sessions = { start_for_session, kill_kept };

void
ph_process_open(int channel)
{
	ph_signal_init(&programs.ended);
	programs.waiting = g_ptr_array_new();
	programs.channel = channel;
	ph_client_set_programs(&for_sessions);
}

void
ph_process_result_clear(PhProcessResult *result)
{
	g_clear_pointer(&result->output, g_bytes_unref);
}
