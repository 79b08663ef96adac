/* run.c: transactions of the store's own, and the hook that names where octets lie
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/secret.h>

#include "mbox.h"

bool
run_ops(Account *account, PhOp *const *ops, size_t n, GError **error)
{
	PhTransaction transaction = { .ops = ops, .n_ops = (uint32_t) n };
	PhTransaction *const batch[] = { &transaction };

	if (n == 0)
		return true;
	ph_secret_random(transaction.id, sizeof transaction.id);
	if (!ph_index_commit(account->index, batch, 1, error))
		return false;
	if (!transaction.done)
		g_propagate_error(error, transaction.error);
	return transaction.done;
}

Planned *
run_plan(Account *account, const PhOp *op)
{
	Planned *planned = g_new0(Planned, 1);

	planned->op = op;
	(void) g_hash_table_replace(account->plan, (void *) (uintptr_t) op, planned);
	return planned;
}

/* The message is in the file already; the record and its place become visible together. */
static bool
add(void *user_data,
    PhIndexConnection *connection,
    const PhOp *op,
    PhBlobId *blob_out,
    GError **error)
{
	Account *account = user_data;
	Planned *planned = g_hash_table_lookup(account->plan, op);

	if (planned == NULL) {
		ph_error_set(error, PH_ERROR_INVALID, "the octets to append were not uploaded");
		return false;
	}
	if (!planned->may_move && planned->place.uid != op->uid) {
		ph_error_set(error, PH_ERROR_TEMPORARY, "another process gave out uid %u",
		             planned->place.uid);
		return false;
	}
	planned->place.uid = op->uid;
	if (!place_put(connection, planned->no, &planned->place, error))
		return false;
	if (planned->box != NULL) {
		planned->box->last_uid = op->uid;
		if (!place_save_box(connection, planned->box, error))
			return false;
	}
	planned->is_named = true;
	*blob_out = (PhBlobId){ .length = 1, .octets = { KIND_PLACE } };
	return true;
}

const PhIndexHooks run_hooks = {
	.size = sizeof run_hooks,
	.schema = place_schema,
	.add = add,
};
