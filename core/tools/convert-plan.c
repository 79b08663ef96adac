/* convert-plan.c: what is missing in the target, in an order that keeps uids and change numbers
 *
 * Nothing is remembered between passes: both sides are compared anew, so an interrupted conversion
 * goes on where it was. Events are applied by rising change number, because a store counts changes
 * for the whole account; uids of a mailbox must rise too. A message that was altered after it came
 * is therefore appended early, at the lowest change that any later message of its mailbox has, and
 * gets its own change by an event of its own.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "tools/convert.h"

/* Plan: one mailbox being compared. */
typedef struct {
	GArray *events;
	const GArray *from; /* of PhMark */
	const GArray *to;
	uint32_t mailbox;
	uint64_t last; /* the account's highest change in the source */
} Plan;

static void
add(Plan *plan, uint16_t kind, uint32_t uid, uint64_t change)
{
	const PhConvertEvent event = {
		.change = change,
		.uid = uid,
		.kind = kind,
		.mailbox = plan->mailbox,
	};

	(void) g_array_append_val(plan->events, event);
}

static const PhMark *
mark_at(const GArray *marks, guint index)
{
	return index < marks->len ? &g_array_index(marks, PhMark, index) : NULL;
}

/* The messages that only the source has are the last ones. Backwards, so that the lowest change of
 * all later ones is known. */
static void
plan_appends(Plan *plan, guint first)
{
	uint64_t lowest = UINT64_MAX;

	for (guint i = plan->from->len; i > first; i--) {
		const PhMark *mark = mark_at(plan->from, i - 1);

		lowest = MIN(lowest, mark->change);
		add(plan, PH_CONVERT_APPEND, mark->uid, lowest);
		if (mark->change > lowest)
			add(plan, PH_CONVERT_FLAGS, mark->uid, mark->change);
	}
}

static void
plan_both(Plan *plan, const PhMark *from, const PhMark *to)
{
	if (from->change > to->change)
		add(plan, PH_CONVERT_FLAGS, from->uid, from->change);
	else if (from->state != to->state)
		add(plan, PH_CONVERT_FLAGS, from->uid, plan->last);
}

static void
plan_messages(Plan *plan)
{
	guint i = 0;
	guint j = 0;

	while (j < plan->to->len) {
		const PhMark *from = mark_at(plan->from, i);
		const PhMark *to = mark_at(plan->to, j);

		if (from != NULL && from->uid < to->uid) {
			i++; /* never: has_hole() */
		} else if (from != NULL && from->uid == to->uid) {
			plan_both(plan, from, to);
			i++;
			j++;
		} else {
			add(plan, PH_CONVERT_EXPUNGE, to->uid, UINT64_MAX);
			j++;
		}
	}
	plan_appends(plan, i);
}

static int
compare_numbers(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

static gint
compare_events(gconstpointer left, gconstpointer right)
{
	const PhConvertEvent *a = left;
	const PhConvertEvent *b = right;
	int order = compare_numbers(a->change, b->change);

	if (order == 0)
		order = compare_numbers(a->kind, b->kind);
	if (order == 0)
		order = compare_numbers(a->mailbox, b->mailbox);
	return order != 0 ? order : compare_numbers(a->uid, b->uid);
}

/* A mailbox is made together with its first message, so that making it costs no change. */
static void
plan_create(Plan *plan, const PhMailboxInfo *info, guint first)
{
	uint64_t change = MAX(info->change, 1);

	for (guint i = first; i < plan->events->len; i++)
		change = MIN(change, g_array_index(plan->events, PhConvertEvent, i).change);
	add(plan, PH_CONVERT_CREATE, 0, change);
}

/* Does the source have a message that the target lacks and can no longer take, because it has given
 * out higher uids? Only after a failure in the middle of a commit. */
static bool
has_hole(const Plan *plan, uint32_t uidnext)
{
	guint j = 0;

	for (guint i = 0; i < plan->from->len; i++) {
		const PhMark *from = mark_at(plan->from, i);

		if (from->uid >= uidnext)
			return false;
		while (j < plan->to->len && mark_at(plan->to, j)->uid < from->uid)
			j++;
		if (j == plan->to->len || mark_at(plan->to, j)->uid != from->uid)
			return true;
	}
	return false;
}

static bool
drop_mailbox(PhConvert *convert, const PhMailboxId *id, GError **error)
{
	g_autoptr(PhTransaction) transaction = ph_transaction_new(convert->to, NULL);

	(void) ph_transaction_remove(transaction, id);
	return ph_transaction_run(transaction, error);
}

/* @there: (nullable) the mailbox in the target. */
static bool
plan_mailbox(PhConvert *convert,
             Plan *plan,
             const PhMailboxInfo *info,
             const PhMailboxInfo *there,
             GError **error)
{
	g_autoptr(GArray) from = ph_read_marks(convert->from, &info->id, error);
	g_autoptr(GArray) to = NULL;
	guint first = plan->events->len;

	if (from == NULL)
		return false;
	to = there != NULL ? ph_read_marks(convert->to, &info->id, error)
	                   : g_array_new(FALSE, FALSE, sizeof(PhMark));
	if (to == NULL)
		return false;
	plan->from = from;
	plan->to = to;
	if (there != NULL && has_hole(plan, there->uidnext)) {
		if (!drop_mailbox(convert, &info->id, error))
			return false;
		there = NULL;
		g_array_set_size(to, 0);
	}
	plan_messages(plan);
	if (there == NULL)
		plan_create(plan, info, first);
	return true;
}

GArray *
ph_convert_plan(PhConvert *convert, const GArray *from, const GArray *to, GError **error)
{
	g_autoptr(GArray) events = g_array_new(FALSE, FALSE, sizeof(PhConvertEvent));
	Plan plan = { .events = events };

	for (guint i = 0; i < from->len; i++)
		plan.last = MAX(plan.last, g_array_index(from, PhMailboxInfo, i).change);
	for (guint i = 0; i < from->len; i++) {
		const PhMailboxInfo *info = &g_array_index(from, PhMailboxInfo, i);

		plan.mailbox = i;
		if (!plan_mailbox(convert, &plan, info, ph_mailbox_by_id(to, &info->id), error))
			return NULL;
	}
	g_array_sort(events, compare_events);
	return g_steal_pointer(&events);
}
