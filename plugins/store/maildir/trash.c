/* trash.c: files of removed messages, until their grace time has passed; forgotten files in tmp
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "hints.h"
#include "tidy.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum {
	STEP = 256,
};

static const int64_t tmp_us = INT64_C(36) * 3600 * 1000000;
static const int64_t retry_us = INT64_C(60) * 1000000;

/* Row: of removed messages. */
typedef struct {
	int64_t id;
	bool removed;
	GBytes *blobs;
} Row;

static bool
next_row(Account *account, PhIndexConnection *connection, PhTime now, Row *row_out)
{
	sqlite3_stmt *row = NULL;
	bool found = false;

	if (account->drop_kept != 0 && g_get_monotonic_time() >= account->drop_retry)
		account->drop_kept = 0;
	row = sql(connection, SQL_DROP_NEXT, account->drop_kept, NULL);
	if (row == NULL)
		return false;
	(void) sqlite3_bind_int64(row, 2, now - (int64_t) account->settings.grace.us);
	(void) sqlite3_bind_int64(row, 3, defer_safe(account).wall);
	found = sqlite3_step(row) == SQLITE_ROW;
	if (found) {
		row_out->id = sqlite3_column_int64(row, 0);
		row_out->removed = sqlite3_column_int64(row, 1) != 0;
		row_out->blobs = g_bytes_new(sqlite3_column_blob(row, 2),
		                             (gsize) sqlite3_column_bytes(row, 2));
	}
	(void) sqlite3_reset(row);
	return found;
}

bool
trash_next_blob(const char *octets, size_t size, size_t *offset, PhBlobId *blob)
{
	uint8_t length = 0;

	if (*offset >= size)
		return false;
	length = (uint8_t) octets[*offset];
	if (length > sizeof blob->octets || size - *offset - 1 < length)
		return false;
	blob->length = length;
	memcpy(blob->octets, octets + *offset + 1, length);
	*offset += length + 1U;
	return true;
}

static void
forget_place(PhIndexConnection *connection, const PhBlobId *blob)
{
	sqlite3_stmt *row = sql(connection, SQL_PLACE_REMOVE, 0, NULL);

	if (row == NULL)
		return;
	(void) sqlite3_bind_blob(row, 2, blob->octets, blob->length, SQLITE_STATIC);
	(void) sql_done(connection, row, "forget a place", NULL);
}

/* Removal: files that leave their folders. */
typedef struct {
	Account *account;
	PhIndexConnection *connection;
	Listing *listing;
	GHashTable *left; /* paths (owned) of folders that files have left */
} Removal;

