/* worker.c: the process that serves clients
 *
 * The main thread runs a GMainLoop for the control plane only: the supervisor's channel, the
 * control socket, signals. Sessions live on the reactor's threads. The order of a start: config,
 * plugins, instances, TLS; then the supervisor is told, opens the sockets and hands them over; then
 * the reactor starts.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "server/worker.h"

#include <posthorn/error.h>
#include <posthorn/log.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/reserve.h"
#include "base/spool.h"
#include "mailbox/account.h"
#include "net/channel.h"
#include "net/resolver.h"
#include "plugin/call.h"
#include "plugin/registry.h"
#include "server/control.h"
#include "server/durability.h"
#include "server/generation.h"
#include "server/isolation.h"
#include "server/jobs.h"
#include "server/outline.h"
#include "server/ownership.h"
#include "server/plugin-files.h"
#include "server/process-spawn.h"
#include "server/process.h"
#include "server/sandbox.h"
#include "server/status.h"
#include "server/supervisor.h"
#include "server/worker-shared.h"
#include "server/worker-sockets.h"

#include <glib-unix.h>
#include <malloc.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	EXIT_GOOD = 0,
	EXIT_BAD = 1,
	RETENTION_SECONDS = 60, /* how often it is asked whose turn it is */
	BESIDE_MS = 200,
};

#define STOP_DRAIN_US  UINT64_C(3000000)
#define STOP_GRACE_US  UINT64_C(1000000)
#define OLD_GOODBYE_US UINT64_C(30000000)
#define BACKOFF_FIRST             \
	(PhDuration)              \
	{                         \
		UINT64_C(2000000) \
	}
#define BACKOFF_MOST               \
	(PhDuration)               \
	{                          \
		UINT64_C(15000000) \
	}
#define BACKOFF_MEMORY              \
	(PhDuration)                \
	{                           \
		UINT64_C(600000000) \
	}

typedef struct {
	const char *path;
	PhRegistry *registry;
	PhRuntime runtime;
	PhSandbox *sandbox;
	GHashTable *plugin_files; /* plugin-files.h */
	PhGeneration *generation;
	PhOwnership *ownership;
	PhWorkerSockets *sockets;
	PhControl *control;
	PhJobs *jobs;
	GMainLoop *loop;
	uint64_t started_us;
	guint drain_timer;  /* source; 0: none */
	guint beside_timer; /* source; 0: no other worker is there */
	uint64_t end_us;    /* 0, or when the sessions of a worker that was replaced must end */
	bool takes_over;    /* from another worker */
	bool is_alone;      /* no other worker is there */
	bool is_loaded;     /* and the supervisor was told */
	bool is_serving;
	bool is_ending;
	int exit_status;
} Worker;

static void
tell(const char *verb, const char *text)
{
	(void) ph_channel_send(PH_SPAWN_CHANNEL_FD, verb, text, -1);
}

/* --- config --------------------------------------------------------------------------------- */

static void
log_warnings(PhMistakes *mistakes)
{
	const PhMistake *mistake = NULL;

	for (size_t i = 0; (mistake = ph_mistakes_get(mistakes, i)) != NULL; i++)
		if (mistake->is_warning)
			ph_log(PH_LOG_WARNING, "config", mistake->text,
			       PH_LOG_TEXT("file", ph_mistakes_file(mistakes)),
			       PH_LOG_NUMBER("line", mistake->line), PH_LOG_END);
}

/* A new generation from the file as it is now. @reason_out: (owned) set instead when only a new
 * process can use it. NULL with that or with mistakes. */
static PhGeneration *
load_generation(Worker *w, PhMistakes *mistakes, char **reason_out)
{
	g_autoptr(PhConfig) config =
		ph_config_load(w->path, ph_registry_source(w->registry), mistakes);
	g_autofree char *path = NULL;

	if (config == NULL)
		return NULL;
	if (!ph_sandbox_covers(w->sandbox, config, &path))
		*reason_out = g_strdup_printf("the old process may not reach '%s'", path);
	else if (!ph_plugin_files_same(w->plugin_files, config, &path))
		*reason_out = g_strdup_printf("the plugin '%s' was replaced", path);
	else if (!ph_durability_is_same(ph_generation_config(w->generation), config))
		*reason_out = g_strdup("durability or the journal's size changed");
	else if (!ph_queue_run_fits(w->runtime.queue, ph_generation_config(w->generation), config))
		*reason_out = g_strdup("the queue is another one");
	else
		return ph_generation_new(&w->runtime, config, w->generation, mistakes);
	return NULL;
}

