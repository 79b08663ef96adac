/* commit.c: applies batches of transactions
 *
 * What touches no octets is the index's alone. Transactions that append are written together;
 * those that copy, and those that name mailboxes, one by one. What was expunged leaves the file at
 * once; flags are written into it later.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/log.h>

#include "mbox.h"

#include <fcntl.h>
#include <unistd.h>

typedef enum {
	NEEDS_INDEX,
	NEEDS_APPEND,
	NEEDS_COPY,
	NEEDS_NAMES,
} Need;

static Need
need_of_op(const PhOp *op)
{
	switch (op->kind) {
	case PH_OP_APPEND:
		return NEEDS_APPEND;
	case PH_OP_COPY:
	case PH_OP_MOVE:
		return NEEDS_COPY;
	case PH_OP_CREATE:
	case PH_OP_RENAME:
	case PH_OP_REMOVE:
		return NEEDS_NAMES;
	default:
		return NEEDS_INDEX;
	}
}

static Need
need_of(const PhTransaction *transaction)
{
	Need most = NEEDS_INDEX;

	for (uint32_t i = 0; i < transaction->n_ops; i++)
		most = MAX(most, need_of_op(transaction->ops[i]));
	return most;
}

/* --- names ---------------------------------------------------------------------------------------- */

/* A new mailbox has its file before the index knows it; one that is left over by a crash is empty
 * and becomes a mailbox. */
static bool
make_file(Account *account, const PhOp *op, bool *made_out, GError **error)
{
	File file;

	if (!layout_make(account, op->name, error)
	    || !file_open(account, op->name, FILE_WRITE, &file, error))
		return false;
	*made_out = file.fd < 0;
	file_close(&file);
	if (!*made_out)
		return true;
	if (!file_open(account, op->name, FILE_APPEND, &file, error))
		return false;
	file_close(&file);
	return true;
}

static void
remove_made(Account *account, const PhOp *op)
{
	File file;
	Where where;

	if (!file_open(account, op->name, FILE_WRITE, &file, NULL))
		return;
	if (file.fd >= 0 && file.status.st_size == 0
	    && layout_find(account, op->name, &where, NULL)) {
		(void) unlinkat(where.folder_fd, where.base, 0);
		layout_clear(&where);
	}
	file_close(&file);
}

static bool
prepare_names(Account *account, const PhTransaction *transaction, GHashTable *made, GError **error)
{
	if (!list_sync(account, error))
		return false;
	for (uint32_t i = 0; i < transaction->n_ops; i++) {
		PhOp *op = transaction->ops[i];
		bool is_new = false;

		if (op->kind == PH_OP_RENAME && !layout_make(account, op->name, error))
			return false;
		if (op->kind != PH_OP_CREATE)
			continue;
		if (!make_file(account, op, &is_new, error))
			return false;
		if (is_new)
			g_hash_table_add(made, op);
	}
	return true;
}

static bool
commit_names(Account *account, PhTransaction *transaction, GError **error)
{
	g_autoptr(GHashTable) made = g_hash_table_new(NULL, NULL);
	PhTransaction *const batch[] = { transaction };
	GHashTableIter iter;
	void *op = NULL;
	bool again = false;
	bool good = prepare_names(account, transaction, made, error)
	            && append_batch(account, batch, 1, &again, error);

	if (good && transaction->done) {
		g_autoptr(GError) why = NULL;

		/* files follow; what cannot follow now does so later */
		if (!list_sync(account, &why))
			ph_log_section(account->section, PH_LOG_WARNING, "mbox-files-behind",
			               "files could not follow the names of mailboxes yet",
			               PH_LOG_FAILURE(why), PH_LOG_END);
		for (uint32_t i = 0; i < transaction->n_ops; i++) {
			Box box;
			File file;

			if (transaction->ops[i]->kind == PH_OP_CREATE
			    && open_box(account, &transaction->ops[i]->mailbox, FILE_WRITE, &box,
			                &file, NULL))
				file_close(&file);
		}
		return true;
	}
	g_hash_table_iter_init(&iter, made);
	while (g_hash_table_iter_next(&iter, &op, NULL))
		remove_made(account, op);
	(void) list_sync(account, NULL);
	return good;
}

/* --- one by one ----------------------------------------------------------------------------------- */

