/* supervisor.c: the process that opens the ports and keeps a worker process alive
 *
 * One poll loop over signals, the workers' channels and the checker's output. `current` serves,
 * `next` is being started to take over (or to begin with); replaced workers drain until their
 * sessions end. A worker that dies after it has served for a while is replaced at once, one that
 * keeps dying after 1 s, 2 s, ... 60 s; the sockets stay open meanwhile.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "server/supervisor.h"

#include <posthorn/error.h>
#include <posthorn/log.h>

#include "base/clock.h"
#include "base/log.h"
#include "net/channel.h"
#include "server/isolates.h"
#include "server/notify.h"
#include "server/outline.h"
#include "server/process.h"
#include "server/supervisor-process.h"
#include "server/supervisor-sockets.h"
#include "server/supervisor-worker.h"
#include "server/suspects.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	EXIT_GOOD = 0,
	EXIT_BAD = 1,
	CHILDREN_MAX = 64,
	CHECK_OUTPUT_MAX = 32768
};

#define SECOND_US         UINT64_C(1000000)
#define STOP_GRACE_US     (4 * SECOND_US + SECOND_US / 2)
#define CHECK_TIME_US     (30 * SECOND_US)
#define LONG_LIFE_US      (10 * SECOND_US)
#define RESTART_DELAY_MAX (60 * SECOND_US)

typedef struct {
	pid_t pid; /* 0: none */
	int output;
	GString *text;
	uint64_t deadline_us;
} Checker;

typedef struct {
	const char *config;
	char *program;
	PhOutline *outline;
	PhOutline *checked;  /* read for the reload that is under way */
	struct stat read_as; /* the config file when it was read for that */
	PhSockets *sockets;
	GPtrArray *children; /* of PhChild: all that live */
	PhChild *current;    /* borrowed from children */
	PhChild *next;
	Checker checker;
	PhPrograms *programs;
	PhIsolates *isolates;
	PhSuspects suspects;
	int signals;
	char *handover; /* why a new process is started */
	bool has_served;
	bool is_stopping;
	bool is_reloading;
	bool wants_reload; /* asked for while it could not begin */
	int exit_status;
	uint64_t restart_at_us; /* 0: no restart is due */
	uint64_t restart_delay_us;
	uint64_t kill_at_us; /* 0: nobody is to be killed */
	uint64_t ping_at_us;
	uint64_t program_at_us; /* 0: no program runs */
	uint64_t isolate_at_us; /* 0: no child is to be started */
} Supervisor;

static void
start_next(Supervisor *s)
{
	g_autoptr(GError) error = NULL;
	PhChild *child = ph_child_start(s->program, s->outline, &error);

	s->restart_at_us = 0;
	if (child == NULL) {
		ph_log(PH_LOG_ERROR, "start-failed", "cannot start a worker process",
		       PH_LOG_FAILURE(error), PH_LOG_END);
		s->restart_delay_us = CLAMP(s->restart_delay_us * 2, SECOND_US, RESTART_DELAY_MAX);
		s->restart_at_us = ph_clock_us() + s->restart_delay_us;
		return;
	}
	g_ptr_array_add(s->children, child);
	if (child->attempts != NULL)
		ph_suspects_hold(&s->suspects, child->attempts);
	s->next = child;
}

/* --- stopping ------------------------------------------------------------------------------- */

static void
stop(Supervisor *s, int exit_status)
{
	if (s->is_stopping)
		return;
	s->is_stopping = true;
	s->exit_status = exit_status;
	s->restart_at_us = 0;
	s->kill_at_us = ph_clock_us() + STOP_GRACE_US;
	if (s->has_served)
		ph_log(PH_LOG_NOTICE, "draining", "no new connections; sessions end", PH_LOG_END);
	ph_notify_send("STOPPING=1\nSTATUS=Stopping");
	for (guint i = 0; i < s->children->len; i++)
		ph_child_send(s->children->pdata[i], "stop", NULL, -1);
	if (s->checker.pid > 0)
		(void) kill(-s->checker.pid, SIGKILL);
}

