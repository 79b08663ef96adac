/* index-migrate.c: brings a database of version 1, with one row a message, to pages and records
 *
 * Each message becomes a record and a place in a page. In version 1 copies had rows of their own
 * that named the same octets: where the index counts owners now, they share a record. All happens
 * in the caller's transaction; a crash leaves version 1.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "base/clock.h"
#include "mailbox/index-op.h"

static const char new_tables[] =
	"ALTER TABLE mailbox ADD COLUMN tail BLOB;"
	"CREATE TABLE page (key INTEGER PRIMARY KEY, change INTEGER NOT NULL,"
	" messages BLOB NOT NULL);"
	"CREATE INDEX page_change ON page (key >> 32, change);"
	"CREATE TABLE record (no INTEGER PRIMARY KEY, internal_date INTEGER NOT NULL,"
	" internal_zone INTEGER NOT NULL, save_date INTEGER NOT NULL, octets INTEGER NOT NULL,"
	" blob BLOB NOT NULL, message_id BLOB NOT NULL, structure BLOB);"
	"CREATE TABLE record_owned (first INTEGER PRIMARY KEY, last INTEGER NOT NULL,"
	" owners INTEGER NOT NULL);"
	"CREATE TABLE record_dropped (time INTEGER NOT NULL, first INTEGER NOT NULL,"
	" last INTEGER NOT NULL, PRIMARY KEY (time, first)) WITHOUT ROWID;";

static const char twice_text[] = "SELECT blob, message_id FROM message WHERE length(blob) > 0"
				 " GROUP BY blob, message_id HAVING count(*) > 1";
static const char all_text[] = "SELECT key, change, flags, keywords, save_date, octets, blob,"
			       " message_id FROM message ORDER BY key";
static const char record_text[] =
	"INSERT INTO record SELECT ?1, internal_date, internal_zone, save_date, octets, blob,"
	" message_id, structure FROM message WHERE key = ?2";
static const char tail_text[] = "UPDATE mailbox SET tail = ?2 WHERE no = ?1";

typedef struct {
	PhIndexRun run;
	GHashTable *twice;      /* GBytes: octets of more than one message -> their record, or 0 */
	PhIndexMailbox mailbox; /* whose messages are being packed */
	sqlite3_stmt *record;
	sqlite3_stmt *tail;
	uint64_t next_record;
} Migration;

static sqlite3_stmt *
prepare(const Migration *migration, const char *text, GError **error)
{
	sqlite3_stmt *statement = NULL;

	if (sqlite3_prepare_v2(migration->run.connection->db, text, -1, &statement, NULL)
	    != SQLITE_OK)
		(void) ph_index_fail(migration->run.connection, "migrate", error);
	return statement;
}

/* A key made of two columns. */
static GBytes *
name_of(sqlite3_stmt *row, int blob, int id)
{
	GByteArray *name = g_byte_array_new();

	(void) g_byte_array_append(name, sqlite3_column_blob(row, id),
	                           (guint) sqlite3_column_bytes(row, id));
	(void) g_byte_array_append(name, sqlite3_column_blob(row, blob),
	                           (guint) sqlite3_column_bytes(row, blob));
	return g_byte_array_free_to_bytes(name);
}

static bool
find_twice(Migration *migration, GError **error)
{
	sqlite3_stmt *row = prepare(migration, twice_text, error);
	int status = SQLITE_DONE;

	if (row == NULL)
		return false;
	while ((status = sqlite3_step(row)) == SQLITE_ROW)
		(void) g_hash_table_insert(migration->twice, name_of(row, 0, 1),
		                           g_new0(uint64_t, 1));
	(void) sqlite3_finalize(row);
	return status == SQLITE_DONE || ph_index_fail(migration->run.connection, "migrate", error);
}

