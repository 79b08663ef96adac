/* find.c: where a message's file is, when it is not where we knew it
 *
 * It may have been renamed by another program, wait in tmp or in the folder that it is moved or
 * copied from, or lie in the trash.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "tidy.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* Likely letters of a file that nobody knows exactly. */
static const Letters likely[] = {
	LETTERS_NEW,
	LETTERS_SEEN,
	LETTERS_SEEN | LETTERS_TRASHED,
	LETTERS_REPLIED | LETTERS_SEEN,
};

static bool
is_there(const Account *account, const char *path)
{
	return faccessat(account->root_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

char *
trash_path(const Account *account, const PhBlobId *blob)
{
	g_autofree char *name =
		g_compute_checksum_for_data(G_CHECKSUM_SHA256, blob->octets, blob->length);

	return g_strdup_printf("%s/trash/%.40s", account->place, name);
}

/* --- a folder's names, read once -------------------------------------------------------------- */

Listing *
listing_new(Account *account)
{
	Listing *listing = g_new0(Listing, 1);

	listing->account = account;
	return listing;
}

void
listing_free(Listing *listing)
{
	if (listing == NULL)
		return;
	g_clear_pointer(&listing->names, g_hash_table_unref);
	g_free(listing);
}

static void
list_part(Listing *listing, const Folder *folder, Letters place)
{
	Account *account = listing->account;
	g_autofree char *path = folder_where(account, folder, place, PH_SLICE_EMPTY);
	DIR *dir = NULL;
	const struct dirent *entry = NULL;
	int fd = -1;

	*(strrchr(path, '/') + 1) = '\0';
	fd = openat(account->root_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = fd >= 0 ? fdopendir(fd) : NULL;
	if (dir == NULL && fd >= 0)
		(void) close(fd);
	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		Letters letters = 0;
		bool odd = false;
		PhSlice base = file_name_split(entry->d_name, &letters, &odd);

		if (entry->d_name[0] != '.')
			(void) g_hash_table_insert(listing->names, ph_slice_dup(base),
			                           g_strconcat(path, entry->d_name, NULL));
	}
	if (dir != NULL)
		(void) closedir(dir);
}

static const char *
look_up(Listing *listing, const Folder *folder, const char *base)
{
	if (listing->folder != folder->no) {
		g_clear_pointer(&listing->names, g_hash_table_unref);
		listing->names = g_hash_table_new_full(ph_str_hash, g_str_equal, g_free, g_free);
		listing->folder = folder->no;
		list_part(listing, folder, LETTERS_NEW);
		list_part(listing, folder, 0);
	}
	return g_hash_table_lookup(listing->names, base);
}

static char *
find_in(Listing *listing, const Folder *folder, const char *base, Letters guess)
{
	Account *account = listing->account;
	const char *found = NULL;

	for (size_t i = 0; i <= G_N_ELEMENTS(likely); i++) {
		g_autofree char *path = folder_where(
			account, folder, i == 0 ? guess : likely[i - 1], ph_slice(base));

		if (is_there(account, path))
			return g_steal_pointer(&path);
	}
	/* reading the folder costs more than all flags */
	for (Letters flags = 0; flags <= LETTERS_FLAGS; flags++) {
		g_autofree char *path = folder_where(account, folder, flags, ph_slice(base));

		if (is_there(account, path))
			return g_steal_pointer(&path);
	}
	found = look_up(listing, folder, base);
	return found != NULL && is_there(account, found) ? g_strdup(found) : NULL;
}

/* --- everywhere ----------------------------------------------------------------------------------- */

/* Where copies of this blob (@any: any copy of its file) were placed: pairs of blob and folder. */
static GArray *
placed(PhIndexConnection *connection, const PhBlobId *blob, bool any)
{
	GArray *places = g_array_new(FALSE, FALSE, sizeof(Placed));
	sqlite3_stmt *row = sql(connection, SQL_PLACE_GET, 0, NULL);
	uint8_t end[sizeof blob->octets + 1];
	size_t length = blob->length;

	if (row == NULL)
		return places;
	memset(end, 0xff, sizeof end);
	memcpy(end, blob->octets, any ? length - sizeof(uint32_t) : length);
	if (!any)
		end[length] = '\0';
	(void) sqlite3_bind_blob64(row, 2, blob->octets, any ? length - sizeof(uint32_t) : length,
	                           SQLITE_STATIC);
	(void) sqlite3_bind_blob64(row, 3, end, any ? sizeof end : length + 1, SQLITE_STATIC);
	while (sqlite3_step(row) == SQLITE_ROW) {
		Placed place = { .folder = (uint32_t) sqlite3_column_int64(row, 1) };

		place.blob.length = (uint8_t) MIN((size_t) sqlite3_column_bytes(row, 0),
		                                  sizeof place.blob.octets);
		memcpy(place.blob.octets, sqlite3_column_blob(row, 0), place.blob.length);
		(void) g_array_append_val(places, place);
	}
	(void) sqlite3_reset(row);
	return places;
}

bool
find_is_elsewhere(PhIndexConnection *connection, const PhBlobId *blob, const Folder *folder)
{
	g_autoptr(GArray) places = placed(connection, blob, false);

	return places->len > 0 && g_array_index(places, Placed, 0).folder != folder->no;
}

static char *
find_placed(Listing *listing,
            PhIndexConnection *connection,
            const PhBlobId *blob,
            bool any,
            Letters guess)
{
	g_autoptr(GArray) places = placed(connection, blob, any);
	char *path = NULL;

	for (guint i = 0; i < places->len && path == NULL; i++) {
		const Placed *place = &g_array_index(places, Placed, i);
		const Folder *folder = folder_at(listing->account, place->folder);
		File file;

		if (folder != NULL && file_unpack(&place->blob, connection, &file))
			path = find_in(listing, folder, file.base, guess);
	}
	return path;
}

char *
find_waiting(Account *account, const File *file)
{
	g_autofree char *path = tmp_path(file->base);

	if (is_there(account, path))
		return g_steal_pointer(&path);
	g_free(path);
	path = g_strconcat("tmp/", file->base, NULL);
	return is_there(account, path) ? g_steal_pointer(&path) : NULL;
}

char *
find_own(Listing *listing, PhIndexConnection *connection, const PhBlobId *blob, Letters guess)
{
	Account *account = listing->account;
	const Folder *home = NULL;
	char *path = NULL;
	File file;

	if (!file_unpack(blob, connection, &file))
		return NULL;
	path = find_placed(listing, connection, blob, false, guess);
	/* a copy has no file before it was placed; tmp is asked first, as a folder is many questions */
	if (path == NULL && file.copy == 0)
		path = find_waiting(account, &file);
	home = file.copy == 0 ? folder_at(account, file.home) : NULL;
	if (path == NULL && home != NULL)
		path = find_in(listing, home, file.base, guess);
	return path;
}

char *
find_source(Listing *listing, PhIndexConnection *connection, const PhBlobId *blob, Letters guess)
{
	PhBlobId original = *blob;
	g_autofree char *trash = NULL;
	char *path = NULL;

	file_set_copy(&original, 0);
	path = find_own(listing, connection, &original, guess);
	if (path == NULL)
		path = find_placed(listing, connection, blob, true, guess);
	trash = trash_path(listing->account, &original);
	if (path == NULL && is_there(listing->account, trash))
		path = g_steal_pointer(&trash);
	return path;
}

char *
find_file(Account *account,
          PhIndexConnection *connection,
          const Folder *folder,
          const PhBlobId *blob,
          Letters guess)
{
	Listing *listing = listing_new(account);
	g_autofree char *trash = trash_path(account, blob);
	char *path = NULL;
	File file;

	if (is_there(account, trash))
		path = g_steal_pointer(&trash);
	if (path == NULL && file_unpack(blob, connection, &file))
		path = find_in(listing, folder, file.base, guess);
	if (path == NULL)
		path = find_own(listing, connection, blob, guess);
	if (path == NULL && file_copy(blob) != 0)
		path = find_source(listing, connection, blob, guess);
	listing_free(listing);
	return path;
}
