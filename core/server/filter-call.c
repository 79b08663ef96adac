/* filter-call.c: one question to one filter
 *
 * An answer, the deadline and the end of the session may come at the same time: the lock decides who
 * is first. After its deadline a call belongs to itself: it keeps the filter's state, and ends it
 * when the filter has let go of it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/log.h>
#include <posthorn/slice.h>
#include <posthorn/wake.h>

#include "base/attempt.h"
#include "base/clock.h"
#include "net/net.h"
#include "net/reactor.h"
#include "server/filter-session.h"
#include "server/isolated-filter.h"
#include "server/mail-edit.h"

/* PhFilterCall: one question to one filter. Counted: whoever awaits its answer, its timer, who cancels. */
struct PhFilterCall {
	PhFilterQuestion question;
	gint refs;
	PhFilters *filters; /* referenced */
	const PhFilterRow *row;
	void *state;
	PhCall call;
	PhTimer timer;
	/* Under the lock of the filters: */
	bool has_returned; /* from `ask`, parked: the answer goes on */
	bool is_answered;
	bool is_claimed;
	bool is_late; /* nobody waits; the state is the call's own */
};

/* --- life ------------------------------------------------------------------------------------- */

PhFilters *
ph_filters_open(const PhFilterChain *chain)
{
	PhFilters *filters = NULL;

	if (chain == NULL)
		return NULL;
	filters = g_malloc0(sizeof *filters + chain->n * sizeof filters->seats[0]);
	filters->refs = 1;
	filters->chain = chain;
	filters->held = chain->hold != NULL ? chain->hold(chain->owner) : NULL;
	filters->known = ph_mail_new_routed(NULL);
	ph_lock_init(&filters->lock);
	return filters;
}

PhFilters *
ph_filters_new(PhSession *session)
{
	const PhServices *services = ph_session_services(session);
	PhFilters *filters = NULL;

	if (services == NULL || services->filters == NULL)
		return NULL;
	filters = ph_filters_open(services->filters);
	filters->session = session;
	return filters;
}

PhFilters *
ph_filters_hold(PhFilters *filters)
{
	g_atomic_int_inc(&filters->refs);
	return filters;
}

static void
end_seat(const PhFilterRow *row, PhSeat *seat)
{
	if (seat->is_begun)
		row->table->end(row->instance, seat->state);
	seat->is_begun = false;
	seat->state = NULL;
}

void
ph_filters_let_go(PhFilters *filters)
{
	void (*release)(void *owner) = filters->chain->release;
	void *held = filters->held;

	if (!g_atomic_int_dec_and_test(&filters->refs))
		return;
	for (size_t i = 0; i < filters->chain->n; i++)
		end_seat(&filters->chain->rows[i], &filters->seats[i]);
	ph_mail_unref(filters->mail);
	ph_mail_unref(filters->known);
	ph_lock_clear(&filters->lock);
	g_free(filters);
	if (release != NULL)
		release(held);
}

void
ph_filters_run(void (*func)(void *user_data), void *user_data)
{
	PhReactor *reactor = ph_reactor_default();

	if (reactor != NULL)
		ph_workers_submit(reactor, func, user_data);
	else
		func(user_data);
}

static void
end_late(void *user_data)
{
	PhFilterCall *call = user_data;

	call->row->table->end(call->row->instance, call->state);
	ph_mail_unref(call->question.mail);
	ph_filters_let_go(call->filters);
	g_free(call);
}

static void
call_unref(PhFilterCall *call)
{
	if (!g_atomic_int_dec_and_test(&call->refs))
		return;
	if (call->is_late) {
		ph_filters_run(end_late, call);
		return;
	}
	ph_mail_unref(call->question.mail);
	ph_filters_let_go(call->filters);
	g_free(call);
}

/* Under the lock: nobody waits for it any more. The filter is asked no more for this message. */
static void
detach(PhFilters *filters, PhFilterCall *call)
{
	PhSeat *seat = &filters->seats[filters->index];

	call->is_late = true;
	filters->call = NULL;
	seat->is_begun = false;
	seat->state = NULL;
	seat->skips_message = true;
}

static void
cancel(const PhFilterCall *call)
{
	if (call->row->table->cancel != NULL)
		call->row->table->cancel(call->row->instance, call->state);
}

