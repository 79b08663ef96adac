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
#include "mailbox/echo.h"
#include "net/channel.h"
#include "server/isolates.h"
#include "server/notify.h"
#include "server/outline.h"
#include "server/process.h"
#include "server/supervisor-private.h"
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
};

#define SECOND_US         UINT64_C(1000000)
#define STOP_GRACE_US     (4 * SECOND_US + SECOND_US / 2)
#define LONG_LIFE_US      (10 * SECOND_US)
#define RESTART_DELAY_MAX (60 * SECOND_US)
#define YIELD_TIME_US     (60 * SECOND_US)

void
ph_supervisor_start_next(PhSupervisor *s)
{
	g_autoptr(GError) error = NULL;
	PhChild *child = ph_child_start(s->program, s->outline, s->current != NULL, &error);

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
	if (s->echo >= 0)
		ph_child_send(child, "echo", NULL, s->echo);
	s->next = child;
}

/* --- stopping ------------------------------------------------------------------------------- */

static void
stop(PhSupervisor *s, int exit_status)
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
kill_all(PhSupervisor *s)
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

void
ph_supervisor_send_sockets(PhSupervisor *s, PhChild *child)
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
send_control(PhSupervisor *s, PhChild *child)
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

/* While one lets go of what it owns it could not use it: it is told afterwards. */
static void
tell_if_alone(PhSupervisor *s)
{
	if (s->children->len == 1 && s->yield_until_us == 0)
		ph_child_send(s->children->pdata[0], "alone", NULL, -1);
}

/* What one process alone may have, the journal and the queue, is free for it now. */
static void
let_begin(PhSupervisor *s, PhChild *child)
{
	s->yield_until_us = 0;
	tell_if_alone(s);
	ph_child_send(child, "go", NULL, -1);
}

/* The worker's config is good: now, and not before, sockets are opened. */
static void
open_for(PhSupervisor *s, PhChild *child)
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
	ph_supervisor_send_sockets(s, child);
	if (s->current == NULL) {
		let_begin(s, child);
		return;
	}
	s->yield_until_us = ph_clock_us() + YIELD_TIME_US;
	ph_child_send(s->current, "yield", NULL, -1);
}

/* The one that serves has let go of journal and queue. */
static void
has_yielded(PhSupervisor *s, PhChild *child)
{
	s->yield_until_us = 0;
	if (child != s->current || s->is_stopping)
		return;
	if (s->next != NULL) {
		let_begin(s, s->next);
		return;
	}
	ph_child_send(child, "resume", NULL, -1);
	tell_if_alone(s);
}

/* It could not: everything stays as it is. */
static void
has_kept(PhSupervisor *s, const PhChild *child, const char *why)
{
	s->yield_until_us = 0;
	if (child != s->current || s->is_stopping)
		return;
	if (s->next == NULL) {
		tell_if_alone(s);
		return;
	}
	s->next->state = PH_CHILD_DRAINING;
	(void) kill(s->next->pid, SIGKILL);
	s->next = NULL;
	ph_reload_finish(s, false, why);
}

/* --- what workers say ----------------------------------------------------------------------- */

static void
child_ready(PhSupervisor *s, PhChild *child)
{
	bool took_over = s->is_reloading && s->checker.pid == 0;

	child->state = PH_CHILD_READY;
	s->next = NULL;
	if (took_over) {
		g_autofree char *text = g_strdup_printf(
			"a new process took over: %s; open sessions go on in the old one",
			s->handover);

		ph_reload_finish(s, true, text);
	}
	if (took_over && s->current != NULL) {
		s->current->state = PH_CHILD_DRAINING;
		ph_child_send(s->current, "drain", NULL, -1);
	}
	s->current = child;
	send_control(s, child);
	ph_sockets_keep(s->sockets, s->outline);
	if (took_over)
		return;
	ph_log(PH_LOG_NOTICE, "ready", "the server takes connections",
	       PH_LOG_NUMBER("worker", child->pid), PH_LOG_END);
	ph_notify_send("READY=1\nSTATUS=Serving");
	s->has_served = true;
}

