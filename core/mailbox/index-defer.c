/* index-defer.c: commits that wait for no sync, because a journal makes them durable
 *
 * SQLite believes that it syncs its log at each commit; while such a commit runs, the file layer
 * (index-vfs.c) only writes. Checkpoints sync as ever, so the database itself is never ahead of
 * its log. The log stays when the database is closed: copying it back would cost two syncs each time.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "mailbox/index.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

bool
ph_index_commit_now(PhIndex *index, PhIndexConnection *connection, GError **error)
{
	bool good = false;

	if (!g_atomic_int_get(&index->is_deferred))
		return ph_index_exec(connection, PH_SQL_COMMIT, error);
	ph_index_hold_syncs(connection->db, true);
	good = ph_index_exec(connection, PH_SQL_COMMIT, error);
	ph_index_hold_syncs(connection->db, false);
	return good;
}

int
ph_index_wal_limit(PhIndex *index)
{
	return g_atomic_int_get(&index->is_deferred) ? PH_INDEX_WAL_PAGES_DEFERRED
	                                             : PH_INDEX_WAL_PAGES;
}

void
ph_index_keep_log(PhIndexConnection *connection)
{
	(void) sqlite3_db_config(connection->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
}

bool
ph_index_defer(PhIndex *index, int *fd_out, GError **error)
{
	g_autofree char *folder = g_path_get_dirname(index->path);
	PhIndexConnection *connection = NULL;

	*fd_out = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*fd_out < 0) {
		ph_error_set_errno(error, errno, "cannot open '%s'", folder);
		return false;
	}
	/* a further connection made before would copy the log back when it is the last to close */
	ph_index_drop_spare(index);
	connection = ph_index_take_main(index);
	ph_index_keep_log(connection);
	g_atomic_int_set(&index->is_deferred, 1);
	ph_index_give_main(index);
	return true;
}

/* Opens the log when this handle has not looked at the database yet. */
static bool
open_log(PhIndexConnection *connection, GError **error)
{
	sqlite3_stmt *version = NULL;
	bool good = ph_index_exec(connection, PH_SQL_BEGIN_READ, error);

	if (!good)
		return false;
	version = ph_index_sql(connection, PH_SQL_ACCOUNT, error);
	good = version != NULL && sqlite3_step(version) == SQLITE_ROW;
	if (version != NULL)
		(void) sqlite3_reset(version);
	return ph_index_exec(connection, PH_SQL_COMMIT, error) && good;
}

bool
ph_index_sync(PhIndex *index, GError **error)
{
	PhIndexConnection *connection = ph_index_take_main(index);
	bool good = open_log(connection, error);

	if (good && ph_index_sync_log(connection->db) != SQLITE_OK) {
		ph_error_set(error, PH_ERROR_TEMPORARY, "cannot sync the log of '%s'", index->path);
		good = false;
	}
	ph_index_give_main(index);
	return good;
}