/* Nobody waits: the call under way, if there is one, belongs to itself. */
void
ph_filters_abandon(PhFilters *filters)
{
	PhFilterCall *call = NULL;

	ph_lock_take(&filters->lock);
	if (filters->call != NULL && !filters->call->is_answered && !filters->call->is_claimed) {
		call = filters->call;
		g_atomic_int_inc(&call->refs);
		detach(filters, call);
	}
	ph_lock_drop(&filters->lock);
	if (call == NULL)
		return;
	if (ph_timer_cancel(&call->timer))
		call_unref(call);
	ph_call_end(&call->call, true);
	cancel(call);
	call_unref(call);
}

/* --- one filter ------------------------------------------------------------------------------- */

static void
note_failure(const PhFilters *filters, const PhFilterRow *row, const char *why)
{
	ph_log_section(row->section, PH_LOG_WARNING, "filter-failed", "the filter gave no verdict",
	               PH_LOG_TEXT("id", filters->mail != NULL ? ph_mail_id(filters->mail) : ""),
	               PH_LOG_NUMBER("stage", filters->stage), PH_LOG_TEXT("error", why),
	               PH_LOG_END);
}

static void
fail(PhFilters *filters, const char *why)
{
	const PhFilterRow *row = &filters->chain->rows[filters->index];

	note_failure(filters, row, why);
	filters->seats[filters->index].skips_message = true;
	ph_verdict_of_failure(row, &filters->verdict);
}

static void
take_verdict(PhFilters *filters, const PhVerdict *verdict)
{
	if (verdict->result == PH_VERDICT_FAILED)
		fail(filters, verdict->text);
	else
		filters->verdict = *verdict;
}

/* The wake of a parked question. */
static void
answered(void *user_data)
{
	PhFilterCall *call = user_data;
	PhFilters *filters = call->filters;
	bool has_returned = false;
	bool is_late = false;

	ph_lock_take(&filters->lock);
	call->is_answered = true;
	has_returned = call->has_returned;
	is_late = call->is_late;
	if (has_returned && !is_late)
		filters->call = NULL;
	ph_lock_drop(&filters->lock);
	if (!has_returned)
		return;
	if (!is_late) {
		ph_call_end(&call->call, call->question.verdict.result != PH_VERDICT_FAILED);
		take_verdict(filters, &call->question.verdict);
		ph_filters_carry_on(ph_filters_hold(filters));
	}
	if (ph_timer_cancel(&call->timer))
		call_unref(call);
	call_unref(call);
}

/* Its time is over. */
static void
overdue(void *user_data)
{
	PhFilterCall *call = user_data;
	PhFilters *filters = call->filters;
	bool was_waited_for = false;

	ph_lock_take(&filters->lock);
	was_waited_for = !call->is_answered && !call->is_claimed && !call->is_late;
	if (was_waited_for)
		detach(filters, call);
	ph_lock_drop(&filters->lock);
	if (was_waited_for) {
		ph_call_end(&call->call, false);
		cancel(call);
		fail(filters, "no answer in time");
		ph_filters_carry_on(ph_filters_hold(filters));
	}
	call_unref(call);
}

PhWake *
ph_filter_park(PhFilterQuestion *question)
{
	g_return_val_if_fail(!question->is_pending, NULL);
	if (question->core == NULL)
		return ph_isolated_filter_park(question);
	question->is_pending = true;
	return ph_wake_new_func(answered, question->core);
}

bool
ph_filter_claim(PhFilterQuestion *question)
{
	PhFilterCall *call = question->core;

	/* Where it is isolated whoever does not wait any more ends the process. */
	if (call == NULL)
		return true;
	PH_LOCKED(&call->filters->lock);

	if (call->is_late)
		return false;
	call->is_claimed = true;
	return true;
}

static PhFilterCall *
new_call(PhFilters *filters, const PhCall *entered)
{
	PhFilterCall *call = g_new0(PhFilterCall, 1);

	call->refs = 1;
	call->filters = ph_filters_hold(filters);
	call->row = &filters->chain->rows[filters->index];
	call->state = filters->seats[filters->index].state;
	call->call = *entered;
	call->question.stage = filters->stage;
	call->question.mail = ph_mail_ref(filters->mail);
	call->question.core = call;
	call->question.recipient = filters->recipient;
	return call;
}

/* `ask` has returned and the filter has parked. Returns: true when the answer has come already. */
static bool
leave_parked(PhFilters *filters, PhFilterCall *call)
{
	uint64_t due_us = call->call.started_us + call->row->timeout_us;
	bool is_answered = false;

	ph_call_park(&call->call);
	if (due_us == call->row->timeout_us)
		due_us += ph_clock_us();
	ph_lock_take(&filters->lock);
	is_answered = call->is_answered;
	if (!is_answered) {
		call->has_returned = true;
		filters->call = call;
		g_atomic_int_inc(&call->refs);
		ph_timer_set(&call->timer, due_us, overdue, call);
		ph_filters_hold(filters);
	}
	ph_lock_drop(&filters->lock);
	if (!is_answered && g_atomic_int_get(&filters->is_closed))
		ph_filters_abandon(filters);
	if (!is_answered)
		ph_filters_let_go(filters);
	return is_answered;
}

