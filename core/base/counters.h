/* counters.h: named counters, gauges and latency histograms that cost one uncontended addition
 *
 * Each thread adds into one of a few copies of all cells, so that two threads seldom touch one
 * cache line; reading adds the copies up. Names are registered once, at start or at first use, and
 * live for the process. Reading while others add gives values of about now.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_BASE_COUNTERS_H
#define POSTHORN_BASE_COUNTERS_H

#include <posthorn/types.h>

#include <stdatomic.h>

enum {
	PH_COUNTERS_MAX = 1024, /* cells; a histogram takes PH_HISTOGRAM_CELLS of them */
	PH_COUNTER_COPIES = 16,
	PH_HISTOGRAM_BUCKETS = 26, /* bucket i holds values below 2^i us, the last all others */
	PH_HISTOGRAM_CELLS = PH_HISTOGRAM_BUCKETS + 1,
};

/* PhCounter, PhHistogram: index of the (first) cell. */
typedef struct {
	uint32_t cell;
} PhCounter;

typedef struct {
	uint32_t cell;
} PhHistogram;

/* ph_counter_new: the counter of that name, made when it is new. @name: static, lower case and
 * '_', ends in "_total" for what only grows; @help: static, one line. Thread: any. When all cells
 * are taken the shared cell 0 is given, which is not shown. */
PhCounter ph_counter_new(const char *name, const char *help);
PhCounter ph_gauge_new(const char *name, const char *help);
PhHistogram ph_histogram_new(const char *name, const char *help);

typedef struct {
	_Alignas(64) _Atomic int64_t cells[PH_COUNTERS_MAX];
} PhCounterCopy;

extern PhCounterCopy ph_counter_copies[PH_COUNTER_COPIES];

/* ph_counter_copy: which copy this thread adds to. */
uint32_t ph_counter_copy(void);

/* ph_counter_add: @n may be negative for a gauge. Thread: any. */
static inline void
ph_counter_add(PhCounter counter, int64_t n)
{
	atomic_fetch_add_explicit(&ph_counter_copies[ph_counter_copy()].cells[counter.cell], n,
	                          memory_order_relaxed);
}

/* ph_histogram_bucket: index for a value in microseconds. */
static inline uint32_t
ph_histogram_bucket(uint64_t us)
{
	uint32_t bits = us == 0 ? 0 : 64 - (uint32_t) __builtin_clzll(us);

	return bits < PH_HISTOGRAM_BUCKETS ? bits : PH_HISTOGRAM_BUCKETS - 1;
}

static inline void
ph_histogram_add(PhHistogram histogram, uint64_t us)
{
	PhCounterCopy *copy = &ph_counter_copies[ph_counter_copy()];
	uint32_t bucket = histogram.cell + ph_histogram_bucket(us);

	atomic_fetch_add_explicit(&copy->cells[bucket], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&copy->cells[histogram.cell + PH_HISTOGRAM_BUCKETS], (int64_t) us,
	                          memory_order_relaxed);
}

int64_t ph_counter_read(PhCounter counter);

typedef enum {
	PH_COUNTER_IS_COUNTER = 0,
	PH_COUNTER_IS_GAUGE = 1,
	PH_COUNTER_IS_HISTOGRAM = 2,
} PhCounterType;

/* PhCounterReading: one row for a status or metrics page. */
typedef struct {
	const char *name;
	const char *help;
	uint32_t type;  /* PhCounterType */
	int64_t value;  /* counter or gauge; a histogram's number of values */
	int64_t sum_us; /* histogram */
	int64_t buckets[PH_HISTOGRAM_BUCKETS]; /* histogram: values in each bucket, not cumulated */
} PhCounterReading;

typedef void (*PhCounterFunc)(const PhCounterReading *reading, void *user_data);

/* ph_counters_each: all in the order of registration. */
void ph_counters_each(PhCounterFunc func, void *user_data);

/* ph_counter_quantile: upper bound in us of the bucket in which the @per_mille of the values lie;
 * 0 without values. Pure. */
uint64_t ph_counter_quantile(const int64_t buckets[PH_HISTOGRAM_BUCKETS], uint32_t per_mille);

#endif