static void
kill_all(Supervisor *s)
{
	for (guint i = 0; i < s->children->len; i++) {
		const PhChild *child = s->children->pdata[i];

		ph_log(PH_LOG_WARNING, "killed", "worker process did not end in time",
		       PH_LOG_NUMBER("pid", child->pid), PH_LOG_END);
		(void) kill(child->pid, SIGKILL);
	}
	s->kill_at_us = 0;
}

/* --- sockets for a worker ------------------------------------------------------------------- */

static void
send_sockets(Supervisor *s, PhChild *child)
{
	PhSocket socket;

	for (size_t i = 0; ph_sockets_get(s->sockets, i, &socket); i++) {
		g_autofree char *text = g_strdup_printf("%s\n%s", socket.name, socket.text);

		ph_child_send(child, "listener", text, socket.fd);
	}
}

static uid_t
worker_user(const PhOutline *outline)
{
	PhSpawnUser user = { .uid = geteuid() };
	bool change = false;

	if (!ph_spawn_user(outline->user, outline->group, &user, &change, NULL) || !change)
		return geteuid();
	return user.uid;
}

static void
send_control(Supervisor *s, PhChild *child)
{
	g_autoptr(GError) error = NULL;
	int fd = -1;

	if (s->outline->control == NULL)
		return;
	fd = ph_sockets_control(s->sockets, s->outline->control, worker_user(s->outline), &error);
	if (fd < 0)
		ph_log(PH_LOG_WARNING, "control-failed", "status and reload will not work",
		       PH_LOG_FAILURE(error), PH_LOG_END);
	else
		ph_child_send(child, "control", NULL, fd);
}

/* The worker's config is good: now, and not before, sockets are opened. */
static void
open_for(Supervisor *s, PhChild *child)
{
	g_autoptr(GError) error = NULL;

	if (s->is_stopping)
		return;
	if (!ph_sockets_open(s->sockets, s->outline, &error)) {
		ph_log(PH_LOG_ERROR, "start-failed", "cannot listen", PH_LOG_FAILURE(error),
		       PH_LOG_END);
		stop(s, EXIT_BAD);
		return;
	}
	child->state = PH_CHILD_OPENING;
	send_sockets(s, child);
	send_control(s, child);
	ph_child_send(child, "go", NULL, -1);
}

/* --- reload --------------------------------------------------------------------------------- */

/* Whoever reloads has mended something: all that is held may be tried again. */
static void
release_held(Supervisor *s)
{
	size_t n = ph_suspects_release(&s->suspects);

	for (guint i = 0; i < s->children->len; i++) {
		const PhChild *child = s->children->pdata[i];

		if (child->attempts != NULL)
			ph_suspects_hold(&s->suspects, child->attempts);
	}
	if (n > 0)
		ph_log(PH_LOG_NOTICE, "attempt-released", "what was held may be tried again",
		       PH_LOG_NUMBER("number", (int64_t) n), PH_LOG_END);
}

/* Ends a reload: tells who asked for it. */
static void
finish_reload(Supervisor *s, bool done, const char *text)
{
	g_autofree char *result = g_strdup_printf("%s\n%s", done ? "ok" : "failed", text);

	s->is_reloading = false;
	g_clear_pointer(&s->checked, ph_outline_free);
	if (done)
		release_held(s);
	if (done)
		ph_log(PH_LOG_NOTICE, "reloaded", "the new config is in use",
		       PH_LOG_TEXT("how", text), PH_LOG_END);
	else
		ph_log(PH_LOG_ERROR, "reload-failed", "the old config stays in use",
		       PH_LOG_TEXT("error", text), PH_LOG_END);
	if (s->current != NULL)
		ph_child_send(s->current, "result", result, -1);
	ph_notify_send(done ? "READY=1\nSTATUS=Serving"
	                    : "READY=1\nSTATUS=Serving with the old "
	                      "config: the new one has mistakes");
}

/* What the checker read and what the supervisor read are one text only when nobody wrote it
 * meanwhile. */
