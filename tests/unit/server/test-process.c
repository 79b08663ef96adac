/* test-process.c: programs run with bounded time, output and environment
 *
 * The test is the supervisor; a thread is the worker's plugin that wants a program.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/content.h>
#include <posthorn/error.h>
#include <posthorn/slice.h>

#include "base/clock.h"
#include "net/channel.h"
#include "server/process.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

static int ends[2]; /* of the channel: supervisor, worker */

typedef struct {
	const PhProcessOptions *options;
	PhProcessResult result;
	GError *error;
	bool done;
	gint finished;
} Call;

static gpointer
call(gpointer pointer)
{
	Call *c = pointer;

	c->done = ph_process_run(NULL, c->options, &c->result, &c->error);
	g_atomic_int_set(&c->finished, 1);
	return NULL;
}

static void
reap(PhPrograms *programs)
{
	int status = 0;
	pid_t pid = 0;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		g_assert_true(ph_programs_ended(programs, pid, status));
}

/* One turn of both control loops. */
static void
turn(PhPrograms *programs, const PhOutline *outline)
{
	struct pollfd polled = { .fd = ends[0], .events = POLLIN };
	PhChannelMessage message;

	(void) poll(&polled, 1, 5);
	while (ph_channel_receive(ends[0], &message) == PH_CHANNEL_MESSAGE) {
		g_assert_true(ph_channel_message_is(&message, "run"));
		ph_programs_start(programs, outline, ends[0], message.text, message.fd);
		ph_channel_message_clear(&message);
	}
	reap(programs);
	(void) ph_programs_kill_late(programs, ph_clock_us());
	while (ph_channel_receive(ends[1], &message) == PH_CHANNEL_MESSAGE) {
		ph_process_ended(message.text);
		ph_channel_message_clear(&message);
	}
}

static void
run(Call *c)
{
	char *allowed[] = { (char[]){ "/bin/cat" },
		            (char[]){ "/bin/sh" },
		            (char[]){ "/bin/sleep" },
		            (char[]){ "/usr/bin/yes" },
		            (char[]){ "/usr/bin/env" },
		            (char[]){ "/not/there" },
		            NULL };
	const PhOutline outline = { .programs = allowed };
	PhPrograms *programs = ph_programs_new();
	GThread *thread = g_thread_new("caller", call, c);

	while (g_atomic_int_get(&c->finished) == 0)
		turn(programs, &outline);
	g_thread_join(thread);
	ph_programs_free(programs);
}

static void
clear(Call *c)
{
	ph_process_result_clear(&c->result);
	g_clear_error(&c->error);
}

static void
test_input_and_output(void)
{
	const char *argv[] = { "/bin/cat", NULL };
	g_autofree char *input = g_strnfill(50000, 'x');
	PhProcessOptions options = { .size = sizeof options,
		                     .argv = argv,
		                     .input = ph_slice(input) };
	Call c = { .options = &options };

	run(&c);
	g_assert_no_error(c.error);
	g_assert_true(c.done);
	g_assert_cmpint(c.result.exit_status, ==, 0);
	g_assert_cmpmem(g_bytes_get_data(c.result.output, NULL), g_bytes_get_size(c.result.output),
	                input, 50000);
	clear(&c);
}

static void
test_exit_status(void)
{
	const char *argv[] = { "/bin/sh", "-c", "echo \"$1\"\nexit 7", "-", "a b\n%41", NULL };
	PhProcessOptions options = { .size = sizeof options, .argv = argv };
	Call c = { .options = &options };

	run(&c);
	g_assert_true(c.done);
	g_assert_cmpint(c.result.exit_status, ==, 7);
	g_assert_cmpmem(g_bytes_get_data(c.result.output, NULL), g_bytes_get_size(c.result.output),
	                "a b\n%41\n", 8);
	clear(&c);
}

static void
test_environment(void)
{
	const char *argv[] = { "/usr/bin/env", NULL };
	const char *environment[] = { "GREETING=hello", NULL };
	PhProcessOptions options = { .size = sizeof options,
		                     .argv = argv,
		                     .environment = environment };
	Call c = { .options = &options };
	static const char expected[] = "PATH=/usr/bin:/bin\nGREETING=hello\n";

	run(&c);
	g_assert_true(c.done);
	g_assert_cmpmem(g_bytes_get_data(c.result.output, NULL), g_bytes_get_size(c.result.output),
	                expected, strlen(expected));
	clear(&c);
}

