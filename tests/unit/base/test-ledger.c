/* test-ledger.c: what the conformance kit does not see of a ledger: its hooks
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/apply.h>
#include <posthorn/error.h>
#include <posthorn/ledger.h>

/* Counts how many messages name a blob. */
static bool
use(void *user_data, PhBlobId *blob, bool is_copy, GError **error)
{
	int *named = user_data;

	if (blob->length == 0) {
		ph_error_set(error, PH_ERROR_INVALID, "no upload");
		return false;
	}
	(*named)++;
	return true;
}

static void
drop(void *user_data, const PhBlobId *blob)
{
	(*(int *) user_data)--;
}

static const PhLedgerHooks hooks = { sizeof hooks, use, drop };

typedef struct {
	PhTransaction transaction;
	PhOp op[2];
	PhOp *ops[2];
} Tx;

static const char *const no_keywords[] = { NULL };

static void
tx_init(Tx *tx, uint8_t id, uint32_t n_ops)
{
	memset(tx, 0, sizeof *tx);
	tx->transaction.id[0] = id;
	tx->transaction.ops = tx->ops;
	tx->transaction.n_ops = n_ops;
	for (size_t i = 0; i < G_N_ELEMENTS(tx->op); i++) {
		tx->ops[i] = &tx->op[i];
		tx->op[i].keywords = no_keywords;
		tx->op[i].name = "INBOX";
		tx->op[i].blob = (PhBlobId){ .length = 1 };
	}
}

static bool
commit(PhLedger *ledger, Tx *tx)
{
	PhTransaction *batch[] = { &tx->transaction };

	g_assert_true(ph_ledger_commit(ledger, batch, 1, NULL));
	g_clear_error(&tx->transaction.error);
	return tx->transaction.done;
}

static void
test_blobs(void)
{
	int named = 0;
	g_autoptr(PhLedger) ledger = ph_ledger_new(&hooks, &named);
	g_autoptr(PhUidSet) all = ph_uid_set_new_range(1, 9);
	Tx tx;

	tx_init(&tx, 1, 2);
	tx.op[0].kind = PH_OP_CREATE;
	tx.op[1].kind = PH_OP_APPEND;
	g_assert_true(commit(ledger, &tx));
	g_assert_cmpint(named, ==, 1);
	g_assert_true(commit(ledger, &tx));
	g_assert_cmpint(named, ==, 1); /* the same id again */

	tx_init(&tx, 2, 2);
	tx.op[0].kind = PH_OP_APPEND;
	tx.op[1].kind = PH_OP_CREATE;
	g_assert_false(commit(ledger, &tx)); /* the name is taken: the append is undone */
	g_assert_cmpint(named, ==, 1);

	tx_init(&tx, 3, 2);
	tx.op[0].kind = PH_OP_EXPUNGE;
	tx.op[0].uids = all;
	tx.op[1].kind = PH_OP_CREATE;
	g_assert_false(commit(ledger, &tx)); /* the expunge is undone */
	g_assert_cmpint(named, ==, 1);
	tx.transaction.n_ops = 1;
	g_assert_true(commit(ledger, &tx));
	g_assert_cmpint(named, ==, 0);
}

static void
test_results_packed(void)
{
	g_autoptr(PhUidSet) missing = ph_uid_set_new_range(3, 5);
	g_autoptr(GBytes) packed = NULL;
	gsize length = 0;
	const char *data = NULL;
	Tx tx;

	tx_init(&tx, 1, 2);
	tx.op[0].kind = PH_OP_APPEND;
	tx.op[0].uid = 7;
	tx.op[1].kind = PH_OP_FLAGS;
	tx.op[1].missing = missing;
	tx.transaction.change = 12;
	packed = ph_transaction_pack(&tx.transaction);
	data = g_bytes_get_data(packed, &length);
	ph_transaction_clear(&tx.transaction);
	g_assert_cmpuint(tx.op[0].uid, ==, 0);
	g_assert_true(ph_uid_set_is_empty(missing));
	g_assert_true(ph_transaction_unpack(&tx.transaction, PH_SLICE(data, length)));
	g_assert_cmpuint(tx.op[0].uid, ==, 7);
	g_assert_cmpuint(tx.transaction.change, ==, 12);
	g_assert_true(ph_uid_set_contains(missing, 4));
	for (size_t n = 0; n < length; n++)
		g_assert_false(ph_transaction_unpack(&tx.transaction, PH_SLICE(data, n)));
	tx.op[1].kind = PH_OP_EXPUNGE;
	g_assert_false(ph_transaction_unpack(&tx.transaction, PH_SLICE(data, length)));
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/base/ledger/names-and-drops-blobs", test_blobs);
	g_test_add_func("/base/ledger/packs-results", test_results_packed);
	return g_test_run();
}