static void
hear(PhSupervisor *s, PhChild *child, const PhChannelMessage *message)
{
	if (ph_channel_message_is(message, "loaded")) {
		open_for(s, child);
	} else if (ph_channel_message_is(message, "ready")) {
		child_ready(s, child);
	} else if (ph_channel_message_is(message, "reload")) {
		ph_reload_begin(s);
	} else if (ph_channel_message_is(message, "stop")) {
		stop(s, EXIT_GOOD);
	} else if (ph_channel_message_is(message, "reloaded")) {
		ph_sockets_keep(s->sockets, s->outline);
		ph_reload_finish(s, true, message->text);
	} else if (ph_channel_message_is(message, "failed")) {
		ph_reload_finish(s, false, message->text);
	} else if (ph_channel_message_is(message, "handover") && s->next == NULL) {
		ph_reload_hand_over(s, message->text);
	} else if (ph_channel_message_is(message, "yielded")) {
		has_yielded(s, child);
	} else if (ph_channel_message_is(message, "kept")) {
		has_kept(s, child, message->text);
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
listen_to(PhSupervisor *s, PhChild *child)
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
lost_current(PhSupervisor *s, const PhChild *child)
{
	uint64_t now_us = ph_clock_us();
	bool was_yielding = s->yield_until_us != 0;

	s->current = NULL;
	s->yield_until_us = 0;
	if (s->is_reloading && s->checker.pid == 0 && s->next == NULL)
		ph_reload_finish(s, false, "the worker process died meanwhile");
	if (s->next != NULL && was_yielding)
		let_begin(s, s->next);
	if (s->next != NULL)
		return;
	if (now_us - child->started_us >= LONG_LIFE_US)
		s->restart_delay_us = 0;
	else
		s->restart_delay_us = CLAMP(s->restart_delay_us * 2, SECOND_US, RESTART_DELAY_MAX);
	s->restart_at_us = MAX(now_us + s->restart_delay_us, 1);
}

static void
lost_next(PhSupervisor *s, const PhChild *child, const char *fate)
{
	s->next = NULL;
	if (!s->has_served) {
		stop(s, EXIT_BAD);
	} else if (s->current != NULL) {
		ph_reload_finish(s, false, fate);
		if (child->state != PH_CHILD_LOADING && s->yield_until_us == 0)
			ph_child_send(s->current, "resume", NULL, -1);
	} else {
		s->restart_delay_us = CLAMP(s->restart_delay_us * 2, SECOND_US, RESTART_DELAY_MAX);
		s->restart_at_us = ph_clock_us() + s->restart_delay_us;
	}
}

static void
log_death(const PhSupervisor *s, const PhChild *child, const char *fate)
{
	if (s->is_stopping || child->state == PH_CHILD_DRAINING)
		return;
	ph_log(PH_LOG_ERROR, "worker-died", "the worker process is gone",
	       PH_LOG_NUMBER("worker", child->pid), PH_LOG_TEXT("why", fate), PH_LOG_END);
}

static void
bury(PhSupervisor *s, PhChild *child, int status)
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
		lost_next(s, child, told ? "the new worker process refused the config" : fate);
	ph_programs_forget(s->programs, child->channel);
	ph_isolates_forget(s->isolates, child->channel);
	g_ptr_array_remove(s->children, child);
	tell_if_alone(s);
}

static PhChild *
find_child(const PhSupervisor *s, pid_t pid)
{
	for (guint i = 0; i < s->children->len; i++)
		if (((PhChild *) s->children->pdata[i])->pid == pid)
			return s->children->pdata[i];
	return NULL;
}

/* A plugin that cannot be used as it is configured stops a start, whichever process it is in. */
static void
bury_isolated(PhSupervisor *s, pid_t pid, int status)
{
	if (ph_isolates_ended(s->isolates, pid, status) == PH_ISOLATES_REFUSED && !s->has_served)
		stop(s, EXIT_BAD);
}

static void
reap(PhSupervisor *s)
{
	int status = 0;
	pid_t pid = 0;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		PhChild *child = find_child(s, pid);

		if (child != NULL)
			bury(s, child, status);
		else if (pid == s->checker.pid)
			ph_reload_checked(s, status);
		else if (!ph_programs_ended(s->programs, pid, status))
			bury_isolated(s, pid, status);
	}
}