static PhDuration
drain_time(const Worker *w)
{
	return ph_config_server(ph_generation_config(w->generation))->drain;
}

/* --- what the supervisor says --------------------------------------------------------------- */

static gboolean look_beside(gpointer user_data);

/* Another worker is there: it drains, or it takes over. */
static void
be_beside(Worker *w)
{
	w->is_alone = false;
	ph_accounts_set_beside(true);
	if (w->beside_timer == 0)
		w->beside_timer = g_timeout_add(BESIDE_MS, look_beside, w);
}

static void
be_alone(Worker *w)
{
	g_autoptr(GError) error = NULL;

	w->is_alone = true;
	if (!w->is_serving)
		return;
	if (w->beside_timer != 0)
		(void) g_source_remove(w->beside_timer);
	w->beside_timer = 0;
	ph_accounts_set_beside(false);
	if (!ph_ownership_defer(w->ownership, ph_generation_config(w->generation), &error))
		ph_log(PH_LOG_ERROR, "journal", "commits do not go through the journal",
		       PH_LOG_FAILURE(error), PH_LOG_END);
}

/* What is the process's own, and its threads. */
static bool
begin(Worker *w, GError **error)
{
	PhConfig *config = ph_generation_config(w->generation);

	if ((w->takes_over && !ph_ownership_take(w->ownership, config, error))
	    || (w->is_alone && !ph_ownership_defer(w->ownership, config, error)))
		return false;
	return ph_reactor_start(w->runtime.reactor, error)
	       && ph_worker_sockets_use(w->sockets, w->runtime.reactor, w->generation, error);
}

static void
go(Worker *w)
{
	g_autoptr(GError) error = NULL;

	if (begin(w, &error)) {
		w->is_serving = true;
		if (!w->is_alone)
			be_beside(w);
		ph_accounts_replay(ph_generation_config(w->generation));
		ph_generation_use_queue(w->generation);
		tell("ready", NULL);
		return;
	}
	ph_log(PH_LOG_ERROR, "start-failed", "cannot serve", PH_LOG_FAILURE(error), PH_LOG_END);
	w->exit_status = EXIT_BAD;
	g_main_loop_quit(w->loop);
}

static gboolean
drain_old(gpointer user_data)
{
	Worker *w = user_data;

	w->drain_timer = 0;
	ph_worker_sockets_drain_old(w->sockets, (PhDuration){ OLD_GOODBYE_US });
	return G_SOURCE_REMOVE;
}

/* Sessions of earlier generations go on for this long; then they are told to end. */
static void
drain_old_later(Worker *w)
{
	uint64_t seconds = drain_time(w).us / G_USEC_PER_SEC;

	if (w->drain_timer == 0)
		w->drain_timer =
			g_timeout_add_seconds((guint) MIN(seconds, G_MAXUINT), drain_old, w);
}

/* New stores may be another server's. */
static bool
may_use(Worker *w, const PhGeneration *next, GError **error)
{
	PhConfig *config = ph_generation_config(next);

	return ph_ownership_take(w->ownership, config, error)
	       && (!w->is_alone || ph_ownership_defer(w->ownership, config, error));
}

static void
reload(Worker *w)
{
	g_autoptr(PhMistakes) mistakes = ph_mistakes_new(w->path);
	g_autofree char *reason = NULL;
	PhGeneration *next = load_generation(w, mistakes, &reason);
	PhGeneration *old = w->generation;
	g_autoptr(GError) error = NULL;
	g_autofree char *text = NULL;

	if (reason != NULL) {
		tell("handover", reason);
		return;
	}
	if (next == NULL) {
		text = ph_mistakes_text(mistakes);
		tell("failed", text);
		return;
	}
	if (!may_use(w, next, &error)) {
		tell("failed", error->message);
		ph_generation_unref(next);
		return;
	}
	log_warnings(mistakes);
	w->generation = next;
	if (!ph_worker_sockets_use(w->sockets, w->runtime.reactor, w->generation, &error)) {
		tell("failed", error != NULL ? error->message : "a listener is missing");
		return;
	}
	ph_generation_use_queue(next);
	drain_old_later(w);
	ph_generation_unref(old);
	text = g_strdup_printf("the same process goes on with generation %" G_GUINT64_FORMAT
	                       "; open sessions keep the old config",
	                       ph_generation_number(next));
	tell("reloaded", text);
}