/* Whatever happens is the transaction's own result. */
static void
commit_one(Account *account, PhTransaction *transaction)
{
	PhTransaction *const batch[] = { transaction };
	GError *why = NULL;
	bool again = false;
	bool good = false;

	g_clear_error(&transaction->error);
	transaction->done = false;
	switch (need_of(transaction)) {
	case NEEDS_NAMES:
		good = commit_names(account, transaction, &why);
		break;
	case NEEDS_APPEND:
	case NEEDS_COPY:
		good = append_batch(account, batch, 1, &again, &why);
		break;
	case NEEDS_INDEX:
		good = ph_index_commit(account->index, batch, 1, &why);
		break;
	}
	if (good)
		return;
	transaction->done = false;
	transaction->error = why;
}

static bool
commit_all(Account *account, PhTransaction *const *batch, size_t n, GError **error)
{
	Need most = NEEDS_INDEX;
	g_autoptr(GError) why = NULL;
	bool again = false;

	for (size_t i = 0; i < n; i++)
		most = MAX(most, need_of(batch[i]));
	if (most == NEEDS_INDEX)
		return ph_index_commit(account->index, batch, n, error);
	if (most == NEEDS_APPEND && n > 1) {
		if (append_batch(account, batch, n, &again, &why))
			return true;
		if (!again) {
			g_propagate_error(error, g_steal_pointer(&why));
			return false;
		}
	}
	for (size_t i = 0; i < n; i++)
		commit_one(account, batch[i]);
	return true;
}

/* --- afterwards ----------------------------------------------------------------------------------- */

static void
rewrite(Account *account, const PhMailboxId *id)
{
	Box box;
	File file;
	g_autoptr(GError) why = NULL;

	rewrite_mark(account, id);
	if (!open_box(account, id, FILE_WRITE, &box, &file, &why)) {
		if (!g_error_matches(why, PH_ERROR, PH_ERROR_NOT_FOUND))
			ph_log_section(account->section, PH_LOG_WARNING, "mbox-not-rewritten",
			               "what was expunged is still in the file",
			               PH_LOG_FAILURE(why), PH_LOG_END);
		return;
	}
	if (!rewrite_box(account, &box, &file, &why))
		ph_log_section(account->section, PH_LOG_WARNING, "mbox-not-rewritten",
		               "what was expunged is still in the file",
		               PH_LOG_TEXT("mailbox", box.name), PH_LOG_FAILURE(why), PH_LOG_END);
	file_close(&file);
}

static bool
is_again(PhTransaction *const *batch, size_t i, uint32_t j)
{
	const PhMailboxId *id = &batch[i]->ops[j]->mailbox;

	for (uint32_t k = 0; k < j; k++)
		if (memcmp(&batch[i]->ops[k]->mailbox, id, sizeof *id) == 0
		    && batch[i]->ops[k]->kind == batch[i]->ops[j]->kind)
			return true;
	return i > 0 && batch[i - 1]->done && batch[i - 1]->n_ops == 1 && batch[i]->n_ops == 1
	       && batch[i - 1]->ops[0]->kind == batch[i]->ops[0]->kind
	       && memcmp(&batch[i - 1]->ops[0]->mailbox, id, sizeof *id) == 0;
}

static void
follow(Account *account, PhTransaction *const *batch, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		for (uint32_t j = 0; batch[i]->done && j < batch[i]->n_ops; j++) {
			const PhOp *op = batch[i]->ops[j];

			if (op->kind == PH_OP_APPEND)
				octets_used(account, &op->blob);
			else if (op->kind == PH_OP_FLAGS)
				rewrite_mark(account, &op->mailbox);
			else if ((op->kind == PH_OP_EXPUNGE || op->kind == PH_OP_MOVE)
			         && !is_again(batch, i, j))
				rewrite(account, &op->mailbox);
		}
	}
}

bool
commit_batch(void *data, PhTransaction *const *batch, size_t n, GError **error)
{
	Account *account = data;
	bool good = false;

	(void) pthread_mutex_lock(&account->writer);
	good = file_lock_account(account, error);
	if (good) {
		good = commit_all(account, batch, n, error);
		if (good)
			follow(account, batch, n);
		rewrite_due(account, false);
		file_unlock_account(account);
	}
	(void) pthread_mutex_unlock(&account->writer);
	return good;
}
