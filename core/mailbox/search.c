/* search.c: one run of a search over a view, in slices
 *
 * First every message is asked with what is in memory; what is still open is read from the store
 * in uid order, with only the fields that the tree needs, and from its octets where even that does
 * not decide. A message that vanished meanwhile matches nothing.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/search.h>

#include "base/clock.h"
#include "mailbox/search-eval.h"

enum {
	ASK_PER_YIELD_CHECK = 256,
};

struct PhSearch {
	PhView *view;
	PhSearchPlan *plan;
	PhUidSet *found;     /* sequence numbers */
	PhUidSet *open_uids; /* not decided by what is in memory */
	PhCursor *cursor;    /* over open_uids; NULL in the first round */
	uint32_t next;       /* of the first round */
	uint64_t highest_change;
};

PhSearch *
ph_search_new(PhView *view, const PhSearchKey *key)
{
	PhSearch *search = g_new0(PhSearch, 1);

	search->view = view;
	search->plan = ph_search_plan_new(key, ph_clock_wall_us());
	search->found = ph_uid_set_new();
	search->open_uids = ph_uid_set_new();
	search->next = 1;
	return search;
}

void
ph_search_free(PhSearch *search)
{
	if (search == NULL)
		return;
	ph_cursor_free(search->cursor);
	ph_uid_set_free(search->found);
	ph_uid_set_free(search->open_uids);
	ph_search_plan_free(search->plan);
	g_free(search);
}

static void
add_found(PhSearch *search, uint32_t number)
{
	uint64_t change = ph_view_message_change(search->view, number);

	ph_uid_set_add(search->found, number);
	search->highest_change = MAX(search->highest_change, change);
}

static bool
should_yield(PhSession *session)
{
	return session != NULL
	       && (ph_session_should_yield(session) || ph_session_cancelled(session));
}

/* The round in memory. Returns: is it over? */
static bool
step_memory(PhSearch *search, PhSession *session)
{
	uint32_t count = ph_view_count(search->view);

	for (; search->next <= count; search->next++) {
		PhSubject subject = {
			.view = search->view,
			.number = search->next,
			.uid = ph_view_uid(search->view, search->next),
		};
		PhTruth answer = ph_search_plan_ask(search->plan, &subject, PH_COST_VIEW, NULL);
		if (answer == PH_TRUTH_YES)
			add_found(search, search->next);
		else if (answer == PH_TRUTH_UNKNOWN)
			ph_uid_set_add(search->open_uids, subject.uid);
		if (search->next % ASK_PER_YIELD_CHECK == 0 && should_yield(session)) {
			search->next++;
			return false;
		}
	}
	return true;
}

/* One record of the second round; gone content means no match. */
static bool
ask_record(PhSearch *search, const PhRecord *record, GError **error)
{
	PhSubject subject = {
		.view = search->view,
		.number = ph_view_number(search->view, record->uid),
		.uid = record->uid,
		.record = record,
	};
	if (subject.number == 0)
		return true;

	g_autoptr(GError) failure = NULL;
	PhTruth answer = ph_search_plan_ask(search->plan, &subject, PH_COST_OCTETS, &failure);
	ph_subject_clear(&subject);
	if (answer == PH_TRUTH_YES)
		add_found(search, subject.number);
	if (answer != PH_TRUTH_ERROR || g_error_matches(failure, PH_ERROR, PH_ERROR_GONE))
		return true;
	g_propagate_error(error, g_steal_pointer(&failure));
	return false;
}

/* Returns: true when the run is over, well or with an error. */
static bool
step_records(PhSearch *search, PhSession *session, GError **error)
{
	g_autoptr(GError) failure = NULL;
	const PhRecord *record;

	while ((record = ph_cursor_next(search->cursor, &failure)) != NULL) {
		if (!ask_record(search, record, error))
			return true;
		if (should_yield(session))
			return false;
	}
	if (failure != NULL)
		g_propagate_error(error, g_steal_pointer(&failure));
	return true;
}

bool
ph_search_step(PhSearch *search, PhSession *session, bool *failed_out, GError **error)
{
	g_autoptr(GError) failure = NULL;

	if (search->cursor == NULL) {
		if (!step_memory(search, session))
			return false;
		if (ph_uid_set_is_empty(search->open_uids))
			return true;
		search->cursor = ph_cursor_new(search->view, search->open_uids,
		                               ph_search_plan_fields(search->plan));
	}
	if (!step_records(search, session, &failure))
		return false;
	if (failure != NULL) {
		*failed_out = true;
		g_propagate_error(error, g_steal_pointer(&failure));
	}
	return true;
}

const PhUidSet *
ph_search_result(const PhSearch *search)
{
	return search->found;
}

uint64_t
ph_search_highest_change(const PhSearch *search)
{
	return search->highest_change;
}