static bool
has_config_changed(const Supervisor *s)
{
	struct stat now = { 0 };

	return stat(s->config, &now) != 0 || now.st_ino != s->read_as.st_ino
	       || now.st_size != s->read_as.st_size
	       || now.st_mtim.tv_sec != s->read_as.st_mtim.tv_sec
	       || now.st_mtim.tv_nsec != s->read_as.st_mtim.tv_nsec;
}

static void
begin_reload(Supervisor *s)
{
	g_autoptr(GError) error = NULL;

	s->wants_reload = s->is_reloading || s->current == NULL;
	if (s->is_stopping || s->wants_reload)
		return;
	ph_notify_reloading();
	s->is_reloading = true;
	if (stat(s->config, &s->read_as) != 0)
		s->read_as = (struct stat){ 0 };
	s->checked = ph_outline_read(s->config, &error);
	if (s->checked != NULL)
		s->checker.pid =
			ph_checker_start(s->program, s->checked, &s->checker.output, &error);
	if (s->checked == NULL || s->checker.pid < 0) {
		s->checker.pid = 0;
		finish_reload(s, false, error->message);
		return;
	}
	s->checker.text = g_string_new(NULL);
	s->checker.deadline_us = ph_clock_us() + CHECK_TIME_US;
}

static void
read_checker(Supervisor *s)
{
	char buffer[4096];
	ssize_t n = 0;

	while ((n = read(s->checker.output, buffer, sizeof buffer)) > 0)
		if (s->checker.text->len < CHECK_OUTPUT_MAX)
			g_string_append_len(s->checker.text, buffer, n);
}

static bool
changes_process(const PhOutline *a, const PhOutline *b)
{
	return g_strcmp0(a->user, b->user) != 0 || g_strcmp0(a->group, b->group) != 0
	       || g_strcmp0(a->data, b->data) != 0 || g_strcmp0(a->control, b->control) != 0;
}

static void
take_over_log(const PhOutline *outline)
{
	(void) ph_log_open(outline->log_sink, outline->log_level);
}

/* The new config is right: a new generation in the same worker, or a new worker. */
static void
apply_checked(Supervisor *s)
{
	g_autoptr(GError) error = NULL;
	bool new_process = changes_process(s->outline, s->checked);

	if (!ph_sockets_open(s->sockets, s->checked, &error)) {
		ph_sockets_keep(s->sockets, s->outline);
		finish_reload(s, false, error->message);
		return;
	}
	g_clear_pointer(&s->outline, ph_outline_free);
	s->outline = g_steal_pointer(&s->checked);
	take_over_log(s->outline);
	if (new_process) {
		g_free(s->handover);
		s->handover = g_strdup("user, data or control changed");
		start_next(s);
		return;
	}
	send_sockets(s, s->current);
	ph_child_send(s->current, "reload", NULL, -1);
}

static void
begin_again(Supervisor *s)
{
	g_clear_pointer(&s->checked, ph_outline_free);
	s->is_reloading = false;
	begin_reload(s);
}

static void
end_checker(Supervisor *s, int status)
{
	g_autoptr(GString) text = NULL;

	read_checker(s);
	close(s->checker.output);
	s->checker.pid = 0;
	text = g_steal_pointer(&s->checker.text);
	if (s->is_stopping)
		return;
	if (s->current == NULL)
		finish_reload(s, false, "the worker process died meanwhile");
	else if (has_config_changed(s))
		begin_again(s);
	else if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		apply_checked(s);
	else
		finish_reload(s, false, text->len > 0 ? text->str : "the check did not end");
}

/* --- what workers say ----------------------------------------------------------------------- */

