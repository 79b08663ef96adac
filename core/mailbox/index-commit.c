/* index-commit.c: applies batches of transactions to an index
 *
 * A batch is first evaluated as if nothing could go wrong: no savepoints, no look for ids that were
 * applied before. When something does, all is undone and the batch is evaluated again with care,
 * each transaction in a savepoint of its own. Counters live in memory during the evaluation and
 * are written once for each mailbox.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "base/clock.h"
#include "base/reserve.h"
#include "mailbox/index-op.h"

/* --- what is in memory -------------------------------------------------------------------------- */

void
ph_index_unload(PhIndex *index)
{
	index->loaded = false;
	index->account_dirty = false;
	g_hash_table_remove_all(index->mailboxes);
}

static bool
step_row(PhIndexConnection *connection, sqlite3_stmt *statement, const char *doing, GError **error)
{
	if (sqlite3_step(statement) == SQLITE_ROW)
		return true;
	(void) ph_index_fail(connection, doing, error);
	(void) sqlite3_reset(statement);
	return false;
}

static bool
load_next_record(PhIndex *index, PhIndexConnection *connection, GError **error)
{
	sqlite3_stmt *row = ph_index_sql(connection, PH_SQL_RECORD_HIGHEST, error);

	if (row == NULL || !step_row(connection, row, "number a record", error))
		return false;
	index->next_record = (uint64_t) sqlite3_column_int64(row, 0) + 1;
	(void) sqlite3_reset(row);
	return true;
}

static bool
load_account(PhIndex *index, PhIndexConnection *connection, GError **error)
{
	sqlite3_stmt *account = ph_index_sql(connection, PH_SQL_ACCOUNT, error);
	sqlite3_stmt *totals = ph_index_sql(connection, PH_SQL_TOTALS, error);
	uint64_t highest = 0;

	if (account == NULL || totals == NULL
	    || !step_row(connection, account, "read the account", error))
		return false;
	index->change = (uint64_t) sqlite3_column_int64(account, 0);
	index->list_change = (uint64_t) sqlite3_column_int64(account, 1);
	index->uidvalidity = (uint32_t) sqlite3_column_int64(account, 2);
	index->next_no = sqlite3_column_int64(account, 3);
	(void) sqlite3_reset(account);
	if (!step_row(connection, totals, "read the totals", error))
		return false;
	index->octets = (uint64_t) sqlite3_column_int64(totals, 0);
	index->messages = (uint64_t) sqlite3_column_int64(totals, 1);
	highest = (uint64_t) sqlite3_column_int64(totals, 2);
	index->change = MAX(index->change, highest);
	(void) sqlite3_reset(totals);
	index->loaded = true;
	return load_next_record(index, connection, error);
}

/* Makes sure that what is in memory is what is in the database: another process may have written. */
bool
ph_index_load(PhIndex *index, PhIndexConnection *connection, GError **error)
{
	sqlite3_stmt *version = ph_index_sql(connection, PH_SQL_DATA_VERSION, error);
	int64_t now = 0;

	if (version == NULL || !step_row(connection, version, "read the version", error))
		return false;
	now = sqlite3_column_int64(version, 0);
	(void) sqlite3_reset(version);
	if (now != index->data_version || g_hash_table_size(index->mailboxes) > PH_INDEX_CACHED)
		ph_index_unload(index);
	index->data_version = now;
	return index->loaded || load_account(index, connection, error);
}

GByteArray *
ph_index_read_tail(sqlite3_stmt *row, int column)
{
	int length = sqlite3_column_bytes(row, column);
	GByteArray *tail = NULL;

	if (length == 0)
		return NULL;
	tail = g_byte_array_sized_new((guint) length);
	return g_byte_array_append(tail, sqlite3_column_blob(row, column), (guint) length);
}

