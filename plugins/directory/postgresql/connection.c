/* connection.c: connections to a PostgreSQL server, and queries with a time limit
 *
 * libpq is used without blocking: connecting, sending and waiting all poll until one deadline. A
 * connection that was late, or that failed, is closed, so that no answer of an old question is taken for
 * one of a new.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/slice.h>

#include "postgresql.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>

enum {
	IDLE_MAX = 16,
	US_PER_MS = 1000,
};

struct Pool {
	PoolRules rules;
	pthread_mutex_t lock; /* guards all below */
	GQueue idle;          /* of PGconn */
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
	PQfinish(connection);
}

void
pool_free(Pool *pool)
{
	g_queue_clear_full(&pool->idle, close_connection);
	(void) pthread_mutex_destroy(&pool->lock);
	g_free(pool);
}

static bool
fail(PGconn *connection, const char *what, GError **error)
{
	g_autofree char *text = g_strdup(connection != NULL ? PQerrorMessage(connection) : "");

	(void) g_strdelimit(g_strchomp(text), "\r\n", ' ');
	ph_error_set(error, PH_ERROR_TEMPORARY, "%s: %s", what,
	             text[0] != '\0' ? text : "it did not answer in time");
	return false;
}

static bool
wait_for(PGconn *connection, short events, gint64 deadline_us)
{
	struct pollfd polled = { .fd = PQsocket(connection), .events = events };
	gint64 left_us = 0;
	int ready = 0;

	do {
		left_us = deadline_us - g_get_monotonic_time();
		if (left_us <= 0)
			return false;
		ready = poll(&polled, 1, (int) (left_us / US_PER_MS) + 1);
	} while (ready == 0 || (ready < 0 && errno == EINTR));
	return ready > 0;
}

static PGconn *
begin_connect(const PoolRules *rules)
{
	const char *password =
		rules->password != NULL ? ph_secret_slice(rules->password).data : NULL;
	const char *const names[] = { "dbname", "client_encoding", "fallback_application_name",
		                      password != NULL ? "password" : NULL, NULL };
	const char *const values[] = { rules->connection, "UTF8", "posthorn", password, NULL };

	return PQconnectStartParams(names, values, 1);
}

static PGconn *
connect_until(const PoolRules *rules, gint64 deadline_us, GError **error)
{
	PGconn *connection = begin_connect(rules);
	PostgresPollingStatusType status = PGRES_POLLING_WRITING;
	bool in_time = true;

	if (connection == NULL || PQstatus(connection) == CONNECTION_BAD)
		status = PGRES_POLLING_FAILED;
	while (in_time && status != PGRES_POLLING_OK && status != PGRES_POLLING_FAILED) {
		short events = status == PGRES_POLLING_READING ? POLLIN : POLLOUT;

		in_time = wait_for(connection, events, deadline_us);
		if (in_time)
			status = PQconnectPoll(connection);
	}
	if (in_time && status == PGRES_POLLING_OK && PQsetnonblocking(connection, 1) == 0)
		return connection;
	(void) fail(connection, "cannot connect to the PostgreSQL server", error);
	PQfinish(connection);
	return NULL;
}

/* --- one query ------------------------------------------------------------------------------------- */

static bool
flush(PGconn *connection, gint64 deadline_us)
{
	int left = 1;

	while ((left = PQflush(connection)) > 0)
		if (!wait_for(connection, POLLOUT, deadline_us))
			return false;
	return left == 0;
}

static bool
fits(PGconn *connection, gint64 deadline_us)
{
	while (PQisBusy(connection) != 0)
		if (!wait_for(connection, POLLIN, deadline_us) || PQconsumeInput(connection) == 0)
			return false;
	return true;
}

/* One result: a row, or the end. False: enough. */
static bool
take_result(PGconn *connection, const PGresult *result, Ask *ask, GError **error)
{
	ExecStatusType status = PQresultStatus(result);

	if (status == PGRES_SINGLE_TUPLE) {
		ask->any = true;
		return ask->row == NULL || ask->row(result, ask->user_data, error);
	}
	if (status == PGRES_COMMAND_OK)
		ask->any = strcmp(PQcmdTuples((PGresult *) (uintptr_t) result), "0") != 0;
	return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK
	       || fail(connection, "the query failed", error);
}

