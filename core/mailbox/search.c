/* search.c: one run of a search over a view, in slices
 *
 * First every message is asked with what is in memory; what is still open is read from the store
 * (crew.c), with only the fields that the tree needs, and from its octets where even that does
 * not decide. Where there is an index of text (fulltext.h), only what it names is read. A message
 * that vanished meanwhile matches nothing.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/log.h>
#include <posthorn/search.h>

#include "base/clock.h"
#include "mailbox/crew.h"
#include "mailbox/search-eval.h"

enum {
	ASK_PER_YIELD_CHECK = 256,
	WORTH_FILLING = 100, /* messages that had to be read without the index */
};

struct PhSearch {
	PhView *view;
	PhSearchPlan *plan;
	PhUidSet *found;     /* sequence numbers */
	PhUidSet *open_uids; /* not decided by what is in memory */
	PhCrew *crew;        /* over open_uids; NULL in the first round */
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
	ph_crew_free(search->crew);
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

/* --- what need not be read ------------------------------------------------------------------- */

/* Takes out of the open messages those that the index knows not to match. */
static void
keep_candidates(PhSearch *search, const PhFulltextBox *box, const PhUidSet *candidates)
{
	g_autoptr(PhUidSet) others = ph_uid_set_new_range(1, box->upto);

	ph_uid_set_remove_set(others, candidates);
	ph_uid_set_remove_set(search->open_uids, others);
}

static bool
ask_index(PhSearch *search, PhFulltext *index, PhFulltextBox *box, GError **error)
{
	bool failed = false;
	g_autoptr(PhUidSet) candidates = NULL;

	if (!ph_fulltext_begin_read(index, error))
		return false;
	if (!ph_fulltext_box(index, ph_view_mailbox(search->view),
	                     ph_view_uidvalidity(search->view), box, error))
		failed = true;
	else if (box->upto > 0)
		candidates = ph_search_plan_candidates(search->plan, index, box, &failed, error);
	ph_fulltext_end_read(index);
	if (candidates != NULL)
		keep_candidates(search, box, candidates);
	return !failed;
}

static uint64_t
count_above(const PhUidSet *uids, uint32_t upto)
{
	g_autoptr(PhUidSet) above = ph_uid_set_copy(uids);
	g_autoptr(PhUidSet) known = upto > 0 ? ph_uid_set_new_range(1, upto) : ph_uid_set_new();

	ph_uid_set_remove_set(above, known);
	return ph_uid_set_count(above);
}

/* An index that cannot be asked costs time, not answers. */
static void
narrow(PhSearch *search)
{
	PhAccount *account = ph_view_account(search->view);
	g_autofree char *path = NULL;
	g_autoptr(PhFulltext) index = NULL;
	g_autoptr(GError) error = NULL;
	PhFulltextBox box = { .no = 0 };

	if (!ph_search_plan_has_text(search->plan) || (path = ph_fulltext_path(account)) == NULL)
		return;
	index = ph_fulltext_open(path, false, &error);
	if (index != NULL)
		(void) ask_index(search, index, &box, &error);
	if (error != NULL)
		ph_log(PH_LOG_WARNING, "search-index-failed",
		       "a search index could not be asked; the messages are read instead",
		       PH_LOG_FAILURE(error), PH_LOG_END);
	if (g_error_matches(error, PH_ERROR, PH_ERROR_CORRUPT)) {
		ph_fulltext_discard(path);
		box.upto = 0;
	}
	if (count_above(search->open_uids, box.upto) >= WORTH_FILLING)
		ph_fulltext_fill_soon(account, ph_view_mailbox(search->view));
}

/* --- what must be read ---------------------------------------------------------------------- */

static void *
begin(void *user_data)
{
	return ph_uid_set_new();
}

/* A message that vanished meanwhile matches nothing. */
static bool
look(void *user_data, void *gathered, uint32_t number, const PhRecord *record, GError **error)
{
	const PhSearch *search = user_data;
	g_autoptr(GError) failure = NULL;
	PhTruth answer = PH_TRUTH_NO;
	PhSubject subject = {
		.view = search->view,
		.number = number,
		.uid = record->uid,
		.record = record,
	};

	answer = ph_search_plan_ask(search->plan, &subject, PH_COST_OCTETS, &failure);
	ph_subject_clear(&subject);
	if (answer == PH_TRUTH_YES)
		ph_uid_set_add(gathered, number);
	if (answer != PH_TRUTH_ERROR || g_error_matches(failure, PH_ERROR, PH_ERROR_GONE))
		return true;
	g_propagate_error(error, g_steal_pointer(&failure));
	return false;
}

static void
merge(void *user_data, void *gathered)
{
	g_autoptr(PhUidSet) found = gathered;
	size_t n = 0;
	const PhUidRange *ranges = ph_uid_set_ranges(found, &n);

	for (size_t i = 0; i < n; i++)
		for (uint32_t number = ranges[i].first; number <= ranges[i].last; number++)
			add_found(user_data, number);
}

static const PhCrewWork work = { begin, look, merge };

bool
ph_search_step(PhSearch *search, PhSession *session, bool *failed_out, GError **error)
{
	if (search->crew == NULL) {
		if (!step_memory(search, session))
			return false;
		if (!ph_uid_set_is_empty(search->open_uids))
			narrow(search);
		if (ph_uid_set_is_empty(search->open_uids))
			return true;
		search->crew = ph_crew_new(search->view, g_steal_pointer(&search->open_uids),
		                           ph_search_plan_fields(search->plan), &work, search);
	}
	return ph_crew_step(search->crew, session, failed_out, error);
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
