/* call.h: the bracket around every call from the core into a plugin
 *
 * It counts and times the call under the section's name (`posthorn status` names the slow plugin
 * from it), tells the worker pool that this thread may block, and is where a section's limits
 * (concurrency, breaker) are kept. No lock is held across it.
 *
 *	PhCall call;
 *	if (!ph_call_begin(&call, section, error))
 *		return false;
 *	bool ok = table->lookup(...);
 *	ph_call_end(&call, ok);
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_PLUGIN_CALL_H
#define PH_PLUGIN_CALL_H

#include "plugin/bulkhead.h"

typedef struct {
	PhSection *section;
	uint64_t started_us;
	bool holds_room;
	bool holds_gate;
	bool is_parked;
} PhCall;

/* ph_call_begin: false with PH_ERROR_TEMPORARY when the section is over its limit or its breaker
 * is open: the call must not be made. Thread: any. Blocks: while the section is at its concurrency
 * limit, up to its timeout; but of the pool's threads only few wait so for directories, mechanisms
 * and filters: whoever can park calls ph_call_enter instead. */
bool ph_call_begin(PhCall *call, PhSection *section, GError **error);

/* PhTicket: a place in the queue of a section that is at its limit, of somebody who holds no thread
 * meanwhile. Zero to begin with; must not move. */
typedef struct {
	PhSection *section; /* borrowed; NULL: no place */
	PhPlace place;
	uint64_t deadline_us;
	bool has_room; /* in the section; waits for the gate */
} PhTicket;

typedef enum {
	PH_ENTRY_GO = 1,      /* as ph_call_begin with true */
	PH_ENTRY_QUEUED = 2,  /* ph_ticket_wake(), and the same call again when that is completed */
	PH_ENTRY_REFUSED = 3, /* as ph_call_begin with false */
} PhEntry;

/* ph_call_enter: like begin, but never blocks. */
PhEntry ph_call_enter(PhCall *call, PhTicket *ticket, PhSection *section, GError **error);

/* ph_ticket_patience: when it is over the section is asked again even if no wake came. */
PhDuration ph_ticket_patience(const PhTicket *ticket);

/* ph_ticket_wake: @wake: (owned). */
void ph_ticket_wake(PhTicket *ticket, PhWake *wake);

/* ph_ticket_clear: gives the place up, if there is one. */
void ph_ticket_clear(PhTicket *ticket);

/* ph_call_park: the plugin has returned and will answer later: gives back the thread's places at once;
 * ph_call_end() follows with the answer. */
void ph_call_park(PhCall *call);

/* ph_call_end: @ok: false counts an error (the world failed, not a normal negative outcome). */
void ph_call_end(PhCall *call, bool ok);

/* ph_call_note: a call that began at @started_us (ph_clock_us) and needed no bracket, because it is
 * limited by other means, is over. @section: (nullable) */
void ph_call_note(PhSection *section, uint64_t started_us);

/* PhCallStats: what was counted for a section since the process started. */
typedef struct {
	uint64_t calls;
	uint64_t errors;
	uint64_t refused; /* over the limit, or breaker open */
	uint64_t in_flight;
	uint64_t waiting; /* for room below its limit */
	uint64_t total_us;
	uint64_t longest_us;
} PhCallStats;

void ph_call_stats(PhSection *section, PhCallStats *stats_out);

/* ph_call_set_hooks: what to do around calls on this process's threads (the worker pool's
 * enter_blocking and leave_blocking). Thread: load. */
void ph_call_set_hooks(void (*enter)(void), void (*leave)(void));

/* ph_call_set_gate: @most: how many threads of the calling thread's pool may be inside of
 * directories, mechanisms and filters; 0: this thread is of no pool. Thread: load. */
void ph_call_set_gate(uint32_t (*most)(void));

#endif
