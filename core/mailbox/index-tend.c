/* index-tend.c: what an index does in the background: checkpoints, tidying, checking
 *
 * One thread for the process takes the indexes whose write-ahead log has grown, copies the log
 * back into the database over a connection of its own, so that commits go on meanwhile, and
 * lets the store tidy in short transactions. A log that grows faster than it is copied is stopped
 * by the committer itself.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/log.h>

#include "base/clock.h"
#include "mailbox/index-op.h"

static const int64_t history_us = INT64_C(30) * 24 * 3600 * 1000000;
static const int64_t applied_us = INT64_C(48) * 3600 * 1000000;

static struct {
	PhLock lock;
	PhSignal more;
	GQueue waiting; /* of PhIndex, a reference each */
	GQueue later;   /* the same: due at a time of their own */
	GQueue due;     /* by due_us, first come first; without references: who is freed leaves */
	bool started;
} tender = { .lock = PH_LOCK_INIT };

static void
trim_mailbox(PhIndexConnection *connection, int64_t no, int64_t change)
{
	static const PhSql both[] = { PH_SQL_TRIM, PH_SQL_TRIM_MARK };

	for (size_t i = 0; i < G_N_ELEMENTS(both); i++) {
		sqlite3_stmt *statement = ph_index_sql(connection, both[i], NULL);

		if (statement == NULL)
			return;
		(void) sqlite3_bind_int64(statement, 1, no);
		(void) sqlite3_bind_int64(statement, 2, change);
		(void) ph_index_done(connection, statement, "trim", NULL);
	}
}

/* Old expunges leave; who knew the mailbox before them must read all of it. */
static void
trim_history(PhIndexConnection *connection, PhTime now)
{
	g_autoptr(GArray) pairs = g_array_new(FALSE, FALSE, sizeof(int64_t));
	sqlite3_stmt *statement = ph_index_sql(connection, PH_SQL_TRIM_LIMIT, NULL);

	if (statement == NULL)
		return;
	(void) sqlite3_bind_int64(statement, 1, now - history_us);
	while (sqlite3_step(statement) == SQLITE_ROW) {
		int64_t pair[2] = { sqlite3_column_int64(statement, 0),
			            sqlite3_column_int64(statement, 1) };

		(void) g_array_append_vals(pairs, pair, 2);
	}
	(void) sqlite3_reset(statement);
	for (guint i = 0; i < pairs->len; i += 2)
		trim_mailbox(connection, g_array_index(pairs, int64_t, i),
		             g_array_index(pairs, int64_t, i + 1));
}

static void
forget(PhIndexConnection *connection, PhTime before)
{
	sqlite3_stmt *statement = ph_index_sql(connection, PH_SQL_FORGET, NULL);

	if (statement == NULL)
		return;
	(void) sqlite3_bind_int64(statement, 1, before);
	(void) ph_index_done(connection, statement, "forget", NULL);
}

void
ph_index_forget(PhIndex *index, PhTime before)
{
	PhIndexConnection *connection = ph_index_begin_write(index, NULL);

	if (connection == NULL)
		return;
	forget(connection, before);
	(void) ph_index_end_write(index, connection, true, NULL);
}

/* Returns: is the log long enough to be copied back? */
bool
ph_index_tidy(PhIndex *index)
{
	PhTime now = ph_clock_wall_us();
	bool more = true;
	int pages = 0;

	for (bool first = true; more; first = false) {
		PhIndexConnection *connection = ph_index_begin_write(index, NULL);

		if (connection == NULL)
			return true;
		pages = MAX(pages, index->wal_pages);
		if (first) {
			forget(connection, now - applied_us);
			trim_history(connection, now);
		}
		more = ph_index_tend_records(index, connection, now);
		if (index->hooks->tend != NULL
		    && index->hooks->tend(index->user_data, connection, now))
			more = true;
		index->knows_due = more; /* else looked up anew at the end */
		if (!ph_index_end_write(index, connection, true, NULL))
			return true;
		ph_index_give_way(index);
	}
	return ph_index_compact_some(index) || pages > ph_index_wal_limit(index);
}

bool
ph_index_checkpoint(PhIndex *index, GError **error)
{
	PhIndexConnection *connection = ph_index_begin_scan(index, error);
	int status = SQLITE_OK;
	bool good = false;

	if (connection == NULL)
		return false;
	(void) ph_index_exec(connection, PH_SQL_COMMIT, NULL);
	status = sqlite3_wal_checkpoint_v2(connection->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL,
	                                   NULL);
	/* busy: another handle of the file is at it */
	good = status == SQLITE_OK || status == SQLITE_BUSY;
	if (!good)
		(void) ph_index_fail(connection, "checkpoint", error);
	ph_index_end_read(index, connection);
	return good;
}

static void
tend(PhIndex *index)
{
	g_autoptr(GError) error = NULL;

	if (ph_index_tidy(index)) {
		if (!ph_index_checkpoint(index, &error))
			ph_log(PH_LOG_WARNING, "checkpoint-failed",
			       "an index could not be checkpointed",
			       PH_LOG_TEXT("path", index->path), PH_LOG_FAILURE(error), PH_LOG_END);
		ph_index_drop_spare(index);
	}
	/* commits meanwhile have not asked again: one that finds the log too long still will */
	ph_lock_take(&index->lock);
	index->tending = false;
	ph_lock_drop(&index->lock);
}

/* Who is being freed has none left to take, and waits for the lock to leave. */
static bool
take_reference(PhIndex *index)
{
	gint n = g_atomic_int_get(&index->n_refs);

	while (n > 0 && !g_atomic_int_compare_and_exchange(&index->n_refs, n, n + 1))
		n = g_atomic_int_get(&index->n_refs);
	return n > 0;
}