static void
drained(void *user_data)
{
	g_main_loop_quit(user_data);
}

static void
end(Worker *w, PhDuration within)
{
	if (w->is_ending && within.us > STOP_DRAIN_US)
		return;
	w->is_ending = true;
	g_clear_pointer(&w->control, ph_control_free);
	ph_reactor_drain(w->runtime.reactor, within, ph_wake_new_func(drained, w->loop));
}

/* --- another worker --------------------------------------------------------------------------- */

static gboolean
look_beside(gpointer user_data)
{
	Worker *w = user_data;

	ph_ownership_tend(w->ownership);
	ph_accounts_hear();
	if (w->end_us != 0
	    && (ph_worker_sockets_n_sessions(w->sockets) == 0 || ph_clock_us() >= w->end_us))
		end(w, (PhDuration){ OLD_GOODBYE_US });
	return G_SOURCE_CONTINUE;
}

/* Takes back what was let go of: nobody else has taken it. */
static void
resume(Worker *w)
{
	g_autoptr(GError) error = NULL;

	if (ph_ownership_take(w->ownership, ph_generation_config(w->generation), &error)) {
		ph_generation_use_queue(w->generation);
		return;
	}
	ph_log(PH_LOG_ERROR, "resume-failed", "the queue or the journal cannot be used any more",
	       PH_LOG_FAILURE(error), PH_LOG_END);
	w->exit_status = EXIT_BAD;
	end(w, (PhDuration){ STOP_DRAIN_US });
}

static void
yielded(const char *why, void *user_data)
{
	Worker *w = user_data;

	if (why == NULL) {
		be_beside(w);
		tell("yielded", NULL);
		return;
	}
	resume(w);
	tell("kept", why);
}

/* Replaced: sessions go on for a while, and no others begin. */
static void
drain(Worker *w)
{
	ph_worker_sockets_pause(w->sockets);
	g_clear_pointer(&w->control, ph_control_free);
	w->end_us = ph_clock_us() + drain_time(w).us;
	be_beside(w);
}

static gboolean
stop_now(gpointer user_data)
{
	end(user_data, (PhDuration){ STOP_DRAIN_US });
	return G_SOURCE_CONTINUE;
}

/* --- what the control socket asks ----------------------------------------------------------- */

static void
control_status(bool as_text, GString *out, void *user_data)
{
	const Worker *w = user_data;
	g_autoptr(GArray) listeners = g_array_new(FALSE, FALSE, sizeof(PhStatusListener));
	PhStatusInput input = {
		.generation = w->generation,
		.listeners = listeners,
		.runtime = &w->runtime,
		.started_us = w->started_us,
	};

	ph_worker_sockets_list(w->sockets, listeners);
	ph_status_write(&input, as_text, out);
}

static bool
control_reload(void *user_data)
{
	tell("reload", NULL);
	return !((const Worker *) user_data)->is_ending;
}

static void
control_stop(void *user_data)
{
	tell("stop", NULL);
}

static void
control_store(PhSlice request, int fd, int stream, void *user_data)
{
	const Worker *w = user_data;

	ph_jobs_start(w->jobs, w->generation, request, fd, stream);
}

static const PhControlTable control_table = {
	.status = control_status,
	.reload = control_reload,
	.stop = control_stop,
	.store = control_store,
};

static void
take_control(Worker *w, PhChannelMessage *message)
{
	g_clear_pointer(&w->control, ph_control_free);
	if (message->fd >= 0)
		w->control = ph_control_new(message->fd, &control_table, w);
	message->fd = -1;
}

/* Ready to serve, as soon as every isolated plugin has a process. */
static void
tell_loaded(Worker *w)
{
	if (w->is_loaded || ph_isolate_awaited() > 0)
		return;
	w->is_loaded = true;
	tell("loaded", NULL);
}

static void
take_isolated(Worker *w, PhChannelMessage *message)
{
	ph_isolation_told(message, !w->is_loaded);
	tell_loaded(w);
}

