/* transactions.c: rules about transactions: whole or not at all, ids, given results
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "conform/kit.h"

static char *
describe_account(PhKitAccount *a)
{
	g_autofree char *names = ph_kit_names(a, NULL);
	g_autofree char *messages = ph_kit_messages(a, &a->inbox);
	g_autofree char *values = ph_kit_values(a, NULL, "");

	return g_strdup_printf("%s | %s | %s", names, messages, values);
}

/* Something of every kind, and last what cannot be done. */
static PhKitTx *
failing(PhKitAccount *a)
{
	static const PhMailboxId nowhere = { { 9, 9, 9 } };
	PhKitTx *tx = ph_kit_tx();
	PhMailboxId id;

	(void) ph_kit_add_append(tx, a, &a->inbox, PH_SLICE_EMPTY);
	ph_kit_add_flags(tx, &a->inbox, "1", PH_FLAGS_ADD)->flags = PH_FLAG_SEEN;
	ph_kit_set_keywords(tx, tx->op, "fresh");
	(void) ph_kit_add_uids(tx, PH_OP_EXPUNGE, &a->inbox, "2");
	(void) ph_kit_add_create(tx, "made", &id);
	(void) ph_kit_add_transfer(tx, PH_OP_COPY, &a->inbox, "1", &id);
	(void) ph_kit_add_put(tx, NULL, "key", PH_SLICE_LITERAL("value"));
	(void) ph_kit_add_uids(tx, PH_OP_EXPUNGE, &nowhere, "1");
	return tx;
}

static void
atomic_whole(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	g_autofree char *before = NULL;
	g_autofree char *after = NULL;
	g_autofree char *reopened = NULL;
	PhMailboxInfo info;

	ph_kit_open(&a, "atomic");
	ph_kit_fill(&a, &a.inbox, 3);
	before = describe_account(&a);
	info = ph_kit_must_info(&a, &a.inbox);
	ph_kit_must_fail(&a, failing(&a), PH_ERROR_NOT_FOUND,
	                 "a transaction whose last operation fails");
	after = describe_account(&a);
	ph_kit_same_text("the account after a failed transaction", after, before);
	ph_kit_same("the mailbox's change after a failed transaction",
	            ph_kit_must_info(&a, &a.inbox).change, info.change);
	ph_kit_check_counts(&a);
	ph_kit_reopen(&a);
	reopened = describe_account(&a);
	ph_kit_same_text("the account after reopening", reopened, before);
	KIT_CHECK(ph_kit_append(&a, &a.inbox, PH_SLICE_EMPTY) >= info.uidnext,
	          "a uid below uidnext was given");
}

static void
batch_own_results(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	PhKitTx *txs[4] = { NULL };
	PhMailboxId id;

	ph_kit_open(&a, "batch");
	ph_kit_fill(&a, &a.inbox, 3);
	txs[0] = ph_kit_tx();
	(void) ph_kit_add_append(txs[0], &a, &a.inbox, PH_SLICE_EMPTY);
	txs[1] = failing(&a);
	txs[2] = ph_kit_tx();
	(void) ph_kit_add_create(txs[2], "made", &id);
	txs[3] = ph_kit_tx();
	ph_kit_add_flags(txs[3], &a.inbox, "4", PH_FLAGS_ADD)->flags = PH_FLAG_SEEN;
	ph_kit_batch(&a, txs, 4);
	KIT_CHECK(txs[0]->public.done && txs[2]->public.done && txs[3]->public.done,
	          "a transaction failed because another one of its batch did");
	KIT_CHECK(!txs[1]->public.done, "a transaction that must fail was done");
	ph_kit_same_messages(&a, &a.inbox, "1:- 2:- 3:- 4:S");
	KIT_CHECK(txs[3]->public.change >= txs[0]->public.change,
	          "a later transaction of a batch has a lower change");
	for (size_t i = 0; i < 4; i++)
		ph_kit_tx_free(txs[i]);
	ph_kit_check_counts(&a);
}

/* Later operations and transactions see what earlier ones did. */
static void
batch_in_order(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	PhKitTx *txs[3] = { NULL };
	PhMailboxId id;

	ph_kit_open(&a, "order");
	txs[0] = ph_kit_tx();
	(void) ph_kit_add_create(txs[0], "made", &id);
	(void) ph_kit_add_append(txs[0], &a, &id, PH_SLICE_EMPTY);
	ph_kit_add_flags(txs[0], &id, "1", PH_FLAGS_ADD)->flags = PH_FLAG_SEEN;
	txs[1] = ph_kit_tx();
	(void) ph_kit_add_transfer(txs[1], PH_OP_MOVE, &id, "1", &a.inbox);
	txs[2] = ph_kit_tx();
	(void) ph_kit_add(txs[2], PH_OP_REMOVE, &id);
	ph_kit_batch(&a, txs, 3);
	for (size_t i = 0; i < 3; i++) {
		KIT_CHECK(txs[i]->public.done, "transaction %u of a batch failed: %s",
		          (unsigned) i + 1, txs[i]->public.error->message);
		ph_kit_tx_free(txs[i]);
	}
	ph_kit_same_messages(&a, &a.inbox, "1:S");
}

