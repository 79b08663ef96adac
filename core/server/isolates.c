/* isolates.c: the supervisor's end of isolated plugins: starts their processes, anew if need be
 *
 * A child that dies after it has lived for a while is replaced at once, one that keeps dying after
 * 0.1 s, 0.2 s, ... 10 s.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "server/isolates.h"

#include <posthorn/error.h>
#include <posthorn/log.h>
#include <posthorn/slice.h>

#include "base/clock.h"
#include "isolate/link.h"
#include "net/channel.h"
#include "server/process-spawn.h"
#include "server/supervisor-worker.h"
#include "server/supervisor.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	CHILDREN_MAX = 1024,
	OF_ONE_MAX = 64
};

#define LONG_LIFE_US   (UINT64_C(10) * G_USEC_PER_SEC)
#define DELAY_FIRST_US UINT64_C(100000)
#define DELAY_MOST_US  (UINT64_C(10) * G_USEC_PER_SEC)

/* Isolate: one place for a child. */
typedef struct {
	uint64_t id;         /* the worker's */
	int channel;         /* of the worker; -1: nobody wants it any more */
	char *title;         /* "directory people" */
	char *config;        /* what the child reads */
	char *folder;        /* that the config's paths are below */
	char *user;          /* (nullable) */
	char *group;         /* (nullable) */
	uint64_t privileged; /* 1: stays root, if this process is */
	uint32_t index;
	pid_t pid; /* 0: none at this moment */
	bool was_killed;
	uint64_t started_us;
	uint64_t delay_us;
	uint64_t restart_at_us;
} Isolate;

struct PhIsolates {
	char *program;
	GPtrArray *all; /* of Isolate */
};

static void
free_isolate(gpointer pointer)
{
	Isolate *isolate = pointer;

	g_free(isolate->title);
	g_free(isolate->config);
	g_free(isolate->folder);
	g_free(isolate->user);
	g_free(isolate->group);
	g_free(isolate);
}

PhIsolates *
ph_isolates_new(const char *program)
{
	PhIsolates *isolates = g_new0(PhIsolates, 1);

	isolates->program = g_strdup(program);
	isolates->all = g_ptr_array_new_with_free_func(free_isolate);
	return isolates;
}

void
ph_isolates_free(PhIsolates *isolates)
{
	if (isolates == NULL)
		return;
	g_ptr_array_unref(isolates->all);
	g_free(isolates->program);
	g_free(isolates);
}

/* --- starting one --------------------------------------------------------------------------- */

/* The child's standard input: its config, in no file that anybody could see. */
static int
config_input(const Isolate *isolate, GError **error)
{
	int fd = memfd_create("posthorn-config", MFD_CLOEXEC);
	size_t length = strlen(isolate->config);

	if (fd >= 0 && write(fd, isolate->config, length) == (ssize_t) length
	    && lseek(fd, 0, SEEK_SET) == 0)
		return fd;
	ph_error_set_errno(error, errno, "cannot hand over a config");
	if (fd >= 0)
		close(fd);
	return -1;
}

static bool
spawn(const PhIsolates *isolates, Isolate *isolate, int input, int link, GError **error)
{
	bool as_root = isolate->privileged != 0 && geteuid() == 0;
	const char *argv[] = { isolates->program,
		               "isolated",
		               "--section",
		               isolate->title,
		               "--folder",
		               isolate->folder,
		               as_root ? "--privileged" : NULL,
		               NULL };
	PhSpawn options = { .argv = argv,
		            .input = input,
		            .channel = link,
		            .output = -1,
		            .errors = -1,
		            .own_group = true };
	PhSpawnUser user = { .name = NULL };
	bool change = false;

	if (!ph_spawn_user(isolate->user, isolate->group, &user, &change, error))
		return false;
	options.user = change && !as_root ? &user : NULL;
	isolate->pid = ph_spawn(&options, error);
	if (isolate->pid > 0)
		return true;
	isolate->pid = 0;
	return false;
}

static void
tell_worker(const Isolate *isolate, int link)
{
	g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT " %u %d", isolate->id,
	                                        isolate->index, (int) isolate->pid);

	if (!ph_channel_send(isolate->channel, "isolated", text, link))
		(void) kill(-isolate->pid, SIGKILL);
}

static bool
try_start(const PhIsolates *isolates, Isolate *isolate, GError **error)
{
	int input = config_input(isolate, error);
	bool started = false;
	int ends[2];

	if (input < 0)
		return false;
	if (ph_link_open(ends, error)) {
		started = spawn(isolates, isolate, input, ends[1], error);
		if (started)
			tell_worker(isolate, ends[0]);
		close(ends[0]);
		close(ends[1]);
	}
	close(input);
	return started;
}

static void
start(const PhIsolates *isolates, Isolate *isolate)
{
	g_autoptr(GError) error = NULL;

	isolate->restart_at_us = 0;
	isolate->was_killed = false;
	isolate->started_us = ph_clock_us();
	if (try_start(isolates, isolate, &error))
		return;
	ph_log(PH_LOG_ERROR, "isolated-failed", "cannot start a process for an isolated plugin",
	       PH_LOG_TEXT("isolated", isolate->title), PH_LOG_FAILURE(error), PH_LOG_END);
	isolate->delay_us = DELAY_MOST_US;
	isolate->restart_at_us = ph_clock_us() + isolate->delay_us;
}

/* --- what workers say ----------------------------------------------------------------------- */

static bool
read_number(PhSlice *text, uint64_t most, uint64_t *value_out)
{
	return ph_slice_to_u64(ph_slice_split(text, ' '), most, value_out);
}