static void
test_time(void)
{
	const char *argv[] = { "/bin/sh", "-c", "sleep 30 & sleep 30", NULL };
	PhProcessOptions options = { .size = sizeof options, .argv = argv, .timeout = { 100000 } };
	Call c = { .options = &options };
	uint64_t started_us = ph_clock_us();

	run(&c);
	g_assert_true(c.done);
	g_assert_true(c.result.timed_out);
	g_assert_cmpint(c.result.exit_status, ==, -SIGKILL);
	g_assert_cmpuint(ph_clock_us() - started_us, <, 2000000);
	clear(&c);
}

static void
test_output_is_bounded(void)
{
	const char *argv[] = { "/usr/bin/yes", NULL };
	PhProcessOptions options = { .size = sizeof options, .argv = argv, .max_output = 1000 };
	Call c = { .options = &options };

	run(&c);
	g_assert_true(c.done);
	g_assert_true(c.result.overflowed);
	g_assert_cmpint(c.result.exit_status, !=, 0);
	g_assert_cmpuint(g_bytes_get_size(c.result.output), <, 100000);
	clear(&c);
}

static void
test_denied(void)
{
	const char *argv[] = { "/bin/true", NULL };
	PhProcessOptions options = { .size = sizeof options, .argv = argv };
	Call c = { .options = &options };

	run(&c);
	g_assert_false(c.done);
	g_assert_error(c.error, PH_ERROR, PH_ERROR_DENIED);
	clear(&c);
}

static void
test_not_there(void)
{
	const char *argv[] = { "/not/there", NULL };
	PhProcessOptions options = { .size = sizeof options, .argv = argv };
	Call c = { .options = &options };

	run(&c);
	g_assert_true(c.done);
	g_assert_cmpint(c.result.exit_status, ==, 127);
	clear(&c);
}

static void
test_content_and_empty_words(void)
{
	const char *argv[] = { "/bin/sh", "-c", "printf '%s|' \"$@\" && wc -c", "sh", "", "a b", "",
		               "c",       NULL };
	g_autofree char *large = g_strnfill(300000, 'x');
	g_autoptr(PhContent) content = ph_content_new_copy(ph_slice(large));
	PhProcessOptions options = { .size = sizeof options,
		                     .argv = argv,
		                     .input = PH_SLICE_LITERAL("head"),
		                     .content = content };
	Call c = { .options = &options };
	g_autofree char *text = NULL;

	run(&c);
	g_assert_no_error(c.error);
	text = g_strndup(g_bytes_get_data(c.result.output, NULL),
	                 g_bytes_get_size(c.result.output));
	g_assert_cmpstr(g_strchomp(text), ==, "|a b||c|300004");
	clear(&c);
}

static ssize_t
fail_to_read(void *handle, uint64_t offset, char *buffer, size_t length, GError **error)
{
	return -1;
}

static void
forget(void *handle)
{
}

static void
test_unreadable_content(void)
{
	static const PhContentTable table = { .size = sizeof table,
		                              .read = fail_to_read,
		                              .free = forget };
	const char *argv[] = { "/bin/cat", NULL };
	g_autoptr(PhContent) content = ph_content_new_custom(&table, NULL, 5);
	PhProcessOptions options = { .size = sizeof options, .argv = argv, .content = content };
	Call c = { .options = &options };

	run(&c);
	g_assert_false(c.done);
	g_assert_error(c.error, PH_ERROR, PH_ERROR_TEMPORARY);
	clear(&c);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_assert_true(ph_channel_open(ends, NULL));
	ph_process_open(ends[1]);
	g_test_add_func("/server/process/input-goes-in-and-output-comes-out",
	                test_input_and_output);
	g_test_add_func("/server/process/words-and-exit-status-arrive-as-they-are",
	                test_exit_status);
	g_test_add_func("/server/process/the-environment-is-what-was-given", test_environment);
	g_test_add_func("/server/process/the-whole-group-dies-at-the-deadline", test_time);
	g_test_add_func("/server/process/output-is-bounded", test_output_is_bounded);
	g_test_add_func("/server/process/programs-the-config-does-not-name-are-denied",
	                test_denied);
	g_test_add_func("/server/process/a-missing-program-ends-with-127", test_not_there);
	g_test_add_func("/server/process/content-and-empty-words-arrive",
	                test_content_and_empty_words);
	g_test_add_func("/server/process/input-that-cannot-be-read-is-a-failure",
	                test_unreadable_content);
	return g_test_run();
}
