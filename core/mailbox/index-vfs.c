/* index-vfs.c: writes SQLite's write-ahead log in one piece and over blocks that are there already
 *
 * SQLite writes two pieces for each page of a transaction and lets the log grow with each. Here the
 * pieces are gathered until the sync that makes them durable and written at once; the file is
 * filled with zeros ahead of what is written, twice as far each time, so that most syncs change
 * no size and allocate nothing. Zeros behind the last frame are no frame: SQLite's recovery stops
 * there. Frames are read by others only after the commit's sync (synchronous = FULL), so nobody
 * misses what is still in memory. What a transaction that was undone leaves in memory is forgotten
 * before its lock is followed by another's: written later, it would lie over what other handles
 * have committed there. All other files go straight to SQLite's own layer.
 *
 * Where commits are deferred the sync at the end of one only writes. The sync behind a new head is
 * done: without it frames of the new log could lie behind the head of the old one.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "mailbox/index.h"

enum {
	GATHER_MAX = 128 * 1024,
	GATHER_FIRST = 32 * 1024,
	AHEAD_MAX = 256 * 1024,
	FILL_UP_TO = 128 * 1024, /* larger transactions pay for their own blocks */
	WRITE_MAX = 64 * 1024,   /* SQLite's layer takes less than 128 KiB at a time */
};

/* Log: SQLite's file struct for a log; the real one lies behind it. */
typedef struct {
	sqlite3_file file; /* first */
	sqlite3_file *real;
	char *gathered;
	sqlite3_int64 start; /* of what is gathered */
	size_t length;
	size_t size;
	size_t unsynced;      /* octets written since the last sync */
	sqlite3_int64 filled; /* up to here the file has blocks; -1: not known */
	bool holds_syncs;     /* a deferred commit is under way */
	bool has_new_head;    /* the head was written since the last sync */
} Log;

static sqlite3_vfs *below;
static _Thread_local bool sync_failed;

static Log *
as_log(sqlite3_file *file)
{
	return (Log *) (void *) file;
}

/* Notes that the file has blocks up to @end, and writes zeros behind that when @ahead, so that later
 * syncs find blocks. What lies before `filled` may be frames of this transaction, which SQLite writes
 * over in place: nothing is ever filled there. Failing is no harm. */
static void
fill_ahead(Log *wal, sqlite3_int64 end, bool ahead)
{
	static const char zeros[WRITE_MAX];
	sqlite3_int64 target = end + (ahead ? MIN(end, AHEAD_MAX) : 0);

	if (wal->filled < 0 && wal->real->pMethods->xFileSize(wal->real, &wal->filled) != SQLITE_OK)
		return;
	if (end <= wal->filled)
		return;
	for (sqlite3_int64 at = end; at < target;) {
		int n = (int) MIN(target - at, WRITE_MAX);

		if (wal->real->pMethods->xWrite(wal->real, zeros, n, at) != SQLITE_OK)
			break;
		at += n;
	}
	wal->filled = target;
}

static void
forget(Log *wal)
{
	g_clear_pointer(&wal->gathered, g_free);
	wal->length = wal->size = wal->unsynced = 0;
}

/* @at_end: of a commit: then there may be zeros ahead of it. What is written before that is a piece of
 * a large one, whose next piece would only lie over them. */
static int
flush_for(Log *wal, bool at_end)
{
	int status = SQLITE_OK;

	if (wal->length == 0)
		return SQLITE_OK;
	for (size_t at = 0; at < wal->length && status == SQLITE_OK; at += WRITE_MAX)
		status = wal->real->pMethods->xWrite(wal->real, wal->gathered + at,
		                                     (int) MIN(wal->length - at, WRITE_MAX),
		                                     wal->start + (sqlite3_int64) at);
	wal->unsynced += wal->length;
	if (status == SQLITE_OK && !wal->holds_syncs)
		fill_ahead(wal, wal->start + (sqlite3_int64) wal->length,
		           at_end && wal->unsynced <= FILL_UP_TO);
	wal->length = 0;
	return status;
}

static int
flush(Log *wal)
{
	return flush_for(wal, false);
}

/* What was not synced belongs to no commit. */
static int
log_close(sqlite3_file *file)
{
	Log *wal = as_log(file);

	forget(wal);
	return wal->real->pMethods->xClose(wal->real);
}

static int
log_read(sqlite3_file *file, void *buffer, int length, sqlite3_int64 offset)
{
	Log *wal = as_log(file);
	int status = SQLITE_OK;

	if (wal->length > 0 && offset < wal->start + (sqlite3_int64) wal->length
	    && offset + length > wal->start)
		status = flush(wal);
	return status != SQLITE_OK ? status
	                           : wal->real->pMethods->xRead(wal->real, buffer, length, offset);
}

static void
make_room(Log *wal, size_t more)
{
	size_t needed = wal->length + more;

	if (needed <= wal->size)
		return;
	wal->size = MAX(MAX(needed, wal->size * 2), GATHER_FIRST);
	wal->gathered = g_realloc(wal->gathered, wal->size);
}