/* The same for those without a reference. */
static uint64_t
take_first_due(uint64_t now_us)
{
	PhIndex *index = NULL;

	while ((index = g_queue_peek_head(&tender.due)) != NULL && index->due_us <= now_us) {
		g_queue_unlink(&tender.due, &index->due_link);
		index->due_us = 0;
		if (take_reference(index))
			g_queue_push_tail(&tender.waiting, index);
	}
	return index != NULL ? index->due_us : 0;
}

static uint64_t
sooner(uint64_t a_us, uint64_t b_us)
{
	return a_us == 0 || b_us == 0 ? MAX(a_us, b_us) : MIN(a_us, b_us);
}

/* With the lock held: moves what is due. Returns: when the next one is, 0: none. */
static uint64_t
take_due(void)
{
	uint64_t now_us = (uint64_t) g_get_monotonic_time();
	uint64_t next_us = 0;
	GList *link = tender.later.head;

	while (link != NULL) {
		GList *next = link->next;
		PhIndex *index = link->data;

		if (index->tend_due_us <= now_us) {
			index->tend_due_us = 0;
			g_queue_delete_link(&tender.later, link);
			g_queue_push_tail(&tender.waiting, index);
		} else if (next_us == 0 || index->tend_due_us < next_us) {
			next_us = index->tend_due_us;
		}
		link = next;
	}
	return sooner(next_us, take_first_due(now_us));
}

static PhIndex *
next_index(void)
{
	PH_LOCKED(&tender.lock);
	for (;;) {
		uint64_t due_us = take_due();

		if (!g_queue_is_empty(&tender.waiting))
			return g_queue_pop_head(&tender.waiting);
		if (due_us == 0)
			ph_signal_wait(&tender.more, &tender.lock);
		else
			(void) ph_signal_wait_until(&tender.more, &tender.lock, due_us);
	}
}

static void *
tend_for_ever(void *data)
{
	for (;;) {
		PhIndex *index = next_index();

		tend(index);
		ph_index_unref(index);
	}
	return NULL;
}

/* With the lock held. */
static void
start(void)
{
	if (tender.started)
		return;
	tender.started = true;
	ph_signal_init(&tender.more);
	g_thread_unref(g_thread_new("index-tend", tend_for_ever, NULL));
}

void
ph_index_tend(PhIndex *index)
{
	bool queue = false;

	ph_lock_take(&index->lock);
	queue = !index->tending;
	index->tending = true;
	ph_lock_drop(&index->lock);
	if (!queue)
		return;
	PH_LOCKED(&tender.lock);
	start();
	g_queue_push_tail(&tender.waiting, ph_index_ref(index));
	ph_signal_one(&tender.more);
}

void
ph_index_tend_soon(PhIndex *index, uint64_t delay_us)
{
	uint64_t due_us = (uint64_t) g_get_monotonic_time() + delay_us;

	PH_LOCKED(&tender.lock);
	if (index->tend_due_us != 0) {
		index->tend_due_us = MIN(index->tend_due_us, due_us);
		return;
	}
	start();
	index->tend_due_us = due_us;
	g_queue_push_tail(&tender.later, ph_index_ref(index));
	ph_signal_one(&tender.more);
}

/* With the lock held: most are due in the order in which they come. */
static void
put_due(PhIndex *index, uint64_t due_us)
{
	GList *before = tender.due.tail;

	while (before != NULL && ((const PhIndex *) before->data)->due_us > due_us)
		before = before->prev;
	index->due_us = due_us;
	index->due_link.data = index;
	g_queue_insert_after_link(&tender.due, before, &index->due_link);
}

static void
leave_due(PhIndex *index)
{
	if (index->due_us != 0)
		g_queue_unlink(&tender.due, &index->due_link);
	index->due_us = 0;
}

void
ph_index_tend_at(PhIndex *index, uint64_t delay_us)
{
	uint64_t due_us = (uint64_t) g_get_monotonic_time() + delay_us;

	PH_LOCKED(&tender.lock);
	if (index->due_us != 0 && index->due_us <= due_us)
		return;
	leave_due(index);
	start();
	put_due(index, due_us);
	if (tender.due.head == &index->due_link)
		ph_signal_one(&tender.more);
}

void
ph_index_leave_due(PhIndex *index)
{
	PH_LOCKED(&tender.lock);
	leave_due(index);
}

static uint64_t
grace_of(const PhIndex *index)
{
	return ph_index_removes(index) ? index->grace_us : 0;
}

/* How long the oldest dropped records have still to stay; false: there are none. */
static bool
oldest_due(PhIndex *index, PhIndexConnection *connection, uint64_t *delay_us_out)
{
	int64_t now = ph_clock_wall_us();
	int64_t oldest = 0;

	if (!ph_index_number(connection, "SELECT coalesce(min(time), 0) FROM record_dropped",
	                     &oldest, NULL)
	    || oldest == 0)
		return false;
	*delay_us_out = grace_of(index) - MIN(grace_of(index), (uint64_t) MAX(now - oldest, 0));
	return true;
}

/* It is looked up once, and after each tidying; what is dropped in between is due later. */
void
ph_index_expect_due(PhIndex *index, PhIndexConnection *connection)
{
	uint64_t delay_us = grace_of(index);
	bool is_due = index->has_dropped;

	index->has_dropped = false;
	if (!index->knows_due)
		is_due = oldest_due(index, connection, &delay_us);
	index->knows_due = true;
	if (is_due)
		ph_index_tend_at(index, MAX(delay_us, index->gather_us));
}