/* Where there is no room for its name in the trash the file is removed at once. */
static bool
leave_folder(Account *account, const char *from, const char *to)
{
	const PhRename rename = { account->root_fd, account->root_fd, from, to, false };

	if (ph_durable_move(&rename, NULL))
		return true;
	if ((errno == ENOSPC || errno == EDQUOT || errno == EMLINK || errno == EXDEV)
	    && unlinkat(account->root_fd, from, 0) == 0)
		return true;
	return faccessat(account->root_fd, from, F_OK, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT;
}

/* What has to stay is no delivery of another program, and is tried again. */
static void
note_stuck(Account *account, PhIndexConnection *connection, const PhBlobId *blob, bool is_stuck)
{
	File file;

	if (!is_stuck && g_hash_table_size(account->stuck) == 0)
		return;
	if (!file_unpack(blob, connection, &file))
		return;
	if (is_stuck)
		(void) g_hash_table_add(account->stuck, g_strdup(file.base));
	else
		(void) g_hash_table_remove(account->stuck, file.base);
}

bool
trash_is_stuck(const Account *account, PhSlice base)
{
	g_autofree char *name = NULL;

	if (g_hash_table_size(account->stuck) == 0)
		return false;
	name = ph_slice_dup(base);
	return g_hash_table_contains(account->stuck, name);
}

static void
throw_away(Removal *removal, const PhBlobId *blob)
{
	Account *account = removal->account;
	g_autofree char *from = find_own(removal->listing, removal->connection, blob,
	                                 LETTERS_SEEN | LETTERS_TRASHED);
	g_autofree char *to = trash_path(account, blob);
	bool is_stuck = false;

	hints_own(account, from, NULL);
	is_stuck = from != NULL && !leave_folder(account, from, to);
	note_stuck(account, removal->connection, blob, is_stuck);
	account->drop_failed = account->drop_failed || is_stuck;
	if (is_stuck)
		return;
	if (from != NULL)
		(void) g_hash_table_add(removal->left, g_path_get_dirname(from));
	forget_place(removal->connection, blob);
}

/* Else a file could be back in its folder after a power loss, as if somebody had delivered it. */
static bool
sync_left(Removal *removal)
{
	g_autofree char *trash = g_strconcat(removal->account->place, "/trash", NULL);
	bool good = true;
	GHashTableIter iter;
	gpointer path = NULL;

	if (g_hash_table_size(removal->left) == 0)
		return true;
	g_hash_table_iter_init(&iter, removal->left);
	while (good && g_hash_table_iter_next(&iter, &path, NULL))
		good = tidy_sync(removal->account, path, NULL);
	return good && tidy_sync(removal->account, trash, NULL);
}

static bool
finish_row(PhIndexConnection *connection, uint32_t which, int64_t id)
{
	sqlite3_stmt *row = sql(connection, which, id, NULL);

	return row != NULL && sql_done(connection, row, "tidy removed messages", NULL);
}

/* The folders that files leave, bracketed. */
static Folder *
home_of(Account *account, PhIndexConnection *connection, const PhBlobId *blob)
{
	File file;

	return file_unpack(blob, connection, &file) ? folder_at(account, file.home) : NULL;
}

/* It is tried again after a while, and others go before it. */
static bool
keep_row(Account *account, int64_t id)
{
	if (account->drop_retry == 0)
		ph_log_section(account->settings.section, PH_LOG_WARNING, "maildir-not-removed",
		               "files of removed messages cannot leave their folder",
		               PH_LOG_TEXT("maildir", account->root),
		               PH_LOG_NUMBER("files", g_hash_table_size(account->stuck)),
		               PH_LOG_END);
	account->drop_row = 0;
	account->drop_kept = id;
	account->drop_retry = g_get_monotonic_time() + retry_us;
	ph_index_tend_soon(account->index, (uint64_t) retry_us);
	return true;
}

static bool
remove_step(Account *account, PhIndexConnection *connection, const Row *row)
{
	gsize size = 0;
	const char *octets = g_bytes_get_data(row->blobs, &size);
	bool is_new = account->drop_row != row->id;
	size_t offset = is_new ? 0 : account->drop_offset;
	g_autoptr(GHashTable) left = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	Removal removal = { account, connection, listing_new(account), left };
	PhBlobId blob = { 0 };
	Folder *folder = NULL;
	Touch touch = { .account = account };
	unsigned n = 0;

	account->drop_failed = account->drop_failed && !is_new;
	for (; n < STEP && trash_next_blob(octets, size, &offset, &blob); n++) {
		Folder *home = home_of(account, connection, &blob);

		if (home != folder) {
			touch_end(&touch);
			touch_begin(&touch, account, home);
			folder = home;
		}
		throw_away(&removal, &blob);
	}
	touch_end(&touch);
	listing_free(removal.listing);
	account->drop_row = row->id;
	account->drop_offset = offset;
	if (!sync_left(&removal))
		return false;
	if (n == STEP)
		return true;
	return account->drop_failed ? keep_row(account, row->id)
	                            : finish_row(connection, SQL_DROP_DONE, row->id);
}

static bool
purge(Account *account, PhIndexConnection *connection, const Row *row)
{
	gsize size = 0;
	const char *octets = g_bytes_get_data(row->blobs, &size);
	size_t offset = 0;
	PhBlobId blob = { 0 };

	while (trash_next_blob(octets, size, &offset, &blob)) {
		g_autofree char *path = trash_path(account, &blob);

		(void) unlinkat(account->root_fd, path, 0);
	}
	return finish_row(connection, SQL_DROP_REMOVE, row->id);
}

/* --- tmp ------------------------------------------------------------------------------------------- */

/* Old: names in tmp that may have been forgotten. */
typedef struct {
	PhIndexConnection *connection;
	GHashTable *names; /* owned */
} Old;

static void
find_old(Account *account, PhTime now, GHashTable *names)
{
	int fd = openat(account->root_fd, "tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *entry = NULL;

	if (dir == NULL && fd >= 0)
		(void) close(fd);
	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		struct stat info;

		/* a name with sizes was given after a commit */
		if (entry->d_name[0] == '.' || strstr(entry->d_name, ",S=") != NULL
		    || fstatat(fd, entry->d_name, &info, AT_SYMLINK_NOFOLLOW) < 0
		    || !S_ISREG(info.st_mode))
			continue;
		if (MAX(info.st_mtim.tv_sec, info.st_ctim.tv_sec) * INT64_C(1000000) < now - tmp_us)
			(void) g_hash_table_add(names, g_strdup(entry->d_name));
	}
	if (dir != NULL)
		(void) closedir(dir);
}

/* The octets of a message that could not get its place are nowhere else. */
static bool
spare_named(const PhRecord *record, void *user_data)
{
	Old *old = user_data;
	PhBlobId original = record->blob;
	File file;

	file_set_copy(&original, 0);
	if (file_unpack(&original, old->connection, &file)) {
		file.base[strcspn(file.base, ",")] = '\0';
		(void) g_hash_table_remove(old->names, file.base);
	}
	return g_hash_table_size(old->names) > 0;
}

static bool
spare_all(Account *account, Old *old)
{
	PhChangesQuery query = { .fields = PH_FIELD_BLOB, .record = spare_named, .user_data = old };
	PhChangesResult result = { 0 };
	bool good = true;

	for (guint i = 0; good && i < account->numbered->len; i++) {
		const Folder *folder = folder_at(account, i);

		if (folder != NULL && !folder->is_gone && g_hash_table_size(old->names) > 0)
			good = ph_index_changes(account->index, &folder->id, &query, &result, NULL);
	}
	return good;
}

/* Files that nobody finished for 36 hours, as the maildir page says. */
static bool
clean_tmp(Account *account, PhIndexConnection *connection, PhTime now)
{
	g_autoptr(GHashTable) names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	Old old = { connection, names };
	GHashTableIter iter;
	gpointer name = NULL;

	find_old(account, now, names);
	if (!spare_all(account, &old))
		return false;
	g_hash_table_iter_init(&iter, names);
	while (g_hash_table_iter_next(&iter, &name, NULL)) {
		g_autofree char *path = g_strconcat("tmp/", name, NULL);

		(void) unlinkat(account->root_fd, path, 0);
	}
	return true;
}

bool
trash_step(Account *account, PhIndexConnection *connection, PhTime now)
{
	Row row = { .blobs = NULL };
	bool good = false;

	if (!next_row(account, connection, now, &row)) {
		/* before the replay is over only the journal may know whose a file is */
		if (!account->tmp_cleaned && (!account->deferred || account->checked)
		    && !deliver_is_waiting(account))
			account->tmp_cleaned = clean_tmp(account, connection, now);
		return false;
	}
	good = row.removed ? purge(account, connection, &row)
	                   : remove_step(account, connection, &row);
	g_bytes_unref(row.blobs);
	return good;
}