/* The record of a message: a new one, or that of another message with the same octets. */
static bool
take_record(Migration *migration, sqlite3_stmt *row, uint64_t *no_out, GError **error)
{
	g_autoptr(GBytes) name = NULL;
	uint64_t *shared = NULL;

	if (g_hash_table_size(migration->twice) > 0) {
		name = name_of(row, 6, 7);
		shared = g_hash_table_lookup(migration->twice, name);
	}
	if (shared != NULL && *shared != 0) {
		*no_out = *shared;
		return ph_index_share(&migration->run, *shared, *shared, error);
	}
	*no_out = migration->next_record++;
	if (shared != NULL)
		*shared = *no_out;
	(void) sqlite3_bind_int64(migration->record, 1, (int64_t) *no_out);
	(void) sqlite3_bind_int64(migration->record, 2, sqlite3_column_int64(row, 0));
	return ph_index_done(migration->run.connection, migration->record, "migrate", error);
}

static bool
end_mailbox(Migration *migration, GError **error)
{
	PhIndexMailbox *mailbox = &migration->mailbox;
	bool good = true;

	if (mailbox->page == NULL)
		return true;
	ph_index_pack_tail(mailbox);
	(void) sqlite3_bind_int64(migration->tail, 1, mailbox->no);
	(void) sqlite3_bind_blob(migration->tail, 2, mailbox->tail->data, (int) mailbox->tail->len,
	                         SQLITE_STATIC);
	good = ph_index_done(migration->run.connection, migration->tail, "migrate", error);
	g_clear_pointer(&mailbox->tail, g_byte_array_unref);
	return good;
}

static bool
take_message(Migration *migration, sqlite3_stmt *row, GError **error)
{
	int64_t key = sqlite3_column_int64(row, 0);
	uint64_t message[PH_COLUMNS] = {
		[PH_COLUMN_UID] = (uint32_t) key,
		[PH_COLUMN_CHANGE] = (uint64_t) sqlite3_column_int64(row, 1),
		[PH_COLUMN_FLAGS] = (uint32_t) sqlite3_column_int64(row, 2),
		[PH_COLUMN_KEYWORDS] = (uint64_t) sqlite3_column_int64(row, 3),
		[PH_COLUMN_SAVED] = (uint64_t) sqlite3_column_int64(row, 4),
		[PH_COLUMN_OCTETS] = (uint64_t) sqlite3_column_int64(row, 5),
	};

	if (key >> 32 != migration->mailbox.no && !end_mailbox(migration, error))
		return false;
	migration->mailbox.no = key >> 32;
	return take_record(migration, row, &message[PH_COLUMN_RECORD], error)
	       && ph_index_push(migration->run.connection, &migration->mailbox, message, error);
}

static bool
take_all(Migration *migration, GError **error)
{
	sqlite3_stmt *row = prepare(migration, all_text, error);
	int status = SQLITE_DONE;
	bool good = row != NULL;

	while (good && (status = sqlite3_step(row)) == SQLITE_ROW)
		good = take_message(migration, row, error);
	(void) sqlite3_finalize(row);
	if (good && status != SQLITE_DONE)
		good = ph_index_fail(migration->run.connection, "migrate", error);
	good = good && end_mailbox(migration, error);
	g_free(migration->mailbox.page);
	g_clear_pointer(&migration->mailbox.tail, g_byte_array_unref);
	return good;
}

static bool
exec(PhIndexConnection *connection, const char *text, GError **error)
{
	return sqlite3_exec(connection->db, text, NULL, NULL, NULL) == SQLITE_OK
	       || ph_index_fail(connection, "migrate", error);
}

bool
ph_index_migrate_1(PhIndex *index, PhIndexConnection *connection, GError **error)
{
	Migration migration = {
		.run = { .index = index, .connection = connection, .now = ph_clock_wall_us() },
		.next_record = 1,
	};
	bool good = exec(connection, new_tables, error);

	migration.twice = g_hash_table_new_full(g_bytes_hash, g_bytes_equal,
	                                        (GDestroyNotify) g_bytes_unref, g_free);
	migration.record = good ? prepare(&migration, record_text, error) : NULL;
	migration.tail = migration.record != NULL ? prepare(&migration, tail_text, error) : NULL;
	good = migration.tail != NULL && find_twice(&migration, error)
	       && take_all(&migration, error);
	(void) sqlite3_finalize(migration.record);
	(void) sqlite3_finalize(migration.tail);
	g_hash_table_destroy(migration.twice);
	return good && exec(connection, "DROP INDEX message_alteration; DROP TABLE message", error);
}
