/* jobs.c: `posthorn store ...` and `queue ...` inside the server, each on a thread of its own
 *
 * The lock guards the number of jobs that run; a job owns everything else of its own.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "server/jobs.h"

#include <posthorn/log.h>
#include <posthorn/slice.h>

#include "base/clock.h"
#include "base/lock.h"
#include "server/json.h"
#include "server/queue-tool.h"
#include "tools/job.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum {
	JOBS_MAX = 8,
	PATIENCE_SECONDS = 60, /* for a client that does not read */
};

struct PhJobs {
	PhLock lock; /* guards n_running */
	PhSignal ended;
	unsigned n_running;
	gint is_stopping;     /* atomic */
	gint is_retaining;    /* atomic */
	GHashTable *retained; /* store section -> when it was looked after last, us; main's own */
};

/* Running: one job. */
typedef struct {
	PhJobs *jobs;
	PhGeneration *generation;
	int fd;
	int stream;
	bool is_gone; /* nobody reads what it says */
	char *words[5];
	uint32_t flags;
	PhQueueRequest queue; /* with a tool: it is one of `posthorn queue` */
	GStrv queue_words;    /* (nullable) */
} Running;

enum {
	WORD_TOOL,
	WORD_SECTION,
	WORD_TO,
	WORD_USER,
	WORD_FLAGS
};

PhJobs *
ph_jobs_new(void)
{
	PhJobs *jobs = g_new0(PhJobs, 1);

	ph_lock_init(&jobs->lock);
	ph_signal_init(&jobs->ended);
	jobs->retained = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	return jobs;
}

bool
ph_jobs_free(PhJobs *jobs, PhDuration within)
{
	uint64_t deadline_us = (uint64_t) g_get_monotonic_time() + within.us;
	bool ended = true;

	g_atomic_int_set(&jobs->is_stopping, 1);
	ph_lock_take(&jobs->lock);
	while (jobs->n_running > 0 && ended)
		ended = ph_signal_wait_until(&jobs->ended, &jobs->lock, deadline_us);
	ended = jobs->n_running == 0;
	ph_lock_drop(&jobs->lock);
	if (!ended)
		return false;
	g_hash_table_unref(jobs->retained);
	ph_signal_clear(&jobs->ended);
	ph_lock_clear(&jobs->lock);
	g_free(jobs);
	return true;
}