static void
child_ready(Supervisor *s, PhChild *child)
{
	bool took_over = s->is_reloading && s->current != NULL;

	child->state = PH_CHILD_READY;
	s->next = NULL;
	if (took_over) {
		g_autofree char *text = g_strdup_printf(
			"a new process took over: %s; open sessions are asked to end", s->handover);

		finish_reload(s, true, text);
		s->current->state = PH_CHILD_DRAINING;
		ph_child_send(s->current, "drain", NULL, -1);
	}
	s->current = child;
	ph_sockets_keep(s->sockets, s->outline);
	if (took_over)
		return;
	ph_log(PH_LOG_NOTICE, "ready", "the server takes connections",
	       PH_LOG_NUMBER("worker", child->pid), PH_LOG_END);
	ph_notify_send("READY=1\nSTATUS=Serving");
	s->has_served = true;
}

static void
hear(Supervisor *s, PhChild *child, const PhChannelMessage *message)
{
	if (ph_channel_message_is(message, "loaded")) {
		open_for(s, child);
	} else if (ph_channel_message_is(message, "ready")) {
		child_ready(s, child);
	} else if (ph_channel_message_is(message, "reload")) {
		begin_reload(s);
	} else if (ph_channel_message_is(message, "stop")) {
		stop(s, EXIT_GOOD);
	} else if (ph_channel_message_is(message, "reloaded")) {
		ph_sockets_keep(s->sockets, s->outline);
		finish_reload(s, true, message->text);
	} else if (ph_channel_message_is(message, "failed")) {
		finish_reload(s, false, message->text);
	} else if (ph_channel_message_is(message, "handover") && s->next == NULL) {
		g_free(s->handover);
		s->handover = g_strdup(message->text);
		start_next(s);
	} else if (ph_channel_message_is(message, "run")) {
		ph_programs_start(s->programs, s->outline, child->channel, message->text,
		                  message->fd);
	} else if (ph_channel_message_is(message, "isolate")) {
		ph_isolates_start(s->isolates, s->outline, child->channel, message->text);
	} else if (ph_channel_message_is(message, "isolate-kill")) {
		ph_isolates_kill(s->isolates, child->channel, message->text);
	} else if (ph_channel_message_is(message, "isolate-end")) {
		ph_isolates_end(s->isolates, child->channel, message->text);
	} else if (ph_channel_message_is(message, "pong")) {
		ph_notify_send("WATCHDOG=1");
	}
}

static void
listen_to(Supervisor *s, PhChild *child)
{
	PhChannelResult result = PH_CHANNEL_MESSAGE;

	while (result == PH_CHANNEL_MESSAGE) {
		g_auto(PhChannelMessage) message = { .fd = -1 };

		result = ph_channel_receive(child->channel, &message);
		if (result == PH_CHANNEL_MESSAGE)
			hear(s, child, &message);
	}
	if (result != PH_CHANNEL_CLOSED)
		return;
	/* dead already, or of no use: its death is waited for */
	child->is_deaf = true;
	(void) kill(child->pid, SIGKILL);
}

/* --- deaths --------------------------------------------------------------------------------- */

/* The one that served is gone: another follows, sooner when it had lived long. */
static void
lost_current(Supervisor *s, const PhChild *child)
{
	uint64_t now_us = ph_clock_us();

	s->current = NULL;
	if (s->is_reloading && s->checker.pid == 0 && s->next == NULL)
		finish_reload(s, false, "the worker process died meanwhile");
	if (s->next != NULL)
		return;
	if (now_us - child->started_us >= LONG_LIFE_US)
		s->restart_delay_us = 0;
	else
		s->restart_delay_us = CLAMP(s->restart_delay_us * 2, SECOND_US, RESTART_DELAY_MAX);
	s->restart_at_us = MAX(now_us + s->restart_delay_us, 1);
}

static void
lost_next(Supervisor *s, const char *fate)
{
	s->next = NULL;
	if (!s->has_served) {
		stop(s, EXIT_BAD);
	} else if (s->current != NULL) {
		finish_reload(s, false, fate);
	} else {
		s->restart_delay_us = CLAMP(s->restart_delay_us * 2, SECOND_US, RESTART_DELAY_MAX);
		s->restart_at_us = ph_clock_us() + s->restart_delay_us;
	}
}

