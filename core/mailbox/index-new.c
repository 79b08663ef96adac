/* index-new.c: makes the database of a new account from a picture of an empty one
 *
 * The tables are made once for each kind of store, in memory; a new account is that picture
 * written under another name, synced, and given its name unless somebody was faster. So a new
 * account costs two syncs, and no reader ever finds half of it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/durable.h>

#include "base/clock.h"
#include "mailbox/index.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum {
	FOLDER_MODE = 0700,
	FILE_MODE = 0600,
	WRITE_VERSION = 18, /* of SQLite's file format: 2 says write-ahead log */
	READ_VERSION = 19,
	WAL = 2,
};

static struct {
	PhLock lock;
	GHashTable *pictures; /* hooks -> GBytes */
} made = { .lock = PH_LOCK_INIT };

/* An empty database with all tables, as it stands in a file. */
static GBytes *
draw(PhIndex *index, GError **error)
{
	PhIndexConnection connection = { .db = NULL };
	sqlite3_int64 length = 0;
	unsigned char *octets = NULL;
	GBytes *picture = NULL;

	if (sqlite3_open(":memory:", &connection.db) != SQLITE_OK
	    || sqlite3_exec(connection.db, "PRAGMA auto_vacuum = INCREMENTAL", NULL, NULL, NULL)
	               != SQLITE_OK
	    || !ph_index_prepare_schema(index, &connection, error)) {
		if (error != NULL && *error == NULL)
			(void) ph_index_fail(&connection, "make tables", error);
		(void) sqlite3_close(connection.db);
		return NULL;
	}
	octets = sqlite3_serialize(connection.db, "main", &length, 0);
	if (octets == NULL) {
		ph_error_set(error, PH_ERROR_TEMPORARY, "there is no memory for a new database");
	} else {
		octets[WRITE_VERSION] = WAL;
		octets[READ_VERSION] = WAL;
		picture = g_bytes_new(octets, (gsize) length);
	}
	sqlite3_free(octets);
	(void) sqlite3_close(connection.db);
	return picture;
}

static GBytes *
picture_of(PhIndex *index, GError **error)
{
	GBytes *picture = NULL;

	PH_LOCKED(&made.lock);
	if (made.pictures == NULL)
		made.pictures = g_hash_table_new(NULL, NULL);
	picture = g_hash_table_lookup(made.pictures, index->hooks);
	if (picture == NULL) {
		picture = draw(index, error);
		if (picture != NULL)
			(void) g_hash_table_insert(made.pictures, (void *) (uintptr_t) index->hooks,
			                           picture);
	}
	return picture != NULL ? g_bytes_ref(picture) : NULL;
}

static bool
write_picture(int fd, GBytes *picture, GError **error)
{
	gsize length = 0;
	const char *octets = g_bytes_get_data(picture, &length);

	return ph_durable_write(fd, PH_SLICE(octets, length), error) && ph_durable_sync(fd, error);
}

/* Gives a file without a name the one it is for. Another's file of that name is as good. */
static bool
give_name(int folder, int fd, const char *name, GError **error)
{
	char path[64];

	(void) g_snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	if (linkat(AT_FDCWD, path, folder, name, AT_SYMLINK_FOLLOW) == 0 || errno == EEXIST)
		return ph_durable_sync_folder(folder, error);
	ph_error_set_errno(error, errno, "cannot name a file");
	return false;
}

/* A file that has no name before it is whole: a crash leaves nothing behind. */
static bool
make_unnamed(int folder, int fd, const char *name, GBytes *picture, GError **error)
{
	bool good = write_picture(fd, picture, error) && give_name(folder, fd, name, error);

	(void) close(fd);
	return good;
}

/* For file systems where each file has a name. */
static bool
make_beside(int folder, const char *name, GBytes *picture, GError **error)
{
	g_autofree char *beside = g_strdup_printf("%s.%08x.new", name, g_random_int());
	g_autoptr(GError) why = NULL;
	PhRename move = {
		.from_folder_fd = folder,
		.to_folder_fd = folder,
		.from = beside,
		.to = name,
		.keep_existing = true,
	};
	int fd = openat(folder, beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
	                FILE_MODE);
	bool good = false;

	if (fd < 0) {
		ph_error_set_errno(error, errno, "cannot make '%s'", beside);
		return false;
	}
	good = write_picture(fd, picture, &why);
	(void) close(fd);
	if (good && ph_durable_rename(&move, &why))
		return true;
	(void) unlinkat(folder, beside, 0);
	if (g_error_matches(why, PH_ERROR, PH_ERROR_EXISTS))
		return true;
	g_propagate_error(error, g_steal_pointer(&why));
	return false;
}

static bool
make_in(int folder, const char *name, GBytes *picture, GError **error)
{
	g_autoptr(GError) why = NULL;
	int fd = openat(folder, ".", O_WRONLY | O_TMPFILE | O_CLOEXEC, FILE_MODE);
	bool good = fd >= 0 ? make_unnamed(folder, fd, name, picture, &why)
	                    : make_beside(folder, name, picture, &why);

	if (!good)
		ph_error_set(error, PH_ERROR_TEMPORARY, "cannot make '%s': %s", name, why->message);
	return good;
}

bool
ph_index_make(PhIndex *index, GError **error)
{
	g_autofree char *folder = g_path_get_dirname(index->path);
	g_autofree char *name = g_path_get_basename(index->path);
	g_autoptr(GBytes) picture = picture_of(index, error);
	int fd = -1;
	bool good = false;

	if (picture == NULL || !ph_durable_make_folder(folder, FOLDER_MODE, error))
		return false;
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		ph_error_set_errno(error, errno, "cannot open '%s'", folder);
		return false;
	}
	good = make_in(fd, name, picture, error);
	(void) close(fd);
	return good;
}

/* --- a damaged one ------------------------------------------------------------------------------ */

static bool
move_aside(int folder, const char *name, const char *to, GError **error)
{
	PhRename move = { .from_folder_fd = folder,
		          .to_folder_fd = folder,
		          .from = name,
		          .to = to };

	if (faccessat(folder, name, F_OK, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT)
		return true;
	return ph_durable_rename(&move, error);
}

/* The log goes first: a new database must never find an old one's. */
bool
ph_index_set_aside(const char *path, char **aside_out, GError **error)
{
	static const char *const endings[] = { "-wal", "-shm", "" };
	g_autofree char *folder = g_path_get_dirname(path);
	g_autofree char *name = g_path_get_basename(path);
	g_autofree char *aside =
		g_strdup_printf("%s.damaged-%" G_GINT64_FORMAT, name, ph_clock_wall_us());
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool good = true;

	if (fd < 0) {
		ph_error_set_errno(error, errno, "cannot open '%s'", folder);
		return false;
	}
	for (size_t i = 0; good && i < G_N_ELEMENTS(endings); i++) {
		g_autofree char *from = g_strconcat(name, endings[i], NULL);
		g_autofree char *to = g_strconcat(aside, endings[i], NULL);

		good = move_aside(fd, from, to, error);
	}
	(void) close(fd);
	if (good && aside_out != NULL)
		*aside_out = g_build_filename(folder, aside, NULL);
	return good;
}
