/* crew.c: looks at many messages of a view with more than one processor
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "mailbox/crew.h"

#include <posthorn/error.h>

#include "base/clock.h"
#include "base/lock.h"

enum {
	HAND = 256,        /* messages that are dealt out at once */
	WORTHWHILE = 2000, /* so many messages, and help is asked for */
	WAIT_US = 2000,    /* for the last hand of the others, in one turn */
};

/* Hand: messages that one thread looks at. */
typedef struct {
	PhCursor *cursor;
	void *gathered;
} Hand;

struct PhCrew {
	PhView *view;
	PhUidSet *uids;
	uint32_t fields;
	const PhCrewWork *work;
	void *user_data;
	Hand own;    /* the session's; cursor: NULL: none */
	PhLock lock; /* guards what follows */
	PhSignal changed;
	size_t next_range; /* of uids: where the rest begins */
	uint32_t next_uid;
	GError *failure;
	unsigned n_helpers; /* at work or asked for */
	gint stopped;
	bool asked;
};

static struct {
	PhLock lock; /* guards all */
	PhSignal work;
	GQueue waiting; /* PhCrew that ask for help; each is counted in its n_helpers */
	unsigned n_threads;
	bool ready;
} helpers = { .lock = PH_LOCK_INIT };

/* --- hands ---------------------------------------------------------------------------------------- */

/* The next messages that nobody has taken; NULL: there are none. */
static PhUidSet *
deal(PhCrew *crew)
{
	g_autoptr(PhUidSet) hand = ph_uid_set_new();
	uint32_t room = HAND;
	size_t n = 0;
	const PhUidRange *ranges = ph_uid_set_ranges(crew->uids, &n);

	PH_LOCKED(&crew->lock);
	while (crew->next_range < n && room > 0) {
		uint32_t first = MAX(ranges[crew->next_range].first, crew->next_uid);
		uint32_t last = ranges[crew->next_range].last;
		uint32_t end = last - first >= room ? first + room - 1 : last;

		ph_uid_set_add_range(hand, first, end);
		room -= end - first + 1;
		if (end == last)
			crew->next_range++;
		else
			crew->next_uid = end + 1;
	}
	return ph_uid_set_is_empty(hand) ? NULL : g_steal_pointer(&hand);
}

static bool
take_hand(PhCrew *crew, Hand *hand)
{
	g_autoptr(PhUidSet) uids = deal(crew);

	if (uids == NULL)
		return false;
	hand->cursor = ph_cursor_new(crew->view, uids, crew->fields);
	hand->gathered = crew->work->begin(crew->user_data);
	return true;
}

/* The hand was looked through, or is thrown away. */
static void
lay_down(PhCrew *crew, Hand *hand)
{
	g_clear_pointer(&hand->cursor, ph_cursor_free);
	if (hand->gathered == NULL)
		return;
	PH_LOCKED(&crew->lock);
	crew->work->merge(crew->user_data, g_steal_pointer(&hand->gathered));
}

/* The next record of the hand. Returns: false at its end, or with @error. */
static bool
play(PhCrew *crew, Hand *hand, GError **error)
{
	const PhRecord *record = ph_cursor_next(hand->cursor, error);
	uint32_t number = record != NULL ? ph_view_number(crew->view, record->uid) : 0;

	if (number == 0)
		return record != NULL;
	return crew->work->look(crew->user_data, hand->gathered, number, record, error);
}

/* Every thread stops at its next message. */
static void
fail(PhCrew *crew, GError *failure)
{
	g_atomic_int_set(&crew->stopped, 1);
	PH_LOCKED(&crew->lock);
	if (crew->failure == NULL)
		crew->failure = failure;
	else
		g_error_free(failure);
}

static bool
is_stopped(PhCrew *crew)
{
	return g_atomic_int_get(&crew->stopped) != 0;
}

/* --- help ------------------------------------------------------------------------------------------ */

static void
help(PhCrew *crew)
{
	Hand hand = { NULL, NULL };
	GError *failure = NULL;

	while (!is_stopped(crew) && take_hand(crew, &hand)) {
		while (!is_stopped(crew) && play(crew, &hand, &failure))
			;
		lay_down(crew, &hand);
		if (failure != NULL)
			fail(crew, g_steal_pointer(&failure));
	}
	PH_LOCKED(&crew->lock);
	crew->n_helpers--;
	ph_signal_all(&crew->changed);
}

