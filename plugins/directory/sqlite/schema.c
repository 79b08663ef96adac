/* schema.c: our own tables: made, brought up to date, changed
 *
 * The version stands in the database's user_version; application_id says whose tables they are. Names
 * are kept in lower case, as they are asked for. Changes are durable when they return: the database
 * keeps SQLite's rollback journal with synchronous = EXTRA.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>

#include "sqlite.h"

enum {
	APPLICATION = 0x50485544, /* "PHUD" */
	VERSION = 1,
};

const char schema_user_query[] =
	"SELECT password, name, home, quota, messages, disabled, NULL AS groups, NULL AS senders,"
	" NULL AS aliases FROM users WHERE local = :local AND domain = :domain "
	"UNION ALL SELECT NULL, NULL, NULL, NULL, NULL, NULL, CASE field WHEN 'groups' THEN value"
	" END, CASE field WHEN 'senders' THEN value END, CASE field WHEN 'aliases' THEN value END"
	" FROM fields WHERE local = :local AND domain = :domain";
const char schema_alias_query[] =
	"SELECT target AS targets FROM aliases WHERE local = :local AND domain = :domain";
const char schema_list_query[] =
	"SELECT local || CASE domain WHEN '' THEN '' ELSE '@' || domain END FROM users"
	" ORDER BY domain, local";

static const char make_tables[] =
	"CREATE TABLE users (domain TEXT NOT NULL, local TEXT NOT NULL, password TEXT, name TEXT,"
	" home TEXT, quota INTEGER, messages INTEGER, disabled INTEGER NOT NULL DEFAULT 0,"
	" PRIMARY KEY (domain, local)) WITHOUT ROWID;"
	"CREATE TABLE fields (domain TEXT NOT NULL, local TEXT NOT NULL, field TEXT NOT NULL,"
	" value TEXT NOT NULL, PRIMARY KEY (domain, local, field, value),"
	" FOREIGN KEY (domain, local) REFERENCES users ON DELETE CASCADE) WITHOUT ROWID;"
	"CREATE TABLE aliases (domain TEXT NOT NULL, local TEXT NOT NULL, target TEXT NOT NULL,"
	" PRIMARY KEY (domain, local, target)) WITHOUT ROWID;"
	"PRAGMA application_id = 1346917700;"
	"PRAGMA user_version = 1;";

static bool
execute(sqlite3 *connection, const char *sql, GError **error)
{
	return sqlite3_exec(connection, sql, NULL, NULL, NULL) == SQLITE_OK
	       || fail_sqlite(connection, "cannot change the database", error);
}

/* The first value of a query's first row; 0 when there is none. */
static int64_t
number_of(sqlite3 *connection, const char *sql)
{
	g_autoptr(sqlite3_stmt) statement = NULL;

	if (sqlite3_prepare_v2(connection, sql, -1, &statement, NULL) != SQLITE_OK
	    || sqlite3_step(statement) != SQLITE_ROW)
		return 0;
	return sqlite3_column_int64(statement, 0);
}

/* Inside a transaction: nobody else makes them meanwhile. */
static bool
settle_tables(sqlite3 *connection, GError **error)
{
	int64_t application = number_of(connection, "PRAGMA application_id");
	int64_t version = number_of(connection, "PRAGMA user_version");
	int64_t n_tables = number_of(connection, "SELECT count(*) FROM sqlite_schema");

	if (n_tables == 0)
		return execute(connection, make_tables, error);
	if (application != APPLICATION) {
		ph_error_set(error, PH_ERROR_UNSUPPORTED,
		             "the database has tables of another program: give 'user-query'");
		return false;
	}
	if (version > VERSION) {
		ph_error_set(error, PH_ERROR_UNSUPPORTED,
		             "the database is of a later version of this plugin");
		return false;
	}
	return true;
}

bool
schema_settle(sqlite3 *connection, GError **error)
{
	if (number_of(connection, "PRAGMA application_id") == APPLICATION
	    && number_of(connection, "PRAGMA user_version") == VERSION)
		return true;
	if (!execute(connection, "PRAGMA synchronous = EXTRA; BEGIN IMMEDIATE", error))
		return false;
	if (settle_tables(connection, error))
		return execute(connection, "COMMIT", error);
	(void) sqlite3_exec(connection, "ROLLBACK", NULL, NULL, NULL);
	return false;
}

/* --- changes --------------------------------------------------------------------------------------- */

/* Runs one change with :local, :domain and :hash. @n_out: rows that it reached. */
static bool
change(sqlite3 *connection,
       const char *sql,
       const PhUser *user,
       const char *hash,
       int *n_out,
       GError **error)
{
	g_autoptr(sqlite3_stmt) statement = NULL;
	int status = sqlite3_prepare_v2(connection, sql, -1, &statement, NULL);
	int index = status == SQLITE_OK ? sqlite3_bind_parameter_index(statement, ":hash") : 0;

	if (status == SQLITE_OK)
		status = sqlite3_bind_text(statement,
		                           sqlite3_bind_parameter_index(statement, ":local"),
		                           ph_user_asked_local(user), -1, SQLITE_STATIC);
	if (status == SQLITE_OK)
		status = sqlite3_bind_text(statement,
		                           sqlite3_bind_parameter_index(statement, ":domain"),
		                           ph_user_asked_domain(user), -1, SQLITE_STATIC);
	if (status == SQLITE_OK && index > 0)
		status = sqlite3_bind_text(statement, index, hash, -1, SQLITE_STATIC);
	if (status == SQLITE_OK)
		status = sqlite3_step(statement);
	if (status != SQLITE_DONE)
		return fail_sqlite(connection, "cannot change the user", error);
	*n_out = sqlite3_changes(connection);
	return true;
}

static bool
change_one(Pool *pool,
           const char *sql,
           const PhUser *user,
           const char *hash,
           int *n_out,
           GError **error)
{
	sqlite3 *connection = pool_take(pool, error);
	bool good = false;

	if (connection == NULL)
		return false;
	good = execute(connection, "PRAGMA synchronous = EXTRA; PRAGMA foreign_keys = ON", error)
	       && change(connection, sql, user, hash, n_out, error);
	pool_give(pool, connection, good);
	return good;
}

static bool
fail_unknown(const PhUser *user, GError **error)
{
	ph_error_set(error, PH_ERROR_NOT_FOUND, "there is no user '%s'",
	             ph_user_asked_address(user));
	return false;
}

bool
schema_set(Pool *pool, const PhUser *user, const char *hash, bool create, GError **error)
{
	static const char add[] = "INSERT INTO users (domain, local, password)"
				  " VALUES (:domain, :local, :hash) ON CONFLICT DO NOTHING";
	static const char update[] = "UPDATE users SET password = :hash"
				     " WHERE domain = :domain AND local = :local";
	int n = 0;

	if (!change_one(pool, create ? add : update, user, hash, &n, error))
		return false;
	if (n == 0 && create)
		ph_error_set(error, PH_ERROR_EXISTS, "'%s' is already there",
		             ph_user_asked_address(user));
	return n > 0 || (!create && fail_unknown(user, error));
}

bool
schema_remove(Pool *pool, const PhUser *user, GError **error)
{
	static const char sql[] = "DELETE FROM users WHERE domain = :domain AND local = :local";
	int n = 0;

	if (!change_one(pool, sql, user, NULL, &n, error))
		return false;
	return n > 0 || fail_unknown(user, error);
}
