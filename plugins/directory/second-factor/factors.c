/* factors.c: the database of one-time keys and app passwords
 *
 * One table: a one-time key is the row with the label "totp", its `last` the step that was used last. That
 * a code is used once is one UPDATE that changes a row or does not.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "factors.h"

#include <posthorn/error.h>
#include <posthorn/slice.h>

#include <pthread.h>
#include <sqlite3.h>
#include <string.h>

enum {
	BUSY_MS = 5000,
	FORMS_MAX = 32,
};

struct Factors {
	char *path;
	pthread_mutex_t lock; /* guards the connection */
	sqlite3 *connection;  /* (nullable) */
};

static const char totp_label[] = "totp";

Factors *
factors_new(const char *path)
{
	Factors *factors = g_new0(Factors, 1);

	factors->path = g_strdup(path);
	(void) pthread_mutex_init(&factors->lock, NULL);
	return factors;
}

void
factors_free(Factors *factors)
{
	(void) sqlite3_close_v2(factors->connection);
	(void) pthread_mutex_destroy(&factors->lock);
	g_free(factors->path);
	g_free(factors);
}

static bool
fail(sqlite3 *connection, GError **error)
{
	ph_error_set(error, PH_ERROR_TEMPORARY, "the database of second factors: %s",
	             connection != NULL ? sqlite3_errmsg(connection) : "out of memory");
	return false;
}

/* Under the lock. */
static bool
open_once(Factors *factors, GError **error)
{
	static const char settle[] =
		"PRAGMA synchronous = EXTRA;"
		"CREATE TABLE IF NOT EXISTS factors (address TEXT NOT NULL, label TEXT NOT NULL,"
		" scope TEXT NOT NULL DEFAULT '', secret TEXT NOT NULL, last INTEGER NOT NULL DEFAULT 0,"
		" PRIMARY KEY (address, label)) WITHOUT ROWID;"
		"PRAGMA user_version = 1;";
	const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;

	if (factors->connection != NULL)
		return true;
	if (sqlite3_open_v2(factors->path, &factors->connection, flags, NULL) == SQLITE_OK
	    && sqlite3_busy_timeout(factors->connection, BUSY_MS) == SQLITE_OK
	    && sqlite3_exec(factors->connection, settle, NULL, NULL, NULL) == SQLITE_OK)
		return true;
	(void) fail(factors->connection, error);
	(void) sqlite3_close_v2(g_steal_pointer(&factors->connection));
	return false;
}

/* Statement: one with its values bound by name; NULL ends them. */
typedef struct {
	const char *name;
	const char *text; /* (nullable) then the number */
	int64_t number;
} Value;

typedef void (*RowFunc)(sqlite3_stmt *row, void *user_data);

static bool
bind(sqlite3_stmt *statement, const Value *values)
{
	for (; values->name != NULL; values++) {
		int index = sqlite3_bind_parameter_index(statement, values->name);
		int status = values->text != NULL
		                     ? sqlite3_bind_text(statement, index, values->text, -1,
		                                         SQLITE_STATIC)
		                     : sqlite3_bind_int64(statement, index, values->number);

		if (status != SQLITE_OK)
			return false;
	}
	return true;
}

static bool
run_locked(Factors *factors,
           const char *sql,
           const Value *values,
           RowFunc func,
           void *user_data,
           GError **error)
{
	sqlite3_stmt *statement = NULL;
	int status = SQLITE_ERROR;

	if (!open_once(factors, error))
		return false;
	if (sqlite3_prepare_v2(factors->connection, sql, -1, &statement, NULL) == SQLITE_OK
	    && bind(statement, values))
		while ((status = sqlite3_step(statement)) == SQLITE_ROW)
			if (func != NULL)
				func(statement, user_data);
	if (status != SQLITE_DONE)
		(void) fail(factors->connection, error);
	(void) sqlite3_finalize(statement);
	return status == SQLITE_DONE;
}

/* @n_out: (nullable) rows that were changed. */
static bool
run(Factors *factors,
    const char *sql,
    const Value *values,
    RowFunc func,
    void *user_data,
    GError **error)
{
	(void) pthread_mutex_lock(&factors->lock);
	bool good = run_locked(factors, sql, values, func, user_data, error);
	(void) pthread_mutex_unlock(&factors->lock);
	return good;
}

/* A change that says by RETURNING whether it reached a row. */
static void
note_row(sqlite3_stmt *row, void *user_data)
{
	*(bool *) user_data = true;
}

