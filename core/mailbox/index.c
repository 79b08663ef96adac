/* index.c: opening an index, lending its connections, prepared statements, errors
 *
 * One connection writes; it also serves short reads when nobody writes. A reader that finds it
 * taken gets a further connection, and one of those is kept. So an account that is only
 * delivered to, or only read, costs one connection.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "mailbox/index.h"

#include <posthorn/log.h>

enum {
	BUSY_MS = 10000,
	CACHE_PAGES = 16,
	EXTRA_MAX = 8, /* reading connections at a time */
	GATHER_US = 60000000,
};

static const PhIndexHooks no_hooks = { .size = sizeof no_hooks };

/* --- errors and statements ------------------------------------------------------------------- */

bool
ph_index_fail(PhIndexConnection *connection, const char *doing, GError **error)
{
	int code = sqlite3_errcode(connection->db);
	const char *file = sqlite3_db_filename(connection->db, "main");
	bool corrupt = code == SQLITE_CORRUPT || code == SQLITE_NOTADB;

	ph_error_set(error, corrupt ? PH_ERROR_CORRUPT : PH_ERROR_TEMPORARY,
	             "cannot %s in '%s': %s", doing, file != NULL ? file : "",
	             sqlite3_errmsg(connection->db));
	return false;
}

static sqlite3_stmt *
prepared(PhIndexConnection *connection, sqlite3_stmt **slot, const char *sql, GError **error)
{
	if (*slot == NULL
	    && sqlite3_prepare_v3(connection->db, sql, -1, SQLITE_PREPARE_PERSISTENT, slot, NULL)
	               != SQLITE_OK) {
		(void) ph_index_fail(connection, "prepare a statement", error);
		return NULL;
	}
	return *slot;
}

sqlite3_stmt *
ph_index_sql(PhIndexConnection *connection, PhSql which, GError **error)
{
	return prepared(connection, &connection->own[which], ph_index_sql_texts[which], error);
}

sqlite3_stmt *
ph_index_statement(PhIndexConnection *connection, uint32_t slot, const char *sql, GError **error)
{
	sqlite3_stmt *statement = NULL;

	g_return_val_if_fail(slot < PH_INDEX_SLOTS, NULL);
	statement = prepared(connection, &connection->store[slot], sql, error);
	if (statement != NULL)
		(void) sqlite3_reset(statement);
	return statement;
}

sqlite3 *
ph_index_database(PhIndexConnection *connection)
{
	return connection->db;
}

bool
ph_index_done(PhIndexConnection *connection,
              sqlite3_stmt *statement,
              const char *doing,
              GError **error)
{
	int status = sqlite3_step(statement);

	if (status != SQLITE_DONE && status != SQLITE_ROW)
		(void) ph_index_fail(connection, doing, error);
	(void) sqlite3_reset(statement);
	return status == SQLITE_DONE || status == SQLITE_ROW;
}

bool
ph_index_exec(PhIndexConnection *connection, PhSql which, GError **error)
{
	sqlite3_stmt *statement = ph_index_sql(connection, which, error);

	return statement != NULL
	       && ph_index_done(connection, statement, ph_index_sql_texts[which], error);
}

/* --- connections ------------------------------------------------------------------------------ */

/* SQLite's own counting of memory takes a lock that all threads share; pages are allocated as
 * they are needed, so that a small account stays small. */
static void
configure_once(void)
{
	static gsize once = 0;

	if (!g_once_init_enter(&once))
		return;
	(void) sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
	(void) sqlite3_config(SQLITE_CONFIG_PAGECACHE, NULL, 0, 0);
	g_once_init_leave(&once, 1);
}

static bool
set_up(PhIndex *index, PhIndexConnection *connection, GError **error)
{
	g_autofree char *settings =
		g_strdup_printf("PRAGMA cache_size = %u; PRAGMA journal_mode = WAL;"
	                        "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;"
	                        "PRAGMA temp_store = MEMORY; PRAGMA secure_delete = OFF;"
	                        "PRAGMA trusted_schema = OFF",
	                        index->cache_pages);

	(void) sqlite3_busy_timeout(connection->db, BUSY_MS);
	if (sqlite3_exec(connection->db, settings, NULL, NULL, NULL) != SQLITE_OK)
		return ph_index_fail(connection, "set up a connection", error);
	return true;
}