PhIndexMailbox *
ph_index_mailbox(PhIndex *index,
                 PhIndexConnection *connection,
                 const PhMailboxId *id,
                 GError **error)
{
	PhIndexMailbox *mailbox = g_hash_table_lookup(index->mailboxes, id);
	sqlite3_stmt *row = NULL;

	if (mailbox != NULL)
		return mailbox;
	row = ph_index_sql(connection, PH_SQL_MAILBOX, error);
	if (row == NULL)
		return NULL;
	(void) sqlite3_bind_blob(row, 1, id->octets, sizeof id->octets, SQLITE_STATIC);
	switch (sqlite3_step(row)) {
	case SQLITE_ROW:
		mailbox = g_new0(PhIndexMailbox, 1);
		mailbox->id = *id;
		mailbox->no = sqlite3_column_int64(row, 0);
		mailbox->uidvalidity = (uint32_t) sqlite3_column_int64(row, 1);
		mailbox->uidnext = (uint32_t) sqlite3_column_int64(row, 2);
		mailbox->n_messages = (uint32_t) sqlite3_column_int64(row, 3);
		mailbox->n_unseen = (uint32_t) sqlite3_column_int64(row, 4);
		mailbox->n_deleted = (uint32_t) sqlite3_column_int64(row, 5);
		mailbox->octets = (uint64_t) sqlite3_column_int64(row, 6);
		mailbox->change = (uint64_t) sqlite3_column_int64(row, 7);
		mailbox->tail = ph_index_read_tail(row, 9);
		(void) g_hash_table_insert(index->mailboxes, &mailbox->id, mailbox);
		break;
	case SQLITE_DONE:
		ph_error_set(error, PH_ERROR_NOT_FOUND, "there is no such mailbox");
		break;
	default:
		(void) ph_index_fail(connection, "read a mailbox", error);
	}
	(void) sqlite3_reset(row);
	return mailbox;
}

bool
ph_index_load_keywords(PhIndexConnection *connection, PhIndexMailbox *mailbox, GError **error)
{
	sqlite3_stmt *row = NULL;
	int status = SQLITE_DONE;

	if (mailbox->has_keywords)
		return true;
	row = ph_index_sql(connection, PH_SQL_KEYWORDS, error);
	if (row == NULL)
		return false;
	(void) sqlite3_bind_int64(row, 1, mailbox->no);
	while ((status = sqlite3_step(row)) == SQLITE_ROW) {
		int64_t bit = sqlite3_column_int64(row, 0);

		if (bit < 0 || bit >= PH_INDEX_KEYWORDS || mailbox->keywords[bit] != NULL)
			continue;
		mailbox->keywords[bit] = g_strdup((const char *) sqlite3_column_text(row, 1));
		mailbox->n_keywords = MAX(mailbox->n_keywords, (uint32_t) bit + 1);
	}
	(void) sqlite3_reset(row);
	if (status != SQLITE_DONE)
		return ph_index_fail(connection, "read keywords", error);
	mailbox->has_keywords = true;
	return true;
}

uint64_t
ph_index_next_change(PhIndexRun *run, PhIndexMailbox *mailbox)
{
	if (run->change == 0 || run->change < run->given)
		run->change = run->index->change = MAX(run->index->change + 1, run->given);
	if (mailbox != NULL) {
		mailbox->change = run->change;
		mailbox->dirty = true;
	}
	return run->change;
}

/* --- writing counters ------------------------------------------------------------------------ */

static bool
save_mailbox(PhIndexConnection *connection, PhIndexMailbox *mailbox, GError **error)
{
	bool has_tail = mailbox->tail_dirty;
	sqlite3_stmt *row = ph_index_sql(
		connection, has_tail ? PH_SQL_MAILBOX_SET_TAIL : PH_SQL_MAILBOX_SET, error);

	ph_index_pack_tail(mailbox);
	if (row == NULL)
		return false;
	if (has_tail)
		(void) sqlite3_bind_blob(row, 8, mailbox->tail->data, (int) mailbox->tail->len,
		                         SQLITE_STATIC);
	(void) sqlite3_bind_int64(row, 1, mailbox->no);
	(void) sqlite3_bind_int64(row, 2, mailbox->uidnext);
	(void) sqlite3_bind_int64(row, 3, mailbox->n_messages);
	(void) sqlite3_bind_int64(row, 4, mailbox->n_unseen);
	(void) sqlite3_bind_int64(row, 5, mailbox->n_deleted);
	(void) sqlite3_bind_int64(row, 6, (int64_t) mailbox->octets);
	(void) sqlite3_bind_int64(row, 7, (int64_t) mailbox->change);
	mailbox->dirty = false;
	mailbox->tail_dirty = false;
	return ph_index_done(connection, row, "write a mailbox", error);
}

