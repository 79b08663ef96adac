/* transaction-step.c: large operations in steps, between which others get their turn
 *
 * Flags, expunge, copy and move of more messages than a step takes become transactions of their
 * own, one after another; the whole's results are the sum of theirs. A copy that fails half-way is
 * undone by expunging what it made.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "mailbox/transaction.h"

static bool
may_be_cut(const PhTx *tx)
{
	const PhOp *op = tx->ops->len == 1 ? g_ptr_array_index(tx->ops, 0) : NULL;

	if (op == NULL || op->uids == NULL || op->must_exist || op->has_given)
		return false;
	return ph_uid_set_count(op->uids) > PH_LANE_STEP;
}

/* Sets of PH_LANE_STEP numbers; what lies above the uids in use comes in one piece. */
static GPtrArray *
cut(const PhUidSet *uids, uint32_t highest)
{
	GPtrArray *steps = g_ptr_array_new_with_free_func((GDestroyNotify) ph_uid_set_free);
	PhUidSet *step = ph_uid_set_new();
	uint64_t room = PH_LANE_STEP;
	size_t n = 0;
	const PhUidRange *ranges = ph_uid_set_ranges(uids, &n);

	for (size_t i = 0; i < n; i++) {
		uint64_t first = ranges[i].first;
		uint64_t last = ranges[i].last;

		while (first <= last) {
			uint64_t end = first > highest ? last : MIN(last, first + room - 1);

			ph_uid_set_add_range(step, (uint32_t) first, (uint32_t) end);
			room -= MIN(room, end - first + 1);
			first = end + 1;
			if (room > 0)
				continue;
			g_ptr_array_add(steps, step);
			step = ph_uid_set_new();
			room = PH_LANE_STEP;
		}
	}
	if (!ph_uid_set_is_empty(step))
		g_ptr_array_add(steps, step);
	else
		ph_uid_set_free(step);
	return steps;
}

static uint32_t
highest_uid(PhAccount *account, const PhMailboxId *id)
{
	uint32_t highest = 0;

	PH_LOCKED(&account->lock);
	for (uint32_t i = 0; account->names != NULL && i < account->names->n; i++)
		if (ph_mailbox_id_equal(&account->names->infos[i].id, id))
			highest = account->names->infos[i].uidnext;
	return highest;
}

bool
ph_tx_needs_steps(PhTx *tx)
{
	const PhOp *op = NULL;

	if (!may_be_cut(tx))
		return false;
	op = g_ptr_array_index(tx->ops, 0);
	tx->steps = cut(op->uids, highest_uid(tx->account, &op->mailbox));
	for (guint i = 0; i < tx->steps->len / 2; i++) {
		void **steps = tx->steps->pdata;
		void *other = steps[tx->steps->len - 1 - i];

		steps[tx->steps->len - 1 - i] = steps[i];
		steps[i] = other;
	}
	return tx->steps->len > 1;
}

/* Ids of steps follow from the whole's, so that a repeated whole repeats its steps. */
static PhTx *
step_of(PhTx *whole, PhUidSet *uids)
{
	uint8_t id[16];
	uint32_t number = whole->steps->len + 1;
	const PhOp *from = g_ptr_array_index(whole->ops, 0);
	PhTransaction *step = NULL;
	PhOp *op = NULL;

	memcpy(id, whole->public.id, sizeof id);
	for (size_t i = 0; i < sizeof number; i++)
		id[i] ^= (uint8_t) (number >> (8 * i));
	step = ph_transaction_new(whole->account, id);
	if (from->kind == PH_OP_FLAGS)
		op = ph_transaction_flags(step, &from->mailbox, uids, from->flags_mode, from->flags,
		                          from->keywords);
	else if (from->kind == PH_OP_EXPUNGE)
		op = ph_transaction_expunge(step, &from->mailbox, uids);
	else if (from->kind == PH_OP_COPY)
		op = ph_transaction_copy(step, &from->mailbox, uids, &from->to);
	else
		op = ph_transaction_move(step, &from->mailbox, uids, &from->to);
	op->has_unchanged_since = from->has_unchanged_since;
	op->unchanged_since = from->unchanged_since;
	op->save_date = from->save_date;
	ph_tx(step)->whole = whole;
	ph_uid_set_free(uids);
	return ph_tx(step);
}

PhTx *
ph_tx_next_step(PhTx *tx)
{
	PhUidSet *uids = g_ptr_array_steal_index(tx->steps, tx->steps->len - 1);

	return step_of(tx, uids);
}

static void
add_set(PhUidSet *to, const PhUidSet *from)
{
	if (to != NULL && from != NULL)
		ph_uid_set_add_set(to, from);
}

static void
add_results(PhTx *whole, const PhTx *step)
{
	PhOp *to = g_ptr_array_index(whole->ops, 0);
	const PhOp *from = g_ptr_array_index(step->ops, 0);

	add_set(to->refused, from->refused);
	add_set(to->missing, from->missing);
	add_set(to->from_uids, from->from_uids);
	add_set(to->to_uids, from->to_uids);
	to->uidvalidity = from->uidvalidity;
	whole->public.change = MAX(whole->public.change, step->public.change);
}

/* Expunges what a failed copy has made; nobody waits for it. */
static void
undo_copy(PhTx *whole)
{
	const PhOp *op = g_ptr_array_index(whole->ops, 0);
	PhTransaction *undo = NULL;

	if (op->kind != PH_OP_COPY || ph_uid_set_is_empty(op->to_uids))
		return;
	undo = ph_transaction_new(whole->account, NULL);
	(void) ph_transaction_expunge(undo, &op->to, op->to_uids);
	ph_tx(undo)->detached = true;
	ph_lane_submit(ph_tx(undo));
}

PhTx *
ph_tx_take_step(PhTx *step)
{
	PhTx *whole = step->whole;
	PhTx *next = NULL;

	whole->public.done = step->public.done;
	if (step->public.done) {
		add_results(whole, step);
		if (whole->steps->len > 0)
			next = ph_tx_next_step(whole);
	} else {
		whole->public.error = g_steal_pointer(&step->public.error);
		undo_copy(whole);
	}
	step->state = PH_TX_RESOLVED;
	ph_tx_free(step);
	if (next == NULL)
		ph_tx_resolve(whole);
	return next;
}
