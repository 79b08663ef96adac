/* counters.c: the registry of counters and their cells
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "base/counters.h"

#include "base/lock.h"

#include <string.h>

typedef struct {
	const char *name;
	const char *help;
	uint32_t type;
	uint32_t cell;
} Row;

PhCounterCopy ph_counter_copies[PH_COUNTER_COPIES];

static PhLock registry_lock = PH_LOCK_INIT; /* guards rows, n_rows, n_cells */
static Row rows[PH_COUNTERS_MAX];
static uint32_t n_rows;
static uint32_t n_cells = PH_HISTOGRAM_CELLS; /* the first block is where overflow goes */
static atomic_uint n_threads;

uint32_t
ph_counter_copy(void)
{
	static __thread uint32_t copy __attribute__((tls_model("initial-exec")));

	if (G_UNLIKELY(copy == 0))
		copy = 1 + atomic_fetch_add(&n_threads, 1) % PH_COUNTER_COPIES;
	return copy - 1;
}

static uint32_t
take_cells(const char *name, const char *help, PhCounterType type)
{
	uint32_t n = type == PH_COUNTER_IS_HISTOGRAM ? PH_HISTOGRAM_CELLS : 1;
	PH_LOCKED(&registry_lock);

	for (uint32_t i = 0; i < n_rows; i++)
		if (strcmp(rows[i].name, name) == 0)
			return rows[i].type == type ? rows[i].cell : 0;
	if (n_cells + n > PH_COUNTERS_MAX)
		return 0;
	rows[n_rows++] = (Row){ name, help, type, n_cells };
	n_cells += n;
	return n_cells - n;
}

PhCounter
ph_counter_new(const char *name, const char *help)
{
	return (PhCounter){ take_cells(name, help, PH_COUNTER_IS_COUNTER) };
}

PhCounter
ph_gauge_new(const char *name, const char *help)
{
	return (PhCounter){ take_cells(name, help, PH_COUNTER_IS_GAUGE) };
}

PhHistogram
ph_histogram_new(const char *name, const char *help)
{
	return (PhHistogram){ take_cells(name, help, PH_COUNTER_IS_HISTOGRAM) };
}

static int64_t
read_cell(uint32_t cell)
{
	int64_t sum = 0;

	for (size_t i = 0; i < PH_COUNTER_COPIES; i++)
		sum += atomic_load_explicit(&ph_counter_copies[i].cells[cell],
		                            memory_order_relaxed);
	return sum;
}

int64_t
ph_counter_read(PhCounter counter)
{
	return read_cell(counter.cell);
}

static PhCounterReading
read_row(const Row *row)
{
	PhCounterReading reading = { .name = row->name, .help = row->help, .type = row->type };

	if (row->type != PH_COUNTER_IS_HISTOGRAM) {
		reading.value = read_cell(row->cell);
		return reading;
	}
	for (uint32_t i = 0; i < PH_HISTOGRAM_BUCKETS; i++) {
		reading.buckets[i] = read_cell(row->cell + i);
		reading.value += reading.buckets[i];
	}
	reading.sum_us = read_cell(row->cell + PH_HISTOGRAM_BUCKETS);
	return reading;
}

void
ph_counters_each(PhCounterFunc func, void *user_data)
{
	uint32_t n = 0;

	ph_lock_take(&registry_lock);
	n = n_rows;
	ph_lock_drop(&registry_lock);
	/* rows below n never change again */
	for (uint32_t i = 0; i < n; i++) {
		PhCounterReading reading = read_row(&rows[i]);

		func(&reading, user_data);
	}
}

uint64_t
ph_counter_quantile(const int64_t buckets[PH_HISTOGRAM_BUCKETS], uint32_t per_mille)
{
	int64_t total = 0;
	int64_t seen = 0;

	for (uint32_t i = 0; i < PH_HISTOGRAM_BUCKETS; i++)
		total += buckets[i];
	if (total == 0)
		return 0;
	for (uint32_t i = 0; i < PH_HISTOGRAM_BUCKETS; i++) {
		seen += buckets[i];
		if (seen * 1000 >= total * (int64_t) per_mille)
			return UINT64_C(1) << i;
	}
	return UINT64_C(1) << PH_HISTOGRAM_BUCKETS;
}
