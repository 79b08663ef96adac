/* view-sync.c: brings a view up to date and says what a client must be told
 *
 * The order is that of RFC 3501 7.4: expunged messages first, each with the number that it has
 * for the client at that moment, then the new count, then changed flags. While expunges must not be
 * told (7.4.1), messages that are gone stay in the view's own copy of the state, marked.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "mailbox/foreign.h"
#include "mailbox/view-private.h"

/* Quiet: a change of this client's own that need not be reported to it. */
typedef struct {
	uint64_t change;
	PhUidSet *uids;
	uint32_t mode; /* PhFlagsMode */
	uint32_t flags;
	char **names; /* (owned) keywords, until the mailbox has bits for all of them */
	uint64_t keywords;
} Quiet;

static void
clear_quiet(void *data)
{
	Quiet *quiet = data;

	ph_uid_set_free(quiet->uids);
	g_strfreev(quiet->names);
}

void
ph_view_quiet(PhView *view, const PhOp *op, uint64_t change)
{
	const Quiet quiet = {
		.change = change,
		.uids = ph_uid_set_copy(op->uids),
		.mode = op->flags_mode,
		.flags = op->flags,
		.names = g_strdupv((char **) (uintptr_t) op->keywords),
	};

	if (view->quiet == NULL) {
		view->quiet = g_array_new(FALSE, FALSE, sizeof(Quiet));
		g_array_set_clear_func(view->quiet, clear_quiet);
	}
	g_array_append_val(view->quiet, quiet);
}

/* Keywords that were new have their bits now. */
static void
resolve_quiet(PhView *view)
{
	for (guint i = 0; view->quiet != NULL && i < view->quiet->len; i++) {
		Quiet *quiet = &g_array_index(view->quiet, Quiet, i);
		for (size_t n = 0; quiet->names != NULL && quiet->names[n] != NULL; n++) {
			int bit = ph_mailbox_find_keyword(view->mailbox, ph_slice(quiet->names[n]));
			if (bit >= 0)
				quiet->keywords |= 1ULL << bit;
		}
	}
}

static uint64_t
apply(uint32_t mode, uint64_t bits, uint64_t operand)
{
	if (mode == PH_FLAGS_ADD)
		return bits | operand;
	return mode == PH_FLAGS_REMOVE ? bits & ~operand : operand;
}

/* Is what the message has become just what the client asked for, from what it knew? If others
 * changed it too meanwhile, it must be told. The steps of a large operation have changes of their
 * own, of which the last is known. */
static bool
is_quiet(const PhView *view, const PhMessage *was, const PhMessage *message)
{
	for (guint i = 0; view->quiet != NULL && i < view->quiet->len; i++) {
		const Quiet *quiet = &g_array_index(view->quiet, Quiet, i);
		if (message->change <= quiet->change
		    && ph_uid_set_contains(quiet->uids, message->uid))
			return apply(quiet->mode, was->flags, quiet->flags) == message->flags
			       && apply(quiet->mode, was->keywords, quiet->keywords)
			                  == message->keywords;
	}
	return false;
}

/* --- the state after the sync ------------------------------------------------------------------------------ */

/* Keeps what is gone: the old state, marked where messages vanished, with what is new. */
static PhState *
retain(const PhView *view, const PhStateDiff *diff, uint64_t change)
{
	g_autoptr(GArray) changed = g_array_new(FALSE, FALSE, sizeof(PhMessage));
	guint next_changed = 0;

	for (guint i = 0; i < diff->removed->len; i++) {
		PhMessage gone =
			*ph_state_at(view->state, g_array_index(diff->removed, uint32_t, i));
		gone.flags |= PH_MESSAGE_EXPUNGED;
		while (next_changed < diff->changed->len
		       && g_array_index(diff->changed, PhMessage, next_changed).uid < gone.uid) {
			g_array_append_val(changed,
			                   g_array_index(diff->changed, PhMessage, next_changed));
			next_changed++;
		}
		g_array_append_val(changed, gone);
	}
	for (; next_changed < diff->changed->len; next_changed++)
		g_array_append_val(changed, g_array_index(diff->changed, PhMessage, next_changed));
	g_array_append_vals(changed, diff->added->data, diff->added->len);
	return ph_state_apply(view->state, (const PhMessage *) (void *) changed->data, changed->len,
	                      NULL, change);
}