PhIndexConnection *
ph_index_connect(PhIndex *index, GError **error)
{
	PhIndexConnection *connection = g_new0(PhIndexConnection, 1);
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;

	if (sqlite3_open_v2(index->path, &connection->db, flags, ph_index_vfs()) == SQLITE_OK
	    && set_up(index, connection, error)) {
		if (g_atomic_int_get(&index->is_deferred))
			ph_index_keep_log(connection);
		return connection;
	}
	if (error == NULL || *error == NULL)
		(void) ph_index_fail(connection, "open a connection", error);
	ph_index_disconnect(connection);
	return NULL;
}

void
ph_index_disconnect(PhIndexConnection *connection)
{
	if (connection == NULL)
		return;
	for (size_t i = 0; i < G_N_ELEMENTS(connection->own); i++)
		(void) sqlite3_finalize(connection->own[i]);
	for (size_t i = 0; i < G_N_ELEMENTS(connection->store); i++)
		(void) sqlite3_finalize(connection->store[i]);
	(void) sqlite3_close(connection->db);
	g_free(connection);
}

PhIndexConnection *
ph_index_take_main(PhIndex *index)
{
	PH_LOCKED(&index->lock);
	index->n_waiting++;
	while (index->main_busy)
		ph_signal_wait(&index->given_back, &index->lock);
	index->n_waiting--;
	index->n_turns++;
	index->main_busy = true;
	return index->main;
}

void
ph_index_give_way(PhIndex *index)
{
	uint64_t turn = 0;

	PH_LOCKED(&index->lock);
	for (turn = index->n_turns; index->n_waiting > 0 && index->n_turns == turn;)
		ph_signal_wait(&index->given_back, &index->lock);
}

/* A connection to read with: the writing one when it is free and @may_be_main. NULL: make one. */
static PhIndexConnection *
take_reader(PhIndex *index, bool may_be_main)
{
	PhIndexConnection *connection = NULL;

	PH_LOCKED(&index->lock);
	if (may_be_main && !index->main_busy) {
		index->main_busy = true;
		return index->main;
	}
	while (index->spare == NULL && index->n_extra >= EXTRA_MAX)
		ph_signal_wait(&index->given_back, &index->lock);
	connection = g_steal_pointer(&index->spare);
	if (connection == NULL)
		index->n_extra++;
	return connection;
}

static void
give_back(PhIndex *index, PhIndexConnection *connection)
{
	PhIndexConnection *close = connection;

	ph_lock_take(&index->lock);
	if (connection != NULL && connection == index->main) {
		index->main_busy = false;
		close = NULL;
	} else if (connection != NULL && index->spare == NULL) {
		index->spare = connection;
		close = NULL;
	} else {
		index->n_extra--;
	}
	ph_signal_all(&index->given_back);
	ph_lock_drop(&index->lock);
	ph_index_disconnect(close);
}

void
ph_index_give_main(PhIndex *index)
{
	give_back(index, index->main);
}

static PhIndexConnection *
begin_read(PhIndex *index, bool may_be_main, GError **error)
{
	PhIndexConnection *connection = take_reader(index, may_be_main);

	if (connection == NULL)
		connection = ph_index_connect(index, error);
	if (connection == NULL || !ph_index_exec(connection, PH_SQL_BEGIN_READ, error)) {
		give_back(index, connection);
		return NULL;
	}
	return connection;
}

PhIndexConnection *
ph_index_begin_read(PhIndex *index, GError **error)
{
	return begin_read(index, true, error);
}

PhIndexConnection *
ph_index_begin_scan(PhIndex *index, GError **error)
{
	return begin_read(index, false, error);
}

void
ph_index_end_read(PhIndex *index, PhIndexConnection *connection)
{
	(void) ph_index_exec(connection, PH_SQL_COMMIT, NULL);
	give_back(index, connection);
}

void
ph_index_drop_spare(PhIndex *index)
{
	PhIndexConnection *spare = NULL;

	ph_lock_take(&index->lock);
	spare = g_steal_pointer(&index->spare);
	if (spare != NULL)
		index->n_extra--;
	ph_lock_drop(&index->lock);
	ph_index_disconnect(spare);
}

PhIndexConnection *
ph_index_begin_write(PhIndex *index, GError **error)
{
	PhIndexConnection *connection = ph_index_take_main(index);

	if (ph_index_exec(connection, PH_SQL_BEGIN, error)
	    && ph_index_load(index, connection, error))
		return connection;
	(void) ph_index_end_write(index, connection, false, NULL);
	return NULL;
}

