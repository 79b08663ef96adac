/* index-check.c: does an index agree with itself?
 *
 * SQLite checks its pages; then the counters of each mailbox are compared with its messages.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "mailbox/index.h"

/* Mailboxes whose counters differ from what a count of the messages gives. */
static const char wrong_counters[] =
	"SELECT no, name FROM mailbox WHERE messages IS NOT (SELECT count(*) FROM message"
	" WHERE key BETWEEN no << 32 AND (no << 32) + 4294967295)"
	" OR unseen IS NOT (SELECT count(*) FROM message"
	" WHERE key BETWEEN no << 32 AND (no << 32) + 4294967295 AND flags & 1 = 0)"
	" OR deleted IS NOT (SELECT count(*) FROM message"
	" WHERE key BETWEEN no << 32 AND (no << 32) + 4294967295 AND flags & 8 != 0)"
	" OR octets IS NOT (SELECT coalesce(sum(octets), 0) FROM message"
	" WHERE key BETWEEN no << 32 AND (no << 32) + 4294967295)"
	" OR uidnext <= (SELECT coalesce(max(key & 4294967295), 0) FROM message"
	" WHERE key BETWEEN no << 32 AND (no << 32) + 4294967295)";

static const char right_counters[] =
	"UPDATE mailbox SET (messages, unseen, deleted, octets, uidnext) ="
	" (SELECT count(*), count(*) FILTER (WHERE flags & 1 = 0),"
	" count(*) FILTER (WHERE flags & 8 != 0), coalesce(sum(message.octets), 0),"
	" max(uidnext, coalesce(max(key & 4294967295), 0) + 1)"
	" FROM message WHERE key BETWEEN no << 32 AND (no << 32) + 4294967295)";

/* Tells each row as a line; its last column is text. @n_out: how many. */
static bool
tell(PhIndexConnection *connection,
     const char *sql,
     const char *format,
     PhListLineFunc report,
     void *user_data)
{
	sqlite3_stmt *row = NULL;
	bool good = sqlite3_prepare_v2(connection->db, sql, -1, &row, NULL) == SQLITE_OK;

	while (good && sqlite3_step(row) == SQLITE_ROW) {
		int last = sqlite3_column_count(row) - 1;
		const char *text = (const char *) sqlite3_column_text(row, last);
		g_autoptr(GString) line = g_string_new(format);

		if (text != NULL && !g_str_equal(text, "ok"))
			report(g_string_append(line, text)->str, user_data);
	}
	(void) sqlite3_finalize(row);
	return good;
}

bool
ph_index_check(PhIndex *index, bool repair, PhListLineFunc report, void *user_data, GError **error)
{
	PhIndexConnection *connection = ph_index_begin_write(index, error);
	bool good = false;

	if (connection == NULL)
		return false;
	good = tell(connection, "PRAGMA integrity_check(20)", "database: ", report, user_data)
	       && tell(connection, wrong_counters, "wrong counters: ", report, user_data)
	       && (!repair
	           || sqlite3_exec(connection->db, right_counters, NULL, NULL, NULL) == SQLITE_OK);
	if (!good)
		(void) ph_index_fail(connection, "check", error);
	ph_index_unload(index);
	return ph_index_end_write(index, connection, good, error) && good;
}
