/* call.c: counts and times calls into plugins; limits how many run at once; breaks when they hang
 *
 * Counting is a few relaxed additions into one of four copies, so that calls on several threads do
 * not share a cache line. The limit takes a lock only for sections that have one. The breaker opens
 * when several calls in a row have passed the section's timeout, or waited for room that long: for a
 * while every call is refused at once, then one is let through to see.
 *
 * Who blocks passes the gate first and then waits for room; who has a ticket gets room first and then
 * waits at the gate. Those of the first kind that wait are fewer than the gate lets in, so that calls
 * that end always give the second kind their turn.
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
	WAITING_MAX = 256,
	SHARE = 4 /* of the gate: one section never takes the last quarter, nor do those who wait */
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
	PhBulkhead room;
};

static struct {
	void (*enter)(void);
	void (*leave)(void);
	uint32_t (*most)(void);
} hooks;

static PhBulkhead gate;
static _Atomic uint32_t n_threads_waiting; /* of the pool, for room behind the gate */

void
ph_call_set_hooks(void (*enter)(void), void (*leave)(void))
{
	hooks.enter = enter;
	hooks.leave = leave;
}

void
ph_call_set_gate(uint32_t (*most)(void))
{
	if (hooks.most != NULL)
		ph_bulkhead_clear(&gate);
	ph_bulkhead_init(&gate);
	hooks.most = most;
}

/* How many threads the gate lets in; 0: no gate. Stores and transports have none: what they do ends
 * a delivery that others wait for. */
static uint32_t
gate_limit(PhSection *section)
{
	uint32_t kind = ph_section_kind(section);

	if (hooks.most == NULL
	    || (kind != PH_KIND_DIRECTORY && kind != PH_KIND_MECHANISM && kind != PH_KIND_FILTER))
		return 0;
	return hooks.most();
}

static uint32_t
room_limit(const PhCalls *calls, uint32_t most)
{
	uint32_t limit = atomic_load_explicit(&calls->concurrency, memory_order_relaxed);

	if (most == 0)
		return limit;
	most = MAX(most - most / SHARE, 1);
	return limit == 0 ? most : MIN(limit, most);
}

static void
leave(PhCall *call)
{
	if (call->holds_gate)
		ph_bulkhead_leave(&gate);
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
	ph_bulkhead_init(&calls->room);
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
	ph_bulkhead_clear(&calls->room);
	free(calls);
}

void
ph_calls_limit(PhCalls *calls, uint32_t concurrency, PhDuration timeout)
{
	atomic_store(&calls->concurrency, concurrency);
	atomic_store(&calls->timeout_us, timeout.us);
	ph_bulkhead_limit(&calls->room, concurrency);
}

static Copy *
my_copy(PhCalls *calls)
{
	return &calls->copies[ph_counter_copy() % COPIES];
}

static const char why_broken[] = "did not answer in time several times; waiting";
static const char why_gate[] = "is left alone: such calls hold too many threads";
static const char why_full[] = "is at its concurrency limit";

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

/* Several in a row: the section is left alone for a while. */
static void
count_overrun(PhCalls *calls, PhSection *section)
{
	if (atomic_fetch_add(&calls->n_overruns, 1) + 1 < OVERRUNS_TO_OPEN)
		return;
	atomic_store(&calls->open_until_us, ph_clock_us() + OPEN_US);
	ph_log_section(section, PH_LOG_ERROR, "plugin-suspended",
	               "the section answers temporarily for 10 s", PH_LOG_END);
	ph_bulkhead_rouse(&calls->room);
}

static uint64_t
patience_ends(const PhCalls *calls)
{
	uint64_t timeout_us = atomic_load_explicit(&calls->timeout_us, memory_order_relaxed);

	return ph_clock_us() + (timeout_us > 0 ? timeout_us : OPEN_US);
}

