/* state.c: the letters of each message's file, as we saw or made them last
 *
 * They are the common ancestor of what the index says and what a file's name says: what differs
 * between them and the name was changed by another program. Rows of CHUNK messages.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "maildir.h"

#include <string.h>

enum {
	SPARSE = 8192, /* an array of this many times eight uids is small */
};

const char tables_schema[] =
	"CREATE TABLE folder (no INTEGER PRIMARY KEY, id BLOB NOT NULL, path TEXT NOT NULL,"
	" name TEXT NOT NULL, synced INTEGER NOT NULL DEFAULT 0, gone INTEGER NOT NULL DEFAULT 0,"
	" adopted INTEGER NOT NULL DEFAULT 0, new_seen INTEGER NOT NULL DEFAULT 0,"
	" cur_seen INTEGER NOT NULL DEFAULT 0, looked INTEGER NOT NULL DEFAULT 0);"
	"CREATE TABLE state (folder INTEGER, chunk INTEGER, letters BLOB NOT NULL,"
	" PRIMARY KEY (folder, chunk)) WITHOUT ROWID;"
	"CREATE TABLE name (id INTEGER PRIMARY KEY, text BLOB NOT NULL);"
	"CREATE TABLE arriving (instance INTEGER PRIMARY KEY, files BLOB NOT NULL);"
	"CREATE TABLE dropped (id INTEGER PRIMARY KEY AUTOINCREMENT, time INTEGER NOT NULL,"
	" removed INTEGER NOT NULL, blobs BLOB NOT NULL);"
	"CREATE TABLE place (blob BLOB PRIMARY KEY, folder INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE intent (folder INTEGER PRIMARY KEY, files BLOB NOT NULL);";

sqlite3_stmt *
sql(PhIndexConnection *connection, uint32_t which, int64_t first, GError **error)
{
	static const char *const texts[] = {
		[SQL_FOLDER_SET] =
			"UPDATE folder SET path = ?2, name = ?3, gone = ?4 WHERE no = ?1",
		[SQL_FOLDER_SEEN] = "UPDATE folder SET new_seen = ?2, cur_seen = ?3, looked = ?4,"
				    " adopted = ?5 WHERE no = ?1",
		[SQL_FOLDER_SYNCED] = "UPDATE folder SET synced = ?2 WHERE no = ?1",
		[SQL_STATE_GET] = "SELECT letters FROM state WHERE folder = ?1 AND chunk = ?2",
		[SQL_STATE_PUT] = "INSERT OR REPLACE INTO state VALUES (?1, ?2, ?3)",
		[SQL_ARRIVING_PUT] = "INSERT OR REPLACE INTO arriving VALUES (?1, ?2)",
		[SQL_DROP_ADD] = "INSERT INTO dropped VALUES (NULL, ?1, 0, ?2)",
		[SQL_DROP_NEXT] = "SELECT id, removed, blobs FROM dropped"
				  " WHERE id > ?1 AND time < ?3 AND (removed = 0 OR time < ?2)"
				  " ORDER BY id LIMIT 1",
		[SQL_DROP_DONE] = "UPDATE dropped SET removed = 1 WHERE id = ?1",
		[SQL_DROP_REMOVE] = "DELETE FROM dropped WHERE id = ?1",
		[SQL_PLACE_PUT] = "INSERT OR REPLACE INTO place VALUES (?2, ?1)",
		[SQL_PLACE_GET] = "SELECT blob, folder FROM place"
				  " WHERE ?1 = ?1 AND blob >= ?2 AND blob < ?3 LIMIT 16",
		[SQL_PLACE_REMOVE] = "DELETE FROM place WHERE ?1 = ?1 AND blob = ?2",
	};
	sqlite3_stmt *row = ph_index_statement(connection, which, texts[which], error);

	if (row != NULL)
		(void) sqlite3_bind_int64(row, 1, first);
	return row;
}

