/* postgresql.h: the inner parts of the postgresql directory
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTGRESQL_DIRECTORY_H
#define POSTGRESQL_DIRECTORY_H

#include <posthorn/user.h>

#include <libpq-fe.h>

/* Query: text with :names turned into what libpq takes. */
typedef struct {
	char *text;        /* (owned) "... WHERE local = $1" */
	unsigned names[8]; /* QueryName of $1, $2, ... */
	unsigned n;
} Query;

typedef enum {
	NAME_USER = 0,
	NAME_LOCAL = 1,
	NAME_DOMAIN = 2,
	NAME_HASH = 3,
} QueryName;

/* query_parse: pure. False when it has more than eight :names. Texts in quotes, comments and casts
 * (::type) are left as they are. */
bool query_parse(const char *text, Query *out, GError **error);
void query_clear(Query *query);

/* Pool: connections to one server that nobody uses at this moment. Thread: any. */
typedef struct Pool Pool;

/* PoolRules: borrowed for the pool's life. */
typedef struct {
	const char *connection; /* conninfo or URI */
	const PhSecret *password;
	bool is_ours; /* the tables are made when they are not there */
	PhDuration time_out;
} PoolRules;

Pool *pool_new(const PoolRules *rules);
void pool_free(Pool *pool);

/* Ask: one query. */
typedef struct {
	const Query *query;
	const PhUser *user; /* (nullable) whose names are bound */
	const char *hash;   /* (nullable) bound as well */
	/* (nullable) for each row; false: the query fails with @error and its connection is closed. */
	bool (*row)(const PGresult *row, void *user_data, GError **error);
	void *user_data;
	bool any; /* (out) was there a row, or did the command reach one? */
} Ask;

/* pool_ask: runs one query within the time limit. Errors: TEMPORARY, and those of `row`. Thread: worker.
 * Blocks: yes. */
bool pool_ask(Pool *pool, Ask *ask, GError **error);

/* --- schema.c --- */

extern const char schema_user_query[];
extern const char schema_alias_query[];
extern const char schema_list_query[];
extern const char schema_add[];
extern const char schema_change[];
extern const char schema_remove[];

/* Commands that make the tables, or bring older ones up to date; run in one transaction. */
extern const char schema_settle[];

#endif