static void
log_death(const Supervisor *s, const PhChild *child, const char *fate)
{
	if (s->is_stopping || child->state == PH_CHILD_DRAINING)
		return;
	ph_log(PH_LOG_ERROR, "worker-died", "the worker process is gone",
	       PH_LOG_NUMBER("worker", child->pid), PH_LOG_TEXT("why", fate), PH_LOG_END);
}

static void
bury(Supervisor *s, PhChild *child, int status)
{
	g_autofree char *fate = ph_child_fate(status);
	bool told = WIFEXITED(status) && WEXITSTATUS(status) == PH_WORKER_BAD_CONFIG;

	listen_to(s, child);
	if (!(told && !s->has_served))
		log_death(s, child, fate);
	if (WIFSIGNALED(status) && child->attempts != NULL)
		ph_suspects_add(&s->suspects, child->attempts, WTERMSIG(status));
	if (!s->is_stopping && child == s->current)
		lost_current(s, child);
	else if (!s->is_stopping && child == s->next)
		lost_next(s, told ? "the new worker process refused the config" : fate);
	ph_programs_forget(s->programs, child->channel);
	ph_isolates_forget(s->isolates, child->channel);
	g_ptr_array_remove(s->children, child);
}

static PhChild *
find_child(const Supervisor *s, pid_t pid)
{
	for (guint i = 0; i < s->children->len; i++)
		if (((PhChild *) s->children->pdata[i])->pid == pid)
			return s->children->pdata[i];
	return NULL;
}

/* A plugin that cannot be used as it is configured stops a start, whichever process it is in. */
static void
bury_isolated(Supervisor *s, pid_t pid, int status)
{
	if (ph_isolates_ended(s->isolates, pid, status) == PH_ISOLATES_REFUSED && !s->has_served)
		stop(s, EXIT_BAD);
}

static void
reap(Supervisor *s)
{
	int status = 0;
	pid_t pid = 0;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		PhChild *child = find_child(s, pid);

		if (child != NULL)
			bury(s, child, status);
		else if (pid == s->checker.pid)
			end_checker(s, status);
		else if (!ph_programs_ended(s->programs, pid, status))
			bury_isolated(s, pid, status);
	}
}

/* --- the loop ------------------------------------------------------------------------------- */

static void
take_signals(Supervisor *s)
{
	struct signalfd_siginfo info;

	while (read(s->signals, &info, sizeof info) == (ssize_t) sizeof info) {
		switch (info.ssi_signo) {
		case SIGCHLD:
			reap(s);
			break;
		case SIGHUP:
			begin_reload(s);
			break;
		default:
			if (s->is_stopping)
				kill_all(s);
			stop(s, EXIT_GOOD);
			break;
		}
	}
}

static void
take_timers(Supervisor *s)
{
	uint64_t now_us = ph_clock_us();
	uint64_t ping_us = ph_notify_watchdog_us();

	if (s->kill_at_us != 0 && now_us >= s->kill_at_us)
		kill_all(s);
	if (s->restart_at_us != 0 && now_us >= s->restart_at_us)
		start_next(s);
	if (s->checker.pid > 0 && now_us >= s->checker.deadline_us)
		(void) kill(-s->checker.pid, SIGKILL);
	s->program_at_us = ph_programs_kill_late(s->programs, now_us);
	s->isolate_at_us = ph_isolates_tend(s->isolates, now_us);
	if (ping_us > 0 && now_us >= s->ping_at_us) {
		s->ping_at_us = now_us + ping_us;
		if (s->current != NULL)
			ph_child_send(s->current, "ping", NULL, -1);
	}
	if (s->wants_reload)
		begin_reload(s);
}

