/* sqlite.h: the inner parts of the sqlite directory
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef SQLITE_DIRECTORY_H
#define SQLITE_DIRECTORY_H

#include <posthorn/user.h>

#include <sqlite3.h>

/* Pool: connections to one database that nobody uses at this moment. Thread: any. */
typedef struct Pool Pool;

/* PoolRules: borrowed for the pool's life. */
typedef struct {
	const char *path;
	bool is_ours;        /* the database has our schema and is made when it is not there */
	PhDuration time_out; /* of one query, waiting for locks included */
} PoolRules;

Pool *pool_new(const PoolRules *rules);
void pool_free(Pool *pool);

/* pool_take: a connection for this thread alone; NULL with TEMPORARY when the database cannot be
 * opened. pool_give: @is_good: false closes it instead. */
sqlite3 *pool_take(Pool *pool, GError **error);
void pool_give(Pool *pool, sqlite3 *connection, bool is_good);

/* pool_version: see PhDirectory.version. */
uint64_t pool_version(const Pool *pool);

/* RowFunc: one row of the answer; false stops with @error. */
typedef bool (*RowFunc)(sqlite3_stmt *row, void *user_data, GError **error);

/* query_run: one SELECT with :user, :domain, :local bound from @user (nullable). Errors: INVALID for
 * what is no single SELECT, TEMPORARY. */
bool query_run(Pool *pool,
               const char *sql,
               const PhUser *user,
               RowFunc func,
               void *user_data,
               GError **error);

/* set_columns: a RowFunc whose data is a Found: each column is a field of the user. */
typedef struct {
	PhUser *user;
	bool any;
} Found;

bool set_columns(sqlite3_stmt *row, void *found, GError **error);

/* fail_sqlite: what SQLite said. Returns: false. */
bool fail_sqlite(sqlite3 *connection, const char *what, GError **error);

/* --- schema.c: our own tables --------------------------------------------------------------------- */

/* The queries that hold when the config gives none. */
extern const char schema_user_query[];
extern const char schema_alias_query[];
extern const char schema_list_query[];

/* schema_settle: makes the tables or brings older ones up to date. Errors: UNSUPPORTED for tables of
 * a later version or another program's. */
bool schema_settle(sqlite3 *connection, GError **error);

bool schema_set(Pool *pool, const PhUser *user, const char *hash, bool create, GError **error);
bool schema_remove(Pool *pool, const PhUser *user, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(sqlite3_stmt, sqlite3_finalize)

#endif
