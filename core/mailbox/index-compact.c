/* index-compact.c: gives the pages that nothing uses back to the file system
 *
 * New databases have auto_vacuum = INCREMENTAL: the last pages of the file move to free places and
 * the file ends earlier, some pages in each short transaction, while everybody goes on. A database
 * that was made without it is made anew once, in memory, as far as it is small; meanwhile its
 * commits wait, readers do not. The file itself is cut by the checkpoint that finds nobody
 * looking at an older state.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "mailbox/index.h"

enum {
	STEP_PAGES = 64, /* of one transaction: a few milliseconds */
	TIDY_PAGES = 64, /* the same, in the background */
	TIDY_STEPS = 16, /* then others come first */
	TIDY_AGAIN_US = 1000000,
	MANY_FREE = 1024,                 /* pages that may stay free for what comes */
	FREE_PART = 4,                    /* or one of so many */
	WORTH_PART = 16,                  /* a database is made anew for one of so many */
	MADE_ANEW_MAX = 64 * 1024 * 1024, /* of octets in use: they lie in memory meanwhile */
	INCREMENTAL = 2,                  /* SQLite's word for it */
	PATIENCE_MS = 20,                 /* with readers of an older state, while commits wait */
	CUT_FOR_US = 2000000,
	CUT_WAIT_US = 25000, /* while a checkpoint is under way */
};

typedef struct {
	int64_t mode;
	int64_t page_size;
	int64_t pages;
	int64_t free;
} Space;

static bool
measure(PhIndexConnection *connection, Space *space, GError **error)
{
	return ph_index_number(connection, "PRAGMA auto_vacuum", &space->mode, error)
	       && ph_index_number(connection, "PRAGMA page_size", &space->page_size, error)
	       && ph_index_number(connection, "PRAGMA page_count", &space->pages, error)
	       && ph_index_number(connection, "PRAGMA freelist_count", &space->free, error);
}

static bool
give_pages(PhIndexConnection *connection, int pages, GError **error)
{
	char sql[64];

	(void) g_snprintf(sql, sizeof sql, "PRAGMA incremental_vacuum(%d)", pages);
	return sqlite3_exec(connection->db, sql, NULL, NULL, NULL) == SQLITE_OK
	       || ph_index_fail(connection, "give back pages", error);
}

/* --- in the background --------------------------------------------------------------------------- */

static bool
has_many(const Space *space)
{
	return space->mode == INCREMENTAL && space->free > MANY_FREE
	       && space->free > space->pages / FREE_PART;
}

/* One transaction. Returns: pages were given back. */
static bool
give_some(PhIndex *index)
{
	PhIndexConnection *connection = ph_index_begin_write(index, NULL);
	Space space = { 0 };
	bool give = false;
	bool good = false;

	if (connection == NULL)
		return false;
	give = measure(connection, &space, NULL) && has_many(&space);
	good = !give || give_pages(connection, TIDY_PAGES, NULL);
	return ph_index_end_write(index, connection, good, NULL) && give && good;
}

bool
ph_index_compact_some(PhIndex *index)
{
	int n = 0;

	while (n < TIDY_STEPS && give_some(index)) {
		n++;
		ph_index_give_way(index);
	}
	if (n == TIDY_STEPS)
		ph_index_tend_at(index, TIDY_AGAIN_US);
	return n > 0;
}

/* --- all of it ---------------------------------------------------------------------------------- */

/* As much as was free at the beginning: commits meanwhile may free more for ever. */
static bool
give_all(PhIndex *index, int64_t n, GError **error)
{
	bool good = true;

	for (; good && n > 0; n -= STEP_PAGES) {
		PhIndexConnection *connection = ph_index_begin_write(index, error);

		if (connection == NULL)
			return false;
		good = give_pages(connection, STEP_PAGES, error);
		good = ph_index_end_write(index, connection, good, good ? error : NULL) && good;
		ph_index_give_way(index);
	}
	return good;
}

static bool
make_anew(PhIndex *index, const Space *space, GError **error)
{
	PhIndexConnection *connection = NULL;
	bool good = false;

	if ((space->pages - space->free) * space->page_size > MADE_ANEW_MAX) {
		ph_error_set(error, PH_ERROR_UNSUPPORTED,
		             "'%s' was made by an earlier release and is too large to be compacted "
		             "while it is used: stop the server and run sqlite3 on it once with "
		             "\"PRAGMA auto_vacuum = 2; VACUUM\"",
		             index->path);
		return false;
	}
	connection = ph_index_take_main(index);
	good = sqlite3_exec(connection->db, "PRAGMA auto_vacuum = INCREMENTAL; VACUUM", NULL, NULL,
	                    NULL)
	       == SQLITE_OK;
	if (!good)
		(void) ph_index_fail(connection, "compact", error);
	ph_index_forget_unsynced(connection->db);
	ph_index_give_main(index);
	return good;
}

/* Copies the whole log back, so that the file ends where its last page does. Who still reads an
 * older state is waited for a little; then a later checkpoint does it. */
static bool
cut_file(PhIndex *index, GError **error)
{
	PhIndexConnection *connection = ph_index_connect(index, error);
	int64_t end_us = g_get_monotonic_time() + CUT_FOR_US;
	int status = SQLITE_OK;
	bool good = false;

	if (connection == NULL)
		return false;
	(void) sqlite3_busy_timeout(connection->db, PATIENCE_MS);
	for (;;) {
		/* most of it is copied while commits go on */
		(void) sqlite3_wal_checkpoint_v2(connection->db, NULL, SQLITE_CHECKPOINT_PASSIVE,
		                                 NULL, NULL);
		status = sqlite3_wal_checkpoint_v2(connection->db, NULL, SQLITE_CHECKPOINT_TRUNCATE,
		                                   NULL, NULL);
		if (status != SQLITE_BUSY || g_get_monotonic_time() > end_us)
			break;
		g_usleep(CUT_WAIT_US);
	}
	good = status == SQLITE_OK || status == SQLITE_BUSY;
	if (!good)
		(void) ph_index_fail(connection, "checkpoint", error);
	ph_index_disconnect(connection);
	return good;
}

bool
ph_index_compact(PhIndex *index, GError **error)
{
	PhIndexConnection *connection = NULL;
	Space space = { 0 };
	bool good = false;

	(void) ph_index_tidy(index);
	connection = ph_index_begin_read(index, error);
	if (connection == NULL)
		return false;
	good = measure(connection, &space, error);
	ph_index_end_read(index, connection);
	if (!good)
		return false;
	if (space.mode == INCREMENTAL)
		good = give_all(index, space.free, error);
	else if (space.free > space.pages / WORTH_PART)
		good = make_anew(index, &space, error);
	return good && cut_file(index, error);
}