/* A message that has crashed the server twice is not shown to anybody again. */
static bool
begin_attempt(const PhFilters *filters, PhAttempt *attempt, bool *noted_out, GError **error)
{
	PhContent *content = filters->mail->content;
	PhSlice early = ph_mail_early_header(filters->mail);

	*noted_out = (content != NULL || early.length > 0) && filters->stage != PH_STAGE_CONNECT;
	if (!*noted_out)
		return true;
	if (content == NULL)
		return ph_attempt_begin_header(attempt, early, error);
	return ph_attempt_begin_content(attempt, PH_ATTEMPT_MESSAGE, content, error);
}

static bool
call_filter(PhFilters *filters, PhFilterCall *call, GError **error)
{
	const PhFilterRow *row = call->row;
	PhAttempt attempt;
	bool is_noted = false;
	bool good = false;

	if (!begin_attempt(filters, &attempt, &is_noted, error))
		return false;
	good = row->table->ask(row->instance, call->state, &call->question, error);
	if (is_noted)
		ph_attempt_end(&attempt);
	return good;
}

static void
begin_seat(PhFilters *filters)
{
	const PhFilterRow *row = &filters->chain->rows[filters->index];
	PhSeat *seat = &filters->seats[filters->index];

	if (!seat->is_begun)
		seat->state = row->table->begin(row->instance, filters->mail);
	seat->is_begun = true;
}

/* Returns: true: its verdict is there; false: it comes, and somebody else may be at work already. */
static bool
ask(PhFilters *filters, const PhCall *entered)
{
	g_autoptr(GError) error = NULL;
	PhFilterCall *call = NULL;
	bool good = false;

	begin_seat(filters);
	call = new_call(filters, entered);
	filters->mail->is_asked = true;
	good = call_filter(filters, call, &error);
	if (call->question.is_pending) {
		if (!leave_parked(filters, call))
			return false;
		good = true;
	}
	ph_call_end(&call->call, good && call->question.verdict.result != PH_VERDICT_FAILED);
	if (good)
		take_verdict(filters, &call->question.verdict);
	else
		fail(filters, error != NULL ? error->message : "no reason given");
	call_unref(call);
	return true;
}

/* --- room below the section's limit ------------------------------------------------------------ */

/* Waiter: told by a place in the queue, or by the time; the first counts. */
typedef struct {
	gint refs;
	gint is_told;
	PhFilters *filters; /* referenced */
	PhTimer timer;
} Waiter;

static void
waiter_unref(Waiter *waiter)
{
	if (g_atomic_int_dec_and_test(&waiter->refs))
		g_free(waiter);
}

static void
told(void *user_data)
{
	Waiter *waiter = user_data;

	if (g_atomic_int_compare_and_exchange(&waiter->is_told, 0, 1)) {
		if (ph_timer_cancel(&waiter->timer))
			waiter_unref(waiter);
		ph_filters_carry_on(waiter->filters);
	}
	waiter_unref(waiter);
}

static void
wait_for_room(PhFilters *filters)
{
	uint64_t due_us = ph_clock_us() + ph_ticket_patience(&filters->ticket).us;
	Waiter *waiter = g_new0(Waiter, 1);

	waiter->refs = 2;
	waiter->filters = ph_filters_hold(filters);
	/* With the wake others may be at work with the ticket. */
	ph_ticket_wake(&filters->ticket, ph_wake_new_func(told, waiter));
	ph_timer_set(&waiter->timer, due_us, told, waiter);
}

bool
ph_filters_call(PhFilters *filters)
{
	const PhFilterRow *row = &filters->chain->rows[filters->index];
	g_autoptr(GError) error = NULL;
	PhCall entered;

	switch (ph_call_enter(&entered, &filters->ticket, row->section, &error)) {
	case PH_ENTRY_GO:
		filters->ticket = (PhTicket){ .section = NULL };
		filters->phase = PH_PHASE_CONCLUDE;
		return ask(filters, &entered);
	case PH_ENTRY_QUEUED:
		wait_for_room(filters);
		return false;
	case PH_ENTRY_REFUSED:
		break;
	}
	filters->phase = PH_PHASE_CONCLUDE;
	fail(filters, error->message);
	return true;
}