static bool
save_account(PhIndex *index, PhIndexConnection *connection, GError **error)
{
	sqlite3_stmt *row = ph_index_sql(connection, PH_SQL_ACCOUNT_SET, error);

	if (row == NULL)
		return false;
	(void) sqlite3_bind_int64(row, 1, (int64_t) index->change);
	(void) sqlite3_bind_int64(row, 2, (int64_t) index->list_change);
	(void) sqlite3_bind_int64(row, 3, index->uidvalidity);
	(void) sqlite3_bind_int64(row, 4, index->next_no);
	index->account_dirty = false;
	return ph_index_done(connection, row, "write the account", error);
}

bool
ph_index_save(PhIndex *index, PhIndexConnection *connection, GError **error)
{
	GHashTableIter iter;
	void *value = NULL;

	g_hash_table_iter_init(&iter, index->mailboxes);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		PhIndexMailbox *mailbox = value;

		if (mailbox->dirty && !save_mailbox(connection, mailbox, error))
			return false;
		ph_index_pack_tail(mailbox);
	}
	return !index->account_dirty || save_account(index, connection, error);
}

/* --- transactions ------------------------------------------------------------------------------ */

/* A change that was decided elsewhere counts when it is higher than all that was here before. */
static bool
take_given(PhIndexRun *run, const PhOp *op, GError **error)
{
	if (!op->has_given && op->kind != PH_OP_RAISE)
		return true;
	if (op->given_change > INT64_MAX) {
		ph_error_set(error, PH_ERROR_INVALID, "a change number has 63 bits");
		return false;
	}
	if (op->given_change > run->index->change)
		run->given = op->given_change;
	return true;
}

static bool
apply_op(PhIndexRun *run, PhOp *op, GError **error)
{
	if (!take_given(run, op, error))
		return false;
	switch (op->kind) {
	case PH_OP_APPEND:
		return ph_index_op_append(run, op, error);
	case PH_OP_FLAGS:
		return ph_index_op_flags(run, op, error);
	case PH_OP_EXPUNGE:
		return ph_index_op_expunge(run, op, error);
	case PH_OP_COPY:
	case PH_OP_MOVE:
		return ph_index_op_transfer(run, op, error);
	case PH_OP_CREATE:
		return ph_index_op_create(run, op, error);
	case PH_OP_RENAME:
		return ph_index_op_rename(run, op, error);
	case PH_OP_REMOVE:
		return ph_index_op_remove(run, op, error);
	case PH_OP_PUT:
		return ph_index_op_put(run, op, error);
	case PH_OP_RAISE:
		return ph_index_op_raise(run, op, error);
	default:
		ph_error_set(error, PH_ERROR_UNSUPPORTED, "operation %u is not known", op->kind);
		return false;
	}
}

/* Are the pairs of uids not the operation's result but what it is told? */
static bool
has_given_pairs(const PhOp *op)
{
	return op->has_given && (op->kind == PH_OP_COPY || op->kind == PH_OP_MOVE);
}

static void
clear_results(PhTransaction *transaction)
{
	transaction->done = false;
	transaction->change = 0;
	g_clear_error(&transaction->error);
	for (uint32_t i = 0; i < transaction->n_ops; i++) {
		PhOp *op = transaction->ops[i];
		PhUidSet *sets[] = { op->refused, op->missing, op->from_uids, op->to_uids };
		size_t n = has_given_pairs(op) ? 2 : G_N_ELEMENTS(sets);

		op->uid = 0;
		op->uidvalidity = 0;
		for (size_t j = 0; j < n; j++)
			if (sets[j] != NULL)
				ph_uid_set_clear(sets[j]);
	}
}

