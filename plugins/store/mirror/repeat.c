/* repeat.c: what the first store has committed, with given results in the second
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/secret.h>

#include "mirror.h"

#include <string.h>

static const char *const no_keywords[] = { NULL };

/* Copy: transactions made for the second, and everything that they own. */
typedef struct {
	GPtrArray *transactions; /* PhTransaction */
	GPtrArray *ops;          /* PhOp */
	GPtrArray *lists;        /* their arrays of PhOp * */
	GPtrArray *sets;         /* PhUidSet */
} Copy;

static void
free_transaction(void *data)
{
	PhTransaction *transaction = data;

	g_clear_error(&transaction->error);
	g_free(transaction);
}

static void
free_set(void *data)
{
	ph_uid_set_free(data);
}

static Copy
copy_new(void)
{
	return (Copy){
		g_ptr_array_new_with_free_func(free_transaction),
		g_ptr_array_new_with_free_func(g_free),
		g_ptr_array_new_with_free_func(g_free),
		g_ptr_array_new_with_free_func(free_set),
	};
}

static void
copy_clear(Copy *copy)
{
	g_ptr_array_unref(copy->transactions);
	g_ptr_array_unref(copy->ops);
	g_ptr_array_unref(copy->lists);
	g_ptr_array_unref(copy->sets);
}

static PhUidSet *
new_set(Copy *copy)
{
	PhUidSet *set = ph_uid_set_new();

	g_ptr_array_add(copy->sets, set);
	return set;
}

/* @uids without @others; both ascending ranges. */
static PhUidSet *
subtract(Copy *copy, const PhUidSet *uids, const PhUidSet *others)
{
	PhUidSet *left = new_set(copy);
	size_t n = 0;
	size_t m = 0;
	const PhUidRange *ranges = ph_uid_set_ranges(uids, &n);
	const PhUidRange *minus = ph_uid_set_ranges(others, &m);

	for (size_t i = 0, j = 0; i < n; i++) {
		uint64_t from = ranges[i].first;

		for (; j < m && minus[j].last < from; j++)
			;
		for (size_t k = j; k < m && minus[k].first <= ranges[i].last; k++) {
			if (minus[k].first > from)
				ph_uid_set_add_range(left, (uint32_t) from, minus[k].first - 1);
			from = (uint64_t) minus[k].last + 1;
		}
		if (from <= ranges[i].last)
			ph_uid_set_add_range(left, (uint32_t) from, ranges[i].last);
	}
	return left;
}

static bool
give_append(Account *account, PhOp *op, GError **error)
{
	PhBlobId blob;

	if (!take_upload(account, &op->blob, &blob)) {
		ph_error_set(error, PH_ERROR_TEMPORARY, "its octets were not uploaded there");
		return false;
	}
	op->given_uid = op->uid;
	op->blob = blob;
	return true;
}

/* The operation as the first store has decided it. */
static bool
give(Account *account, Copy *copy, PhOp *op, uint64_t change, GError **error)
{
	const PhUidSet *refused = op->refused;

	op->has_unchanged_since = false;
	op->must_exist = false;
	op->refused = NULL;
	op->missing = NULL;
	if (op->kind != PH_OP_RAISE)
		op->given_change = change;
	op->has_given = true;
	switch (op->kind) {
	case PH_OP_APPEND:
		return give_append(account, op, error);
	case PH_OP_FLAGS:
		if (refused != NULL && !ph_uid_set_is_empty(refused))
			op->uids = subtract(copy, op->uids, refused);
		op->refused = new_set(copy);
		op->missing = new_set(copy);
		return true;
	case PH_OP_COPY:
	case PH_OP_MOVE:
		if (op->from_uids == NULL || op->to_uids == NULL) {
			ph_error_set(error, PH_ERROR_TEMPORARY, "its pairs of uids are not known");
			return false;
		}
		op->missing = new_set(copy);
		return true;
	case PH_OP_EXPUNGE:
		op->missing = new_set(copy);
		return true;
	case PH_OP_CREATE:
		op->given_uidvalidity = op->uidvalidity;
		return true;
	default:
		return true;
	}
}

static bool
add_transaction(Account *account, Copy *copy, const PhTransaction *done, GError **error)
{
	PhTransaction *transaction = g_new0(PhTransaction, 1);
	PhOp **ops = g_new0(PhOp *, done->n_ops + 1);

	memcpy(transaction->id, done->id, sizeof done->id);
	transaction->ops = ops;
	transaction->n_ops = done->n_ops;
	g_ptr_array_add(copy->transactions, transaction);
	g_ptr_array_add(copy->lists, ops);
	for (uint32_t i = 0; i < done->n_ops; i++) {
		ops[i] = g_memdup2(done->ops[i], sizeof(PhOp));
		g_ptr_array_add(copy->ops, ops[i]);
		if (!give(account, copy, ops[i], done->change, error))
			return false;
	}
	return true;
}

static bool
all_done(const Copy *copy, GError **error)
{
	for (guint i = 0; i < copy->transactions->len; i++) {
		const PhTransaction *transaction = g_ptr_array_index(copy->transactions, i);

		if (transaction->done)
			continue;
		if (transaction->error != NULL && error != NULL)
			*error = g_error_copy(transaction->error);
		else
			ph_error_set(error, PH_ERROR_TEMPORARY, "a transaction was not done");
		return false;
	}
	return true;
}

bool
repeat_batch(Account *account, PhTransaction *const *batch, size_t n, GError **error)
{
	const PhBelow *second = second_of(account);
	Copy copy = copy_new();
	bool good = true;

	for (size_t i = 0; i < n && good; i++)
		good = !batch[i]->done || add_transaction(account, &copy, batch[i], error);
	if (good && copy.transactions->len > 0)
		good = second->store->commit(second->account,
		                             (PhTransaction *const *) copy.transactions->pdata,
		                             copy.transactions->len, error)
		       && all_done(&copy, error);
	if (good)
		account->instance->n_repeated += copy.transactions->len;
	copy_clear(&copy);
	return good;
}

bool
commit_ops(const PhBelow *second, PhOp *const *ops, uint32_t n, GError **error)
{
	PhTransaction transaction = { .ops = ops, .n_ops = n };
	PhTransaction *batch[] = { &transaction };

	for (uint32_t i = 0; i < n; i++)
		if (ops[i]->keywords == NULL)
			ops[i]->keywords = no_keywords;
	ph_secret_random(transaction.id, sizeof transaction.id);
	if (!second->store->commit(second->account, batch, 1, error))
		return false;
	if (!transaction.done && transaction.error == NULL)
		ph_error_set(&transaction.error, PH_ERROR_TEMPORARY, "a transaction was not done");
	if (!transaction.done)
		g_propagate_error(error, transaction.error);
	return transaction.done;
}