/* --- the loop ------------------------------------------------------------------------------- */

static void
take_signals(PhSupervisor *s)
{
	struct signalfd_siginfo info;

	while (read(s->signals, &info, sizeof info) == (ssize_t) sizeof info) {
		switch (info.ssi_signo) {
		case SIGCHLD:
			reap(s);
			break;
		case SIGHUP:
			ph_reload_begin(s);
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
take_timers(PhSupervisor *s)
{
	uint64_t now_us = ph_clock_us();
	uint64_t ping_us = ph_notify_watchdog_us();

	if (s->kill_at_us != 0 && now_us >= s->kill_at_us)
		kill_all(s);
	if (s->yield_until_us != 0 && now_us >= s->yield_until_us && s->current != NULL) {
		s->yield_until_us = now_us + YIELD_TIME_US;
		(void) kill(s->current->pid, SIGKILL);
	}
	if (s->restart_at_us != 0 && now_us >= s->restart_at_us)
		ph_supervisor_start_next(s);
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
		ph_reload_begin(s);
}

static int
milliseconds_to_wait(const PhSupervisor *s)
{
	const uint64_t due[] = {
		s->kill_at_us,
		s->yield_until_us,
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
wait_and_serve(PhSupervisor *s)
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
		ph_reload_read(s);
	for (guint i = 0; i < n_children; i++)
		if ((polled[i + 2].revents & POLLIN) != 0)
			listen_to(s, children[i]);
	if (polled[0].revents != 0)
		take_signals(s);
	take_timers(s);
}

/* --- start ---------------------------------------------------------------------------------- */

static bool
open_supervisor(PhSupervisor *s, GError **error)
{
	s->program = g_file_read_link("/proc/self/exe", error);
	if (s->program == NULL)
		return false;
	s->outline = ph_outline_read(s->config, error);
	if (s->outline == NULL)
		return false;
	(void) ph_log_open(s->outline->log_sink, s->outline->log_level);
	ph_notify_open();
	s->echo = ph_echo_make(NULL);
	s->sockets = ph_sockets_new();
	s->programs = ph_programs_new();
	s->isolates = ph_isolates_new(s->program);
	s->children = g_ptr_array_new_with_free_func((GDestroyNotify) ph_child_free);
	s->signals = ph_supervisor_signals();
	ph_supervisor_raise_limits();
	return true;
}

static void
close_supervisor(PhSupervisor *s)
{
	g_clear_pointer(&s->sockets, ph_sockets_free);
	g_clear_pointer(&s->children, g_ptr_array_unref);
	g_clear_pointer(&s->programs, ph_programs_free);
	g_clear_pointer(&s->isolates, ph_isolates_free);
	g_clear_pointer(&s->outline, ph_outline_free);
	g_clear_pointer(&s->checked, ph_outline_free);
	g_clear_pointer(&s->program, g_free);
	g_clear_pointer(&s->handover, g_free);
	if (s->echo >= 0)
		close(s->echo);
	if (s->signals >= 0)
		close(s->signals);
}

int
ph_supervisor_run(const char *config)
{
	PhSupervisor s = { .config = config, .signals = -1, .echo = -1, .exit_status = EXIT_GOOD };
	g_autoptr(GError) error = NULL;

	if (!open_supervisor(&s, &error)) {
		ph_log(PH_LOG_ERROR, "start-failed", "cannot start", PH_LOG_FAILURE(error),
		       PH_LOG_END);
		close_supervisor(&s);
		return EXIT_BAD;
	}
	ph_log(PH_LOG_NOTICE, "started", "posthorn " PH_VERSION " starts",
	       PH_LOG_TEXT("config", s.outline->path), PH_LOG_NUMBER("pid", getpid()), PH_LOG_END);
	ph_supervisor_start_next(&s);
	if (s.next == NULL)
		stop(&s, EXIT_BAD);
	while (!s.is_stopping || s.children->len > 0)
		wait_and_serve(&s);
	if (s.has_served)
		ph_log(PH_LOG_NOTICE, "stopped", "all sessions have ended", PH_LOG_END);
	close_supervisor(&s);
	return s.exit_status;
}
