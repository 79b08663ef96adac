/* connection.c: connections to one SQLite database, and queries with a time limit
 *
 * A connection is used by one thread at a time. Names reach the database as bound values only. A
 * query that runs over its time is interrupted by SQLite itself.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/slice.h>

#include "sqlite.h"

#include <pthread.h>
#include <sys/stat.h>

enum {
	IDLE_MAX = 16,
	STEPS_BETWEEN_LOOKS = 1000, /* of SQLite's machine */
	US_PER_MS = 1000,
};

struct Pool {
	PoolRules rules;
	pthread_mutex_t lock; /* guards idle and is_settled */
	GQueue idle;          /* of sqlite3 */
	bool is_settled;
};

Pool *
pool_new(const PoolRules *rules)
{
	Pool *pool = g_new0(Pool, 1);

	pool->rules = *rules;
	(void) pthread_mutex_init(&pool->lock, NULL);
	g_queue_init(&pool->idle);
	return pool;
}

static void
close_connection(void *connection)
{
	(void) sqlite3_close_v2(connection);
}

void
pool_free(Pool *pool)
{
	g_queue_clear_full(&pool->idle, close_connection);
	(void) pthread_mutex_destroy(&pool->lock);
	g_free(pool);
}

bool
fail_sqlite(sqlite3 *connection, const char *what, GError **error)
{
	ph_error_set(error, PH_ERROR_TEMPORARY, "%s: %s", what,
	             connection != NULL ? sqlite3_errmsg(connection) : "out of memory");
	return false;
}

/* The tables are looked at by the first connection only. */
static bool
settle_once(Pool *pool, sqlite3 *connection, GError **error)
{
	(void) pthread_mutex_lock(&pool->lock);
	bool good = pool->is_settled || !pool->rules.is_ours || schema_settle(connection, error);
	pool->is_settled = good;
	(void) pthread_mutex_unlock(&pool->lock);
	return good;
}

static sqlite3 *
open_connection(Pool *pool, GError **error)
{
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE
	            | (pool->rules.is_ours ? SQLITE_OPEN_CREATE : 0);
	sqlite3 *connection = NULL;

	if (sqlite3_open_v2(pool->rules.path, &connection, flags, NULL) == SQLITE_OK) {
		(void) sqlite3_busy_timeout(connection,
		                            (int) (pool->rules.time_out.us / US_PER_MS));
		if (settle_once(pool, connection, error))
			return connection;
	} else {
		(void) fail_sqlite(connection, "cannot open the database", error);
		g_prefix_error(error, "'%s': ", pool->rules.path);
	}
	(void) sqlite3_close_v2(connection);
	return NULL;
}

sqlite3 *
pool_take(Pool *pool, GError **error)
{
	(void) pthread_mutex_lock(&pool->lock);
	sqlite3 *connection = g_queue_pop_head(&pool->idle);
	(void) pthread_mutex_unlock(&pool->lock);
	return connection != NULL ? connection : open_connection(pool, error);
}

void
pool_give(Pool *pool, sqlite3 *connection, bool is_good)
{
	(void) pthread_mutex_lock(&pool->lock);
	if (is_good && pool->idle.length < IDLE_MAX)
		g_queue_push_head(&pool->idle, g_steal_pointer(&connection));
	(void) pthread_mutex_unlock(&pool->lock);
	(void) sqlite3_close_v2(connection);
}

/* FNV-1a over what stat says of a file; 0 when it is not there. */
static uint64_t
mix_stamp(uint64_t hash, const char *path)
{
	const uint64_t prime = 0x100000001b3;
	struct stat status = { 0 };

	if (stat(path, &status) != 0)
		return hash * prime;
	hash = (hash ^ (uint64_t) status.st_ino) * prime;
	hash = (hash ^ (uint64_t) status.st_size) * prime;
	hash = (hash ^ (uint64_t) status.st_mtim.tv_sec) * prime;
	return (hash ^ (uint64_t) status.st_mtim.tv_nsec) * prime;
}

uint64_t
pool_version(const Pool *pool)
{
	const uint64_t basis = 0xcbf29ce484222325;
	g_autofree char *log = g_strconcat(pool->rules.path, "-wal", NULL);

	return mix_stamp(mix_stamp(basis, pool->rules.path), log);
}

/* --- queries --------------------------------------------------------------------------------------- */

static int
is_late(void *data)
{
	const gint64 *deadline_us = data;

	return g_get_monotonic_time() >= *deadline_us;
}

static bool
bind_names(sqlite3_stmt *statement, const PhUser *user)
{
	const struct {
		const char *name;
		const char *value;
	} values[] = {
		{ ":user", ph_user_asked_address(user) },
		{ ":address", ph_user_asked_address(user) },
		{ ":local", ph_user_asked_local(user) },
		{ ":domain", ph_user_asked_domain(user) },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(values); i++) {
		int index = sqlite3_bind_parameter_index(statement, values[i].name);

		if (index > 0
		    && sqlite3_bind_text(statement, index, values[i].value, -1, SQLITE_TRANSIENT)
		               != SQLITE_OK)
			return false;
	}
	return true;
}

static sqlite3_stmt *
prepare(sqlite3 *connection, const char *sql, const PhUser *user, GError **error)
{
	g_autoptr(sqlite3_stmt) statement = NULL;
	const char *rest = NULL;

	if (sqlite3_prepare_v2(connection, sql, -1, &statement, &rest) != SQLITE_OK) {
		(void) fail_sqlite(connection, "the query cannot be used", error);
		return NULL;
	}
	if (statement == NULL || !sqlite3_stmt_readonly(statement)
	    || ph_slice_trim(ph_slice(rest)).length > 0) {
		ph_error_set(error, PH_ERROR_INVALID, "the query is not one SELECT");
		return NULL;
	}
	if (user != NULL && !bind_names(statement, user)) {
		(void) fail_sqlite(connection, "cannot bind the name", error);
		return NULL;
	}
	return g_steal_pointer(&statement);
}

static bool
run_on(sqlite3 *connection, sqlite3_stmt *statement, RowFunc func, void *data, GError **error)
{
	int status = SQLITE_ROW;

	while ((status = sqlite3_step(statement)) == SQLITE_ROW)
		if (!func(statement, data, error))
			return false;
	return status == SQLITE_DONE || fail_sqlite(connection, "the query failed", error);
}

bool
query_run(Pool *pool,
          const char *sql,
          const PhUser *user,
          RowFunc func,
          void *user_data,
          GError **error)
{
	gint64 deadline_us = g_get_monotonic_time() + (gint64) pool->rules.time_out.us;
	sqlite3 *connection = pool_take(pool, error);
	bool good = false;

	if (connection == NULL)
		return false;
	sqlite3_progress_handler(connection, STEPS_BETWEEN_LOOKS, is_late, &deadline_us);
	sqlite3_stmt *statement = prepare(connection, sql, user, error);
	if (statement != NULL)
		good = run_on(connection, statement, func, user_data, error);
	(void) sqlite3_finalize(statement);
	sqlite3_progress_handler(connection, 0, NULL, NULL);
	pool_give(pool, connection, good);
	return good;
}

bool
set_columns(sqlite3_stmt *row, void *data, GError **error)
{
	Found *found = data;
	int n = sqlite3_column_count(row);

	found->any = true;
	for (int i = 0; i < n; i++) {
		const char *value = (const char *) sqlite3_column_text(row, i);

		if (!ph_user_set(found->user, sqlite3_column_name(row, i), value, error))
			return false;
	}
	return true;
}