/* Was this id applied before? Then its first results are given. @found_out: (out). */
static bool
look_up(PhIndexRun *run, bool *found_out, GError **error)
{
	PhTransaction *transaction = run->transaction;
	sqlite3_stmt *row = ph_index_sql(run->connection, PH_SQL_APPLIED, error);
	bool good = true;

	if (row == NULL)
		return false;
	(void) sqlite3_bind_blob(row, 1, transaction->id, sizeof transaction->id, SQLITE_STATIC);
	switch (sqlite3_step(row)) {
	case SQLITE_ROW:
		*found_out = true;
		transaction->change = (uint64_t) sqlite3_column_int64(row, 0);
		if (!ph_index_unpack_results(transaction,
		                             PH_SLICE(sqlite3_column_blob(row, 1),
		                                      (size_t) sqlite3_column_bytes(row, 1)))) {
			ph_error_set(error, PH_ERROR_INVALID,
			             "the transaction's id was used by another one");
			good = false;
		}
		break;
	case SQLITE_DONE:
		*found_out = false;
		break;
	default:
		good = ph_index_fail(run->connection, "look for a transaction", error);
	}
	(void) sqlite3_reset(row);
	return good;
}

/* Notes the id. False without @error: it was there. */
static bool
note_applied(PhIndexRun *run, GError **error)
{
	PhTransaction *transaction = run->transaction;
	sqlite3_stmt *row = ph_index_sql(run->connection, PH_SQL_APPLIED_ADD, error);
	g_autoptr(GByteArray) results = ph_index_pack_results(transaction);

	if (row == NULL)
		return false;
	transaction->change = run->change != 0 ? run->change : run->index->change;
	(void) sqlite3_bind_blob(row, 1, transaction->id, sizeof transaction->id, SQLITE_STATIC);
	(void) sqlite3_bind_int64(row, 2, run->now);
	(void) sqlite3_bind_int64(row, 3, (int64_t) transaction->change);
	(void) sqlite3_bind_blob64(row, 4, results->data, results->len, SQLITE_STATIC);
	if (!ph_index_done(run->connection, row, "note a transaction", error))
		return false;
	return sqlite3_changes(run->connection->db) > 0;
}

static bool
apply(PhIndexRun *run, GError **error)
{
	PhTransaction *transaction = run->transaction;

	run->change = 0;
	run->given = 0;
	if (run->index->hooks->begin != NULL)
		run->index->hooks->begin(run->index->user_data);
	for (uint32_t i = 0; i < transaction->n_ops; i++)
		if (!apply_op(run, transaction->ops[i], error))
			return false;
	/* what was given counts although nothing was altered here */
	if (run->given > run->index->change) {
		run->change = run->index->change = run->given;
		run->index->account_dirty = true;
	}
	return note_applied(run, error);
}

/* The first evaluation: false means that it must be done again with care. */
static bool
apply_all(PhIndexRun *run, PhTransaction *const *batch, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		run->transaction = batch[i];
		clear_results(batch[i]);
		if (!apply(run, NULL))
			return false;
		batch[i]->done = true;
	}
	return true;
}

/* Is the world broken, rather than this one transaction? Then the whole batch fails. */
static bool
is_fatal(const GError *error)
{
	return error != NULL
	       && (error->code == PH_ERROR_TEMPORARY || error->code == PH_ERROR_CORRUPT);
}

/* Undoes one transaction; what is in memory is read again. */
static bool
undo_one(PhIndexRun *run, GError **error)
{
	if (!ph_index_exec(run->connection, PH_SQL_UNDO, error))
		return false;
	if (run->index->hooks->undo != NULL)
		run->index->hooks->undo(run->index->user_data);
	ph_index_unload(run->index);
	return ph_index_load(run->index, run->connection, error);
}

static bool
apply_one_carefully(PhIndexRun *run, GError **error)
{
	PhTransaction *transaction = run->transaction;
	GError *why = NULL;
	bool found = false;

	clear_results(transaction);
	if (!ph_index_exec(run->connection, PH_SQL_SAVE, error))
		return false;
	transaction->done =
		look_up(run, &found, &why)
		&& (found
	            || (apply(run, &why) && ph_index_save(run->index, run->connection, &why)));
	if (is_fatal(why)) {
		g_propagate_error(error, why);
		return false;
	}
	if (!transaction->done && !undo_one(run, error)) {
		g_clear_error(&why);
		return false;
	}
	transaction->error = why;
	return ph_index_exec(run->connection, PH_SQL_RELEASE, error);
}