static void
ids_again(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	g_autoptr(PhKitTx) tx = ph_kit_tx();
	g_autoptr(GBytes) first = NULL;
	g_autofree char *before = NULL;
	g_autofree char *after = NULL;
	PhMailboxId target;

	ph_kit_open(&a, "again");
	ph_kit_create(&a, "target", &target);
	ph_kit_fill(&a, &a.inbox, 3);
	(void) ph_kit_add_append(tx, &a, &a.inbox, PH_SLICE_EMPTY);
	(void) ph_kit_add_transfer(tx, PH_OP_COPY, &a.inbox, "1:2,9", &target);
	ph_kit_add_flags(tx, &a.inbox, "1:2", PH_FLAGS_ADD)->flags = PH_FLAG_SEEN;
	tx->op->has_unchanged_since = true;
	KIT_CHECK(ph_kit_commit(&a, tx), "it failed: %s", tx->public.error->message);
	first = ph_transaction_pack(&tx->public);
	before = describe_account(&a);
	for (int i = 0; i < 3; i++) {
		g_autoptr(GBytes) again = NULL;

		if (i == 2)
			ph_kit_reopen(&a);
		ph_kit_fill(&a, &target, 1);
		KIT_CHECK(ph_kit_commit(&a, tx), "the same id again failed: %s",
		          tx->public.error->message);
		again = ph_transaction_pack(&tx->public);
		KIT_CHECK(
			g_bytes_equal(first, again),
			"the same id again gives other results%s (uid %u, change %" G_GUINT64_FORMAT
			")",
			i == 2 ? ", reopened" : "",
			((const PhOp *) g_ptr_array_index(tx->ops, 0))->uid, tx->public.change);
	}
	after = describe_account(&a);
	ph_kit_same_text("the account after the same id again", after, before);
	ph_kit_same("messages of the target", ph_kit_must_info(&a, &target).n_messages, 5);
}

static void
ids_again_beside_new(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	PhKitTx *txs[3] = { NULL };

	ph_kit_open(&a, "beside");
	for (size_t i = 0; i < 3; i++) {
		txs[i] = ph_kit_tx();
		(void) ph_kit_add_append(txs[i], &a, &a.inbox, PH_SLICE_EMPTY);
	}
	ph_kit_batch(&a, txs, 2);
	ph_kit_batch(&a, txs, 3);
	for (size_t i = 0; i < 3; i++) {
		KIT_CHECK(txs[i]->public.done, "an id beside others failed: %s",
		          txs[i]->public.error->message);
		ph_kit_same("uid", txs[i]->op->uid, i + 1);
		ph_kit_tx_free(txs[i]);
	}
	ph_kit_same_messages(&a, &a.inbox, "1:- 2:- 3:-");
}

static void
ids_of_failures(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	g_autoptr(PhKitTx) tx = ph_kit_tx();
	PhMailboxId id;

	ph_kit_open(&a, "failures");
	(void) ph_kit_add_create(tx, "later", &id);
	(void) ph_kit_add_uids(tx, PH_OP_EXPUNGE, &id, "1");
	(void) ph_kit_add_put(tx, NULL, "key", PH_SLICE_LITERAL("value"));
	(void) ph_kit_add_rename(tx, &id, "INBOX");
	KIT_CHECK(!ph_kit_commit(&a, tx), "renaming to a name that is taken was done");
	g_clear_error(&tx->public.error);
	tx->op->name = "free";
	KIT_CHECK(ph_kit_commit(&a, tx), "an id that failed before is refused: %s",
	          tx->public.error->message);
}

static void
outcome_tells(void)
{
	g_auto(PhKitAccount) a = { .handle = NULL };
	g_autoptr(PhKitTx) tx = ph_kit_tx();
	g_autoptr(PhKitTx) never = ph_kit_tx();
	g_autoptr(GError) error = NULL;
	uint32_t uid = 0;

	if (ph_kit.table->outcome == NULL)
		ph_kit_skip("the store has no outcome: it always knows");
	ph_kit_open(&a, "outcome");
	(void) ph_kit_add_append(tx, &a, &a.inbox, PH_SLICE_EMPTY);
	(void) ph_kit_add_append(never, &a, &a.inbox, PH_SLICE_EMPTY);
	KIT_CHECK(ph_kit_commit(&a, tx), "append failed: %s", tx->public.error->message);
	uid = tx->op->uid;
	tx->op->uid = 0;
	tx->public.done = false;
	KIT_CHECK(ph_kit.table->outcome(a.handle, &tx->public, &error), "outcome failed: %s",
	          error->message);
	KIT_CHECK(tx->public.done, "outcome does not know what was done");
	ph_kit_same("uid that outcome gives", tx->op->uid, uid);
	KIT_CHECK(ph_kit.table->outcome(a.handle, &never->public, &error), "outcome failed: %s",
	          error->message);
	KIT_CHECK(!never->public.done, "outcome says done of what was never committed");
}

const PhConformRule ph_conform_transactions[] = {
	{ "atomic", "STORE-1", "a transaction whose last operation fails leaves nothing behind",
	  atomic_whole },
	{ "batch-results", "STORE-1", "transactions of a batch succeed and fail each for itself",
	  batch_own_results },
	{ "batch-order", "contract", "what follows in a batch sees what went before",
	  batch_in_order },
	{ "ids-again", "STORE-5",
	  "a transaction id again, also after reopening: same result, no change", ids_again },
	{ "ids-beside-new", "STORE-5", "old and new ids in one batch", ids_again_beside_new },
	{ "ids-of-failures", "STORE-5", "an id whose transaction failed may come again",
	  ids_of_failures },
	{ "outcome", "STORE-5", "outcome knows what was done and what was not", outcome_tells },
	{ NULL },
};