bool
ph_index_end_write(PhIndex *index, PhIndexConnection *connection, bool commit, GError **error)
{
	bool good = false;
	int pages = 0;

	index->wal_grew = false;
	good = commit && ph_index_commit_now(index, connection, error);
	pages = index->wal_grew ? index->wal_pages : 0;

	if (!good && sqlite3_get_autocommit(connection->db) == 0)
		(void) ph_index_exec(connection, PH_SQL_ROLLBACK, NULL);
	ph_index_forget_unsynced(connection->db);
	if (!good)
		ph_index_unload(index);
	else if (index->wal_grew || !index->knows_due)
		ph_index_expect_due(index, connection);
	if (pages > PH_INDEX_WAL_PAGES_MAX)
		(void) sqlite3_wal_checkpoint_v2(connection->db, NULL, SQLITE_CHECKPOINT_PASSIVE,
		                                 NULL, NULL);
	give_back(index, connection);
	if (good && pages > ph_index_wal_limit(index))
		ph_index_tend(index);
	return good;
}

/* --- life --------------------------------------------------------------------------------------- */

static int
note_wal(void *user_data, sqlite3 *db, const char *name, int pages)
{
	PhIndex *index = user_data;

	index->wal_pages = pages;
	index->wal_grew = true;
	return SQLITE_OK;
}

static guint
id_hash(gconstpointer key)
{
	const PhMailboxId *id = key;
	guint value = 0;

	memcpy(&value, id->octets, sizeof value);
	return value;
}

static gboolean
id_equal(gconstpointer a, gconstpointer b)
{
	return memcmp(a, b, sizeof(PhMailboxId)) == 0;
}

static void
mailbox_free(void *data)
{
	PhIndexMailbox *mailbox = data;

	for (size_t i = 0; i < G_N_ELEMENTS(mailbox->keywords); i++)
		g_free(mailbox->keywords[i]);
	g_clear_pointer(&mailbox->tail, g_byte_array_unref);
	g_free(mailbox->page);
	g_free(mailbox);
}

static bool
open_main(PhIndex *index, GError **error)
{
	if (!g_file_test(index->path, G_FILE_TEST_EXISTS) && !ph_index_make(index, error))
		return false;
	index->main = ph_index_connect(index, error);
	if (index->main == NULL || !ph_index_prepare_schema(index, index->main, error))
		return false;
	(void) sqlite3_wal_hook(index->main->db, note_wal, index);
	return true;
}

PhIndex *
ph_index_open(const PhIndexParams *params, GError **error)
{
	PhIndex *index = g_new0(PhIndex, 1);

	configure_once();
	index->n_refs = 1;
	index->path = g_strdup(params->path);
	index->hooks = params->hooks != NULL ? params->hooks : &no_hooks;
	index->user_data = params->user_data;
	index->quota_octets = params->quota_octets;
	index->quota_messages = params->quota_messages;
	index->max_keywords = params->max_keywords != 0
	                              ? MIN(params->max_keywords, PH_INDEX_KEYWORDS)
	                              : PH_INDEX_KEYWORDS;
	if (params->size > offsetof(PhIndexParams, grace_us))
		index->grace_us = params->grace_us;
	index->gather_us = GATHER_US;
	index->cache_pages = params->cache_pages != 0 ? params->cache_pages : CACHE_PAGES;
	index->mailboxes = g_hash_table_new_full(id_hash, id_equal, NULL, mailbox_free);
	ph_lock_init(&index->lock);
	ph_signal_init(&index->given_back);
	if (!open_main(index, error)) {
		ph_index_unref(index);
		return NULL;
	}
	index->free = params->free;
	return index;
}

PhIndex *
ph_index_ref(PhIndex *index)
{
	g_atomic_int_inc(&index->n_refs);
	return index;
}

void
ph_index_unref(PhIndex *index)
{
	if (index == NULL || !g_atomic_int_dec_and_test(&index->n_refs))
		return;
	ph_index_leave_due(index);
	ph_index_disconnect(index->spare);
	ph_index_disconnect(index->main);
	g_hash_table_destroy(index->mailboxes);
	ph_signal_clear(&index->given_back);
	ph_lock_clear(&index->lock);
	if (index->free != NULL)
		index->free(index->user_data);
	g_free(index->path);
	g_free(index);
}
