/* glance.c: looks at the names that were told instead of reading a folder
 *
 * A part of a folder is followed when it was read after its watch began, and nothing that was told since
 * was lost. Then a name that appeared is looked up, and only a message whose name went away can be
 * missing. A time that changed although nothing was told means that something was lost: the folder is
 * read.
 *
 * Names are taken after the times: what happens later is told later, and found then even though the times
 * may say that it was seen.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "finder.h"
#include "hints.h"
#include "uidlist.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum {
	NAMES = 2000, /* looked up in one glance */
};

typedef struct {
	Scan scan;
	GArray *hints[2];
	int64_t before[2];
	GHashTable *met;  /* names that were looked at */
	GHashTable *lost; /* base name -> uid, of messages whose name went away */
	bool is_sure;     /* each of them was removed, not renamed */
	bool too_many;
} Glance;

static int64_t
part_time(Account *account, const Folder *folder, int part)
{
	g_autofree char *path = scan_part(account, folder, part);

	return stat_ns(account->root_fd, path);
}

/* --- what was told -------------------------------------------------------------------------------- */

/* In the index's write transaction: our own changes are as `seen` says. False: the folder must be read. */
static bool
gather(Glance *glance, Account *account, Folder *folder)
{
	const Hints *hints = folder->hints;

	if (hints == NULL || !hints->follows[IN_NEW] || !hints->follows[IN_CUR]
	    || !folder->is_adopted || folder->list.is_newer || scan_is_due(folder))
		return false;
	for (int i = 0; i < 2; i++)
		glance->before[i] = part_time(account, folder, i);
	ph_watch_catch_up();
	for (int i = 0; i < 2; i++) {
		glance->hints[i] = hints_take(folder, i);
		if (folder->seen[i] == 0 || glance->hints[i] == NULL
		    || (glance->hints[i]->len == 0 && glance->before[i] != folder->seen[i]))
			return false;
	}
	return true;
}

/* --- names ------------------------------------------------------------------------------------------ */

/* A name that is not there any more: whose was it? */
static bool
note_gone(Glance *glance, const char *name, PhWatchKind kind)
{
	Scan *scan = &glance->scan;
	Letters letters = 0;
	bool odd = false;
	PhSlice base = file_name_split(name, &letters, &odd);
	uint32_t uid = 0;

	if (base.length == 0 || base.length > BASE_MAX)
		return true;
	if (!finder_uid(scan->finder, scan, base, &uid, scan->error))
		return false;
	if (uid == 0)
		return true;
	if (scan->part == IN_NEW)
		letters = LETTERS_PRESENT | LETTERS_NEW;
	glance->is_sure =
		glance->is_sure && kind == PH_WATCH_REMOVED && letters == scan_state(scan, uid);
	(void) g_hash_table_insert(glance->lost, ph_slice_dup(base), GUINT_TO_POINTER(uid));
	return true;
}