/* All results of what was sent, one row after the other, so that an endless answer is cut where somebody
 * has enough. */
static bool
collect(PGconn *connection, Ask *ask, gint64 deadline_us, GError **error)
{
	bool good = flush(connection, deadline_us) && fits(connection, deadline_us);
	PGresult *next = NULL;

	if (!good)
		return fail(connection, "the query failed", error);
	while (good && (next = PQgetResult(connection)) != NULL) {
		good = take_result(connection, next, ask, error);
		PQclear(next);
		if (good && !fits(connection, deadline_us))
			good = fail(connection, "the query failed", error);
	}
	return good;
}

static bool
run(PGconn *connection, Ask *ask, gint64 deadline_us, GError **error)
{
	const Query *query = ask->query;
	const PhUser *user = ask->user;
	const char *values[G_N_ELEMENTS(query->names)] = { NULL };
	const char *const names[] = {
		[NAME_USER] = user != NULL ? ph_user_asked_address(user) : NULL,
		[NAME_LOCAL] = user != NULL ? ph_user_asked_local(user) : NULL,
		[NAME_DOMAIN] = user != NULL ? ph_user_asked_domain(user) : NULL,
		[NAME_HASH] = ask->hash,
	};

	for (unsigned i = 0; i < query->n; i++)
		values[i] = names[query->names[i]];
	if (PQsendQueryParams(connection, query->text, (int) query->n, NULL, values, NULL, NULL, 0)
	            == 0
	    || PQsetSingleRowMode(connection) == 0)
		return fail(connection, "the query cannot be sent", error);
	return collect(connection, ask, deadline_us, error);
}

static bool
settle_once(Pool *pool, PGconn *connection, gint64 deadline_us, GError **error)
{
	Ask nothing = { .query = NULL };
	bool done = false;

	(void) pthread_mutex_lock(&pool->lock);
	bool settled = pool->is_settled || !pool->rules.is_ours;
	(void) pthread_mutex_unlock(&pool->lock);
	if (settled)
		return true;
	if (PQsendQuery(connection, schema_settle) != 0)
		done = collect(connection, &nothing, deadline_us, error);
	else
		(void) fail(connection, "the tables cannot be made", error);
	(void) pthread_mutex_lock(&pool->lock);
	pool->is_settled = pool->is_settled || done;
	(void) pthread_mutex_unlock(&pool->lock);
	return done;
}

/* --- the pool ------------------------------------------------------------------------------------- */

/* Has the server closed it, or said something unasked, while nobody used it? */
static bool
is_alive(PGconn *connection)
{
	struct pollfd polled = { .fd = PQsocket(connection), .events = POLLIN };

	return PQstatus(connection) == CONNECTION_OK && poll(&polled, 1, 0) == 0;
}

static PGconn *
take(Pool *pool, gint64 deadline_us, GError **error)
{
	PGconn *connection = NULL;

	do {
		(void) pthread_mutex_lock(&pool->lock);
		connection = g_queue_pop_head(&pool->idle);
		(void) pthread_mutex_unlock(&pool->lock);
		if (connection != NULL && is_alive(connection))
			return connection;
		PQfinish(connection);
	} while (connection != NULL);
	connection = connect_until(&pool->rules, deadline_us, error);
	if (connection == NULL || settle_once(pool, connection, deadline_us, error))
		return connection;
	PQfinish(connection);
	return NULL;
}

static void
give_back(Pool *pool, PGconn *connection, bool is_usable)
{
	(void) pthread_mutex_lock(&pool->lock);
	if (is_usable && pool->idle.length < IDLE_MAX)
		g_queue_push_head(&pool->idle, g_steal_pointer(&connection));
	(void) pthread_mutex_unlock(&pool->lock);
	PQfinish(connection);
}

bool
pool_ask(Pool *pool, Ask *ask, GError **error)
{
	gint64 deadline_us = g_get_monotonic_time() + (gint64) pool->rules.time_out.us;
	PGconn *connection = take(pool, deadline_us, error);
	bool good = false;

	if (connection == NULL)
		return false;
	good = run(connection, ask, deadline_us, error);
	give_back(pool, connection, good);
	return good;
}
