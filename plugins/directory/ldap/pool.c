/* pool.c: connections, and the one thread that carries all questions
 *
 * Threads that ask hand a job with a connection over and go; when all connections are busy they leave the
 * job in a bounded queue. The thread takes answers, sends the next request of each job, and gives a
 * connection that has become free to the job that waits longest.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>

#include "directory.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
	WAITING_MAX = 2000,
	US_PER_MS = 1000,
	LONGEST_SLEEP_MS = 60000,
};

struct Pool {
	Instance *instance;
	pthread_t thread;
	int wake;             /* eventfd */
	GPtrArray *running;   /* of Job: the thread's own */
	GArray *polled;       /* of pollfd, beside running; the last is wake */
	pthread_mutex_t lock; /* guards all below */
	bool is_started;
	bool stops;
	GQueue arrived; /* of Job with a connection */
	GQueue waiting; /* of Job without one */
	GArray *idle;   /* of Connection */
	guint n_open;
};

Pool *
pool_new(Instance *instance)
{
	Pool *pool = g_new0(Pool, 1);

	pool->instance = instance;
	pool->wake = -1;
	pool->running = g_ptr_array_new();
	pool->polled = g_array_new(FALSE, TRUE, sizeof(struct pollfd));
	(void) pthread_mutex_init(&pool->lock, NULL);
	g_queue_init(&pool->arrived);
	g_queue_init(&pool->waiting);
	pool->idle = g_array_new(FALSE, FALSE, sizeof(Connection));
	return pool;
}

static void
rouse(const Pool *pool)
{
	const uint64_t one = 1;

	if (write(pool->wake, &one, sizeof one) < 0)
		return; /* it is roused already */
}

/* --- connections ------------------------------------------------------------------------------------ */

/* Under the lock. A connection that nobody uses and that still lives. */
static bool
pop_idle(Pool *pool, Connection *out)
{
	while (pool->idle->len > 0) {
		Connection last = g_array_index(pool->idle, Connection, pool->idle->len - 1);

		g_array_set_size(pool->idle, pool->idle->len - 1);
		if (connection_is_alive(&last)) {
			*out = last;
			return true;
		}
		pool->n_open--;
		connection_close(&last);
	}
	return false;
}

static void
fail_full(Job *job)
{
	GError *error = NULL;

	ph_error_set(&error, PH_ERROR_TEMPORARY, "too many questions wait for the LDAP server");
	job_fail(job, error);
	job->done(job, job->user_data);
}

typedef enum {
	PLACE_CONNECTED = 1,
	PLACE_OPEN = 2, /* the caller may open a connection */
	PLACE_WAITS = 3,
	PLACE_FULL = 4,
} Place;

static Place
find_place(Pool *pool, Job *job)
{
	Place place = PLACE_FULL;

	(void) pthread_mutex_lock(&pool->lock);
	if (pop_idle(pool, &job->connection)) {
		place = PLACE_CONNECTED;
	} else if (pool->n_open < (guint) pool->instance->settings->connections) {
		pool->n_open++;
		place = PLACE_OPEN;
	} else if (pool->waiting.length < WAITING_MAX) {
		g_queue_push_tail(&pool->waiting, job);
		place = PLACE_WAITS;
	}
	(void) pthread_mutex_unlock(&pool->lock);
	return place;
}

static void
hand_over(Pool *pool, Job *job)
{
	(void) pthread_mutex_lock(&pool->lock);
	g_queue_push_tail(&pool->arrived, job);
	(void) pthread_mutex_unlock(&pool->lock);
	rouse(pool);
}

static void
open_for(Pool *pool, Job *job)
{
	GError *error = NULL;

	if (connection_open(pool->instance->settings, &job->connection, &error)) {
		hand_over(pool, job);
		return;
	}
	(void) pthread_mutex_lock(&pool->lock);
	pool->n_open--;
	(void) pthread_mutex_unlock(&pool->lock);
	rouse(pool); /* those who wait may wait for nothing now */
	job_fail(job, error);
	job->done(job, job->user_data);
}

/* --- the thread -------------------------------------------------------------------------------------- */

/* What becomes of a connection whose job is over. */
static void
give_back(Pool *pool, Connection *connection, bool is_good)
{
	Job *next = NULL;

	if (!is_good)
		connection_close(connection);
	(void) pthread_mutex_lock(&pool->lock);
	if (connection->ld == NULL)
		pool->n_open--;
	else
		next = g_queue_pop_head(&pool->waiting);
	if (next != NULL) {
		next->connection = *connection;
		g_queue_push_tail(&pool->arrived, next);
	} else if (connection->ld != NULL) {
		g_array_append_val(pool->idle, *connection);
	}
	(void) pthread_mutex_unlock(&pool->lock);
}

static void
finish(Pool *pool, Job *job)
{
	Connection connection = job->connection;
	bool is_late = g_get_monotonic_time() >= job->deadline_us;

	job->connection = (Connection){ .fd = -1 };
	give_back(pool, &connection, !is_late && job->result != PH_VERIFY_ERROR);
	job->done(job, job->user_data);
}

static void
begin_arrived(Pool *pool)
{
	GQueue arrived = G_QUEUE_INIT;
	bool again = true;

	while (again) {
		(void) pthread_mutex_lock(&pool->lock);
		arrived = pool->arrived;
		g_queue_init(&pool->arrived);
		(void) pthread_mutex_unlock(&pool->lock);
		again = arrived.length > 0;
		while (arrived.length > 0) {
			Job *job = g_queue_pop_head(&arrived);

			if (job_advance(job))
				g_ptr_array_add(pool->running, job);
			else
				finish(pool, job);
		}
	}
}

