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

/* --- tickets --- */

static atomic_int n_woken;

static void
count_wake(void *user_data)
{
	atomic_fetch_add(&n_woken, 1);
}

static PhWake *
make_wake(void)
{
	return ph_wake_new_func(count_wake, NULL);
}

static PhEntry
enter_section(PhCall *call, PhTicket *ticket, PhSection *section)
{
	g_autoptr(GError) error = NULL;
	PhEntry entry = ph_call_enter(call, ticket, section, &error);

	g_assert_true((entry == PH_ENTRY_REFUSED) == (error != NULL));
	if (error != NULL)
		g_assert_error(error, PH_ERROR, PH_ERROR_TEMPORARY);
	return entry;
}

static void
test_ticket(void)
{
	PhSection section = { .name = "s", .calls = ph_calls_new(1, (PhDuration){ 1000000 }) };
	PhTicket tickets[3] = { { .section = NULL } };
	PhCall calls[3];
	PhCallStats stats;

	atomic_store(&n_woken, 0);
	g_assert_cmpint(enter_section(&calls[0], &tickets[0], &section), ==, PH_ENTRY_GO);
	for (int i = 1; i < 3; i++) {
		g_assert_cmpint(enter_section(&calls[i], &tickets[i], &section), ==,
		                PH_ENTRY_QUEUED);
		ph_ticket_wake(&tickets[i], make_wake());
	}
	ph_call_stats(&section, &stats);
	g_assert_cmpuint(stats.waiting, ==, 2);
	/* Looking again changes nothing, and the first in the queue is the first to enter. */
	g_assert_cmpint(enter_section(&calls[2], &tickets[2], &section), ==, PH_ENTRY_QUEUED);
	ph_call_end(&calls[0], true);
	g_assert_cmpint(atomic_load(&n_woken), ==, 1);
	g_assert_cmpint(enter_section(&calls[2], &tickets[2], &section), ==, PH_ENTRY_QUEUED);
	g_assert_cmpint(enter_section(&calls[1], &tickets[1], &section), ==, PH_ENTRY_GO);
	/* Who has been granted a place and does not want it leaves it to the next. */
	ph_call_end(&calls[1], true);
	g_assert_cmpint(atomic_load(&n_woken), ==, 2);
	ph_ticket_clear(&tickets[2]);
	g_assert_cmpint(enter_section(&calls[0], &tickets[0], &section), ==, PH_ENTRY_GO);
	g_assert_cmpint(enter_section(&calls[1], &tickets[1], &section), ==, PH_ENTRY_QUEUED);
	ph_ticket_clear(&tickets[1]);
	ph_call_end(&calls[0], true);
	ph_calls_unref(section.calls);
}

static void
test_ticket_late(void)
{
	PhSection section = { .name = "s", .calls = ph_calls_new(1, (PhDuration){ 1000 }) };
	PhTicket ticket = { .section = NULL };
	PhCall first;
	PhCall second;

	atomic_store(&n_woken, 0);
	ph_clock_hold(1000000, 0);
	g_assert_cmpint(enter_section(&first, &ticket, &section), ==, PH_ENTRY_GO);
	g_assert_cmpint(enter_section(&second, &ticket, &section), ==, PH_ENTRY_QUEUED);
	g_assert_cmpuint(ph_ticket_patience(&ticket).us, ==, 1000);
	ph_ticket_wake(&ticket, make_wake());
	ph_clock_move(1000);
	g_assert_cmpint(enter_section(&second, &ticket, &section), ==, PH_ENTRY_REFUSED);
	g_assert_cmpint(atomic_load(&n_woken), ==, 1);
	ph_clock_release();
	ph_call_end(&first, true);
	ph_calls_unref(section.calls);
}

static void
test_queue_bound(void)
{
	PhSection section = { .name = "s", .calls = ph_calls_new(1, (PhDuration){ 1000000 }) };
	g_autofree PhTicket *tickets = g_new0(PhTicket, 300);
	unsigned n_queued = 0;
	PhCall call;
	PhCall other;

	g_assert_cmpint(enter_section(&call, &tickets[0], &section), ==, PH_ENTRY_GO);
	for (size_t i = 1; i < 300; i++)
		n_queued += enter_section(&other, &tickets[i], &section) == PH_ENTRY_QUEUED;
	g_assert_cmpuint(n_queued, ==, 256);
	for (size_t i = 1; i < 300; i++)
		ph_ticket_clear(&tickets[i]);
	ph_call_end(&call, true);
	g_assert_cmpint(enter_section(&call, &tickets[0], &section), ==, PH_ENTRY_GO);
	ph_call_end(&call, true);
	ph_calls_unref(section.calls);
}

/* --- the gate --- */

static uint32_t
let_eight_in(void)
{
	return 8;
}

static void
test_gate(void)
{
	PhSection sections[3];
	PhTicket tickets[12] = { { .section = NULL } };
	PhCall calls[12];
	unsigned n_in = 0;

	ph_call_set_gate(let_eight_in);
	for (size_t i = 0; i < G_N_ELEMENTS(sections); i++)
		sections[i] = (PhSection){ .name = "s",
			                   .kind = PH_KIND_DIRECTORY,
			                   .calls = ph_calls_new(0, (PhDuration){ 1000000 }) };
	/* One section, although without limit, leaves a quarter to the others. */
	for (size_t i = 0; i < 8; i++)
		n_in += enter_section(&calls[n_in], &tickets[i], &sections[0]) == PH_ENTRY_GO;
	g_assert_cmpuint(n_in, ==, 6);
	g_assert_cmpint(enter_section(&calls[6], &tickets[8], &sections[1]), ==, PH_ENTRY_GO);
	g_assert_cmpint(enter_section(&calls[7], &tickets[8], &sections[1]), ==, PH_ENTRY_GO);
	/* Then the gate itself has a queue, and who has a thread is refused. */
	g_assert_cmpint(enter_section(&calls[8], &tickets[8], &sections[2]), ==, PH_ENTRY_QUEUED);
	g_assert_false(ph_call_begin(&calls[9], &sections[2], NULL));
	ph_ticket_wake(&tickets[8], make_wake());
	ph_call_end(&calls[6], true);
	g_assert_cmpint(enter_section(&calls[8], &tickets[8], &sections[2]), ==, PH_ENTRY_GO);
	ph_call_end(&calls[8], true);
	ph_call_end(&calls[7], true);
	ph_ticket_clear(&tickets[6]);
	ph_ticket_clear(&tickets[7]);
	for (size_t i = 0; i < 6; i++)
		ph_call_end(&calls[i], true);
	ph_call_set_gate(NULL);
	for (size_t i = 0; i < G_N_ELEMENTS(sections); i++)
		ph_calls_unref(sections[i].calls);
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
	g_test_add_func("/plugin/call/tickets-are-served-in-turn", test_ticket);
	g_test_add_func("/plugin/call/a-ticket-is-refused-when-its-time-is-over", test_ticket_late);
	g_test_add_func("/plugin/call/the-queue-is-bounded", test_queue_bound);
	g_test_add_func("/plugin/call/a-quarter-of-the-pool-never-enters", test_gate);
	return g_test_run();
}
