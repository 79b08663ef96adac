/* test-counters.c: additions of many threads are all counted
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "base/counters.h"

#include <pthread.h>

enum {
	THREADS = 8,
	ROUNDS = 20000
};

static PhCounter counter;
static PhHistogram histogram;

static void *
add(void *unused)
{
	for (int i = 0; i < ROUNDS; i++) {
		ph_counter_add(counter, 1);
		ph_histogram_add(histogram, (uint64_t) i % 1000);
	}
	return NULL;
}

static void
look(const PhCounterReading *reading, void *user_data)
{
	if (g_strcmp0(reading->name, "test_us") != 0)
		return;
	g_assert_cmpint(reading->value, ==, THREADS * ROUNDS);
	g_assert_cmpint(reading->sum_us, ==, THREADS * (ROUNDS / 1000) * 499500LL);
	g_assert_cmpuint(ph_counter_quantile(reading->buckets, 500), ==, 512);
	g_assert_cmpuint(ph_counter_quantile(reading->buckets, 990), ==, 1024);
	*(bool *) user_data = true;
}

static void
test_threads(void)
{
	pthread_t threads[THREADS];
	bool seen = false;

	counter = ph_counter_new("test_total", "additions of the test");
	histogram = ph_histogram_new("test_us", "times of the test");
	g_assert_cmpuint(ph_counter_new("test_total", "again").cell, ==, counter.cell);
	g_assert_cmpuint(ph_gauge_new("test_total", "other type").cell, ==, 0);
	for (size_t i = 0; i < THREADS; i++)
		g_assert_cmpint(pthread_create(&threads[i], NULL, add, NULL), ==, 0);
	for (size_t i = 0; i < THREADS; i++)
		g_assert_cmpint(pthread_join(threads[i], NULL), ==, 0);
	g_assert_cmpint(ph_counter_read(counter), ==, THREADS * ROUNDS);
	ph_counters_each(look, &seen);
	g_assert_true(seen);
}

static void
test_buckets(void)
{
	int64_t none[PH_HISTOGRAM_BUCKETS] = { 0 };

	g_assert_cmpuint(ph_histogram_bucket(0), ==, 0);
	g_assert_cmpuint(ph_histogram_bucket(1), ==, 1);
	g_assert_cmpuint(ph_histogram_bucket(1023), ==, 10);
	g_assert_cmpuint(ph_histogram_bucket(1024), ==, 11);
	g_assert_cmpuint(ph_histogram_bucket(UINT64_MAX), ==, PH_HISTOGRAM_BUCKETS - 1);
	g_assert_cmpuint(ph_counter_quantile(none, 500), ==, 0);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/base/counters/no-addition-is-lost", test_threads);
	g_test_add_func("/base/counters/buckets-are-powers-of-two", test_buckets);
	return g_test_run();
}
