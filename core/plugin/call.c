/* call.c: counts and times calls into plugins; limits how many run at once; breaks when they hang
 *
 * Counting is a few relaxed additions into one of four copies, so that calls on several threads do
 * not share a cache line. The limit takes a lock only for sections that have one. The breaker opens
 * when several calls in a row have passed the section's timeout: for a while every call is refused
 * at once, then one is let through to see.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "plugin/call.h"

#include <posthorn/error.h>
#include <posthorn/log.h>
#include <posthorn/plugin.h>

#include "base/clock.h"
#include "base/lock.h"
#include "plugin/calls.h"

#include <inttypes.h>

enum {
	COPIES = 4,
	OVERRUNS_TO_OPEN = 3,
	OPEN_US = 10 * 1000000,
	WAITING_MAX = 256
};

typedef struct {
	_Alignas(64) _Atomic uint64_t begun;
	_Atomic uint64_t ended;
	_Atomic uint64_t errors;
	_Atomic uint64_t total_us;
	_Atomic uint64_t buckets[PH_HISTOGRAM_BUCKETS];
} Copy;

struct PhCalls {
	Copy copies[COPIES];
	_Atomic uint64_t longest_us;
	_Atomic uint64_t refused;
	_Atomic uint64_t open_until_us; /* breaker; 0: closed */
	_Atomic uint64_t timeout_us;
	_Atomic uint32_t concurrency;
	atomic_uint n_overruns; /* in a row */
	atomic_uint n_refs;
	PhLock lock; /* guards n_running, n_waiting */
	PhSignal room;
	uint32_t n_running;
	uint32_t n_waiting;
};

static struct {
	void (*enter)(void);
	void (*leave)(void);
	bool (*enter_gate)(void);
	void (*leave_gate)(void);
} hooks;

void
ph_call_set_hooks(void (*enter)(void), void (*leave)(void))
{
	hooks.enter = enter;
	hooks.leave = leave;
}

void
ph_call_set_gate(bool (*enter)(void), void (*leave)(void))
{
	hooks.enter_gate = enter;
	hooks.leave_gate = leave;
}

/* Stores and transports have no gate: what they do ends a delivery that others wait for. */
static bool
has_gate(PhSection *section)
{
	uint32_t kind = ph_section_kind(section);

	return hooks.enter_gate != NULL
	       && (kind == PH_KIND_DIRECTORY || kind == PH_KIND_MECHANISM
	           || kind == PH_KIND_FILTER);
}

static bool
pass_gate(PhCall *call, PhSection *section)
{
	call->holds_gate = has_gate(section) && hooks.enter_gate();
	return call->holds_gate || !has_gate(section);
}

static void
leave(PhCall *call)
{
	if (call->holds_gate)
		hooks.leave_gate();
	if (hooks.leave != NULL)
		hooks.leave();
}

PhCalls *
ph_calls_new(uint32_t concurrency, PhDuration timeout)
{
	PhCalls *calls = NULL;
	int status = posix_memalign((void **) &calls, _Alignof(PhCalls), sizeof *calls);

	g_assert(status == 0);
	memset(calls, 0, sizeof *calls);
	atomic_init(&calls->n_refs, 1);
	atomic_init(&calls->concurrency, concurrency);
	atomic_init(&calls->timeout_us, timeout.us);
	ph_lock_init(&calls->lock);
	ph_signal_init(&calls->room);
	return calls;
}

PhCalls *
ph_calls_ref(PhCalls *calls)
{
	atomic_fetch_add_explicit(&calls->n_refs, 1, memory_order_relaxed);
	return calls;
}

void
ph_calls_unref(PhCalls *calls)
{
	if (calls == NULL || atomic_fetch_sub_explicit(&calls->n_refs, 1, memory_order_acq_rel) > 1)
		return;
	ph_lock_clear(&calls->lock);
	ph_signal_clear(&calls->room);
	free(calls);
}

void
ph_calls_limit(PhCalls *calls, uint32_t concurrency, PhDuration timeout)
{
	atomic_store(&calls->concurrency, concurrency);
	atomic_store(&calls->timeout_us, timeout.us);
	ph_signal_all(&calls->room);
}

static Copy *
my_copy(PhCalls *calls)
{
	return &calls->copies[ph_counter_copy() % COPIES];
}

static bool
refuse(PhCalls *calls, PhSection *section, const char *why, GError **error)
{
	if (calls != NULL)
		atomic_fetch_add_explicit(&calls->refused, 1, memory_order_relaxed);
	ph_error_set(error, PH_ERROR_TEMPORARY, "section '%s' %s", ph_section_name(section), why);
	return false;
}

/* Is the breaker open? When its time is over one caller closes it half: the next overrun opens it
 * again at once. */
static bool
is_broken(PhCalls *calls)
{
	uint64_t until = atomic_load_explicit(&calls->open_until_us, memory_order_relaxed);

	if (until == 0)
		return false;
	if (ph_clock_us() < until)
		return true;
	if (atomic_compare_exchange_strong(&calls->open_until_us, &until, 0))
		atomic_store(&calls->n_overruns, OVERRUNS_TO_OPEN - 1);
	return false;
}