/* --- events --------------------------------------------------------------------------------------------------- */

/* Messages that the diff removes: told from the first on, each number lowered by those before. */
static void
tell_expunged(PhView *view, const PhStateDiff *diff, const PhViewEvents *events, void *user_data)
{
	for (guint i = 0; i < diff->removed->len; i++) {
		uint32_t number = g_array_index(diff->removed, uint32_t, i);
		uint32_t uid = ph_state_at(view->state, number)->uid;
		if (view->n_recent > 0 && ph_uid_set_contains(view->recent, uid))
			view->n_recent--;
		if (events->expunged != NULL)
			events->expunged(user_data, number - i, uid);
	}
}

/* Is the message not as the client knows it? The old state is what it knows. */
static bool
is_news(const PhView *view, const PhState *old, const PhMessage *message)
{
	uint32_t number = ph_state_find(old, message->uid);
	if (number == 0)
		return false;

	const PhMessage *was = ph_state_at(old, number);
	return (was->flags != message->flags || was->keywords != message->keywords)
	       && !is_quiet(view, was, message);
}

static void
tell_flags(PhView *view,
           const PhState *old,
           const PhStateDiff *diff,
           const PhViewEvents *events,
           void *user_data)
{
	for (guint i = 0; events->flags != NULL && i < diff->changed->len; i++) {
		const PhMessage *message = &g_array_index(diff->changed, PhMessage, i);
		if (is_news(view, old, message))
			events->flags(user_data, ph_state_find(view->state, message->uid));
	}
}

static void
tell_keywords(PhView *view, const PhViewEvents *events, void *user_data)
{
	uint32_t n = ph_mailbox_n_keywords(view->mailbox);
	if (n == view->n_keywords)
		return;

	view->n_keywords = n;
	if (events->keywords != NULL)
		events->keywords(user_data);
}

/* --- the sync -------------------------------------------------------------------------------------------------- */

/* Replaces the view's state by @fresh (owned). Returns: the old one (owned). */
static PhState *
replace_state(PhView *view, PhState *fresh)
{
	PhState *old = view->state;

	view->state = fresh;
	view->uidnext = MAX(view->uidnext, ph_state_last_uid(fresh) + 1);
	return old;
}

static void
advance(PhView *view, PhState *newest, bool expunges, const PhViewEvents *events, void *user_data)
{
	PhStateDiff diff;
	ph_state_diff(view->state, newest, &diff);
	bool keep = !expunges && diff.removed->len > 0;
	uint64_t change = ph_state_change(newest);

	if (!keep)
		tell_expunged(view, &diff, events, user_data);
	PhState *fresh = keep ? retain(view, &diff, change) : ph_state_ref(newest);
	g_autoptr(PhState) old = replace_state(view, fresh);
	view->has_expunged = keep;
	if (diff.added->len > 0) {
		ph_view_note_recent(view);
		if (events->count != NULL)
			events->count(user_data, ph_state_count(view->state), view->n_recent);
	}
	tell_keywords(view, events, user_data);
	resolve_quiet(view);
	tell_flags(view, old, &diff, events, user_data);
	ph_state_diff_clear(&diff);
}

bool
ph_view_sync(PhView *view,
             bool expunges,
             const PhViewEvents *events,
             void *user_data,
             GError **error)
{
	g_autoptr(PhState) newest = ph_mailbox_state(view->mailbox, error);
	if (newest == NULL)
		return false;

	bool is_same =
		view->state == newest
		|| (!view->has_expunged && ph_state_change(view->state) == ph_state_change(newest));
	if (!is_same
	    && !(view->has_expunged && !expunges
	         && ph_state_change(view->state) == ph_state_change(newest)))
		advance(view, newest, expunges, events, user_data);
	if (view->quiet != NULL)
		g_array_set_size(view->quiet, 0);
	return true;
}

bool
ph_view_needs_sync(const PhView *view)
{
	(void) ph_foreign_tick(view->account, ph_mailbox_id(view->mailbox));
	return view->has_expunged || ph_mailbox_is_stale(view->mailbox, view->state);
}
