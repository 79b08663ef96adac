/* process-programs.c: the supervisor's end: starts programs for workers and ends them in time
 *
 * What a worker asks for is data from a process that hears the whole world: every field is bounded
 * and only programs that the config names are started, as the worker's user.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "base/clock.h"
#include "net/channel.h"
#include "server/process-spawn.h"
#include "server/process.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

enum {
	RUNNING_MAX = 256
};

#define NEVER          UINT64_MAX
#define TIMEOUT_MAX_US (UINT64_C(3600) * G_USEC_PER_SEC)

typedef struct {
	pid_t pid;
	int channel;
	uint64_t id;
	uint64_t deadline_us; /* NEVER: it is kept running */
} Running;

struct PhPrograms {
	GArray *running; /* of Running */
};

PhPrograms *
ph_programs_new(void)
{
	PhPrograms *programs = g_new0(PhPrograms, 1);

	programs->running = g_array_new(FALSE, FALSE, sizeof(Running));
	return programs;
}

void
ph_programs_free(PhPrograms *programs)
{
	if (programs == NULL)
		return;
	g_array_unref(programs->running);
	g_free(programs);
}

static void
answer(int channel, uint64_t id, int status)
{
	g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT " %d", id, status);

	(void) ph_channel_send(channel, "ended", text, -1);
}

/* Lines of the request: id, timeout in us, then the words of argv; after an empty line those of the
 * environment. Words are percent-escaped and stand behind a '='. */
typedef struct {
	uint64_t id;
	uint64_t timeout_us;
	GPtrArray *argv;        /* NULL-terminated */
	GPtrArray *environment; /* NULL-terminated */
} Request;

static void
clear_request(Request *request)
{
	g_clear_pointer(&request->argv, g_ptr_array_unref);
	g_clear_pointer(&request->environment, g_ptr_array_unref);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Request, clear_request)

static bool
parse_request(const char *text, Request *out)
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	GPtrArray *words = g_ptr_array_new_with_free_func(g_free);

	out->argv = words;
	out->environment = g_ptr_array_new_with_free_func(g_free);
	g_ptr_array_add(out->environment, g_strdup("PATH=/usr/bin:/bin"));
	if (lines[0] == NULL || lines[1] == NULL
	    || !ph_slice_to_u64(ph_slice(lines[0]), G_MAXINT64, &out->id)
	    || !ph_slice_to_u64(ph_slice(lines[1]), TIMEOUT_MAX_US, &out->timeout_us))
		return false;
	for (size_t i = 2; lines[i] != NULL; i++) {
		char *word = NULL;

		if (lines[i][0] == '\0') {
			words = out->environment;
			continue;
		}
		word = lines[i][0] == '=' ? g_uri_unescape_string(lines[i] + 1, NULL) : NULL;
		if (word == NULL)
			return false;
		g_ptr_array_add(words, word);
	}
	g_ptr_array_add(out->argv, NULL);
	g_ptr_array_add(out->environment, NULL);
	return out->argv->len > 1;
}

static pid_t
start(const PhOutline *outline, const Request *request, int fd)
{
	PhSpawnUser user = { .name = NULL };
	bool change = false;
	PhSpawn spawn = {
		.argv = (const char *const *) request->argv->pdata,
		.environment = (const char *const *) request->environment->pdata,
		.channel = -1,
		.input = fd,
		.output = fd,
		.errors = -1,
		.own_group = true,
	};

	if (!ph_spawn_user(outline->user, outline->group, &user, &change, NULL))
		return -1;
	spawn.user = change ? &user : NULL;
	return ph_spawn(&spawn, NULL);
}

/* "end ID": a worker has no more use for a program that is kept. */
static bool
end_kept(const PhPrograms *programs, int channel, const char *text)
{
	uint64_t id = 0;

	if (!g_str_has_prefix(text, "end ")
	    || !ph_slice_to_u64(ph_slice(text + strlen("end ")), G_MAXINT64, &id))
		return false;
	for (guint i = 0; i < programs->running->len; i++) {
		const Running *running = &g_array_index(programs->running, Running, i);

		if (running->channel == channel && running->id == id)
			(void) kill(-running->pid, SIGKILL);
	}
	return true;
}

void
ph_programs_start(PhPrograms *programs,
                  const PhOutline *outline,
                  int channel,
                  const char *text,
                  int fd)
{
	g_auto(Request) request = { .id = 0 };
	Running running = { .channel = channel };

	if (end_kept(programs, channel, text))
		return;
	if (!parse_request(text, &request) || fd < 0 || programs->running->len >= RUNNING_MAX) {
		answer(channel, request.id, PH_PROCESS_FAILED);
		return;
	}
	if (!g_strv_contains((const char *const *) outline->programs, request.argv->pdata[0])) {
		answer(channel, request.id, PH_PROCESS_DENIED);
		return;
	}
	running.id = request.id;
	running.deadline_us = request.timeout_us > 0 ? ph_clock_us() + request.timeout_us : NEVER;
	running.pid = start(outline, &request, fd);
	if (running.pid < 0)
		answer(channel, request.id, PH_PROCESS_FAILED);
	else
		g_array_append_val(programs->running, running);
}

bool
ph_programs_ended(PhPrograms *programs, pid_t pid, int status)
{
	for (guint i = 0; i < programs->running->len; i++) {
		Running running = g_array_index(programs->running, Running, i);

		if (running.pid != pid)
			continue;
		/* What it started and left behind goes with it. */
		(void) kill(-pid, SIGKILL);
		g_array_remove_index_fast(programs->running, i);
		if (running.channel >= 0)
			answer(running.channel, running.id,
			       WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status));
		return true;
	}
	return false;
}

uint64_t
ph_programs_kill_late(PhPrograms *programs, uint64_t now_us)
{
	uint64_t next_us = 0;

	for (guint i = 0; i < programs->running->len; i++) {
		const Running *running = &g_array_index(programs->running, Running, i);

		if (running->deadline_us <= now_us)
			(void) kill(-running->pid, SIGKILL);
		else if (running->deadline_us != NEVER
		         && (next_us == 0 || running->deadline_us < next_us))
			next_us = running->deadline_us;
	}
	return next_us;
}

void
ph_programs_forget(PhPrograms *programs, int channel)
{
	for (guint i = 0; i < programs->running->len; i++) {
		Running *running = &g_array_index(programs->running, Running, i);

		if (running->channel != channel)
			continue;
		running->channel = -1;
		(void) kill(-running->pid, SIGKILL);
	}
}
