/* transaction.h: a transaction's inside, shared by its builder and the lane
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_MAILBOX_TRANSACTION_H
#define PH_MAILBOX_TRANSACTION_H

#include "mailbox/account.h"

typedef enum {
	PH_TX_BUILDING,
	PH_TX_WAITING,
	PH_TX_RESOLVED,
} PhTxState;

/* PhTx: begins with the public part, so that one pointer is both. */
typedef struct PhTx PhTx;

struct PhTx {
	PhTransaction public;
	PhAccount *account;
	GPtrArray *ops; /* PhOp, owned */
	PhWake *wake;
	uint32_t state; /* PhTxState; guarded by the account's lock once submitted */
	bool detached;
	bool pinned;     /* uses the account's handle: uploads live in it */
	bool is_refresh; /* no operations: the lane has the store look what others did */
	bool refreshes_list;
	PhMailboxId refreshed;
	uint64_t octets;
	PhTx *whole;       /* a step: of this */
	size_t next_range; /* of a large operation's uids: where the next step begins */
	uint64_t next_uid;
	uint32_t highest; /* what lies above comes in one piece */
};

static inline PhTx *
ph_tx(PhTransaction *transaction)
{
	return (PhTx *) transaction;
}

/* ph_tx_free: whoever owns it. */
void ph_tx_free(PhTx *tx);

/* ph_tx_content: (borrowed, nullable) octets of an APPEND that the journal has to hold. */
PhContent *ph_tx_content(const PhOp *op);

/* ph_tx_resolve: its results stand: tells who waits. @tx: (owned) gone for the lane. */
void ph_tx_resolve(PhTx *tx);

/* transaction-step.c: ph_tx_needs_steps: cuts a large operation; then ph_tx_next_step gives the
 * transactions to commit one after another, and ph_tx_take_step adds up what one gave. Returns:
 * the next step, or NULL when the whole is done. */
bool ph_tx_needs_steps(PhTx *tx);
PhTx *ph_tx_next_step(PhTx *tx);
PhTx *ph_tx_take_step(PhTx *step);

/* ph_tx_note_time: a batch was applied: the account's next steps may be larger, or must be smaller.
 * ph_tx_step_after: the rule. */
void ph_tx_note_time(PhAccount *account, const GPtrArray *batch, uint64_t took_us);
uint32_t ph_tx_step_after(uint32_t step, uint64_t took_us);

/* ph_lane_submit: @tx: (owned) by the lane until it is resolved. */
void ph_lane_submit(PhTx *tx);

#endif
