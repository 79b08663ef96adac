/* supervisor-worker.c: one worker process, from its start to its death
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "server/supervisor-worker.h"

#include <posthorn/error.h>
#include <posthorn/log.h>

#include "base/clock.h"
#include "net/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static bool
user_of(const PhOutline *outline, PhSpawnUser *user_out, bool *change_out, GError **error)
{
	return ph_spawn_user(outline->user, outline->group, user_out, change_out, error);
}

/* Without the table the worker serves as well, but a crash tells nothing. */
static void
share_attempts(PhChild *child)
{
	g_autoptr(GError) error = NULL;
	int fd = -1;

	child->attempts = ph_attempt_table_new(&fd, &error);
	if (child->attempts == NULL) {
		ph_log(PH_LOG_WARNING, "attempts-failed",
		       "what crashes the worker process will not be held", PH_LOG_FAILURE(error),
		       PH_LOG_END);
		return;
	}
	ph_child_send(child, "attempts", NULL, fd);
	close(fd);
}

PhChild *
ph_child_start(const char *program, const PhOutline *outline, bool takes_over, GError **error)
{
	const char *argv[] = {
		program, "worker", "--config", outline->path, takes_over ? "--successor" : NULL,
		NULL
	};
	PhSpawn spawn = { .argv = argv, .input = -1, .output = -1, .errors = -1 };
	PhSpawnUser user = { .name = NULL };
	PhChild *child = NULL;
	bool change = false;
	int ends[2];

	if (!user_of(outline, &user, &change, error) || !ph_channel_open(ends, error))
		return NULL;
	spawn.user = change ? &user : NULL;
	spawn.channel = ends[1];
	child = g_new0(PhChild, 1);
	child->channel = ends[0];
	child->started_us = ph_clock_us();
	child->pid = ph_spawn(&spawn, error);
	close(ends[1]);
	if (child->pid < 0)
		g_clear_pointer(&child, ph_child_free);
	else
		share_attempts(child);
	return child;
}

void
ph_child_free(PhChild *child)
{
	if (child == NULL)
		return;
	close(child->channel);
	ph_attempt_table_free(child->attempts);
	g_free(child);
}

void
ph_child_send(PhChild *child, const char *verb, const char *text, int fd)
{
	if (!ph_channel_send(child->channel, verb, text, fd))
		(void) kill(child->pid, SIGKILL);
}

char *
ph_child_fate(int status)
{
	if (WIFSIGNALED(status))
		return g_strdup_printf("killed by signal %d (%s)", WTERMSIG(status),
		                       strsignal(WTERMSIG(status)));
	return g_strdup_printf("ended with status %d", WEXITSTATUS(status));
}

pid_t
ph_checker_start(const char *program, const PhOutline *outline, int *output_out, GError **error)
{
	const char *argv[] = {
		program, "check", "--no-addresses", "--config", outline->path, NULL
	};
	PhSpawn spawn = { .argv = argv, .input = -1, .channel = -1, .own_group = true };
	PhSpawnUser user = { .name = NULL };
	bool change = false;
	int ends[2];
	pid_t pid = -1;

	if (!user_of(outline, &user, &change, error))
		return -1;
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
		g_set_error(error, PH_ERROR, PH_ERROR_LIMIT, "cannot make a pipe: %s",
		            g_strerror(errno));
		return -1;
	}
	spawn.user = change ? &user : NULL;
	spawn.output = ends[1];
	spawn.errors = ends[1];
	pid = ph_spawn(&spawn, error);
	close(ends[1]);
	if (pid < 0)
		close(ends[0]);
	else
		*output_out = ends[0];
	return pid;
}