static int
milliseconds_to_wait(const Supervisor *s)
{
	const uint64_t due[] = {
		s->kill_at_us,
		s->restart_at_us,
		s->program_at_us,
		s->isolate_at_us,
		s->checker.pid > 0 ? s->checker.deadline_us : 0,
		ph_notify_watchdog_us() > 0 ? MAX(s->ping_at_us, 1) : 0,
	};
	uint64_t now_us = ph_clock_us();
	uint64_t nearest_us = UINT64_MAX;

	for (size_t i = 0; i < G_N_ELEMENTS(due); i++)
		if (due[i] != 0)
			nearest_us = MIN(nearest_us, due[i]);
	if (nearest_us == UINT64_MAX)
		return -1;
	if (nearest_us <= now_us)
		return 0;
	return (int) MIN((nearest_us - now_us) / 1000 + 1, (uint64_t) G_MAXINT32);
}

static void
wait_and_serve(Supervisor *s)
{
	struct pollfd polled[CHILDREN_MAX + 2] = { { .fd = s->signals, .events = POLLIN } };
	PhChild *children[CHILDREN_MAX];
	guint n_children = MIN(s->children->len, (guint) CHILDREN_MAX);

	polled[1] = (struct pollfd){ .fd = s->checker.pid > 0 ? s->checker.output : -1,
		                     .events = POLLIN };
	for (guint i = 0; i < n_children; i++) {
		children[i] = s->children->pdata[i];
		polled[i + 2].fd = children[i]->is_deaf ? -1 : children[i]->channel;
		polled[i + 2].events = POLLIN;
	}
	if (poll(polled, n_children + 2, milliseconds_to_wait(s)) < 0 && errno != EINTR)
		return;
	if ((polled[1].revents & POLLIN) != 0)
		read_checker(s);
	for (guint i = 0; i < n_children; i++)
		if ((polled[i + 2].revents & POLLIN) != 0)
			listen_to(s, children[i]);
	if (polled[0].revents != 0)
		take_signals(s);
	take_timers(s);
}

/* --- start ---------------------------------------------------------------------------------- */

static bool
open_supervisor(Supervisor *s, GError **error)
{
	s->program = g_file_read_link("/proc/self/exe", error);
	if (s->program == NULL)
		return false;
	s->outline = ph_outline_read(s->config, error);
	if (s->outline == NULL)
		return false;
	take_over_log(s->outline);
	ph_notify_open();
	s->sockets = ph_sockets_new();
	s->programs = ph_programs_new();
	s->isolates = ph_isolates_new(s->program);
	s->children = g_ptr_array_new_with_free_func((GDestroyNotify) ph_child_free);
	s->signals = ph_supervisor_signals();
	ph_supervisor_raise_limits();
	return true;
}

static void
close_supervisor(Supervisor *s)
{
	g_clear_pointer(&s->sockets, ph_sockets_free);
	g_clear_pointer(&s->children, g_ptr_array_unref);
	g_clear_pointer(&s->programs, ph_programs_free);
	g_clear_pointer(&s->isolates, ph_isolates_free);
	g_clear_pointer(&s->outline, ph_outline_free);
	g_clear_pointer(&s->checked, ph_outline_free);
	g_clear_pointer(&s->program, g_free);
	g_clear_pointer(&s->handover, g_free);
	if (s->signals >= 0)
		close(s->signals);
}

int
ph_supervisor_run(const char *config)
{
	Supervisor s = { .config = config, .signals = -1, .exit_status = EXIT_GOOD };
	g_autoptr(GError) error = NULL;

	if (!open_supervisor(&s, &error)) {
		ph_log(PH_LOG_ERROR, "start-failed", "cannot start", PH_LOG_FAILURE(error),
		       PH_LOG_END);
		close_supervisor(&s);
		return EXIT_BAD;
	}
	ph_log(PH_LOG_NOTICE, "started", "posthorn " PH_VERSION " starts",
	       PH_LOG_TEXT("config", s.outline->path), PH_LOG_NUMBER("pid", getpid()), PH_LOG_END);
	start_next(&s);
	if (s.next == NULL)
		stop(&s, EXIT_BAD);
	while (!s.is_stopping || s.children->len > 0)
		wait_and_serve(&s);
	if (s.has_served)
		ph_log(PH_LOG_NOTICE, "stopped", "all sessions have ended", PH_LOG_END);
	close_supervisor(&s);
	return s.exit_status;
}
