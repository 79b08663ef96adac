/* filter-session.h: the inside of PhFilters, for filter.c and filter-call.c
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_SERVER_FILTER_SESSION_H
#define PH_SERVER_FILTER_SESSION_H

#include "base/lock.h"
#include "net/timer.h"
#include "plugin/call.h"
#include "server/filter-chain.h"
#include "server/mail.h"

typedef struct PhFilterCall PhFilterCall;

/* PhSeat: one filter in one session. */
typedef struct {
	void *state;
	bool is_begun;
	bool skips_message; /* asks no more until the next sender */
	bool skips_session;
} PhSeat;

/* PhPhase: what comes next for the filter at the index. */
typedef enum {
	PH_PHASE_ASK = 0,
	PH_PHASE_CONCLUDE = 1, /* its verdict is there */
	PH_PHASE_NEXT = 2,     /* all was done */
} PhPhase;

struct PhFilters {
	gint refs;
	const PhFilterChain *chain;
	void *held;
	PhMail *known; /* facts */
	/* The question under way, of whoever works at it: one at a time. */
	PhMail *mail; /* (owned, nullable) */
	uint32_t stage;
	PhPhase phase;
	size_t index;
	size_t recipient;
	PhTicket ticket; /* for the filter at the index */
	PhTimer pause;
	PhVerdict verdict;
	PhSession *session; /* (nullable) for its own thread */
	PhLock lock;        /* guards all below */
	PhFilterCall *call; /* (nullable) that parked */
	PhWake *wake;
	bool is_done;
	gint is_closed; /* atomic: nobody waits */
	PhSeat seats[];
};

/* ph_filters_hold, ph_filters_let_go: counted: the last one ends what the filters keep. */
PhFilters *ph_filters_hold(PhFilters *filters);
void ph_filters_let_go(PhFilters *filters);

/* ph_filters_run: on the pool; without one, at once. */
void ph_filters_run(void (*func)(void *user_data), void *user_data);

/* ph_filters_call: asks the filter at the index. Returns: true: its verdict is there; false: it
 * comes, and somebody else may be at work already. */
bool ph_filters_call(PhFilters *filters);

/* ph_filters_abandon: nobody waits: the call under way, if there is one, belongs to itself. */
void ph_filters_abandon(PhFilters *filters);

/* ph_filters_carry_on: what was awaited is there. Takes over a reference. */
void ph_filters_carry_on(PhFilters *filters);

#endif