/* Waits for room below the section's limit. */
static bool
take_room(PhCalls *calls)
{
	uint32_t limit = atomic_load_explicit(&calls->concurrency, memory_order_relaxed);
	uint64_t timeout_us = atomic_load_explicit(&calls->timeout_us, memory_order_relaxed);
	uint64_t deadline_us = ph_clock_us() + (timeout_us > 0 ? timeout_us : OPEN_US);
	bool good = true;
	PH_LOCKED(&calls->lock);

	if (calls->n_running >= limit && calls->n_waiting >= WAITING_MAX)
		return false;
	calls->n_waiting++;
	while (good && calls->n_running >= limit && limit > 0) {
		good = ph_signal_wait_until(&calls->room, &calls->lock, deadline_us);
		limit = atomic_load(&calls->concurrency);
	}
	calls->n_waiting--;
	if (calls->n_running < limit || limit == 0)
		good = true;
	if (good)
		calls->n_running++;
	return good;
}

bool
ph_call_begin(PhCall *call, PhSection *section, GError **error)
{
	PhCalls *calls = section->calls;

	*call = (PhCall){ .section = section };
	if (calls != NULL && is_broken(calls))
		return refuse(calls, section, "did not answer in time several times; waiting",
		              error);
	if (!pass_gate(call, section))
		return refuse(calls, section, "is left alone: such calls hold too many threads",
		              error);
	if (hooks.enter != NULL)
		hooks.enter();
	if (calls == NULL)
		return true;
	if (atomic_load_explicit(&calls->concurrency, memory_order_relaxed) > 0) {
		if (!take_room(calls)) {
			leave(call);
			return refuse(calls, section, "is at its concurrency limit", error);
		}
		call->holds_room = true;
	}
	call->started_us = ph_clock_us();
	atomic_fetch_add_explicit(&my_copy(calls)->begun, 1, memory_order_relaxed);
	return true;
}

static void
note_overrun(PhCalls *calls, PhSection *section, uint64_t took_us)
{
	unsigned int n = atomic_fetch_add(&calls->n_overruns, 1) + 1;

	ph_log_section(section, PH_LOG_WARNING, "plugin-slow",
	               "a call into the plugin took longer than the section's timeout",
	               PH_LOG_NUMBER("milliseconds", took_us / 1000), PH_LOG_END);
	if (n < OVERRUNS_TO_OPEN)
		return;
	atomic_store(&calls->open_until_us, ph_clock_us() + OPEN_US);
	ph_log_section(section, PH_LOG_ERROR, "plugin-suspended",
	               "the section answers temporarily for 10 s", PH_LOG_END);
}

static void
note_longest(PhCalls *calls, uint64_t took_us)
{
	uint64_t longest = atomic_load_explicit(&calls->longest_us, memory_order_relaxed);

	while (took_us > longest
	       && !atomic_compare_exchange_weak_explicit(&calls->longest_us, &longest, took_us,
	                                                 memory_order_relaxed,
	                                                 memory_order_relaxed))
		;
}

static void
drop_room(PhCalls *calls)
{
	ph_lock_take(&calls->lock);
	calls->n_running--;
	ph_lock_drop(&calls->lock);
	ph_signal_one(&calls->room);
}

void
ph_call_end(PhCall *call, bool ok)
{
	PhCalls *calls = call->section->calls;
	Copy *copy = NULL;
	uint64_t took_us = 0;
	uint64_t timeout_us = 0;

	leave(call);
	if (calls == NULL)
		return;
	if (call->holds_room)
		drop_room(calls);
	copy = my_copy(calls);
	took_us = ph_clock_us() - call->started_us;
	timeout_us = atomic_load_explicit(&calls->timeout_us, memory_order_relaxed);
	atomic_fetch_add_explicit(&copy->ended, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&copy->total_us, took_us, memory_order_relaxed);
	atomic_fetch_add_explicit(&copy->buckets[ph_histogram_bucket(took_us)], 1,
	                          memory_order_relaxed);
	if (!ok)
		atomic_fetch_add_explicit(&copy->errors, 1, memory_order_relaxed);
	note_longest(calls, took_us);
	if (timeout_us > 0 && took_us > timeout_us)
		note_overrun(calls, call->section, took_us);
	else if (atomic_load_explicit(&calls->n_overruns, memory_order_relaxed) > 0)
		atomic_store_explicit(&calls->n_overruns, 0, memory_order_relaxed);
}

void
ph_call_stats(PhSection *section, PhCallStats *stats_out)
{
	const PhCalls *calls = section->calls;
	PhCallStats stats = { 0 };
	uint64_t ended = 0;

	for (size_t i = 0; calls != NULL && i < COPIES; i++) {
		const Copy *copy = &calls->copies[i];

		ended += atomic_load_explicit(&copy->ended, memory_order_relaxed);
		stats.calls += atomic_load_explicit(&copy->begun, memory_order_relaxed);
		stats.errors += atomic_load_explicit(&copy->errors, memory_order_relaxed);
		stats.total_us += atomic_load_explicit(&copy->total_us, memory_order_relaxed);
	}
	stats.in_flight = stats.calls > ended ? stats.calls - ended : 0;
	if (calls != NULL) {
		stats.refused = atomic_load(&calls->refused);
		stats.longest_us = atomic_load(&calls->longest_us);
	}
	*stats_out = stats;
}

void
ph_calls_buckets(const PhCalls *calls, int64_t buckets_out[PH_HISTOGRAM_BUCKETS])
{
	for (size_t b = 0; b < PH_HISTOGRAM_BUCKETS; b++) {
		buckets_out[b] = 0;
		for (size_t i = 0; i < COPIES; i++)
			buckets_out[b] += (int64_t) atomic_load_explicit(
				&calls->copies[i].buckets[b], memory_order_relaxed);
	}
}
