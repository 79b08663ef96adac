/* log.c: takes an event, checks level and rate, hands its line to the sink
 *
 * A line is one write, so that lines of several threads and processes do not mix. The rate limit
 * is for each event name: what passes the burst within one second is counted, and told in one line
 * when the next second's first line comes. INFO and DEBUG have no limit: they are asked for.
 * journald is spoken to in its own protocol (one datagram of NAME=value lines), because linking its
 * library costs start time and memory.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "base/log.h"

#include <posthorn/slice.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/lock.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	RATE_SLOTS = 64,
	SECOND_US = 1000000
};

typedef struct {
	uint64_t second;
	uint32_t n_lines;
	uint32_t n_dropped;
} Rate;

static const char default_journal[] = "/run/systemd/journal/socket";

static struct {
	atomic_uint sink;
	atomic_uint level;
	atomic_int fd;
	atomic_int journal_fd;
	PhLock lock; /* guards rates and keeps lines whole */
	Rate rates[RATE_SLOTS];
	const char *journal_path;
	struct sockaddr_un journal_address;
	PhLogSessionDescriber describe_session;
	PhLogSectionDescriber describe_section;
	PhLogCatcher catcher;
	void *catcher_data;
} state = {
	.sink = PH_LOG_TO_TEXT,
	.level = PH_LOG_NOTICE,
	.fd = STDERR_FILENO,
	.journal_fd = -1,
	.lock = PH_LOCK_INIT,
	.journal_path = default_journal,
};

const char *
ph_log_level_name(uint32_t level)
{
	static const char *const names[] = { "error",   "error",  "error", "error",
		                             "warning", "notice", "info",  "debug" };

	return names[MIN(level, (uint32_t) PH_LOG_DEBUG)];
}

void
ph_log_set_fd(int fd)
{
	atomic_store(&state.fd, fd);
}

void
ph_log_set_journal_path(const char *path)
{
	state.journal_path = path != NULL ? path : default_journal;
}

void
ph_log_set_session_describer(PhLogSessionDescriber func)
{
	state.describe_session = func;
}

void
ph_log_set_section_describer(PhLogSectionDescriber func)
{
	state.describe_section = func;
}

void
ph_log_set_catcher(PhLogCatcher func, void *user_data)
{
	state.catcher = func;
	state.catcher_data = user_data;
}

/* A datagram socket that is not tied to a peer: each line names its address, so that a restart of
 * journald needs no attention. */
static int
open_journal(void)
{
	struct sockaddr_un *address = &state.journal_address;

	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (strlen(state.journal_path) >= sizeof address->sun_path
	    || access(state.journal_path, W_OK) < 0)
		return -1;
	(void) g_strlcpy(address->sun_path, state.journal_path, sizeof address->sun_path);
	return socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

static bool
send_journal(const GString *line)
{
	int fd = atomic_load_explicit(&state.journal_fd, memory_order_relaxed);

	return sendto(fd, line->str, line->len, MSG_NOSIGNAL,
	              (const struct sockaddr *) &state.journal_address,
	              sizeof state.journal_address)
	       >= 0;
}

bool
ph_log_open(uint32_t sink, uint32_t level)
{
	int old = -1;
	int fd = sink == PH_LOG_TO_JOURNALD ? open_journal() : -1;
	bool good = sink != PH_LOG_TO_JOURNALD || fd >= 0;

	old = atomic_exchange(&state.journal_fd, fd);
	atomic_store(&state.sink, good ? sink : PH_LOG_TO_TEXT);
	atomic_store(&state.level, level);
	if (old >= 0)
		(void) close(old);
	return good;
}

bool
ph_log_stderr_is_journal(void)
{
	PhSlice rest = ph_slice(g_getenv("JOURNAL_STREAM"));
	PhSlice device = ph_slice_split(&rest, ':');
	uint64_t dev = 0;
	uint64_t ino = 0;
	struct stat info;

	return ph_slice_to_u64(device, UINT64_MAX, &dev) && ph_slice_to_u64(rest, UINT64_MAX, &ino)
	       && fstat(STDERR_FILENO, &info) == 0 && info.st_dev == dev && info.st_ino == ino;
}

bool
ph_log_wants(uint32_t level)
{
	return level <= atomic_load_explicit(&state.level, memory_order_relaxed);
}

static void
write_line(const char *line, size_t length)
{
	int fd = atomic_load_explicit(&state.fd, memory_order_relaxed);
	size_t done = 0;

	PH_LOCKED(&state.lock);
	while (done < length) {
		ssize_t n = write(fd, line + done, length - done);

		if (n < 0 && errno != EINTR)
			return; /* nobody left to tell */
		if (n > 0)
			done += (size_t) n;
	}
}

static void
emit(const PhLogEvent *event)
{
	uint32_t sink = atomic_load_explicit(&state.sink, memory_order_relaxed);
	g_autoptr(GString) line = g_string_sized_new(256);

	if (sink == PH_LOG_TO_JOURNALD) {
		ph_log_format_journal(event, line);
		if (send_journal(line))
			return;
		g_string_truncate(line, 0);
	}
	if (sink == PH_LOG_TO_JSON)
		ph_log_format_json(event, line);
	else
		ph_log_format_text(event, line);
	write_line(line->str, line->len);
}

/* May this line be written? @dropped_out: lines of the last second that were not. */
static bool
pass_rate(const PhLogEvent *event, uint32_t *dropped_out)
{
	Rate *rate = NULL;
	uint64_t second = 0;

	if (event->level >= PH_LOG_INFO)
		return true;
	rate = &state.rates[ph_slice_hash(ph_slice(event->event)) % RATE_SLOTS];
	second = ph_clock_us() / SECOND_US;
	PH_LOCKED(&state.lock);
	if (rate->second != second) {
		*dropped_out = rate->n_dropped;
		*rate = (Rate){ .second = second };
	}
	if (rate->n_lines >= PH_LIMIT_LOG_BURST) {
		rate->n_dropped++;
		return false;
	}
	rate->n_lines++;
	return true;
}

void
ph_log_fields(PhSection *section,
              PhSession *session,
              uint32_t level,
              const char *event,
              const char *sentence,
              const PhLogField *fields)
{
	PhLogEvent line = { .time = ph_clock_wall_us(),
		            .level = level,
		            .event = event,
		            .sentence = sentence,
		            .fields = fields };
	uint32_t n_dropped = 0;

	if (!ph_log_wants(level))
		return;
	if (section != NULL && state.describe_section != NULL)
		line.section = state.describe_section(section);
	if (session != NULL && state.describe_session != NULL)
		state.describe_session(session, &line.session, &line.peer);
	if (state.catcher != NULL && state.catcher(section, &line, state.catcher_data))
		return;
	if (!pass_rate(&line, &n_dropped))
		return;
	if (n_dropped > 0) {
		const PhLogField told[] = { PH_LOG_TEXT("of", event),
			                    PH_LOG_NUMBER("lines", n_dropped), PH_LOG_END };
		PhLogEvent note = { .time = line.time,
			            .level = PH_LOG_WARNING,
			            .event = "log-suppressed",
			            .sentence = "too many lines of one kind; some were left out",
			            .fields = told };

		emit(&note);
	}
	emit(&line);
}
