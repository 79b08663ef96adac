/* index-schema.c: the tables of an index, their version, and every statement on them
 *
 * What changes about messages stands in pages (index-page.h) whose key is their mailbox's number
 * and their first uid in one integer, the newest ones in the mailbox's row. What never changes is a
 * row of `record`, which copies share. An append touches the record, the mailbox and the table of
 * applied ids, and no other tree.
 *
 * Version 1 had one row a message; index-migrate.c brings it here.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "mailbox/index-op.h"

enum {
	SCHEMA_VERSION = 2,
	APPLICATION_ID = 0x50485831, /* "PHX1" */
};

static const char schema[] =
	"CREATE TABLE account (id INTEGER PRIMARY KEY, change INTEGER NOT NULL,"
	" list_change INTEGER NOT NULL, uidvalidity INTEGER NOT NULL, next_no INTEGER NOT NULL);"
	"INSERT INTO account VALUES (1, 0, 1, 0, 1);"
	"CREATE TABLE mailbox (no INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE,"
	" name TEXT NOT NULL UNIQUE, special_use INTEGER NOT NULL, uidvalidity INTEGER NOT NULL,"
	" uidnext INTEGER NOT NULL, messages INTEGER NOT NULL, unseen INTEGER NOT NULL,"
	" deleted INTEGER NOT NULL, octets INTEGER NOT NULL, change INTEGER NOT NULL,"
	" trimmed INTEGER NOT NULL, tail BLOB);"
	"CREATE TABLE page (key INTEGER PRIMARY KEY, change INTEGER NOT NULL,"
	" messages BLOB NOT NULL);"
	"CREATE INDEX page_change ON page (key >> 32, change);"
	"CREATE TABLE record (no INTEGER PRIMARY KEY, internal_date INTEGER NOT NULL,"
	" internal_zone INTEGER NOT NULL, save_date INTEGER NOT NULL, octets INTEGER NOT NULL,"
	" blob BLOB NOT NULL, message_id BLOB NOT NULL, structure BLOB);"
	"CREATE TABLE record_owned (first INTEGER PRIMARY KEY, last INTEGER NOT NULL,"
	" owners INTEGER NOT NULL);"
	"CREATE TABLE record_dropped (time INTEGER NOT NULL, first INTEGER NOT NULL,"
	" last INTEGER NOT NULL, PRIMARY KEY (time, first)) WITHOUT ROWID;"
	"CREATE TABLE expunged (mailbox INTEGER NOT NULL, change INTEGER NOT NULL,"
	" first INTEGER NOT NULL, last INTEGER NOT NULL, time INTEGER NOT NULL,"
	" PRIMARY KEY (mailbox, change, first)) WITHOUT ROWID;"
	"CREATE TABLE keyword (mailbox INTEGER NOT NULL, bit INTEGER NOT NULL, name TEXT NOT NULL,"
	" PRIMARY KEY (mailbox, bit)) WITHOUT ROWID;"
	"CREATE TABLE value (mailbox INTEGER NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL,"
	" PRIMARY KEY (mailbox, key)) WITHOUT ROWID;"
	"CREATE TABLE applied (id BLOB PRIMARY KEY, time INTEGER NOT NULL, change INTEGER NOT NULL,"
	" results BLOB NOT NULL) WITHOUT ROWID;";

