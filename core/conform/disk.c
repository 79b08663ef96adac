/* disk.c: a folder as it could be found after the power went
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "conform/disk.h"

#include <posthorn/error.h>

#include <errno.h>
#include <ftw.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	SECTOR = 512,
	FILE_MODE = 0600,
	FOLDER_MODE = 0700,
	OPEN_FILES = 32,
	LENGTH_MAX = 1 << 30, /* of a file */
};

/* Write: one that is not synced. @octets: borrowed from the trace; NULL: the file ends at @at. */
typedef struct {
	uint64_t at;
	PhSlice octets;
} Write;

/* File: content on the disk, and what came since. A folder has none. */
typedef struct {
	GByteArray *durable;
	GArray *pending; /* of Write */
} File;

typedef enum {
	NAME_SET,
	NAME_REMOVE,
	NAME_MOVE,
	NAME_LINK,
} ChangeKind;

/* Change: of names, in the order in which they were made. */
typedef struct {
	ChangeKind kind;
	char *path;
	char *to;   /* (nullable) MOVE, LINK */
	File *file; /* (nullable, borrowed) SET; NULL: a folder */
} Change;

struct PhDisk {
	char *folder;
	GPtrArray *files;     /* all, owned */
	GHashTable *seen;     /* path -> File, as the process sees it; NULL: a folder */
	GHashTable *durable;  /* the same on the disk */
	GPtrArray *pending;   /* Change, owned */
	GHashTable *numbered; /* number in the trace -> File */
};

/* --- files --- */

static void
file_free(gpointer data)
{
	File *file = data;

	g_byte_array_unref(file->durable);
	g_array_unref(file->pending);
	g_free(file);
}

static File *
file_new(PhDisk *disk)
{
	File *file = g_new0(File, 1);

	file->durable = g_byte_array_new();
	file->pending = g_array_new(FALSE, FALSE, sizeof(Write));
	g_ptr_array_add(disk->files, file);
	return file;
}

/* Makes the file that long; what is new is zero. */
static void
set_length(GByteArray *octets, uint64_t length)
{
	guint before = octets->len;

	g_byte_array_set_size(octets, (guint) MIN(length, LENGTH_MAX));
	if (octets->len > before)
		memset(octets->data + before, 0, octets->len - before);
}

static void
apply_octets(File *file, uint64_t at, PhSlice octets)
{
	if (at > LENGTH_MAX || octets.length > LENGTH_MAX - at || octets.length == 0)
		return;
	if (at + octets.length > file->durable->len)
		set_length(file->durable, at + octets.length);
	memcpy(file->durable->data + at, octets.data, octets.length);
}

static void
file_sync(File *file)
{
	for (guint i = 0; i < file->pending->len; i++) {
		const Write *one = &g_array_index(file->pending, Write, i);

		if (one->octets.data == NULL)
			set_length(file->durable, one->at);
		else
			apply_octets(file, one->at, one->octets);
	}
	g_array_set_size(file->pending, 0);
}

/* Some sectors of what was not synced are there. */
static void
file_lose_power(File *file, double survival, GRand *chance)
{
	for (guint i = 0; i < file->pending->len; i++) {
		Write one = g_array_index(file->pending, Write, i);

		if (one.octets.data == NULL && g_rand_double(chance) < survival)
			set_length(file->durable, one.at);
		while (one.octets.length > 0) {
			size_t part = MIN(one.octets.length, SECTOR - one.at % SECTOR);

			if (g_rand_double(chance) < survival)
				apply_octets(file, one.at, PH_SLICE(one.octets.data, part));
			one.octets = ph_slice_from(one.octets, part);
			one.at += part;
		}
	}
	g_array_set_size(file->pending, 0);
}

/* --- names --- */

static void
change_free(gpointer data)
{
	Change *change = data;

	g_free(change->path);
	g_free(change->to);
	g_free(change);
}