static void
say(uint32_t channel, const char *text, void *user_data)
{
	Running *running = user_data;
	g_autofree char *line = g_strdup_printf("%c%s\n", (char) channel, text);
	size_t length = strlen(line);
	size_t sent = 0;

	while (!running->is_gone && sent < length) {
		ssize_t n = send(running->fd, line + sent, length - sent, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		running->is_gone = n <= 0;
		sent += n > 0 ? (size_t) n : 0;
	}
}

/* The client says nothing more: what can be read is its end. */
static bool
is_cancelled(void *user_data)
{
	Running *running = user_data;
	char octet = '\0';
	ssize_t n = 0;

	if (running->is_gone || g_atomic_int_get(&running->jobs->is_stopping))
		return true;
	n = recv(running->fd, &octet, sizeof octet, MSG_PEEK | MSG_DONTWAIT);
	running->is_gone = n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
	return running->is_gone;
}

static void
finish(Running *running)
{
	PhJobs *jobs = running->jobs;

	close(running->fd);
	if (running->stream >= 0)
		close(running->stream);
	ph_generation_unref(running->generation);
	for (size_t i = 0; i < G_N_ELEMENTS(running->words); i++)
		g_free(running->words[i]);
	g_strfreev(running->queue_words);
	g_free(running);
	PH_LOCKED(&jobs->lock);
	jobs->n_running--;
	ph_signal_all(&jobs->ended);
}

static void
log_job(const Running *running, const char *event, const char *sentence, int status)
{
	ph_log(PH_LOG_NOTICE, event, sentence, PH_LOG_TEXT("tool", running->words[WORD_TOOL]),
	       PH_LOG_TEXT("store", running->words[WORD_SECTION]),
	       PH_LOG_TEXT("user", running->words[WORD_USER]), PH_LOG_NUMBER("status", status),
	       PH_LOG_END);
}

static int
run_store(Running *running, const PhJobSink *sink)
{
	const PhJobRequest request = {
		.tool = running->words[WORD_TOOL],
		.section = running->words[WORD_SECTION],
		.to = running->words[WORD_TO],
		.user = running->words[WORD_USER],
		.flags = running->flags | PH_JOB_ONLINE,
		.stream = running->stream,
	};
	int status = 0;

	log_job(running, "tool-begun", "a store tool was begun", 0);
	status = ph_job_run(ph_generation_config(running->generation), &request, sink);
	log_job(running, "tool-ended", "a store tool has ended", status);
	return status;
}

static int
run_queue(Running *running, const PhJobSink *sink)
{
	g_autoptr(PhQueue) queue = ph_generation_queue(running->generation);

	if (queue != NULL)
		return ph_queue_tool_run(queue, &running->queue, sink);
	say(PH_JOB_ERROR, "this server has no queue", running);
	return EXIT_FAILURE;
}

static void *
work(void *data)
{
	Running *running = data;
	const PhJobSink sink = { say, is_cancelled, running };
	g_autofree char *end = NULL;
	int status = running->queue_words != NULL ? run_queue(running, &sink)
	                                          : run_store(running, &sink);

	end = g_strdup_printf("%d", status);
	say('x', end, running);
	finish(running);
	return NULL;
}

static bool
admit(PhJobs *jobs)
{
	PH_LOCKED(&jobs->lock);
	if (jobs->n_running >= JOBS_MAX || g_atomic_int_get(&jobs->is_stopping))
		return false;
	jobs->n_running++;
	return true;
}

/* --- retention ------------------------------------------------------------------------------------- */

/* Retaining: what one round goes over. */
typedef struct {
	PhJobs *jobs;
	PhGeneration *generation;
	GPtrArray *names; /* of store sections */
} Retaining;

static void
note_line(uint32_t channel, const char *text, void *user_data)
{
	if (channel == PH_JOB_ERROR)
		ph_log(PH_LOG_WARNING, "retention-failed", text, PH_LOG_END);
}

static bool
is_stopping(void *user_data)
{
	const Retaining *retaining = user_data;

	return g_atomic_int_get(&retaining->jobs->is_stopping) != 0;
}

static void *
retain(void *data)
{
	Retaining *retaining = data;
	PhJobs *jobs = retaining->jobs;
	const PhJobSink sink = { note_line, is_stopping, retaining };

	for (guint i = 0; i < retaining->names->len; i++) {
		const PhJobRequest request = {
			.tool = "retain",
			.section = retaining->names->pdata[i],
			.flags = PH_JOB_ALL | PH_JOB_ONLINE,
			.stream = -1,
		};

		(void) ph_job_run(ph_generation_config(retaining->generation), &request, &sink);
	}
	g_ptr_array_unref(retaining->names);
	ph_generation_unref(retaining->generation);
	g_free(retaining);
	g_atomic_int_set(&jobs->is_retaining, 0);
	PH_LOCKED(&jobs->lock);
	jobs->n_running--;
	ph_signal_all(&jobs->ended);
	return NULL;
}

/* The stores whose turn it is. The first time is one interval after the start. */
static GPtrArray *
due_stores(PhJobs *jobs, PhGeneration *generation)
{
	PhSection *const *all = ph_config_sections(ph_generation_config(generation));
	GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
	uint64_t now_us = ph_clock_us();

	for (size_t i = 0; all[i] != NULL; i++) {
		const PhPluginSettings *settings =
			all[i]->kind == PH_KIND_STORE ? ph_section_plugin(all[i]) : NULL;
		uint64_t *last = NULL;

		if (settings == NULL || settings->retention == NULL)
			continue;
		last = g_hash_table_lookup(jobs->retained, all[i]->name);
		if (last != NULL && now_us - *last < settings->retention_interval.us)
			continue;
		if (last != NULL)
			g_ptr_array_add(names, g_strdup(all[i]->name));
		(void) g_hash_table_replace(jobs->retained, g_strdup(all[i]->name),
		                            g_memdup2(&now_us, sizeof now_us));
	}
	return names;
}

void
ph_jobs_retain(PhJobs *jobs, PhGeneration *generation)
{
	Retaining *retaining = NULL;
	GPtrArray *names = NULL;

	if (g_atomic_int_get(&jobs->is_retaining))
		return;
	names = due_stores(jobs, generation);
	if (names->len == 0 || !admit(jobs)) {
		g_ptr_array_unref(names);
		return;
	}
	g_atomic_int_set(&jobs->is_retaining, 1);
	retaining = g_new0(Retaining, 1);
	*retaining = (Retaining){ jobs, ph_generation_ref(generation), names };
	g_thread_unref(g_thread_new("retention", retain, retaining));
}

/* --- tools ----------------------------------------------------------------------------------------- */

void
ph_jobs_start(PhJobs *jobs, PhGeneration *generation, PhSlice request, int fd, int stream)
{
	static const char *const keys[] = { "tool", "section", "to", "user", "flags" };
	static const char busy[] = "etoo many store tools run at once, or the server stops\nx75\n";
	const struct timeval patience = { PATIENCE_SECONDS, 0 };
	Running *running = NULL;
	g_autofree char *command = NULL;
	uint64_t flags = 0;

	if (!admit(jobs)) {
		(void) send(fd, busy, sizeof busy - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
		close(fd);
		if (stream >= 0)
			close(stream);
		return;
	}
	running = g_new0(Running, 1);
	running->jobs = jobs;
	running->generation = ph_generation_ref(generation);
	running->fd = fd;
	running->stream = stream;
	for (size_t i = 0; i < G_N_ELEMENTS(keys); i++)
		running->words[i] = ph_json_lookup(request, keys[i]);
	if (running->words[WORD_FLAGS] != NULL
	    && ph_slice_to_u64(ph_slice(running->words[WORD_FLAGS]), UINT32_MAX, &flags))
		running->flags = (uint32_t) flags;
	command = ph_json_lookup(request, "command");
	if (g_strcmp0(command, "queue") == 0)
		ph_queue_request_read(request, &running->queue, &running->queue_words);
	(void) setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
	g_thread_unref(g_thread_new("tool", work, running));
}