static void
keep_text(sqlite3_stmt *row, void *user_data)
{
	GPtrArray *texts = user_data;
	const char *text = (const char *) sqlite3_column_text(row, 0);

	if (text != NULL && texts->len < FORMS_MAX)
		g_ptr_array_add(texts, g_strdup(text));
}

bool
factors_key(Factors *factors, const char *address, char **key_out, GError **error)
{
	g_autoptr(GPtrArray) texts = g_ptr_array_new_with_free_func(g_free);
	const Value values[] = { { ":address", address, 0 }, { NULL, NULL, 0 } };

	if (!run(factors, "SELECT secret FROM factors WHERE address = :address AND label = 'totp'",
	         values, keep_text, texts, error))
		return false;
	*key_out = texts->len > 0 ? g_strdup(texts->pdata[0]) : NULL;
	return true;
}

PhVerify
factors_use(Factors *factors, const char *address, uint64_t step, GError **error)
{
	const Value values[] = { { ":address", address, 0 },
		                 { ":step", NULL, (int64_t) step },
		                 { NULL, NULL, 0 } };
	bool used = false;

	if (!run(factors,
	         "UPDATE factors SET last = :step WHERE address = :address AND label = 'totp'"
	         " AND last < :step RETURNING 1",
	         values, note_row, &used, error))
		return PH_VERIFY_ERROR;
	return used ? PH_VERIFY_OK : PH_VERIFY_WRONG;
}

GPtrArray *
factors_forms(Factors *factors, const char *address, const char *scope, GError **error)
{
	g_autoptr(GPtrArray) texts = g_ptr_array_new_with_free_func(g_free);
	const Value values[] = { { ":address", address, 0 },
		                 { ":scope", scope, 0 },
		                 { NULL, NULL, 0 } };

	if (!run(factors,
	         "SELECT secret FROM factors WHERE address = :address AND label <> 'totp'"
	         " AND scope IN ('', :scope)",
	         values, keep_text, texts, error))
		return NULL;
	return g_steal_pointer(&texts);
}

/* --- tools ------------------------------------------------------------------------------------------ */

bool
factors_set(Factors *factors,
            const char *address,
            const char *name,
            const char *hash,
            bool create,
            GError **error)
{
	g_auto(GStrv) parts = g_strsplit(name, ":", 2);
	bool is_key = strcmp(name, totp_label) == 0;
	const char *secret =
		is_key && g_str_has_prefix(hash, "{PLAIN}") ? hash + strlen("{PLAIN}") : hash;
	const Value values[] = { { ":address", address, 0 },
		                 { ":label", parts[0], 0 },
		                 { ":scope", parts[1] != NULL ? parts[1] : "", 0 },
		                 { ":secret", secret, 0 },
		                 { NULL, NULL, 0 } };
	bool reached = false;

	if (!run(factors,
	         create ? "INSERT INTO factors (address, label, scope, secret) VALUES (:address,"
	                  " :label, :scope, :secret) ON CONFLICT DO NOTHING RETURNING 1"
	                : "UPDATE factors SET secret = :secret, scope = :scope, last = 0 WHERE"
	                  " address = :address AND label = :label RETURNING 1",
	         values, note_row, &reached, error))
		return false;
	if (!reached)
		ph_error_set(error, create ? PH_ERROR_EXISTS : PH_ERROR_NOT_FOUND,
		             create ? "'%s/%s' is already there" : "there is no '%s/%s'", address,
		             parts[0]);
	return reached;
}

bool
factors_remove(Factors *factors, const char *address, const char *name, GError **error)
{
	const Value values[] = { { ":address", address, 0 },
		                 { ":label", name, 0 },
		                 { NULL, NULL, 0 } };
	bool reached = false;

	if (!run(factors,
	         "DELETE FROM factors WHERE address = :address AND label = :label RETURNING 1",
	         values, note_row, &reached, error))
		return false;
	if (!reached)
		ph_error_set(error, PH_ERROR_NOT_FOUND, "there is no '%s/%s'", address, name);
	return reached;
}

bool
factors_list(Factors *factors, PhListFunc func, void *user_data, GError **error)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	const Value values[] = { { NULL, NULL, 0 } };

	if (!run(factors, "SELECT address || '/' || label FROM factors ORDER BY address, label",
	         values, keep_text, names, error))
		return false;
	for (guint i = 0; i < names->len; i++)
		if (!func(names->pdata[i], user_data))
			break;
	return true;
}