static void
obey(Worker *w, PhChannelMessage *message)
{
	if (ph_channel_message_is(message, "attempts"))
		ph_worker_share_attempts(message);
	else if (ph_channel_message_is(message, "echo"))
		ph_worker_share_echo(message);
	else if (ph_channel_message_is(message, "listener"))
		ph_worker_sockets_take(w->sockets, message);
	else if (ph_channel_message_is(message, "control"))
		take_control(w, message);
	else if (ph_channel_message_is(message, "go"))
		go(w);
	else if (ph_channel_message_is(message, "reload"))
		reload(w);
	else if (ph_channel_message_is(message, "result") && w->control != NULL)
		ph_control_result(w->control, message->text);
	else if (ph_channel_message_is(message, "isolated"))
		take_isolated(w, message);
	else if (ph_channel_message_is(message, "ended"))
		ph_process_ended(message->text);
	else if (ph_channel_message_is(message, "alone"))
		be_alone(w);
	else if (ph_channel_message_is(message, "yield"))
		ph_ownership_yield(w->ownership, yielded);
	else if (ph_channel_message_is(message, "resume"))
		resume(w);
	else if (ph_channel_message_is(message, "drain"))
		drain(w);
	else if (ph_channel_message_is(message, "stop"))
		end(w, (PhDuration){ STOP_DRAIN_US });
	else if (ph_channel_message_is(message, "ping"))
		tell("pong", NULL);
}

static gboolean
hear(gint fd, GIOCondition condition, gpointer user_data)
{
	Worker *w = user_data;
	PhChannelResult result = PH_CHANNEL_MESSAGE;

	while (result == PH_CHANNEL_MESSAGE) {
		g_auto(PhChannelMessage) message = { .fd = -1 };

		result = ph_channel_receive(fd, &message);
		if (result == PH_CHANNEL_MESSAGE)
			obey(w, &message);
	}
	if (result == PH_CHANNEL_EMPTY)
		return G_SOURCE_CONTINUE;
	/* The supervisor is gone: nobody would start us again. */
	end(w, (PhDuration){ STOP_DRAIN_US });
	return G_SOURCE_REMOVE;
}

/* --- life ----------------------------------------------------------------------------------- */

static const char *
name_section(PhSection *section)
{
	return ph_section_name(section);
}

static void
prepare_process(void)
{
	(void) signal(SIGPIPE, SIG_IGN);
	(void) signal(SIGHUP, SIG_IGN);
	(void) signal(SIGINT, SIG_IGN);
	(void) umask(077);
	/* each keeps what it once needed: eight for a processor, the default, are too many */
	(void) mallopt(M_ARENA_MAX, (int) MAX(4, 2 * g_get_num_processors()));
	ph_log_set_section_describer(name_section);
	ph_call_set_hooks(ph_workers_enter_blocking, ph_workers_leave_blocking);
	ph_call_set_gate(ph_workers_gate);
}

static gboolean
stop_after_failure(gpointer user_data)
{
	Worker *w = user_data;

	w->exit_status = EXIT_BAD;
	end(w, (PhDuration){ STOP_DRAIN_US });
	return G_SOURCE_REMOVE;
}

/* What is on the disk is known again when the journal is read anew, by the next process. */
static void
journal_failed(void *user_data)
{
	g_idle_add(stop_after_failure, user_data);
}

/* Without it a full disk keeps mail from being removed; that is no reason not to serve. */
static void
open_reserve(const char *data)
{
	g_autoptr(GError) error = NULL;

	if (!ph_reserve_open(data, &error))
		ph_log(PH_LOG_WARNING, "reserve-failed", "no space is kept for a full disk",
		       PH_LOG_FAILURE(error), PH_LOG_END);
}

static bool
make_runtime(Worker *w, PhConfig *config, GError **error)
{
	const PhServerSettings *server = ph_config_server(config);
	PhReactorParams params = {
		.max_workers = (unsigned) server->workers,
		.max_sessions = (size_t) server->max_connections,
		.max_output = server->max_output_memory.octets,
	};

	ph_spool_set_directory(server->data);
	open_reserve(server->data);
	w->runtime.has_main_loop = true;
	w->runtime.backoff =
		ph_backoff_new(server->login_delay, server->login_delay_max, BACKOFF_MEMORY);
	w->runtime.partial = ph_partial_open(server->data, error);
	if (w->runtime.partial == NULL)
		return false;
	w->runtime.reactor = ph_reactor_new(&params, error);
	if (w->runtime.reactor == NULL)
		return false;
	w->runtime.queue = ph_queue_run_new(config, w->runtime.reactor);
	w->ownership = ph_ownership_new(&w->runtime, journal_failed, w);
	return w->takes_over || ph_ownership_take(w->ownership, config, error);
}

static int
refuse(PhMistakes *mistakes)
{
	g_autofree char *text = ph_mistakes_text(mistakes);

	(void) !write(STDERR_FILENO, text, strlen(text));
	return PH_WORKER_BAD_CONFIG;
}

