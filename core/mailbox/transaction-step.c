/* transaction-step.c: large operations in steps, between which others get their turn
 *
 * Flags, expunge, copy and move of more messages than a step takes become transactions of their
 * own, one after another; the whole's results are the sum of theirs. A copy that fails half-way is
 * undone by expunging what it made.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "mailbox/transaction.h"

enum {
	SHORT_US = 5000, /* a step that takes less may grow */
	LONG_US = 20000, /* others have waited too long */
};

/* --- how large ------------------------------------------------------------------------------------ */

static uint32_t
step_size(PhAccount *account)
{
	PH_LOCKED(&account->lock);
	return account->step != 0 ? account->step : PH_LANE_STEP;
}

uint32_t
ph_tx_step_after(uint32_t step, uint64_t took_us)
{
	if (took_us < SHORT_US)
		return MIN(step * 2, PH_LANE_STEP_MAX);
	return took_us > LONG_US ? MAX(step / 2, PH_LANE_STEP_MIN) : step;
}

static bool
may_be_cut(const PhTx *tx)
{
	const PhOp *op = tx->ops->len == 1 ? g_ptr_array_index(tx->ops, 0) : NULL;

	if (op == NULL || op->uids == NULL || op->must_exist || op->has_given)
		return false;
	return ph_uid_set_count(op->uids) > step_size(tx->account);
}

static bool
has_more(const PhTx *whole)
{
	const PhOp *op = g_ptr_array_index(whole->ops, 0);
	size_t n = 0;

	(void) ph_uid_set_ranges(op->uids, &n);
	return whole->next_range < n;
}

/* The uids of the next step. */
static PhUidSet *
cut(PhTx *whole)
{
	const PhOp *op = g_ptr_array_index(whole->ops, 0);
	PhUidSet *step = ph_uid_set_new();
	uint64_t room = step_size(whole->account);
	size_t n = 0;
	const PhUidRange *ranges = ph_uid_set_ranges(op->uids, &n);

	while (whole->next_range < n && room > 0) {
		const PhUidRange *range = &ranges[whole->next_range];
		uint64_t first = MAX(range->first, whole->next_uid);
		uint64_t end = first + room - 1;

		if (first > whole->highest || end >= range->last) {
			end = range->last;
			whole->next_range++;
		}
		ph_uid_set_add_range(step, (uint32_t) first, (uint32_t) end);
		room -= MIN(room, end - first + 1);
		whole->next_uid = end + 1;
	}
	return step;
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
	bool is_cut = false;

	if (!may_be_cut(tx))
		return false;
	op = g_ptr_array_index(tx->ops, 0);
	tx->highest = highest_uid(tx->account, &op->mailbox);
	ph_uid_set_free(cut(tx));
	is_cut = has_more(tx);
	tx->next_range = 0;
	tx->next_uid = 0;
	return is_cut;
}

/* How many messages it can have met; ranges reach far beyond what is there. */
static uint64_t
size_of(const PhTx *tx)
{
	const PhOp *op = tx->public.n_ops == 1 ? tx->public.ops[0] : NULL;

	if (op == NULL || op->uids == NULL)
		return 0;
	return MIN(ph_uid_set_count(op->uids), highest_uid(tx->account, &op->mailbox));
}

/* Only a whole step that others follow shows that larger ones are quick too. */
void
ph_tx_note_time(PhAccount *account, const GPtrArray *batch, uint64_t took_us)
{
	uint32_t step = step_size(account);
	bool counts = false;

	if (took_us >= SHORT_US && took_us <= LONG_US)
		return;
	for (guint i = 0; i < batch->len && !counts; i++) {
		const PhTx *tx = g_ptr_array_index(batch, i);

		if (took_us > LONG_US)
			counts = size_of(tx) >= step / 2;
		else
			counts = tx->whole != NULL && has_more(tx->whole) && size_of(tx) >= step;
	}
	if (!counts)
		return;
	PH_LOCKED(&account->lock);
	account->step = ph_tx_step_after(step, took_us);
}

/* --- one after another ---------------------------------------------------------------------------- */

/* Ids of steps follow from the whole's and their uids, so that a step that is repeated is known, and
 * one that is cut in another way is not taken for it. */
static PhTx *
step_of(PhTx *whole, PhUidSet *uids)
{
	uint8_t id[16];
	const uint32_t ends[] = { ph_uid_set_next(uids, 1), (uint32_t) (whole->next_uid - 1) };
	const PhOp *from = g_ptr_array_index(whole->ops, 0);
	PhTransaction *step = NULL;
	PhOp *op = NULL;

	memcpy(id, whole->public.id, sizeof id);
	for (size_t i = 0; i < sizeof ends; i++)
		id[i] ^= (uint8_t) (ends[i / 4] >> (8 * (i % 4)));
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
	return step_of(tx, cut(tx));
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
		if (has_more(whole))
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