const char *const ph_index_sql_texts[PH_SQL_N] = {
	[PH_SQL_BEGIN] = "BEGIN IMMEDIATE",
	[PH_SQL_BEGIN_READ] = "BEGIN",
	[PH_SQL_COMMIT] = "COMMIT",
	[PH_SQL_ROLLBACK] = "ROLLBACK",
	[PH_SQL_SAVE] = "SAVEPOINT one",
	[PH_SQL_RELEASE] = "RELEASE one",
	[PH_SQL_UNDO] = "ROLLBACK TO one",
	[PH_SQL_DATA_VERSION] = "PRAGMA data_version",
	[PH_SQL_ACCOUNT] = "SELECT change, list_change, uidvalidity, next_no FROM account",
	[PH_SQL_ACCOUNT_SET] =
		"UPDATE account SET change = ?1, list_change = ?2, uidvalidity = ?3, next_no = ?4",
	[PH_SQL_TOTALS] = "SELECT total(octets), total(messages), max(change) FROM mailbox",
	[PH_SQL_MAILBOXES] = "SELECT id, name, special_use, uidvalidity, uidnext, messages, unseen,"
			     " deleted, octets, change FROM mailbox",
	[PH_SQL_MAILBOX] = "SELECT no, uidvalidity, uidnext, messages, unseen, deleted, octets,"
			   " change, trimmed, tail FROM mailbox WHERE id = ?1",
	[PH_SQL_MAILBOX_SET] = "UPDATE mailbox SET uidnext = ?2, messages = ?3, unseen = ?4,"
			       " deleted = ?5, octets = ?6, change = ?7 WHERE no = ?1",
	[PH_SQL_MAILBOX_SET_TAIL] =
		"UPDATE mailbox SET uidnext = ?2, messages = ?3, unseen = ?4,"
		" deleted = ?5, octets = ?6, change = ?7, tail = ?8 WHERE no = ?1",
	[PH_SQL_MAILBOX_ADD] =
		"INSERT INTO mailbox VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, 0, 0, 0, ?7, 0, NULL)",
	[PH_SQL_MAILBOX_NAME] = "UPDATE mailbox SET name = ?2, special_use ="
				" CASE WHEN ?3 THEN ?3 ELSE special_use END"
				" WHERE no = ?1",
	[PH_SQL_MAILBOX_REMOVE] = "DELETE FROM mailbox WHERE no = ?1",
	[PH_SQL_KEYWORDS] = "SELECT bit, name FROM keyword WHERE mailbox = ?1",
	[PH_SQL_KEYWORD_ADD] = "INSERT INTO keyword VALUES (?1, ?2, ?3)",
	[PH_SQL_PAGE_AT] = "SELECT key, messages FROM page WHERE key BETWEEN ?1 AND ?2"
			   " ORDER BY key DESC LIMIT 1",
	[PH_SQL_PAGES] = "SELECT key, messages FROM page WHERE key > ?1 AND key <= ?2 ORDER BY key",
	[PH_SQL_PAGES_ALTERED] = "SELECT key FROM page WHERE key >> 32 = ?1 AND change > ?2",
	[PH_SQL_PAGE_ADD] = "INSERT INTO page VALUES (?1, ?2, ?3)",
	[PH_SQL_PAGE_SET] = "UPDATE page SET change = ?2, messages = ?3 WHERE key = ?1",
	[PH_SQL_PAGE_REMOVE] = "DELETE FROM page WHERE key = ?1",
	[PH_SQL_PAGES_REMOVE] = "DELETE FROM page WHERE key BETWEEN ?1 AND ?2",
	[PH_SQL_RECORDS] = "SELECT no, internal_date, internal_zone, save_date, blob, message_id,"
			   " structure FROM record WHERE no BETWEEN ?1 AND ?2 ORDER BY no",
	[PH_SQL_RECORD_ADD] = "INSERT INTO record VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
	[PH_SQL_RECORD_COPY] = "INSERT INTO record SELECT ?1, internal_date, internal_zone,"
			       " save_date, octets, ?2, message_id, structure FROM record"
			       " WHERE no = ?3",
	[PH_SQL_RECORD_BLOB] = "SELECT blob FROM record WHERE no = ?1",
	[PH_SQL_RECORD_HIGHEST] = "SELECT coalesce(max(no), 0) FROM record",
	[PH_SQL_RECORD_REMOVE] = "DELETE FROM record WHERE no = ?1",
	[PH_SQL_OWNED] = "SELECT first, last, owners FROM record_owned WHERE first BETWEEN"
			 " (SELECT coalesce(max(first), 0) FROM record_owned WHERE first <= ?1)"
			 " AND ?2 ORDER BY first",
	[PH_SQL_OWNED_ADD] = "INSERT INTO record_owned VALUES (?1, ?2, ?3)",
	[PH_SQL_OWNED_REMOVE] = "DELETE FROM record_owned WHERE first = ?1",
	[PH_SQL_DROPPED_ADD] = "INSERT INTO record_dropped VALUES (?1, ?2, ?3)",
	[PH_SQL_DROPPED_REMOVE] = "DELETE FROM record_dropped WHERE time = ?1 AND first = ?2",
	[PH_SQL_DROPPED_OLD] = "SELECT time, first, last FROM record_dropped WHERE time <= ?1"
			       " ORDER BY time, first LIMIT 1",
	[PH_SQL_EXPUNGED] = "SELECT first, last FROM expunged WHERE mailbox = ?1 AND change > ?2",
	[PH_SQL_EXPUNGED_ADD] = "INSERT INTO expunged VALUES (?1, ?2, ?3, ?4, ?5)",
	[PH_SQL_VALUES] = "SELECT key, value FROM value WHERE mailbox = ?1 AND key >= ?2"
			  " ORDER BY key",
	[PH_SQL_VALUE_PUT] = "INSERT OR REPLACE INTO value VALUES (?1, ?2, ?3)",
	[PH_SQL_VALUE_REMOVE] = "DELETE FROM value WHERE mailbox = ?1 AND key = ?2",
	[PH_SQL_VALUES_REMOVE] = "DELETE FROM value WHERE mailbox = ?1",
	[PH_SQL_KEYWORDS_REMOVE] = "DELETE FROM keyword WHERE mailbox = ?1",
	[PH_SQL_EXPUNGED_REMOVE] = "DELETE FROM expunged WHERE mailbox = ?1",
	[PH_SQL_APPLIED] = "SELECT change, results FROM applied WHERE id = ?1",
	[PH_SQL_APPLIED_ADD] = "INSERT OR IGNORE INTO applied VALUES (?1, ?2, ?3, ?4)",
	[PH_SQL_FORGET] = "DELETE FROM applied WHERE time < ?1",
	[PH_SQL_TRIM_LIMIT] = "SELECT mailbox, max(change) FROM expunged WHERE time < ?1"
			      " GROUP BY mailbox",
	[PH_SQL_TRIM] = "DELETE FROM expunged WHERE mailbox = ?1 AND change <= ?2",
	[PH_SQL_TRIM_MARK] = "UPDATE mailbox SET trimmed = max(trimmed, ?2) WHERE no = ?1",
};