/* The answer may be there; then the next request is sent. True: the job is over. */
static bool
go_on(Pool *pool, Job *job)
{
	if (!job_take(job) || job_advance(job))
		return false;
	finish(pool, job);
	return true;
}

static bool
is_late(Pool *pool, Job *job, int64_t now_us)
{
	GError *error = NULL;

	if (now_us < job->deadline_us)
		return false;
	ph_error_set(&error, PH_ERROR_TEMPORARY, "the LDAP server did not answer in time");
	job_fail(job, error);
	finish(pool, job);
	return true;
}

static void
look_at_running(Pool *pool)
{
	int64_t now_us = g_get_monotonic_time();
	guint n = MIN(pool->running->len, pool->polled->len);

	for (guint i = n; i-- > 0;) {
		Job *job = pool->running->pdata[i];
		bool has_more = g_array_index(pool->polled, struct pollfd, i).revents != 0;

		if ((has_more && go_on(pool, job)) || is_late(pool, job, now_us))
			g_ptr_array_remove_index_fast(pool->running, i);
	}
}

/* Jobs that wait: those whose time is over, and all when there is no connection left to wait for. */
static void
look_at_waiting(Pool *pool)
{
	int64_t now_us = g_get_monotonic_time();
	bool again = true;

	while (again) {
		Job *job = NULL;

		(void) pthread_mutex_lock(&pool->lock);
		job = g_queue_peek_head(&pool->waiting);
		if (job != NULL && (pool->n_open == 0 || now_us >= job->deadline_us))
			(void) g_queue_pop_head(&pool->waiting);
		else
			job = NULL;
		(void) pthread_mutex_unlock(&pool->lock);
		again = job != NULL;
		if (again)
			fail_full(job);
	}
}

static int
sleep_ms(const Pool *pool)
{
	int64_t now_us = g_get_monotonic_time();
	int64_t until_us = now_us + (int64_t) LONGEST_SLEEP_MS * US_PER_MS;

	for (guint i = 0; i < pool->running->len; i++)
		until_us = MIN(until_us, ((const Job *) pool->running->pdata[i])->deadline_us);
	return until_us <= now_us ? 0 : (int) ((until_us - now_us) / US_PER_MS) + 1;
}

static void
wait_for_answers(Pool *pool)
{
	struct pollfd wake = { .fd = pool->wake, .events = POLLIN };
	uint64_t count = 0;

	g_array_set_size(pool->polled, 0);
	for (guint i = 0; i < pool->running->len; i++) {
		struct pollfd one = { .fd = ((const Job *) pool->running->pdata[i])->connection.fd,
			              .events = POLLIN };

		g_array_append_val(pool->polled, one);
	}
	g_array_append_val(pool->polled, wake);
	(void) poll((struct pollfd *) (void *) pool->polled->data, pool->polled->len,
	            sleep_ms(pool));
	if (read(pool->wake, &count, sizeof count) < 0)
		return; /* nobody roused it */
}

static bool
must_stop(Pool *pool)
{
	(void) pthread_mutex_lock(&pool->lock);
	bool stops = pool->stops;
	(void) pthread_mutex_unlock(&pool->lock);
	return stops;
}

static void *
carry(void *data)
{
	Pool *pool = data;

	while (!must_stop(pool)) {
		wait_for_answers(pool);
		look_at_running(pool);
		begin_arrived(pool);
		look_at_waiting(pool);
	}
	return NULL;
}

/* The first question starts the thread: `create` runs in a process that may be another one. */
static bool
start_once(Pool *pool, GError **error)
{
	(void) pthread_mutex_lock(&pool->lock);
	if (!pool->is_started) {
		if (pool->wake < 0)
			pool->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		pool->is_started =
			pool->wake >= 0 && pthread_create(&pool->thread, NULL, carry, pool) == 0;
	}
	bool started = pool->is_started;
	(void) pthread_mutex_unlock(&pool->lock);
	if (!started)
		ph_error_set(error, PH_ERROR_TEMPORARY, "cannot start a thread");
	return started;
}

void
pool_run(Pool *pool, Job *job)
{
	GError *error = NULL;

	if (!start_once(pool, &error)) {
		job_fail(job, error);
		job->done(job, job->user_data);
		return;
	}
	switch (find_place(pool, job)) {
	case PLACE_CONNECTED:
		hand_over(pool, job);
		break;
	case PLACE_OPEN:
		open_for(pool, job);
		break;
	case PLACE_WAITS:
		break;
	case PLACE_FULL:
		fail_full(job);
		break;
	}
}

static void
give_up(Pool *pool, Job *job)
{
	GError *error = NULL;

	ph_error_set(&error, PH_ERROR_TEMPORARY, "the section is no more");
	connection_close(&job->connection);
	job_fail(job, error);
	job->done(job, job->user_data);
}

void
pool_free(Pool *pool)
{
	(void) pthread_mutex_lock(&pool->lock);
	pool->stops = true;
	(void) pthread_mutex_unlock(&pool->lock);
	if (pool->is_started) {
		rouse(pool);
		(void) pthread_join(pool->thread, NULL);
	}
	for (guint i = 0; i < pool->running->len; i++)
		give_up(pool, pool->running->pdata[i]);
	while (pool->arrived.length > 0)
		give_up(pool, g_queue_pop_head(&pool->arrived));
	while (pool->waiting.length > 0)
		give_up(pool, g_queue_pop_head(&pool->waiting));
	for (guint i = 0; i < pool->idle->len; i++)
		connection_close(&g_array_index(pool->idle, Connection, i));
	if (pool->wake >= 0)
		(void) close(pool->wake);
	g_array_unref(pool->idle);
	g_array_unref(pool->polled);
	g_ptr_array_unref(pool->running);
	(void) pthread_mutex_destroy(&pool->lock);
	g_free(pool);
}