static bool
is_below(const char *path, const char *folder)
{
	size_t n = strlen(folder);

	return strncmp(path, folder, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

/* A folder takes what lies in it along. */
static void
move(GHashTable *names, const char *from, const char *to)
{
	g_autoptr(GList) paths = g_hash_table_get_keys(names);

	for (GList *at = paths; at != NULL; at = at->next) {
		const char *path = at->data;
		gpointer key = NULL;
		gpointer file = NULL;

		if (!is_below(path, from))
			continue;
		if (!g_hash_table_steal_extended(names, path, &key, &file))
			continue;
		g_hash_table_replace(names, g_strconcat(to, path + strlen(from), NULL), file);
		g_free(key);
	}
}

static void
apply(GHashTable *names, const Change *change)
{
	switch (change->kind) {
	case NAME_SET:
		g_hash_table_replace(names, g_strdup(change->path), change->file);
		break;
	case NAME_REMOVE:
		(void) g_hash_table_remove(names, change->path);
		break;
	case NAME_MOVE:
		move(names, change->path, change->to);
		break;
	case NAME_LINK:
	default:
		g_hash_table_replace(names, g_strdup(change->to),
		                     g_hash_table_lookup(names, change->path));
		break;
	}
}

static void
add_change(PhDisk *disk, ChangeKind kind, PhSlice path, PhSlice to, File *file)
{
	Change *change = g_new0(Change, 1);

	*change = (Change){ kind, ph_slice_dup(path), to.data != NULL ? ph_slice_dup(to) : NULL,
		            file };
	apply(disk->seen, change);
	g_ptr_array_add(disk->pending, change);
}

static bool
lies_in(const char *path, const char *folder)
{
	size_t n = strlen(folder);

	return is_below(path, folder) && path[n] == '/' && strchr(path + n + 1, '/') == NULL;
}

static bool
is_needed(const char *path, const char *folder, GHashTable *needed)
{
	return path != NULL && (lies_in(path, folder) || g_hash_table_contains(needed, path));
}

/* Changes in that folder, and before each those of the same names: a file that went from one folder
 * to a second and to a third cannot be in the third and come to the second later. */
static void
sync_names(PhDisk *disk, const char *folder)
{
	g_autoptr(GHashTable) needed = g_hash_table_new(g_str_hash, g_str_equal);
	g_autofree bool *is_done = g_new0(bool, disk->pending->len + 1);
	g_autoptr(GPtrArray) kept = g_ptr_array_new();
	g_autoptr(GPtrArray) done = g_ptr_array_new_with_free_func(change_free);

	for (guint i = disk->pending->len; i > 0; i--) {
		const Change *change = disk->pending->pdata[i - 1];

		if (!is_needed(change->path, folder, needed)
		    && !is_needed(change->to, folder, needed))
			continue;
		is_done[i - 1] = true;
		(void) g_hash_table_add(needed, change->path);
		if (change->to != NULL)
			(void) g_hash_table_add(needed, change->to);
	}
	for (guint i = 0; i < disk->pending->len; i++) {
		g_ptr_array_add(is_done[i] ? done : kept, disk->pending->pdata[i]);
		if (is_done[i])
			apply(disk->durable, disk->pending->pdata[i]);
	}
	g_ptr_array_set_free_func(disk->pending, NULL);
	g_ptr_array_set_size(disk->pending, 0);
	g_ptr_array_set_free_func(disk->pending, change_free);
	g_ptr_array_extend(disk->pending, kept, NULL, NULL);
}

static void
sync_all(PhDisk *disk)
{
	for (guint i = 0; i < disk->pending->len; i++)
		apply(disk->durable, disk->pending->pdata[i]);
	g_ptr_array_set_size(disk->pending, 0);
	for (guint i = 0; i < disk->files->len; i++)
		file_sync(disk->files->pdata[i]);
}

/* --- reading the folder --- */

static PhDisk *
disk_new(const char *folder)
{
	PhDisk *disk = g_new0(PhDisk, 1);

	disk->folder = g_strdup(folder);
	disk->files = g_ptr_array_new_with_free_func(file_free);
	disk->seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	disk->durable = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	disk->pending = g_ptr_array_new_with_free_func(change_free);
	disk->numbered = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	return disk;
}

void
ph_disk_free(PhDisk *disk)
{
	if (disk == NULL)
		return;
	g_hash_table_unref(disk->numbered);
	g_ptr_array_unref(disk->pending);
	g_hash_table_unref(disk->durable);
	g_hash_table_unref(disk->seen);
	g_ptr_array_unref(disk->files);
	g_free(disk->folder);
	g_free(disk);
}

static bool read_folder(PhDisk *disk, const char *folder, GError **error);

static bool
read_one(PhDisk *disk, const char *path, GError **error)
{
	struct stat info;
	g_autofree char *octets = NULL;
	gsize length = 0;
	File *file = NULL;

	if (lstat(path, &info) != 0)
		return true; /* it went meanwhile */
	if (S_ISDIR(info.st_mode)) {
		g_hash_table_replace(disk->durable, g_strdup(path), NULL);
		return read_folder(disk, path, error);
	}
	if (!S_ISREG(info.st_mode) || g_str_has_suffix(path, "-shm"))
		return true;
	if (!g_file_get_contents(path, &octets, &length, NULL)) {
		ph_error_set_errno(error, errno, "cannot read '%s'", path);
		return false;
	}
	file = file_new(disk);
	g_byte_array_append(file->durable, (const guint8 *) octets, (guint) length);
	g_hash_table_replace(disk->durable, g_strdup(path), file);
	return true;
}

static bool
read_folder(PhDisk *disk, const char *folder, GError **error)
{
	GDir *dir = g_dir_open(folder, 0, NULL);
	const char *name = NULL;
	bool good = true;

	if (dir == NULL) {
		ph_error_set(error, PH_ERROR_NOT_FOUND, "cannot open the folder '%s'", folder);
		return false;
	}
	while (good && (name = g_dir_read_name(dir)) != NULL) {
		g_autofree char *path = g_build_filename(folder, name, NULL);

		good = read_one(disk, path, error);
	}
	g_dir_close(dir);
	return good;
}

PhDisk *
ph_disk_read(const char *folder, GError **error)
{
	g_autoptr(PhDisk) disk = disk_new(folder);
	GHashTableIter all;
	gpointer path = NULL;
	gpointer file = NULL;

	if (!read_folder(disk, folder, error))
		return NULL;
	g_hash_table_iter_init(&all, disk->durable);
	while (g_hash_table_iter_next(&all, &path, &file))
		g_hash_table_replace(disk->seen, g_strdup(path), file);
	return g_steal_pointer(&disk);
}

/* --- playing a trace --- */

/* Event: one line of a trace: its word and what follows. */
typedef struct {
	PhSlice word;
	PhSlice rest;
	PhSlice *trace; /* what follows the line */
	PhDiskEvents *events;
} Event;

static uint64_t
take_number(PhSlice *rest)
{
	uint64_t n = 0;

	(void) ph_slice_to_u64(ph_slice_split(rest, ' '), UINT64_MAX, &n);
	return n;
}

static File *
numbered(PhDisk *disk, PhSlice *rest)
{
	gint64 number = (gint64) take_number(rest);

	return g_hash_table_lookup(disk->numbered, &number);
}

static void
set_number(PhDisk *disk, uint64_t number, File *file)
{
	gint64 *key = g_new(gint64, 1);

	*key = (gint64) number;
	g_hash_table_replace(disk->numbered, key, file);
}

/* "make", "file", "blank", "name": numbers and names of files. */
static void
play_file(PhDisk *disk, Event *event)
{
	uint64_t number = take_number(&event->rest);
	g_autofree char *path = ph_slice_dup(event->rest);
	gint64 key = (gint64) number;
	File *file = NULL;

	if (ph_slice_is(event->word, "name"))
		file = g_hash_table_lookup(disk->numbered, &key);
	else if (ph_slice_is(event->word, "file"))
		file = g_hash_table_lookup(disk->seen, path);
	if (file == NULL)
		file = file_new(disk);
	if (path[0] != '\0' && g_hash_table_lookup(disk->seen, path) != file)
		add_change(disk, NAME_SET, event->rest, PH_SLICE_EMPTY, file);
	set_number(disk, number, file);
}

/* False: it is torn. */
static bool
play_write(PhDisk *disk, Event *event)
{
	File *file = numbered(disk, &event->rest);
	Write one = { .at = take_number(&event->rest) };
	uint64_t length = take_number(&event->rest);

	if (length > event->trace->length)
		return false;
	one.octets = PH_SLICE(event->trace->data, (size_t) length);
	*event->trace = ph_slice_from(*event->trace, (size_t) length);
	if (file != NULL && length > 0)
		g_array_append_val(file->pending, one);
	event->events->n_writes++;
	return true;
}

static void
play_cut(PhDisk *disk, Event *event)
{
	File *file = numbered(disk, &event->rest);
	Write one = { .at = take_number(&event->rest), .octets = PH_SLICE_EMPTY };

	one.octets.data = NULL;
	if (file != NULL)
		g_array_append_val(file->pending, one);
	event->events->n_writes++;
}

static void
play_sync(PhDisk *disk, Event *event)
{
	event->events->n_syncs++;
	if (ph_slice_is(event->word, "all")) {
		sync_all(disk);
	} else if (ph_slice_is(event->word, "names")) {
		g_autofree char *folder = ph_slice_dup(event->rest);

		sync_names(disk, folder);
	} else {
		File *file = numbered(disk, &event->rest);

		if (file != NULL)
			file_sync(file);
	}
}

/* Names that come, go and change. False: no such word. */
static bool
play_name(PhDisk *disk, Event *event)
{
	PhSlice from = ph_slice_split(&event->rest, '\t');

	if (ph_slice_is(event->word, "folder"))
		add_change(disk, NAME_SET, from, PH_SLICE_EMPTY, NULL);
	else if (ph_slice_is(event->word, "rename"))
		add_change(disk, NAME_MOVE, from, event->rest, NULL);
	else if (ph_slice_is(event->word, "link"))
		add_change(disk, NAME_LINK, from, event->rest, NULL);
	else if (ph_slice_is(event->word, "gone") || ph_slice_is(event->word, "rmdir"))
		add_change(disk, NAME_REMOVE, from, PH_SLICE_EMPTY, NULL);
	else
		return false;
	return true;
}

static bool
is_one_of(PhSlice word, const char *const *words)
{
	for (size_t i = 0; words[i] != NULL; i++)
		if (ph_slice_is(word, words[i]))
			return true;
	return false;
}

/* False: the trace ends here, or with @error it is none. */
static bool
play_event(PhDisk *disk, Event *event, GError **error)
{
	static const char *const of_files[] = { "make", "file", "blank", "name", NULL };
	static const char *const of_syncs[] = { "sync", "names", "all", NULL };

	if (ph_slice_is(event->word, "write"))
		return play_write(disk, event);
	if (ph_slice_is(event->word, "cut")) {
		play_cut(disk, event);
		return true;
	}
	if (is_one_of(event->word, of_files))
		play_file(disk, event);
	else if (is_one_of(event->word, of_syncs))
		play_sync(disk, event);
	else if (!play_name(disk, event)) {
		g_autofree char *word = ph_slice_dup(event->word);

		ph_error_set(error, PH_ERROR_INVALID, "a trace has no '%.40s'", word);
		return false;
	}
	return true;
}

bool
ph_disk_play(PhDisk *disk, PhSlice trace, PhDiskEvents *events_out, GError **error)
{
	PhDiskEvents events = { 0 };
	g_autoptr(GError) why = NULL;

	while (trace.length > 0 && memchr(trace.data, '\n', trace.length) != NULL) {
		Event event = { .trace = &trace, .events = &events };

		event.rest = ph_slice_split(&trace, '\n');
		event.word = ph_slice_split(&event.rest, ' ');
		if (!play_event(disk, &event, &why))
			break;
	}
	*events_out = events;
	if (why == NULL)
		return true;
	g_propagate_error(error, g_steal_pointer(&why));
	return false;
}

/* --- the power goes --- */

void
ph_disk_lose_power(PhDisk *disk, double survival, uint32_t seed)
{
	g_autoptr(GRand) chance = g_rand_new_with_seed(seed);
	guint n = disk->pending->len;
	guint kept = survival >= 1 ? n : (guint) (n * survival * g_rand_double(chance) * 2);

	for (guint i = 0; i < MIN(kept, n); i++)
		apply(disk->durable, disk->pending->pdata[i]);
	g_ptr_array_set_size(disk->pending, 0);
	for (guint i = 0; i < disk->files->len; i++)
		file_lose_power(disk->files->pdata[i], survival, chance);
}

static int
remove_one(const char *path, const struct stat *status, int kind, struct FTW *place)
{
	return place->level == 0 ? 0 : remove(path);
}

static int
compare_paths(gconstpointer a, gconstpointer b)
{
	return strcmp(a, b);
}

/* A file whose folder is not there cannot be found. */
static bool
write_one(const char *path, const File *file, GError **error)
{
	g_autofree char *folder = g_path_get_dirname(path);
	FILE *stream = NULL;
	bool good = false;

	if (!g_file_test(folder, G_FILE_TEST_IS_DIR))
		return true;
	stream = fopen(path, "wbe");
	if (stream != NULL) {
		good = fwrite(file->durable->data, 1, file->durable->len, stream)
		       == file->durable->len;
		good = fclose(stream) == 0 && good && chmod(path, FILE_MODE) == 0;
	}
	if (!good)
		ph_error_set_errno(error, errno, "cannot write '%s'", path);
	return good;
}

bool
ph_disk_write(const PhDisk *disk, GError **error)
{
	g_autoptr(GList) paths = g_list_sort(g_hash_table_get_keys(disk->durable), compare_paths);
	bool good = true;

	if (nftw(disk->folder, remove_one, OPEN_FILES, FTW_DEPTH | FTW_PHYS) != 0) {
		ph_error_set_errno(error, errno, "cannot empty '%s'", disk->folder);
		return false;
	}
	for (GList *at = paths; at != NULL; at = at->next)
		if (g_hash_table_lookup(disk->durable, at->data) == NULL)
			(void) g_mkdir_with_parents(at->data, FOLDER_MODE);
	for (GList *at = paths; good && at != NULL; at = at->next) {
		const File *file = g_hash_table_lookup(disk->durable, at->data);

		good = file == NULL || write_one(at->data, file, error);
	}
	return good;
}