static bool
wait_for_room(PhCalls *calls, PhPlace *place, uint32_t most)
{
	bool is_bounded = most > 0;
	bool good = false;

	if (is_bounded && atomic_fetch_add(&n_threads_waiting, 1) >= MAX(most / SHARE, 1))
		ph_bulkhead_forget(&calls->room, place);
	else
		good = ph_bulkhead_wait(&calls->room, place, patience_ends(calls));
	if (is_bounded)
		atomic_fetch_sub(&n_threads_waiting, 1);
	return good;
}

static bool
take_room(PhCalls *calls, uint32_t most, bool *holds_room_out)
{
	uint32_t limit = room_limit(calls, most);
	PhPlace place = { .waits = false };

	if (limit == 0)
		return true;
	switch (ph_bulkhead_enter(&calls->room, &place, limit, WAITING_MAX)) {
	case PH_BULKHEAD_IN:
		*holds_room_out = true;
		break;
	case PH_BULKHEAD_WAITS:
		*holds_room_out = wait_for_room(calls, &place, most);
		break;
	case PH_BULKHEAD_FULL:
		break;
	}
	return *holds_room_out;
}

static void
start(PhCall *call)
{
	PhCalls *calls = call->section->calls;

	if (calls == NULL)
		return;
	call->started_us = ph_clock_us();
	atomic_fetch_add_explicit(&my_copy(calls)->begun, 1, memory_order_relaxed);
}

static bool
pass_gate(PhCall *call, uint32_t most)
{
	PhPlace place = { .waits = false };

	if (most > 0)
		call->holds_gate = ph_bulkhead_enter(&gate, &place, most, 0) == PH_BULKHEAD_IN;
	return most == 0 || call->holds_gate;
}

bool
ph_call_begin(PhCall *call, PhSection *section, GError **error)
{
	PhCalls *calls = section->calls;
	uint32_t most = gate_limit(section);

	*call = (PhCall){ .section = section };
	if (calls != NULL && is_broken(calls))
		return refuse(calls, section, why_broken, error);
	if (!pass_gate(call, most))
		return refuse(calls, section, why_gate, error);
	if (hooks.enter != NULL)
		hooks.enter();
	if (calls != NULL && !take_room(calls, most, &call->holds_room)) {
		leave(call);
		return refuse(calls, section, why_full, error);
	}
	start(call);
	return true;
}

/* --- without a thread --- */

PhDuration
ph_ticket_patience(const PhTicket *ticket)
{
	uint64_t now_us = ph_clock_us();

	return (PhDuration){ ticket->deadline_us > now_us ? ticket->deadline_us - now_us : 1 };
}

static PhBulkhead *
queue_of(const PhTicket *ticket)
{
	return ticket->has_room ? &gate : &ticket->section->calls->room;
}

void
ph_ticket_wake(PhTicket *ticket, PhWake *wake)
{
	ph_bulkhead_wake(queue_of(ticket), &ticket->place, wake);
}

void
ph_ticket_clear(PhTicket *ticket)
{
	if (ticket->section == NULL)
		return;
	ph_bulkhead_forget(queue_of(ticket), &ticket->place);
	if (ticket->has_room)
		ph_bulkhead_leave(&ticket->section->calls->room);
	ticket->section = NULL;
	ticket->has_room = false;
}

static PhEntry
give_up(PhTicket *ticket, const char *why, GError **error)
{
	PhSection *section = ticket->section;

	ph_ticket_clear(ticket);
	(void) refuse(section->calls, section, why, error);
	return PH_ENTRY_REFUSED;
}

static PhEntry
go(PhCall *call, PhTicket *ticket, uint32_t most)
{
	*call = (PhCall){ .section = ticket->section, .holds_room = true, .holds_gate = most > 0 };
	ticket->section = NULL;
	ticket->has_room = false;
	if (hooks.enter != NULL)
		hooks.enter();
	start(call);
	return PH_ENTRY_GO;
}

static PhEntry
enter_gate(PhCall *call, PhTicket *ticket, GError **error)
{
	uint32_t most = gate_limit(ticket->section);

	ticket->has_room = true;
	if (most == 0)
		return go(call, ticket, most);
	switch (ph_bulkhead_enter(&gate, &ticket->place, most, WAITING_MAX)) {
	case PH_BULKHEAD_IN:
		return go(call, ticket, most);
	case PH_BULKHEAD_WAITS:
		return PH_ENTRY_QUEUED;
	case PH_BULKHEAD_FULL:
		break;
	}
	return give_up(ticket, why_gate, error);
}

