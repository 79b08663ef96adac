/* index-check.c: does an index agree with itself?
 *
 * SQLite checks its own pages; then the pages of each mailbox are read: uids ascend and lie below
 * uidnext, changes are not above the mailbox's, every message has its record, and the mailbox's
 * counters are those of its messages. Last, every record has as many owners as are noted.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "mailbox/index-op.h"

/* Check: one run over the database. */
typedef struct {
	PhIndex *index;
	PhIndexConnection *connection;
	PhListLineFunc report;
	void *user_data;
	bool repair;
	sqlite3_stmt *has_record;
	sqlite3_stmt *reference;
	GError **error;
} Check;

/* Totals: what the messages of a mailbox add up to. */
typedef struct {
	uint32_t n_messages;
	uint32_t n_unseen;
	uint32_t n_deleted;
	uint32_t highest;
	uint64_t octets;
	uint64_t change;
	uint32_t n_lost;
} Totals;

static const char mailboxes_text[] = "SELECT no, messages, unseen, deleted, octets, uidnext,"
				     " change, tail, name FROM mailbox";
static const char repair_text[] = "UPDATE mailbox SET messages = ?2, unseen = ?3, deleted = ?4,"
				  " octets = ?5, uidnext = max(uidnext, ?6 + 1),"
				  " change = max(change, ?7) WHERE no = ?1";

/* One row for each message is too many for one with few messages, but needs no memory of ours. */
static const char begin_references[] =
	"CREATE TEMP TABLE IF NOT EXISTS reference (no INTEGER PRIMARY KEY, n INTEGER NOT NULL);"
	"DELETE FROM temp.reference";
static const char end_references[] = "DROP TABLE IF EXISTS temp.reference";
static const char reference_text[] = "INSERT INTO temp.reference VALUES (?1, 1)"
				     " ON CONFLICT (no) DO UPDATE SET n = n + 1";
static const char wrong_owners[] =
	"SELECT r.no FROM temp.reference AS r WHERE r.n > 1 AND NOT EXISTS"
	" (SELECT 1 FROM record_owned AS o WHERE r.no BETWEEN o.first AND o.last"
	" AND o.owners = r.n)"
	" UNION SELECT first FROM record_owned AS o WHERE owners < 2 OR NOT EXISTS"
	" (SELECT 1 FROM temp.reference AS r WHERE r.no = o.first AND r.n = o.owners)"
	" UNION SELECT r.no FROM temp.reference AS r JOIN record_dropped AS d"
	" ON r.no BETWEEN d.first AND d.last";
static const char right_owners[] =
	"DELETE FROM record_owned; INSERT INTO record_owned SELECT no, no, n FROM temp.reference"
	" WHERE n > 1; DELETE FROM record_dropped WHERE EXISTS (SELECT 1 FROM temp.reference"
	" WHERE no BETWEEN first AND last)";
static const char nobodys[] =
	"SELECT no FROM record WHERE no NOT IN (SELECT no FROM temp.reference) AND NOT EXISTS"
	" (SELECT 1 FROM record_dropped WHERE no BETWEEN first AND last)";
static const char drop_nobodys[] =
	"INSERT INTO record_dropped SELECT 0, no, no FROM record WHERE no NOT IN"
	" (SELECT no FROM temp.reference) AND NOT EXISTS"
	" (SELECT 1 FROM record_dropped WHERE no BETWEEN first AND last)";

static bool
exec(const Check *check, const char *text)
{
	return sqlite3_exec(check->connection->db, text, NULL, NULL, NULL) == SQLITE_OK
	       || ph_index_fail(check->connection, "check", check->error);
}

static sqlite3_stmt *
prepare(const Check *check, const char *text)
{
	sqlite3_stmt *statement = NULL;

	if (sqlite3_prepare_v2(check->connection->db, text, -1, &statement, NULL) != SQLITE_OK)
		(void) ph_index_fail(check->connection, "check", check->error);
	return statement;
}

G_GNUC_PRINTF(2, 3)

