/* index-names.c: the operations on mailboxes and values: create, rename, remove, put
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "mailbox/index-op.h"

static const int64_t second_us = 1000000;

/* [STORE-3] max(account counter, clock) + 1. */
static uint32_t
next_uidvalidity(PhIndex *index, PhTime now, uint32_t given)
{
	uint32_t clock = (uint32_t) CLAMP(now / second_us, 0, UINT32_MAX - 1);

	index->uidvalidity = MAX(MAX(index->uidvalidity, clock) + 1, given);
	return given != 0 ? given : index->uidvalidity;
}

static bool
list_changed(PhIndexRun *run)
{
	run->index->list_change++;
	run->index->account_dirty = true;
	return true;
}

/* Runs a statement that may meet a name or id that is taken. */
static bool
done_or_exists(PhIndexRun *run, sqlite3_stmt *row, const char *name, GError **error)
{
	int status = sqlite3_step(row);

	if (status == SQLITE_CONSTRAINT)
		ph_error_set(error, PH_ERROR_EXISTS, "mailbox '%s' exists already", name);
	else if (status != SQLITE_DONE)
		(void) ph_index_fail(run->connection, "name a mailbox", error);
	(void) sqlite3_reset(row);
	return status == SQLITE_DONE;
}

bool
ph_index_op_create(PhIndexRun *run, PhOp *op, GError **error)
{
	PhIndex *index = run->index;
	sqlite3_stmt *row = ph_index_sql(run->connection, PH_SQL_MAILBOX_ADD, error);

	if (row == NULL)
		return false;
	op->uidvalidity =
		next_uidvalidity(index, run->now, op->has_given ? op->given_uidvalidity : 0);
	(void) sqlite3_bind_int64(row, 1, index->next_no++);
	(void) sqlite3_bind_blob(row, 2, op->mailbox.octets, sizeof op->mailbox.octets,
	                         SQLITE_STATIC);
	(void) sqlite3_bind_text(row, 3, op->name, -1, SQLITE_STATIC);
	(void) sqlite3_bind_int64(row, 4, op->special_use);
	(void) sqlite3_bind_int64(row, 5, op->uidvalidity);
	(void) sqlite3_bind_int64(row, 6, op->has_given && op->given_uid > 1 ? op->given_uid : 1);
	(void) sqlite3_bind_int64(row, 7, (int64_t) ph_index_next_change(run, NULL));
	return list_changed(run) && done_or_exists(run, row, op->name, error);
}

bool
ph_index_op_rename(PhIndexRun *run, PhOp *op, GError **error)
{
	PhIndexMailbox *mailbox =
		ph_index_mailbox(run->index, run->connection, &op->mailbox, error);
	sqlite3_stmt *row = ph_index_sql(run->connection, PH_SQL_MAILBOX_NAME, error);

	if (mailbox == NULL || row == NULL)
		return false;
	(void) sqlite3_bind_int64(row, 1, mailbox->no);
	(void) sqlite3_bind_text(row, 2, op->name, -1, SQLITE_STATIC);
	(void) sqlite3_bind_int64(row, 3, op->special_use);
	return list_changed(run) && done_or_exists(run, row, op->name, error);
}

bool
ph_index_op_remove(PhIndexRun *run, PhOp *op, GError **error)
{
	static const PhSql tables[] = { PH_SQL_VALUES_REMOVE, PH_SQL_KEYWORDS_REMOVE,
		                        PH_SQL_EXPUNGED_REMOVE, PH_SQL_MAILBOX_REMOVE };
	PhIndexMailbox *mailbox =
		ph_index_mailbox(run->index, run->connection, &op->mailbox, error);

	if (mailbox == NULL || !ph_index_drop_all(run, mailbox, error))
		return false;
	for (size_t i = 0; i < G_N_ELEMENTS(tables); i++) {
		sqlite3_stmt *row = ph_index_sql(run->connection, tables[i], error);

		if (row == NULL)
			return false;
		(void) sqlite3_bind_int64(row, 1, mailbox->no);
		if (!ph_index_done(run->connection, row, "remove a mailbox", error))
			return false;
	}
	(void) ph_index_next_change(run, NULL);
	(void) g_hash_table_remove(run->index->mailboxes, &op->mailbox);
	return list_changed(run);
}

/* What happened up to this change is not in our history: who asks from before gets everything. */
static bool
forget_before(PhIndexRun *run, const PhIndexMailbox *mailbox, uint64_t change, GError **error)
{
	sqlite3_stmt *row = ph_index_sql(run->connection, PH_SQL_TRIM_MARK, error);

	if (row == NULL)
		return false;
	(void) sqlite3_bind_int64(row, 1, mailbox->no);
	(void) sqlite3_bind_int64(row, 2, (int64_t) change);
	return ph_index_done(run->connection, row, "forget what was expunged", error);
}

bool
ph_index_op_raise(PhIndexRun *run, PhOp *op, GError **error)
{
	PhIndexMailbox *mailbox =
		ph_index_mailbox(run->index, run->connection, &op->mailbox, error);

	if (mailbox == NULL)
		return false;
	if (op->given_change > mailbox->change
	    && !forget_before(run, mailbox, op->given_change, error))
		return false;
	if (run->given != 0)
		(void) ph_index_next_change(run, mailbox);
	mailbox->uidnext = MAX(mailbox->uidnext, op->given_uid);
	mailbox->change = MAX(mailbox->change, op->given_change);
	mailbox->dirty = true;
	op->uidvalidity = mailbox->uidvalidity;
	return true;
}

bool
ph_index_op_put(PhIndexRun *run, PhOp *op, GError **error)
{
	bool removes = op->value.length == 0;
	sqlite3_stmt *row = ph_index_sql(run->connection,
	                                 removes ? PH_SQL_VALUE_REMOVE : PH_SQL_VALUE_PUT, error);
	int64_t no = 0;

	if (row == NULL)
		return false;
	if (!op->is_account_value) {
		PhIndexMailbox *mailbox =
			ph_index_mailbox(run->index, run->connection, &op->mailbox, error);

		if (mailbox == NULL)
			return false;
		no = mailbox->no;
	}
	(void) sqlite3_bind_int64(row, 1, no);
	(void) sqlite3_bind_text(row, 2, op->key, -1, SQLITE_STATIC);
	if (!removes)
		(void) sqlite3_bind_blob64(row, 3, op->value.data, op->value.length, SQLITE_STATIC);
	return ph_index_done(run->connection, row, "put a value", error);
}