/* It waits: for room or at the gate. */
static PhEntry
look_again(PhCall *call, PhTicket *ticket, GError **error)
{
	PhCalls *calls = ticket->section->calls;

	if (ph_bulkhead_take(queue_of(ticket), &ticket->place))
		return ticket->has_room ? go(call, ticket, gate_limit(ticket->section))
		                        : enter_gate(call, ticket, error);
	if (is_broken(calls))
		return give_up(ticket, why_broken, error);
	if (ph_clock_us() < ticket->deadline_us)
		return PH_ENTRY_QUEUED;
	if (!ticket->has_room)
		count_overrun(calls, ticket->section);
	return give_up(ticket, why_full, error);
}

PhEntry
ph_call_enter(PhCall *call, PhTicket *ticket, PhSection *section, GError **error)
{
	PhCalls *calls = section->calls;
	uint32_t limit = calls != NULL ? room_limit(calls, gate_limit(section)) : 0;

	if (ticket->section != NULL)
		return look_again(call, ticket, error);
	if (limit == 0)
		return ph_call_begin(call, section, error) ? PH_ENTRY_GO : PH_ENTRY_REFUSED;
	ticket->section = section;
	ticket->deadline_us = patience_ends(calls);
	if (is_broken(calls))
		return give_up(ticket, why_broken, error);
	switch (ph_bulkhead_enter(&calls->room, &ticket->place, limit, WAITING_MAX)) {
	case PH_BULKHEAD_IN:
		return enter_gate(call, ticket, error);
	case PH_BULKHEAD_WAITS:
		return PH_ENTRY_QUEUED;
	case PH_BULKHEAD_FULL:
		break;
	}
	return give_up(ticket, why_full, error);
}

/* --- the end of a call --- */

static void
note_overrun(PhCalls *calls, PhSection *section, uint64_t took_us)
{
	ph_log_section(section, PH_LOG_WARNING, "plugin-slow",
	               "a call into the plugin took longer than the section's timeout",
	               PH_LOG_NUMBER("milliseconds", took_us / 1000), PH_LOG_END);
	count_overrun(calls, section);
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

void
ph_call_park(PhCall *call)
{
	leave(call);
	if (call->holds_room)
		ph_bulkhead_leave(&call->section->calls->room);
	call->holds_room = false;
	call->holds_gate = false;
	call->is_parked = true;
}

void
ph_call_end(PhCall *call, bool ok)
{
	PhCalls *calls = call->section->calls;
	Copy *copy = NULL;
	uint64_t took_us = 0;
	uint64_t timeout_us = 0;

	if (!call->is_parked)
		leave(call);
	if (calls == NULL)
		return;
	if (call->holds_room)
		ph_bulkhead_leave(&calls->room);
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
ph_call_note(PhSection *section, uint64_t started_us)
{
	PhCalls *calls = section != NULL ? section->calls : NULL;
	uint64_t took_us = ph_clock_us() - started_us;
	Copy *copy = NULL;

	if (calls == NULL)
		return;
	copy = my_copy(calls);
	atomic_fetch_add_explicit(&copy->begun, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&copy->ended, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&copy->total_us, took_us, memory_order_relaxed);
	atomic_fetch_add_explicit(&copy->buckets[ph_histogram_bucket(took_us)], 1,
	                          memory_order_relaxed);
	note_longest(calls, took_us);
}

void
ph_call_stats(PhSection *section, PhCallStats *stats_out)
{
	PhCalls *calls = section->calls;
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
		stats.waiting = ph_bulkhead_waiting(&calls->room);
	}
	*stats_out = stats;
}

PhDuration
ph_calls_timeout(const PhCalls *calls)
{
	return (PhDuration){
		calls != NULL ? atomic_load_explicit(&calls->timeout_us, memory_order_relaxed) : 0
	};
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