bool
sql_done(PhIndexConnection *connection, sqlite3_stmt *row, const char *doing, GError **error)
{
	bool good = row != NULL && sqlite3_step(row) == SQLITE_DONE;

	if (row != NULL && !good)
		(void) ph_index_fail(connection, doing, error);
	(void) sqlite3_reset(row);
	return good;
}

sqlite3_stmt *
sql_once(PhIndexConnection *connection, const char *text, GError **error)
{
	sqlite3_stmt *row = NULL;

	if (sqlite3_prepare_v2(ph_index_database(connection), text, -1, &row, NULL) == SQLITE_OK)
		return row;
	(void) ph_index_fail(connection, "prepare a statement", error);
	return NULL;
}

/* Trailing zeros are not kept. */
bool
state_get(PhIndexConnection *connection, uint32_t folder, uint32_t chunk, Letters *states)
{
	sqlite3_stmt *row = sql(connection, SQL_STATE_GET, folder, NULL);
	bool found = false;

	memset(states, 0, CHUNK * sizeof *states);
	if (row == NULL)
		return false;
	(void) sqlite3_bind_int64(row, 2, chunk);
	found = sqlite3_step(row) == SQLITE_ROW;
	if (found)
		memcpy(states, sqlite3_column_blob(row, 0),
		       MIN((size_t) sqlite3_column_bytes(row, 0), CHUNK * sizeof *states));
	(void) sqlite3_reset(row);
	return found;
}

bool
state_put(PhIndexConnection *connection,
          uint32_t folder,
          uint32_t chunk,
          const Letters *states,
          GError **error)
{
	sqlite3_stmt *row = sql(connection, SQL_STATE_PUT, folder, error);
	size_t n = CHUNK;

	if (row == NULL)
		return false;
	while (n > 0 && states[n - 1] == 0)
		n--;
	(void) sqlite3_bind_int64(row, 2, chunk);
	(void) sqlite3_bind_blob64(row, 3, states, n * sizeof *states, SQLITE_STATIC);
	return sql_done(connection, row, "note the names of files", error);
}

Letters *
states_all(PhIndexConnection *connection, uint32_t folder, uint32_t uidnext, uint32_t n)
{
	sqlite3_stmt *row = NULL;
	Letters *all = NULL;

	if (uidnext / 8 > n + SPARSE)
		return NULL;
	row = sql_once(connection, "SELECT chunk, letters FROM state WHERE folder = ?1", NULL);
	if (row == NULL)
		return NULL;
	all = g_new0(Letters, (size_t) uidnext + CHUNK);
	(void) sqlite3_bind_int64(row, 1, folder);
	while (sqlite3_step(row) == SQLITE_ROW) {
		uint64_t first = (uint64_t) sqlite3_column_int64(row, 0) * CHUNK;

		if (first < uidnext && sqlite3_column_blob(row, 1) != NULL)
			memcpy(all + first, sqlite3_column_blob(row, 1),
			       MIN((size_t) sqlite3_column_bytes(row, 1), CHUNK * sizeof *all));
	}
	(void) sqlite3_finalize(row);
	return all;
}

bool
states_load(States *states, uint32_t folder, uint32_t uid, GError **error)
{
	uint32_t chunk = uid / CHUNK;

	if (states->folder == folder && states->chunk == chunk)
		return true;
	if (!states_flush(states, error))
		return false;
	(void) state_get(states->connection, folder, chunk, states->states);
	states->folder = folder;
	states->chunk = chunk;
	return true;
}

bool
states_set(States *states, uint32_t folder, uint32_t uid, Letters letters, GError **error)
{
	if (!states_load(states, folder, uid, error))
		return false;
	states->dirty = states->dirty || states->states[uid % CHUNK] != letters;
	states->states[uid % CHUNK] = letters;
	return true;
}

bool
states_flush(States *states, GError **error)
{
	Account *account = states->account;

	if (!states->dirty)
		return true;
	states->dirty = false;
	(void) pthread_mutex_lock(&account->lock);
	account->cached_folder = 0;
	(void) pthread_mutex_unlock(&account->lock);
	return state_put(states->connection, states->folder, states->chunk, states->states, error);
}