static void
add(PhIsolates *isolates, const PhOutline *outline, const Isolate *values)
{
	Isolate *isolate = g_new0(Isolate, 1);

	*isolate = *values;
	isolate->title = g_strdup(values->title);
	isolate->config = ph_outline_config_of(outline, values->title);
	isolate->folder = g_path_get_dirname(outline->path);
	isolate->user = g_strdup(outline->user);
	isolate->group = g_strdup(outline->group);
	g_ptr_array_add(isolates->all, isolate);
	start(isolates, isolate);
}

void
ph_isolates_start(PhIsolates *isolates, const PhOutline *outline, int channel, const char *text)
{
	PhSlice rest = ph_slice(text);
	Isolate values = { .channel = channel };
	uint64_t n = 0;
	g_autofree char *title = NULL;
	g_autofree char *config = NULL;

	if (!read_number(&rest, G_MAXINT64, &values.id) || !read_number(&rest, OF_ONE_MAX, &n)
	    || !read_number(&rest, 1, &values.privileged))
		return;
	title = ph_slice_dup(rest);
	config = ph_outline_config_of(outline, title);
	if (config == NULL || isolates->all->len + n > CHILDREN_MAX) {
		ph_log(PH_LOG_ERROR, "isolated-failed",
		       "a worker process asks for what the config does not have",
		       PH_LOG_TEXT("isolated", title), PH_LOG_END);
		return;
	}
	values.title = title;
	if (values.privileged != 0 && geteuid() != 0)
		ph_log(PH_LOG_WARNING, "isolated-unprivileged",
		       "the plugin reads what only root may, but the server was not started by root",
		       PH_LOG_TEXT("isolated", title), PH_LOG_END);
	for (; values.index < n; values.index++)
		add(isolates, outline, &values);
}

void
ph_isolates_kill(PhIsolates *isolates, int channel, const char *text)
{
	PhSlice rest = ph_slice(text);
	uint64_t id = 0;
	uint64_t pid = 0;

	if (!read_number(&rest, G_MAXINT64, &id) || !read_number(&rest, G_MAXINT32, &pid))
		return;
	for (guint i = 0; i < isolates->all->len; i++) {
		Isolate *isolate = isolates->all->pdata[i];

		if (isolate->channel != channel || isolate->id != id
		    || (uint64_t) isolate->pid != pid || pid == 0)
			continue;
		isolate->was_killed = true;
		(void) kill(-isolate->pid, SIGKILL);
	}
}

/* Those that match are wanted no more: one without a process at once, others when they end. */
static void
dismiss(PhIsolates *isolates, int channel, const uint64_t *id)
{
	for (guint i = isolates->all->len; i > 0; i--) {
		Isolate *isolate = isolates->all->pdata[i - 1];

		if (isolate->channel != channel || (id != NULL && isolate->id != *id))
			continue;
		isolate->channel = -1;
		if (isolate->pid > 0)
			(void) kill(-isolate->pid, SIGKILL);
		else
			g_ptr_array_remove_index_fast(isolates->all, i - 1);
	}
}

void
ph_isolates_end(PhIsolates *isolates, int channel, const char *text)
{
	PhSlice rest = ph_slice(text);
	uint64_t id = 0;

	if (read_number(&rest, G_MAXINT64, &id))
		dismiss(isolates, channel, &id);
}

void
ph_isolates_forget(PhIsolates *isolates, int channel)
{
	dismiss(isolates, channel, NULL);
}

/* --- deaths --------------------------------------------------------------------------------- */

static void
log_death(const Isolate *isolate, int status)
{
	g_autofree char *fate = ph_child_fate(status);
	bool killed = isolate->was_killed && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;

	ph_log(PH_LOG_ERROR, killed ? "isolated-killed" : "isolated-died",
	       killed ? "the process of an isolated plugin did not do what it should"
	              : "the process of an isolated plugin is gone",
	       PH_LOG_TEXT("isolated", isolate->title), PH_LOG_NUMBER("pid", isolate->pid),
	       PH_LOG_TEXT("why", fate), PH_LOG_END);
}

static void
restart_later(Isolate *isolate)
{
	uint64_t now_us = ph_clock_us();

	if (now_us - isolate->started_us >= LONG_LIFE_US)
		isolate->delay_us = 0;
	else
		isolate->delay_us = CLAMP(isolate->delay_us * 2, DELAY_FIRST_US, DELAY_MOST_US);
	isolate->restart_at_us = now_us + isolate->delay_us;
	isolate->pid = 0;
}

PhIsolatesEnd
ph_isolates_ended(PhIsolates *isolates, pid_t pid, int status)
{
	for (guint i = 0; i < isolates->all->len; i++) {
		Isolate *isolate = isolates->all->pdata[i];

		if (isolate->pid != pid)
			continue;
		if (isolate->channel < 0) {
			g_ptr_array_remove_index_fast(isolates->all, i);
			return PH_ISOLATES_ENDED;
		}
		log_death(isolate, status);
		restart_later(isolate);
		return WIFEXITED(status) && WEXITSTATUS(status) == PH_WORKER_BAD_CONFIG
		               ? PH_ISOLATES_REFUSED
		               : PH_ISOLATES_ENDED;
	}
	return PH_ISOLATES_NOT_OURS;
}

uint64_t
ph_isolates_tend(PhIsolates *isolates, uint64_t now_us)
{
	uint64_t next_us = 0;

	for (guint i = 0; i < isolates->all->len; i++) {
		Isolate *isolate = isolates->all->pdata[i];

		if (isolate->restart_at_us != 0 && isolate->restart_at_us <= now_us)
			start(isolates, isolate);
		if (isolate->restart_at_us != 0
		    && (next_us == 0 || isolate->restart_at_us < next_us))
			next_us = isolate->restart_at_us;
	}
	return next_us;
}