bool
ph_index_number(PhIndexConnection *connection, const char *sql, int64_t *number_out, GError **error)
{
	sqlite3_stmt *statement = NULL;
	bool good = sqlite3_prepare_v2(connection->db, sql, -1, &statement, NULL) == SQLITE_OK
	            && sqlite3_step(statement) == SQLITE_ROW;

	if (good)
		*number_out = sqlite3_column_int64(statement, 0);
	else
		(void) ph_index_fail(connection, "read a number", error);
	(void) sqlite3_finalize(statement);
	return good;
}

static bool
run(PhIndexConnection *connection, const char *sql, GError **error)
{
	if (sqlite3_exec(connection->db, sql, NULL, NULL, NULL) == SQLITE_OK)
		return true;
	return ph_index_fail(connection, "prepare the tables", error);
}

static bool
make_tables(PhIndex *index, PhIndexConnection *connection, GError **error)
{
	g_autofree char *versions =
		g_strdup_printf("PRAGMA application_id = %d; PRAGMA user_version = %d",
	                        APPLICATION_ID, SCHEMA_VERSION);

	return run(connection, schema, error)
	       && (index->hooks->schema == NULL || run(connection, index->hooks->schema, error))
	       && run(connection, versions, error);
}

/* Makes the tables of an empty database. A crash leaves it empty or complete. */
static bool
fill_empty(PhIndex *index, PhIndexConnection *connection, GError **error)
{
	int64_t version = 0;
	int64_t tables = 0;
	bool good = false;

	if (!run(connection, "BEGIN IMMEDIATE", error))
		return false;
	good = ph_index_number(connection, "PRAGMA user_version", &version, error)
	       && ph_index_number(connection, "SELECT count(*) FROM sqlite_schema", &tables, error);
	if (good && version == 0 && tables > 0) {
		ph_error_set(error, PH_ERROR_CORRUPT, "'%s' is a database of something else",
		             index->path);
		good = false;
	}
	if (good && version == 0)
		good = make_tables(index, connection, error);
	if (good)
		return run(connection, "COMMIT", error);
	(void) sqlite3_exec(connection->db, "ROLLBACK", NULL, NULL, NULL);
	return false;
}

typedef bool (*Migration)(PhIndex *index, PhIndexConnection *connection, GError **error);

/* By the version that it leaves; each makes the next one. */
static const Migration migrations[SCHEMA_VERSION] = { NULL, ph_index_migrate_1 };

/* All steps in one transaction; another process may have made them meanwhile. */
static bool
migrate(PhIndex *index, PhIndexConnection *connection, GError **error)
{
	g_autofree char *mark = g_strdup_printf("PRAGMA user_version = %d", SCHEMA_VERSION);
	int64_t version = 0;
	bool good = false;

	if (!run(connection, "BEGIN IMMEDIATE", error))
		return false;
	good = ph_index_number(connection, "PRAGMA user_version", &version, error);
	for (; good && version < SCHEMA_VERSION; version++)
		good = migrations[version](index, connection, error);
	good = good && run(connection, mark, error) && run(connection, "COMMIT", error);
	if (!good)
		(void) sqlite3_exec(connection->db, "ROLLBACK", NULL, NULL, NULL);
	return good;
}

bool
ph_index_prepare_schema(PhIndex *index, PhIndexConnection *connection, GError **error)
{
	int64_t version = 0;

	if (!ph_index_number(connection, "PRAGMA user_version", &version, error))
		return false;
	if (version == 0)
		return fill_empty(index, connection, error);
	if (version == SCHEMA_VERSION)
		return true;
	if (version < SCHEMA_VERSION)
		return migrate(index, connection, error);
	ph_error_set(error, PH_ERROR_CORRUPT,
	             "'%s' was written by a newer release (version %d, this one knows %d)",
	             index->path, (int) version, SCHEMA_VERSION);
	return false;
}