static void
tell(const Check *check, const char *format, ...)
{
	va_list arguments;
	g_autofree char *line = NULL;

	va_start(arguments, format);
	line = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	check->report(line, check->user_data);
}

/* Tells each row as a line; its last column is text. */
static bool
tell_rows(const Check *check, const char *sql, const char *what)
{
	sqlite3_stmt *row = prepare(check, sql);
	int status = SQLITE_DONE;

	if (row == NULL)
		return false;
	while ((status = sqlite3_step(row)) == SQLITE_ROW) {
		int last = sqlite3_column_count(row) - 1;
		const char *text = (const char *) sqlite3_column_text(row, last);

		if (text != NULL && !g_str_equal(text, "ok"))
			tell(check, "%s: %s", what, text);
	}
	(void) sqlite3_finalize(row);
	return status == SQLITE_DONE || ph_index_fail(check->connection, "check", check->error);
}

/* --- the messages of a mailbox ---------------------------------------------------------------- */

/* A message that has lost its record is taken out by a repair: it cannot be read. */
static bool
check_message(Check *check, PhIndexPage *page, uint32_t i, Totals *totals, bool *lost)
{
	int64_t record = (int64_t) page->at[PH_COLUMN_RECORD][i];

	(void) sqlite3_bind_int64(check->has_record, 1, record);
	*lost = sqlite3_step(check->has_record) != SQLITE_ROW;
	(void) sqlite3_reset(check->has_record);
	totals->n_lost += *lost;
	totals->highest = MAX(totals->highest, ph_page_uid(page, i));
	totals->change = MAX(totals->change, page->at[PH_COLUMN_CHANGE][i]);
	if (*lost && check->repair)
		return true;
	totals->n_messages++;
	totals->n_unseen += (page->at[PH_COLUMN_FLAGS][i] & PH_FLAG_SEEN) == 0;
	totals->n_deleted += (page->at[PH_COLUMN_FLAGS][i] & PH_FLAG_DELETED) != 0;
	totals->octets += page->at[PH_COLUMN_OCTETS][i];
	(void) sqlite3_bind_int64(check->reference, 1, record);
	return ph_index_done(check->connection, check->reference, "check", check->error);
}

static bool
check_pages(Check *check, PhIndexMailbox *mailbox, Totals *totals)
{
	PhIndexPages pages = { .connection = check->connection,
		               .mailbox = mailbox,
		               .columns = PH_PAGE_ALL,
		               .writes = true };
	PhIndexPage *page = NULL;
	uint32_t next = 1;
	bool good = true;

	while (good && next != 0) {
		bool altered = false;

		good = ph_index_pages_find(&pages, next, &page, check->error);
		if (!good || page == NULL)
			break;
		next = ph_page_uid(page, page->n - 1) + 1;
		for (uint32_t i = 0; good && i < page->n; i++) {
			bool lost = false;

			good = check_message(check, page, i, totals, &lost);
			if (lost && check->repair)
				page->at[PH_COLUMN_UID][i] = 0;
			altered = altered || lost;
		}
		if (good && altered && check->repair) {
			ph_page_squeeze(page);
			good = ph_index_pages_save(&pages, check->error);
		}
	}
	ph_index_pages_end(&pages);
	return good;
}