/* Returns: EXIT_GOOD, or the status to end with. */
static int
load(Worker *w)
{
	g_autoptr(PhMistakes) mistakes = ph_mistakes_new(w->path);
	g_autoptr(PhConfig) config =
		ph_config_load(w->path, ph_registry_source(w->registry), mistakes);
	g_autoptr(GError) error = NULL;

	if (config == NULL)
		return refuse(mistakes);
	(void) ph_log_open(ph_outline_log_sink(ph_config_server(config)->log),
	                   ph_server_log_level(ph_config_server(config)));
	if (!ph_config_make_data(config, &error)) {
		ph_mistakes_add(mistakes, 0, "%s", error->message);
		return refuse(mistakes);
	}
	w->sandbox = ph_sandbox_enter(config, ph_registry_folders(w->registry));
	if (!make_runtime(w, config, &error)) {
		ph_mistakes_add(mistakes, 0, "%s", error->message);
		return refuse(mistakes);
	}
	w->plugin_files = ph_plugin_files_new();
	(void) ph_plugin_files_same(w->plugin_files, config, NULL);
	w->generation = ph_generation_new(&w->runtime, config, NULL, mistakes);
	if (w->generation == NULL)
		return refuse(mistakes);
	log_warnings(mistakes);
	return EXIT_GOOD;
}

static gboolean
look_after_stores(gpointer user_data)
{
	const Worker *w = user_data;

	if (w->end_us == 0)
		ph_jobs_retain(w->jobs, w->generation);
	return G_SOURCE_CONTINUE;
}

static void
serve(Worker *w)
{
	w->loop = g_main_loop_new(NULL, FALSE);
	g_unix_fd_add(PH_SPAWN_CHANNEL_FD, G_IO_IN | G_IO_HUP, hear, w);
	g_unix_signal_add(SIGTERM, stop_now, w);
	g_timeout_add_seconds(RETENTION_SECONDS, look_after_stores, w);
	tell_loaded(w);
	g_main_loop_run(w->loop);
}

/* What hangs in a plugin is left behind; the process ends all the same. */
static void
finish(Worker *w)
{
	g_autoptr(PhConfig) config = ph_config_ref(ph_generation_config(w->generation));
	bool ended = false;

	ph_ownership_stop(w->ownership);
	ended = ph_jobs_free(w->jobs, (PhDuration){ STOP_GRACE_US });
	ph_queue_run_stop(w->runtime.queue);
	if (!ph_reactor_stop(w->runtime.reactor, (PhDuration){ STOP_GRACE_US }) || !ended) {
		ph_log(PH_LOG_WARNING, "stop-forced", "threads hang in a plugin", PH_LOG_END);
		_exit(w->exit_status);
	}
	ph_resolver_stop();
	g_clear_pointer(&w->control, ph_control_free);
	ph_worker_sockets_close(w->sockets);
	w->runtime.has_main_loop = false;
	while (g_main_context_iteration(NULL, FALSE))
		;
	g_clear_pointer(&w->generation, ph_generation_unref);
	ph_worker_sockets_free(w->sockets);
	ph_reactor_free(w->runtime.reactor);
	ph_accounts_stop_replay();
	ph_ownership_close(w->ownership, config);
	ph_partial_free(w->runtime.partial);
	ph_backoff_free(w->runtime.backoff);
	ph_registry_free(w->registry);
	ph_sandbox_free(w->sandbox);
	g_hash_table_unref(w->plugin_files);
	g_main_loop_unref(w->loop);
}

int
ph_worker_run(const char *config, bool takes_over)
{
	Worker w = { .path = config, .started_us = ph_clock_us(), .takes_over = takes_over };
	int status = EXIT_GOOD;

	prepare_process();
	ph_process_open(PH_SPAWN_CHANNEL_FD);
	ph_isolation_open(PH_SPAWN_CHANNEL_FD);
	w.registry = ph_registry_new();
	w.jobs = ph_jobs_new();
	w.sockets = ph_worker_sockets_new();
	status = load(&w);
	if (status != EXIT_GOOD) {
		ph_registry_free(w.registry);
		(void) ph_jobs_free(w.jobs, (PhDuration){ STOP_GRACE_US });
		ph_worker_sockets_free(w.sockets);
		return status;
	}
	serve(&w);
	finish(&w);
	return w.exit_status;
}