/* The last that was told of a name says what became of it, but what is there counts. */
static bool
look_at_names(Glance *glance, int part)
{
	Scan *scan = &glance->scan;
	g_autofree char *path = scan_part(scan->account, scan->folder, part);
	int fd = openat(scan->account->root_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool good = fd >= 0;

	if (!good)
		ph_error_set(scan->error, PH_ERROR_TEMPORARY, "cannot read '%s'", path);
	scan->part = part;
	g_hash_table_remove_all(glance->met);
	for (guint i = glance->hints[part]->len; good && i > 0; i--) {
		const Hint *hint = &g_array_index(glance->hints[part], Hint, i - 1);

		if (!g_hash_table_add(glance->met, hint->name))
			continue;
		good = scan_is_file(fd, hint->name) ? scan_meet(scan, hint->name)
		                                    : note_gone(glance, hint->name, hint->kind);
	}
	if (fd >= 0)
		(void) close(fd);
	return good;
}

/* Own deliveries that lie in new go to cur, as somebody looks. */
static bool
look_into_new(Glance *glance)
{
	Scan *scan = &glance->scan;
	g_autofree char *path = scan_part(scan->account, scan->folder, IN_NEW);
	int fd = openat(scan->account->root_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *entry = NULL;
	bool good = true;

	if (dir == NULL) {
		if (fd >= 0)
			(void) close(fd);
		return true; /* the next reading says why */
	}
	scan->part = IN_NEW;
	while (good && !glance->too_many && (entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.' || g_hash_table_contains(glance->met, entry->d_name)
		    || !scan_is_file(fd, entry->d_name))
			continue;
		glance->too_many = scan->n_met >= NAMES;
		good = glance->too_many || scan_meet(scan, entry->d_name);
	}
	(void) closedir(dir);
	return good;
}

/* --- what is missing ------------------------------------------------------------------------------ */

static void
strike_found(Glance *glance, int part)
{
	g_autofree char *path = scan_part(glance->scan.account, glance->scan.folder, part);
	int fd = openat(glance->scan.account->root_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *entry = NULL;

	if (dir == NULL && fd >= 0)
		(void) close(fd);
	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		char base[NAME_MAX + 1];
		size_t length = strcspn(entry->d_name, ":");

		memcpy(base, entry->d_name, length);
		base[length] = '\0';
		(void) g_hash_table_remove(glance->lost, base);
	}
	if (dir != NULL)
		(void) closedir(dir);
}

/* Those that were met under another name are not gone; whether the rest is, the folder says. */
static bool
find_gone(Glance *glance, GError **error)
{
	Scan *scan = &glance->scan;
	GHashTableIter iter;
	void *uid = NULL;

	g_hash_table_iter_init(&iter, glance->lost);
	while (g_hash_table_iter_next(&iter, NULL, &uid))
		if (scan_was_found(scan, GPOINTER_TO_UINT(uid))
		    || scan_state(scan, GPOINTER_TO_UINT(uid)) == 0)
			g_hash_table_iter_remove(&iter);
	if (g_hash_table_size(glance->lost) > 0 && !glance->is_sure) {
		strike_found(glance, IN_NEW);
		strike_found(glance, IN_CUR);
	}
	g_hash_table_iter_init(&iter, glance->lost);
	while (g_hash_table_iter_next(&iter, NULL, &uid))
		ph_uid_set_add(scan->unfound, GPOINTER_TO_UINT(uid));
	return scan_missing(scan, error);
}

/* --- the whole ------------------------------------------------------------------------------------ */

static bool
look(Glance *glance, GError **error)
{
	Scan *scan = &glance->scan;
	bool good = true;

	if (glance->hints[IN_NEW]->len == 0 && glance->hints[IN_CUR]->len == 0
	    && !scan->folder->has_new)
		return true;
	if (!scan_count(scan, error))
		return false;
	scan->finder = &scan->folder->hints->finder;
	finder_begin(*scan->finder);
	scan->found = g_malloc0(scan->uidnext / 8 + 1);
	good = look_at_names(glance, IN_CUR) && look_at_names(glance, IN_NEW);
	if (good && scan->folder->has_new)
		good = look_into_new(glance);
	return good && (glance->too_many || find_gone(glance, error))
	       && states_flush(&scan->states, error);
}

static void
note_glance(Glance *glance, int64_t began)
{
	Scan *scan = &glance->scan;
	Folder *folder = scan->folder;

	for (int i = 0; i < 2; i++) {
		folder->seen[i] =
			scan->moved ? part_time(scan->account, folder, i) : glance->before[i];
		folder->looked[i] = began;
		folder->assumed[i] = folder->assumed[i] || scan->moved;
	}
}

/* What was new is moved to cur the next time. */
static void
note_new(Scan *scan)
{
	scan_note_skipped(scan);
	scan->folder->has_new = scan_took_new(scan) || scan->again;
	if (scan->folder->has_new)
		hints_again(scan->account);
}

static bool
take_glance(Glance *glance, bool *done_out, GError **error)
{
	Scan *scan = &glance->scan;
	int64_t began = g_get_real_time() * 1000;
	bool good = false;

	scan->connection = scan->states.connection =
		ph_index_begin_write(scan->account->index, error);
	if (scan->connection == NULL)
		return false;
	*done_out = gather(glance, scan->account, scan->folder);
	good = !*done_out || look(glance, error);
	*done_out = good && *done_out && !glance->too_many;
	good = ph_index_end_write(scan->account->index, scan->connection, good, error) && good;
	scan->connection = NULL;
	if (!good || !*done_out)
		return good;
	note_glance(glance, began);
	/* what only looks like a delivery (its message was moved or removed) goes where it belongs */
	if (scan->fresh->len > 0 && !tidy_places(scan->account, error))
		return false;
	good = scan_fold(scan, error);
	if (good)
		note_new(scan);
	return good;
}

bool
scan_glance(Account *account, Folder *folder, bool *done_out, GError **error)
{
	Glance glance = { .is_sure = true };
	bool good = true;

	*done_out = false;
	if (folder->hints == NULL)
		return true;
	scan_init(&glance.scan, account, folder, error);
	glance.met = g_hash_table_new(ph_str_hash, g_str_equal);
	glance.lost = g_hash_table_new_full(ph_str_hash, g_str_equal, g_free, NULL);
	good = take_glance(&glance, done_out, error);
	/* what was told is taken, and must be looked for */
	if ((!good || !*done_out) && (glance.hints[IN_NEW] != NULL || glance.hints[IN_CUR] != NULL))
		folder->seen[IN_NEW] = folder->seen[IN_CUR] = 0;
	g_hash_table_unref(glance.met);
	g_hash_table_unref(glance.lost);
	scan_clear(&glance.scan);
	for (int i = 0; i < 2; i++)
		g_clear_pointer(&glance.hints[i], g_array_unref);
	return good;
}

/* --- when the account is closed ----------------------------------------------------------------------- */

/* Was everything looked at, and the times are known? */
static bool
is_settled(Account *account, const Folder *folder)
{
	const Hints *hints = folder->hints;

	if (hints == NULL || folder->is_gone || folder->retry_ns != 0
	    || memcmp(folder->seen, folder->saved, sizeof folder->seen) == 0)
		return false;
	for (int i = 0; i < 2; i++)
		if (!hints->follows[i] || hints_wait(folder, i) || folder->seen[i] == 0
		    || part_time(account, folder, i) != folder->seen[i])
			return false;
	return true;
}

/* Then the next start need not read the folder. */
void
scan_end(Account *account)
{
	PhIndexConnection *connection = NULL;
	int64_t now = g_get_real_time() * 1000;
	bool good = true;

	for (guint i = 0; i < account->numbered->len; i++) {
		Folder *folder = folder_at(account, i);

		if (folder == NULL || !is_settled(account, folder))
			continue;
		folder->looked[IN_NEW] = folder->looked[IN_CUR] = now;
		if (connection == NULL)
			connection = ph_index_begin_write(account->index, NULL);
		good = good && connection != NULL && scan_save(folder, connection, NULL);
	}
	if (connection != NULL)
		(void) ph_index_end_write(account->index, connection, good, NULL);
}
