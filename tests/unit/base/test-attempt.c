/* test-attempt.c: what was under way at a crash is found, and what is held is refused
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/slice.h>

#include "base/attempt.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static PhAttemptTable *table;

static void
begin(const char *name)
{
	PhAttempt *attempt = g_new0(PhAttempt, 1);

	if (!ph_attempt_begin(attempt, PH_ATTEMPT_ACCOUNT, ph_attempt_key(name), name, NULL))
		_exit(9);
}

static pthread_barrier_t both;

static void *
wait_in_an_attempt(void *data)
{
	begin("bystander");
	(void) pthread_barrier_wait(&both);
	pause();
	return NULL;
}

/* What a worker does: two threads in attempts, one of which dies. */
static void
be_a_worker(int fd, int fatal_signal)
{
	pthread_t thread;

	if (!ph_attempt_use_table(fd, NULL))
		_exit(8);
	(void) pthread_barrier_init(&both, NULL, 2);
	(void) pthread_create(&thread, NULL, wait_in_an_attempt, NULL);
	(void) pthread_barrier_wait(&both);
	begin("outer");
	begin("inner");
	(void) raise(fatal_signal);
	_exit(7);
}

static size_t
suspects_of(int fatal_signal, PhAttemptNote *notes, size_t n)
{
	int status = 0;
	int fd = -1;
	pid_t pid = 0;

	table = ph_attempt_table_new(&fd, NULL);
	pid = fork();
	if (pid == 0)
		be_a_worker(fd, fatal_signal);
	close(fd);
	g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
	g_assert_true(WIFSIGNALED(status));
	g_assert_cmpint(WTERMSIG(status), ==, fatal_signal);
	return ph_attempt_table_suspects(table, fatal_signal, notes, n);
}

static void
test_crash(void)
{
	PhAttemptNote notes[10];

	g_assert_cmpuint(suspects_of(SIGABRT, notes, G_N_ELEMENTS(notes)), ==, 2);
	g_assert_cmpstr(notes[0].name, ==, "outer");
	g_assert_cmpstr(notes[1].name, ==, "inner");
	ph_attempt_table_free(table);
}

/* As when the handler had no stack: nobody said who it was. */
static void
test_unmarked(void)
{
	PhAttemptNote notes[10];

	g_assert_cmpuint(suspects_of(SIGSYS, notes, G_N_ELEMENTS(notes)), ==, 3);
	ph_attempt_table_free(table);
}

static void
test_killed(void)
{
	PhAttemptNote notes[10];

	g_assert_cmpuint(suspects_of(SIGKILL, notes, G_N_ELEMENTS(notes)), ==, 0);
	ph_attempt_table_free(table);
}

static PhContent *
message(const char *trace)
{
	g_autofree char *text = g_strconcat(trace,
	                                    "Subject: a\r\n\r\nA text that is long enough to be "
	                                    "known by its end, whatever stands before it, for "
	                                    "the trace is new each time.\r\n",
	                                    NULL);

	return ph_content_new_copy(ph_slice(text));
}

/* Last: from here on this process has a table. */
static void
test_held(void)
{
	PhAttemptNote note = { .key = ph_attempt_key("anna"), .kind = PH_ATTEMPT_ACCOUNT };
	g_autoptr(PhContent) first = message("Received: by a; 1\r\n");
	g_autoptr(PhContent) again = message("Received: by a; 1234\r\n");
	g_autoptr(GError) error = NULL;
	PhAttempt attempt;
	int fd = -1;

	g_assert_true(ph_attempt_begin(&attempt, PH_ATTEMPT_ACCOUNT, note.key, "anna", NULL));
	ph_attempt_end(&attempt);
	table = ph_attempt_table_new(&fd, NULL);
	g_assert_true(ph_attempt_use_table(fd, NULL));
	ph_attempt_table_hold(table, &note, 1);
	g_assert_false(ph_attempt_begin(&attempt, PH_ATTEMPT_ACCOUNT, note.key, "anna", &error));
	g_assert_error(error, PH_ERROR, PH_ERROR_TEMPORARY);
	g_assert_cmpuint(ph_attempt_held(&note, 1), ==, 1);
	g_assert_true(ph_attempt_begin(&attempt, PH_ATTEMPT_ACCOUNT, note.key + 1, "ben", NULL));
	ph_attempt_end(&attempt);
	/* A message is known again by its end. */
	g_assert_true(ph_attempt_begin_content(&attempt, PH_ATTEMPT_MESSAGE, first, NULL));
	g_assert_cmpuint(ph_attempt_table_suspects(table, SIGSEGV, &note, 1), ==, 1);
	ph_attempt_end(&attempt);
	g_assert_cmpuint(ph_attempt_table_suspects(table, SIGSEGV, &note, 1), ==, 0);
	ph_attempt_table_hold(table, &note, 1);
	g_assert_false(ph_attempt_begin_content(&attempt, PH_ATTEMPT_MESSAGE, again, NULL));
	g_assert_true(ph_attempt_begin_content(&attempt, PH_ATTEMPT_DELIVERY, again, NULL));
	ph_attempt_end(&attempt);
	g_assert_true(ph_attempt_begin_header(&attempt, ph_slice("A: b\r\n\r\n"), NULL));
	g_assert_cmpuint(ph_attempt_table_suspects(table, SIGSEGV, &note, 1), ==, 1);
	ph_attempt_end(&attempt);
	ph_attempt_table_hold(table, &note, 1);
	g_assert_false(ph_attempt_begin_header(&attempt, ph_slice("A: b\r\n\r\n"), NULL));
	g_assert_true(ph_attempt_begin_header(&attempt, ph_slice("C: b\r\n\r\n"), NULL));
	ph_attempt_end(&attempt);
	ph_attempt_table_hold(table, NULL, 0);
	g_assert_true(ph_attempt_begin_content(&attempt, PH_ATTEMPT_MESSAGE, again, NULL));
	ph_attempt_end(&attempt);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/base/attempt/the-thread-that-crashed-is-suspected", test_crash);
	g_test_add_func("/base/attempt/all-are-suspected-when-none-was-marked", test_unmarked);
	g_test_add_func("/base/attempt/a-killed-process-has-no-suspects", test_killed);
	g_test_add_func("/base/attempt/what-is-held-is-refused", test_held);
	return g_test_run();
}