static bool
apply_carefully(PhIndexRun *run, PhTransaction *const *batch, size_t n, GError **error)
{
	for (size_t i = 0; i < n; i++) {
		run->transaction = batch[i];
		if (!apply_one_carefully(run, error))
			return false;
	}
	return true;
}

static void
finished(PhIndex *index, bool committed)
{
	if (index->hooks->finished != NULL)
		index->hooks->finished(index->user_data, committed);
}

static bool
settle(PhIndex *index, PhIndexConnection *connection, GError **error)
{
	return index->hooks->settle == NULL
	       || index->hooks->settle(index->user_data, connection, error);
}

/* One evaluation of the batch from begin to commit. @retry_out: it is worth another one. */
static bool
evaluate(PhIndex *index, PhTransaction *const *batch, size_t n, bool careful, GError **error)
{
	PhIndexRun run = { .index = index, .now = ph_clock_wall_us() };
	bool good = false;

	run.connection = ph_index_begin_write(index, error);
	if (run.connection == NULL)
		return false;
	good = careful ? apply_carefully(&run, batch, n, error) : apply_all(&run, batch, n);
	good = good && ph_index_save(index, run.connection, error)
	       && settle(index, run.connection, error);
	good = ph_index_end_write(index, run.connection, good, error);
	finished(index, good);
	return good;
}

/* Does it free space, or need hardly any? */
static bool
is_modest(const PhTransaction *transaction)
{
	for (uint32_t i = 0; i < transaction->n_ops; i++) {
		const PhOp *op = transaction->ops[i];

		if (op->kind != PH_OP_FLAGS && op->kind != PH_OP_EXPUNGE && op->kind != PH_OP_MOVE
		    && op->kind != PH_OP_REMOVE && (op->kind != PH_OP_PUT || op->value.length > 0))
			return false;
	}
	return true;
}

/* On a full disk: what removes mail has room left for it, the rest of the batch has not. */
static bool
commit_modest(PhIndex *index, PhTransaction *const *batch, size_t n, GError **error)
{
	g_autofree PhTransaction **modest = g_new0(PhTransaction *, n);
	size_t n_modest = 0;
	bool good = false;

	for (size_t i = 0; i < n; i++) {
		clear_results(batch[i]);
		if (is_modest(batch[i]))
			modest[n_modest++] = batch[i];
		else
			ph_error_set(&batch[i]->error, PH_ERROR_TEMPORARY, "the disk is full");
	}
	if (n_modest == 0)
		return true;
	/* A checkpoint beside us may take what was given up: then some more is. */
	do {
		g_clear_error(error);
		good = evaluate(index, modest, n_modest, true, error);
	} while (!good && ph_reserve_spend());
	return good;
}

static bool
commit_with_room(PhIndex *index, PhTransaction *const *batch, size_t n, GError **error)
{
	(void) ph_index_take_sync_failure();
	if (evaluate(index, batch, n, false, NULL))
		return true;
	/* The system may have dropped what it could not write and say nothing the second time. */
	if (ph_index_take_sync_failure()) {
		ph_error_set(error, PH_ERROR_TEMPORARY, "the log of '%s' could not be synced",
		             index->path);
		return false;
	}
	if (evaluate(index, batch, n, true, error))
		return true;
	if (!ph_reserve_spend())
		return false;
	g_clear_error(error);
	return commit_modest(index, batch, n, error);
}

bool
ph_index_commit(PhIndex *index, PhTransaction *const *batch, size_t n, GError **error)
{
	bool good = ph_reserve_may_grow(NULL) ? commit_with_room(index, batch, n, error)
	                                      : commit_modest(index, batch, n, error);

	for (size_t i = 0; i < n && !good; i++)
		clear_results(batch[i]);
	return good;
}
