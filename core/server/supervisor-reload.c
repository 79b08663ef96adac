/* supervisor-reload.c: a new config: checked by a process of its own, then used, or not
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/log.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/notify.h"
#include "server/supervisor-private.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	CHECK_OUTPUT_MAX = 32768
};

#define CHECK_TIME_US UINT64_C(30000000)

/* Whoever reloads has mended something: all that is held may be tried again. */
static void
release_held(PhSupervisor *s)
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
void
ph_reload_finish(PhSupervisor *s, bool done, const char *text)
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
has_config_changed(const PhSupervisor *s)
{
	struct stat now = { 0 };

	return stat(s->config, &now) != 0 || now.st_ino != s->read_as.st_ino
	       || now.st_size != s->read_as.st_size
	       || now.st_mtim.tv_sec != s->read_as.st_mtim.tv_sec
	       || now.st_mtim.tv_nsec != s->read_as.st_mtim.tv_nsec;
}

void
ph_reload_begin(PhSupervisor *s)
{
	g_autoptr(GError) error = NULL;

	/* who lets go of what it owns for a process that has died takes it back first */
	s->wants_reload = s->is_reloading || s->current == NULL || s->yield_until_us != 0;
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
		ph_reload_finish(s, false, error->message);
		return;
	}
	s->checker.text = g_string_new(NULL);
	s->checker.deadline_us = ph_clock_us() + CHECK_TIME_US;
}

void
ph_reload_read(PhSupervisor *s)
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

void
ph_reload_hand_over(PhSupervisor *s, const char *why)
{
	g_free(s->handover);
	s->handover = g_strdup(why);
	ph_supervisor_start_next(s);
}

/* The new config is right: a new generation in the same worker, or a new worker. */
static void
apply_checked(PhSupervisor *s)
{
	g_autoptr(GError) error = NULL;
	bool new_process = changes_process(s->outline, s->checked);

	if (!ph_sockets_open(s->sockets, s->checked, &error)) {
		ph_sockets_keep(s->sockets, s->outline);
		ph_reload_finish(s, false, error->message);
		return;
	}
	g_clear_pointer(&s->outline, ph_outline_free);
	s->outline = g_steal_pointer(&s->checked);
	(void) ph_log_open(s->outline->log_sink, s->outline->log_level);
	if (new_process) {
		ph_reload_hand_over(s, "user, data or control changed");
		return;
	}
	ph_supervisor_send_sockets(s, s->current);
	ph_child_send(s->current, "reload", NULL, -1);
}

static void
begin_again(PhSupervisor *s)
{
	g_clear_pointer(&s->checked, ph_outline_free);
	s->is_reloading = false;
	ph_reload_begin(s);
}

void
ph_reload_checked(PhSupervisor *s, int status)
{
	g_autoptr(GString) text = NULL;

	ph_reload_read(s);
	close(s->checker.output);
	s->checker.pid = 0;
	text = g_steal_pointer(&s->checker.text);
	if (s->is_stopping)
		return;
	if (s->current == NULL)
		ph_reload_finish(s, false, "the worker process died meanwhile");
	else if (has_config_changed(s))
		begin_again(s);
	else if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		apply_checked(s);
	else
		ph_reload_finish(s, false, text->len > 0 ? text->str : "the check did not end");
}
