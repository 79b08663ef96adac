/* test-call.c: calls are counted and timed, limited, and refused while a section hangs
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>

#include "base/clock.h"
#include "base/log.h"
#include "plugin/call.h"
#include "plugin/calls.h"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

static int n_entered;
static int n_left;

static void
enter(void)
{
	n_entered++;
}

static void
leave(void)
{
	n_left++;
}

static void
test_counts(void)
{
	PhSection section = { .name = "s", .calls = ph_calls_new(0, (PhDuration){ 0 }) };
	PhCallStats stats;
	PhCall call;
	int64_t buckets[PH_HISTOGRAM_BUCKETS];

	n_entered = n_left = 0;
	ph_call_set_hooks(enter, leave);
	ph_clock_hold(1000, 0);
	g_assert_true(ph_call_begin(&call, &section, NULL));
	ph_clock_move(300);
	ph_call_stats(&section, &stats);
	g_assert_cmpuint(stats.in_flight, ==, 1);
	ph_call_end(&call, true);
	g_assert_true(ph_call_begin(&call, &section, NULL));
	ph_clock_move(500);
	ph_call_end(&call, false);
	ph_call_stats(&section, &stats);
	g_assert_cmpuint(stats.calls, ==, 2);
	g_assert_cmpuint(stats.errors, ==, 1);
	g_assert_cmpuint(stats.in_flight, ==, 0);
	g_assert_cmpuint(stats.total_us, ==, 800);
	g_assert_cmpuint(stats.longest_us, ==, 500);
	ph_calls_buckets(section.calls, buckets);
	g_assert_cmpuint(ph_counter_quantile(buckets, 999), ==, 512);
	g_assert_cmpint(n_entered, ==, 2);
	g_assert_cmpint(n_left, ==, 2);
	ph_call_set_hooks(NULL, NULL);
	ph_clock_release();
	ph_calls_unref(section.calls);
}

static void
test_without(void)
{
	PhSection section = { .name = "s" };
	PhCallStats stats;
	PhCall call;

	g_assert_true(ph_call_begin(&call, &section, NULL));
	ph_call_end(&call, true);
	ph_call_stats(&section, &stats);
	g_assert_cmpuint(stats.calls, ==, 0);
}

typedef struct {
	PhSection section;
	atomic_int n_inside;
	atomic_int most_inside;
} Shared;

static void *
call_often(void *data)
{
	Shared *shared = data;

	for (int i = 0; i < 200; i++) {
		PhCall call;
		int inside = 0;

		g_assert_true(ph_call_begin(&call, &shared->section, NULL));
		inside = atomic_fetch_add(&shared->n_inside, 1) + 1;
		if (inside > atomic_load(&shared->most_inside))
			atomic_store(&shared->most_inside, inside);
		sched_yield();
		atomic_fetch_sub(&shared->n_inside, 1);
		ph_call_end(&call, true);
	}
	return NULL;
}

static void
test_concurrency(void)
{
	Shared shared = { .section = { .name = "s",
		                       .calls = ph_calls_new(2, (PhDuration){ 30000000 }) } };
	pthread_t threads[6];
	PhCallStats stats;

	for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
		g_assert_cmpint(pthread_create(&threads[i], NULL, call_often, &shared), ==, 0);
	for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
		g_assert_cmpint(pthread_join(threads[i], NULL), ==, 0);
	ph_call_stats(&shared.section, &stats);
	g_assert_cmpuint(stats.calls, ==, 1200);
	g_assert_cmpint(shared.most_inside, <=, 2);
	ph_calls_unref(shared.section.calls);
}

static void
test_full(void)
{
	PhSection section = { .name = "s", .calls = ph_calls_new(1, (PhDuration){ 20000 }) };
	g_autoptr(GError) error = NULL;
	PhCallStats stats;
	PhCall first;
	PhCall second;

	g_assert_true(ph_call_begin(&first, &section, NULL));
	g_assert_false(ph_call_begin(&second, &section, &error));
	g_assert_error(error, PH_ERROR, PH_ERROR_TEMPORARY);
	ph_call_end(&first, true);
	ph_call_stats(&section, &stats);
	g_assert_cmpuint(stats.refused, ==, 1);
	ph_calls_unref(section.calls);
}

static void
slow_call(PhSection *section, uint64_t us)
{
	PhCall call;

	g_assert_true(ph_call_begin(&call, section, NULL));
	ph_clock_move(us);
	ph_call_end(&call, true);
}

static void
test_breaker(void)
{
	PhSection section = { .name = "s", .calls = ph_calls_new(0, (PhDuration){ 1000 }) };
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	PhCall call;

	ph_log_set_fd(null);
	ph_clock_hold(1000000, 0);
	slow_call(&section, 2000);
	slow_call(&section, 2000);
	slow_call(&section, 10); /* a quick one in between: not in a row */
	slow_call(&section, 2000);
	slow_call(&section, 2000);
	slow_call(&section, 2000);
	g_assert_false(ph_call_begin(&call, &section, NULL));
	ph_clock_move(11000000);
	slow_call(&section, 2000); /* one is let through, and is slow again */
	g_assert_false(ph_call_begin(&call, &section, NULL));
	ph_clock_move(11000000);
	slow_call(&section, 10);
	slow_call(&section, 10);
	ph_clock_release();
	ph_log_set_fd(STDERR_FILENO);
	close(null);
	ph_calls_unref(section.calls);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/plugin/call/calls-are-counted-and-timed", test_counts);
	g_test_add_func("/plugin/call/sections-without-counts-are-called", test_without);
	g_test_add_func("/plugin/call/no-more-than-the-limit-run", test_concurrency);
	g_test_add_func("/plugin/call/waiting-ends-with-the-timeout", test_full);
	g_test_add_func("/plugin/call/hanging-sections-are-left-alone", test_breaker);
	return g_test_run();
}