static bool
repair_mailbox(Check *check, PhIndexMailbox *mailbox, const Totals *totals)
{
	sqlite3_stmt *row = prepare(check, repair_text);
	sqlite3_stmt *tail = NULL;
	bool good = row != NULL;

	if (!good)
		return false;
	(void) sqlite3_bind_int64(row, 1, mailbox->no);
	(void) sqlite3_bind_int64(row, 2, totals->n_messages);
	(void) sqlite3_bind_int64(row, 3, totals->n_unseen);
	(void) sqlite3_bind_int64(row, 4, totals->n_deleted);
	(void) sqlite3_bind_int64(row, 5, (int64_t) totals->octets);
	(void) sqlite3_bind_int64(row, 6, totals->highest);
	(void) sqlite3_bind_int64(row, 7, (int64_t) totals->change);
	good = ph_index_done(check->connection, row, "repair", check->error);
	(void) sqlite3_finalize(row);
	if (!good || !mailbox->tail_dirty)
		return good;
	ph_index_pack_tail(mailbox);
	tail = prepare(check, "UPDATE mailbox SET tail = ?2 WHERE no = ?1");
	if (tail == NULL)
		return false;
	(void) sqlite3_bind_int64(tail, 1, mailbox->no);
	(void) sqlite3_bind_blob(tail, 2, mailbox->tail->data, (int) mailbox->tail->len,
	                         SQLITE_STATIC);
	good = ph_index_done(check->connection, tail, "repair", check->error);
	(void) sqlite3_finalize(tail);
	return good;
}

static bool
check_mailbox(Check *check, sqlite3_stmt *row)
{
	PhIndexMailbox mailbox = { .no = sqlite3_column_int64(row, 0) };
	const char *name = (const char *) sqlite3_column_text(row, 8);
	Totals totals = { 0 };
	bool good = true;

	mailbox.tail = ph_index_read_tail(row, 7);
	good = check_pages(check, &mailbox, &totals);
	if (good && totals.n_lost > 0)
		tell(check, "lost records: %u messages of %s", totals.n_lost, name);
	if (good
	    && (totals.n_messages != sqlite3_column_int64(row, 1)
	        || totals.n_unseen != sqlite3_column_int64(row, 2)
	        || totals.n_deleted != sqlite3_column_int64(row, 3)
	        || totals.octets != (uint64_t) sqlite3_column_int64(row, 4)
	        || totals.highest >= sqlite3_column_int64(row, 5)
	        || totals.change > (uint64_t) sqlite3_column_int64(row, 6)))
		tell(check, "wrong counters: %s", name);
	if (good && check->repair)
		good = repair_mailbox(check, &mailbox, &totals);
	g_clear_pointer(&mailbox.tail, g_byte_array_unref);
	g_free(mailbox.page);
	return good;
}

static bool
check_mailboxes(Check *check)
{
	sqlite3_stmt *row = prepare(check, mailboxes_text);
	int status = SQLITE_DONE;
	bool good = row != NULL;

	while (good && (status = sqlite3_step(row)) == SQLITE_ROW)
		good = check_mailbox(check, row);
	if (good && status != SQLITE_DONE)
		good = ph_index_fail(check->connection, "check", check->error);
	(void) sqlite3_finalize(row);
	return good;
}

/* --- all ---------------------------------------------------------------------------------------- */

static bool
check_owners(Check *check)
{
	return tell_rows(check, wrong_owners, "wrong owners of record")
	       && tell_rows(check, nobodys, "a record that nobody has")
	       && (!check->repair || (exec(check, right_owners) && exec(check, drop_nobodys)));
}

static bool
check_all(Check *check)
{
	bool good = tell_rows(check, "PRAGMA integrity_check(20)", "database")
	            && exec(check, begin_references);

	if (!good)
		return false;
	check->has_record = prepare(check, "SELECT 1 FROM record WHERE no = ?1");
	check->reference = prepare(check, reference_text);
	good = check->has_record != NULL && check->reference != NULL && check_mailboxes(check)
	       && check_owners(check);
	(void) sqlite3_finalize(check->has_record);
	(void) sqlite3_finalize(check->reference);
	return exec(check, end_references) && good;
}

bool
ph_index_check(PhIndex *index, bool repair, PhListLineFunc report, void *user_data, GError **error)
{
	Check check = {
		.index = index,
		.connection = ph_index_begin_write(index, error),
		.report = report,
		.user_data = user_data,
		.repair = repair,
		.error = error,
	};
	bool good = false;

	if (check.connection == NULL)
		return false;
	good = check_all(&check);
	ph_index_unload(index);
	return ph_index_end_write(index, check.connection, good, good ? error : NULL) && good;
}
