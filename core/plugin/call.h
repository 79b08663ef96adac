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

#include <posthorn/types.h>

typedef struct {
	PhSection *section;
	uint64_t started_us;
	bool holds_room;
	bool holds_gate;
} PhCall;

/* ph_call_begin: false with PH_ERROR_TEMPORARY when the section is over its limit or its breaker
 * is open: the call must not be made. Thread: any. Blocks: while the section is at its concurrency
 * limit, up to its timeout. */
bool ph_call_begin(PhCall *call, PhSection *section, GError **error);

/* ph_call_end: @ok: false counts an error (the world failed, not a normal negative outcome). */
void ph_call_end(PhCall *call, bool ok);

/* PhCallStats: what was counted for a section since the process started. */
typedef struct {
	uint64_t calls;
	uint64_t errors;
	uint64_t refused; /* over the limit, or breaker open */
	uint64_t in_flight;
	uint64_t total_us;
	uint64_t longest_us;
} PhCallStats;

void ph_call_stats(PhSection *section, PhCallStats *stats_out);

/* ph_call_set_hooks: what to do around calls on this process's threads (the worker pool's
 * enter_blocking and leave_blocking). Thread: load. */
void ph_call_set_hooks(void (*enter)(void), void (*leave)(void));

/* ph_call_set_gate: around each call into a directory, mechanism or filter; where @enter says false
 * the call is refused with TEMPORARY. Thread: load. */
void ph_call_set_gate(bool (*enter)(void), void (*leave)(void));

#endif