static int
log_write(sqlite3_file *file, const void *octets, int length, sqlite3_int64 offset)
{
	Log *wal = as_log(file);
	sqlite3_int64 end = wal->start + (sqlite3_int64) wal->length;
	size_t n = (size_t) length;
	int status = SQLITE_OK;

	wal->has_new_head = wal->has_new_head || offset == 0;
	if (wal->length > 0 && offset >= wal->start && offset + length <= end) {
		memcpy(wal->gathered + (offset - wal->start), octets, n);
		return SQLITE_OK;
	}
	if (wal->length > 0 && (offset != end || wal->length + n > GATHER_MAX))
		status = flush(wal);
	if (status != SQLITE_OK)
		return status;
	if (wal->length == 0)
		wal->start = offset;
	make_room(wal, n);
	memcpy(wal->gathered + wal->length, octets, n);
	wal->length += n;
	return SQLITE_OK;
}

static int
log_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	Log *wal = as_log(file);
	int status = flush(wal);

	wal->filled = -1;
	return status != SQLITE_OK ? status : wal->real->pMethods->xTruncate(wal->real, size);
}

static int
log_sync(sqlite3_file *file, int flags)
{
	Log *wal = as_log(file);
	int status = flush_for(wal, true);

	forget(wal);
	if (status != SQLITE_OK || (wal->holds_syncs && !wal->has_new_head))
		return status;
	status = wal->real->pMethods->xSync(wal->real, flags);
	sync_failed = sync_failed || status != SQLITE_OK;
	wal->has_new_head = wal->has_new_head && status != SQLITE_OK;
	return status;
}

static int
log_size(sqlite3_file *file, sqlite3_int64 *size_out)
{
	Log *wal = as_log(file);
	int status = flush(wal);

	return status != SQLITE_OK ? status : wal->real->pMethods->xFileSize(wal->real, size_out);
}

static int
log_lock(sqlite3_file *file, int level)
{
	return as_log(file)->real->pMethods->xLock(as_log(file)->real, level);
}

static int
log_unlock(sqlite3_file *file, int level)
{
	return as_log(file)->real->pMethods->xUnlock(as_log(file)->real, level);
}

static int
log_check_lock(sqlite3_file *file, int *result_out)
{
	return as_log(file)->real->pMethods->xCheckReservedLock(as_log(file)->real, result_out);
}

static int
log_control(sqlite3_file *file, int what, void *argument)
{
	return as_log(file)->real->pMethods->xFileControl(as_log(file)->real, what, argument);
}

static int
log_sector(sqlite3_file *file)
{
	return as_log(file)->real->pMethods->xSectorSize(as_log(file)->real);
}

static int
log_device(sqlite3_file *file)
{
	return as_log(file)->real->pMethods->xDeviceCharacteristics(as_log(file)->real);
}

static const sqlite3_io_methods log_methods = {
	.iVersion = 1,
	.xClose = log_close,
	.xRead = log_read,
	.xWrite = log_write,
	.xTruncate = log_truncate,
	.xSync = log_sync,
	.xFileSize = log_size,
	.xLock = log_lock,
	.xUnlock = log_unlock,
	.xCheckReservedLock = log_check_lock,
	.xFileControl = log_control,
	.xSectorSize = log_sector,
	.xDeviceCharacteristics = log_device,
};

static int
open_file(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *flags_out)
{
	Log *wal = as_log(file);
	int status = SQLITE_OK;

	if ((flags & SQLITE_OPEN_WAL) == 0)
		return below->xOpen(below, name, file, flags, flags_out);
	memset(wal, 0, sizeof *wal);
	wal->real = (sqlite3_file *) (void *) (wal + 1);
	wal->filled = -1;
	status = below->xOpen(below, name, wal->real, flags, flags_out);
	if (status == SQLITE_OK)
		wal->file.pMethods = &log_methods;
	return status;
}

static Log *
log_of(sqlite3 *db)
{
	sqlite3_file *file = NULL;

	if (sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &file) == SQLITE_OK
	    && file != NULL && file->pMethods == &log_methods)
		return as_log(file);
	return NULL;
}

void
ph_index_forget_unsynced(sqlite3 *db)
{
	Log *wal = log_of(db);

	if (wal != NULL)
		forget(wal);
}

void
ph_index_hold_syncs(sqlite3 *db, bool hold)
{
	Log *wal = log_of(db);

	if (wal != NULL)
		wal->holds_syncs = hold;
}

int
ph_index_sync_log(sqlite3 *db)
{
	Log *wal = log_of(db);

	return wal != NULL ? wal->real->pMethods->xSync(wal->real, SQLITE_SYNC_NORMAL) : SQLITE_OK;
}

bool
ph_index_take_sync_failure(void)
{
	bool failed = sync_failed;

	sync_failed = false;
	return failed;
}

const char *
ph_index_vfs(void)
{
	static const char name[] = "posthorn";
	static sqlite3_vfs vfs;
	static gsize once = 0;

	if (g_once_init_enter(&once)) {
		below = sqlite3_vfs_find(NULL);
		vfs = *below;
		vfs.pNext = NULL;
		vfs.zName = name;
		vfs.szOsFile = below->szOsFile + (int) sizeof(Log);
		vfs.xOpen = open_file;
		g_once_init_leave(&once, sqlite3_vfs_register(&vfs, 0) == SQLITE_OK ? 1 : 2);
	}
	return once == 1 ? name : NULL;
}