static PhCrew *
next_crew(void)
{
	PH_LOCKED(&helpers.lock);
	while (g_queue_is_empty(&helpers.waiting))
		ph_signal_wait(&helpers.work, &helpers.lock);
	return g_queue_pop_head(&helpers.waiting);
}

static void *
help_for_ever(void *data)
{
	for (;;)
		help(next_crew());
	return NULL;
}

static void
ask_for_help(PhCrew *crew)
{
	unsigned most = g_get_num_processors() - 1;

	crew->asked = true;
	if (most == 0 || ph_uid_set_count(crew->uids) < WORTHWHILE)
		return;
	crew->n_helpers = 1; /* nobody else knows the crew yet */
	PH_LOCKED(&helpers.lock);
	if (!helpers.ready) {
		ph_signal_init(&helpers.work);
		helpers.ready = true;
	}
	g_queue_push_tail(&helpers.waiting, crew);
	if (helpers.n_threads < most) {
		helpers.n_threads++;
		g_thread_unref(g_thread_new("crew", help_for_ever, NULL));
	}
	ph_signal_one(&helpers.work);
}

/* Help that has not come yet is not waited for. */
static void
dismiss(PhCrew *crew)
{
	bool was_waiting = false;

	ph_lock_take(&helpers.lock);
	was_waiting = g_queue_remove(&helpers.waiting, crew);
	ph_lock_drop(&helpers.lock);
	if (!was_waiting)
		return;
	PH_LOCKED(&crew->lock);
	crew->n_helpers--;
}

/* --- the session's turns ----------------------------------------------------------------------------- */

PhCrew *
ph_crew_new(PhView *view, PhUidSet *uids, uint32_t fields, const PhCrewWork *work, void *user_data)
{
	PhCrew *crew = g_new0(PhCrew, 1);

	crew->view = view;
	crew->uids = uids;
	crew->fields = fields;
	crew->work = work;
	crew->user_data = user_data;
	ph_lock_init(&crew->lock);
	ph_signal_init(&crew->changed);
	return crew;
}

/* Nothing is left to take: have the others finished? Waits a little. */
static bool
others_are_done(PhCrew *crew)
{
	uint64_t deadline_us = (uint64_t) g_get_monotonic_time() + WAIT_US;

	dismiss(crew);
	PH_LOCKED(&crew->lock);
	while (crew->n_helpers > 0)
		if (!ph_signal_wait_until(&crew->changed, &crew->lock, deadline_us))
			return false;
	return true;
}

static bool
should_yield(PhSession *session)
{
	return session != NULL
	       && (ph_session_should_yield(session) || ph_session_cancelled(session));
}

static bool
is_over(PhCrew *crew, bool *failed_out, GError **error)
{
	if (!others_are_done(crew))
		return false;
	*failed_out = crew->failure != NULL;
	if (crew->failure != NULL)
		g_propagate_error(error, g_steal_pointer(&crew->failure));
	return true;
}

bool
ph_crew_step(PhCrew *crew, PhSession *session, bool *failed_out, GError **error)
{
	GError *failure = NULL;

	if (!crew->asked)
		ask_for_help(crew);
	while (!is_stopped(crew) && (crew->own.cursor != NULL || take_hand(crew, &crew->own))) {
		while (!is_stopped(crew) && play(crew, &crew->own, &failure))
			if (should_yield(session))
				return false;
		lay_down(crew, &crew->own);
		if (failure != NULL)
			fail(crew, g_steal_pointer(&failure));
	}
	return is_over(crew, failed_out, error);
}

void
ph_crew_free(PhCrew *crew)
{
	if (crew == NULL)
		return;
	g_atomic_int_set(&crew->stopped, 1);
	while (!others_are_done(crew))
		;
	lay_down(crew, &crew->own);
	ph_uid_set_free(crew->uids);
	g_clear_error(&crew->failure);
	ph_signal_clear(&crew->changed);
	ph_lock_clear(&crew->lock);
	g_free(crew);
}
