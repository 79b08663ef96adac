/* rewrite.c: removes what was expunged from a file, and writes flags and uids into it
 *
 * What is to be changed is a list of edits in the order of the file. When all of them keep their
 * length, only they are written; else everything behind the first one moves: in place, with a
 * journal, or into a new file that takes the name, when much has to move and the folder allows it.
 * Expunged messages go to a file beside the index for the grace time first.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/durable.h>
#include <posthorn/log.h>
#include <posthorn/slice.h>

#include "fields.h"
#include "mbox.h"
#include "transcribe.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum {
	CHUNK = 1000,
	EDITS_MAX = 20000, /* of one pass; what is left follows in the next */
	PIECE = 64 * 1024,
	MODE = 0600,
	FOLDER_MODE = 0700,
};

typedef struct {
	uint64_t at;
	uint64_t remove;
	GString *insert; /* (owned, nullable) */
	Place place;     /* of the message, with what it will be */
	bool drops;
} Edit;

/* Wanted: what the index says of a message. */
typedef struct {
	uint32_t uid;
	uint32_t flags;
	char *keywords; /* (owned) */
} Wanted;

typedef struct {
	Account *account;
	Box *box;
	File *file;
	GArray *edits;
	GArray *chunk;  /* of Place */
	bool has_first; /* the first message that stays was seen */
	bool is_full;   /* EDITS_MAX is reached */
	bool same_length;
	uint64_t first; /* octet that changes */
	uint64_t size;  /* afterwards */
	char *keywords; /* (owned) all of the mailbox, for X-IMAPbase */
	char grave[40]; /* name of the file of what was expunged; "": none */
	GArray *gone;   /* of Gone */
} Rewrite;

static void
edit_clear(void *data)
{
	Edit *edit = data;

	if (edit->insert != NULL)
		(void) g_string_free(edit->insert, TRUE);
}

static void
wanted_free(void *data)
{
	Wanted *wanted = data;

	g_free(wanted->keywords);
	g_free(wanted);
}

/* --- what is to be changed ----------------------------------------------------------------------- */

static bool
take_wanted(const PhRecord *record, void *user_data)
{
	Wanted *wanted = g_new0(Wanted, 1);

	wanted->uid = record->uid;
	wanted->flags = record->flags;
	wanted->keywords = g_strjoinv(" ", (char **) (uintptr_t) record->keywords);
	(void) g_hash_table_insert(user_data, GUINT_TO_POINTER(record->uid), wanted);
	return true;
}

static GHashTable *
load_wanted(const Rewrite *rewrite, GError **error)
{
	GHashTable *all = g_hash_table_new_full(NULL, NULL, NULL, wanted_free);
	g_autoptr(PhUidSet) uids = ph_uid_set_new();
	const PhChangesQuery query = {
		.uids = uids,
		.fields = PH_FIELD_FLAGS,
		.record = take_wanted,
		.user_data = all,
	};
	PhChangesResult result = { 0 };

	for (guint i = 0; i < rewrite->chunk->len; i++)
		ph_uid_set_add(uids, g_array_index(rewrite->chunk, Place, i).uid);
	if (ph_index_changes(rewrite->account->index, &rewrite->box->id, &query, &result, error))
		return all;
	g_hash_table_destroy(all);
	return NULL;
}

static Edit *
add_edit(Rewrite *rewrite, const Place *place)
{
	Edit *edit = NULL;

	g_array_set_size(rewrite->edits, rewrite->edits->len + 1);
	edit = &g_array_index(rewrite->edits, Edit, rewrite->edits->len - 1);
	edit->place = *place;
	return edit;
}

static void
add_drop(Rewrite *rewrite, const Place *place)
{
	Edit *edit = add_edit(rewrite, place);

	edit->at = place->offset;
	edit->remove = place->length;
	edit->drops = true;
}

/* New metadata; a header that is too long for them stays as it is. */
static bool
add_metadata(Rewrite *rewrite,
             const Place *place,
             const Wanted *wanted,
             bool is_first,
             GError **error)
{
	const Box *box = rewrite->box;
	const Metadata metadata = {
		.uid = place->uid,
		.flags = wanted->flags,
		.marks = place->marks,
		.validity = box->uidvalidity,
		.keywords = wanted->keywords,
		.base = is_first ? box->uidvalidity : 0,
		.base_last = box->uidnext - 1,
		.base_keywords = rewrite->keywords,
	};
	uint64_t at = place->offset + place->from;
	uint64_t until = at + place->metadata;
	const Span span = { &rewrite->file->source, at, place->offset + place->length };
	g_autoptr(GString) text = g_string_new(NULL);
	GError *why = NULL;
	Edit *edit = NULL;

	fields_append(&metadata, place->metadata, text);
	if ((place->marks & MARK_STRAY) != 0) {
		(void) g_string_truncate(text, 0);
		if (!transcribe_header(&span, &metadata, text, &until, &why)) {
			g_propagate_error(error, why);
			return why == NULL;
		}
	}
	edit = add_edit(rewrite, place);
	edit->at = at;
	edit->remove = until - at;
	edit->insert = g_steal_pointer(&text);
	edit->place.flags = wanted->flags;
	edit->place.keywords_hash = field_keywords_hash(ph_slice(wanted->keywords));
	edit->place.marks = (place->marks | MARK_UID) & ~(uint32_t) MARK_STRAY;
	if ((place->marks & MARK_STRAY) == 0)
		edit->place.metadata = (uint32_t) edit->insert->len;
	else
		edit->place.metadata = 0; /* the next scan tells */
	edit->place.length = place->length + edit->insert->len - edit->remove;
	return true;
}

static bool
judge(Rewrite *rewrite, const Place *place, const Wanted *wanted, GError **error)
{
	bool is_first = wanted != NULL && !rewrite->has_first;
	bool lacks_base = false;

	if (wanted == NULL) {
		add_drop(rewrite, place);
		return true;
	}
	/* who was first has the base; who becomes it gets it */
	lacks_base =
		is_first
		&& (rewrite->edits->len > 0 || rewrite->box->base != rewrite->box->uidvalidity);
	rewrite->has_first = true;
	if (!lacks_base && wanted->flags == place->flags && (place->marks & MARK_UID) != 0
	    && field_keywords_hash(ph_slice(wanted->keywords)) == place->keywords_hash)
		return true;
	return add_metadata(rewrite, place, wanted, is_first, error);
}

static bool
judge_chunk(Rewrite *rewrite, GError **error)
{
	g_autoptr(GHashTable) wanted = NULL;
	bool good = true;

	if (rewrite->chunk->len == 0)
		return true;
	wanted = load_wanted(rewrite, error);
	good = wanted != NULL;
	for (guint i = 0; good && !rewrite->is_full && i < rewrite->chunk->len; i++) {
		const Place *place = &g_array_index(rewrite->chunk, Place, i);

		good = judge(rewrite, place,
		             g_hash_table_lookup(wanted, GUINT_TO_POINTER(place->uid)), error);
		rewrite->is_full = rewrite->edits->len >= EDITS_MAX;
	}
	g_array_set_size(rewrite->chunk, 0);
	return good;
}

static bool
take_place(const Place *place, void *user_data, GError **error)
{
	Rewrite *rewrite = user_data;

	(void) g_array_append_val(rewrite->chunk, *place);
	return rewrite->chunk->len < CHUNK || judge_chunk(rewrite, error);
}

static bool
take_keyword(const PhRecord *record, void *user_data)
{
	GHashTable *words = user_data;

	for (const char *const *word = record->keywords; *word != NULL; word++)
		(void) g_hash_table_add(words, g_strdup(*word));
	return g_hash_table_size(words) < 64;
}

/* The names that X-IMAPbase lists. */
static bool
load_keywords(Rewrite *rewrite, GError **error)
{
	g_autoptr(GHashTable) words = g_hash_table_new_full(ph_str_hash, g_str_equal, g_free, NULL);
	const PhChangesQuery query = {
		.fields = PH_FIELD_FLAGS,
		.record = take_keyword,
		.user_data = words,
	};
	PhChangesResult result = { 0 };
	g_autofree void **keys = NULL;
	guint n = 0;

	if (!ph_index_changes(rewrite->account->index, &rewrite->box->id, &query, &result, error))
		return false;
	keys = g_hash_table_get_keys_as_array(words, &n);
	rewrite->keywords = g_strjoinv(" ", (char **) keys);
	return true;
}

static void
measure(Rewrite *rewrite)
{
	rewrite->size = (uint64_t) rewrite->file->status.st_size;
	rewrite->same_length = true;
	for (guint i = 0; i < rewrite->edits->len; i++) {
		const Edit *edit = &g_array_index(rewrite->edits, Edit, i);
		uint64_t length = edit->insert != NULL ? edit->insert->len : 0;

		rewrite->size = rewrite->size - edit->remove + length;
		rewrite->same_length = rewrite->same_length && length == edit->remove;
	}
	rewrite->first = g_array_index(rewrite->edits, Edit, 0).at;
}

/* --- the grave -------------------------------------------------------------------------------------- */

typedef bool (*OctetsFunc)(PhSlice octets, void *user_data, GError **error);

/* Passes a range of the file on. */
static bool
pass(File *file, uint64_t from, uint64_t to, OctetsFunc func, void *user_data, GError **error)
{
	g_autofree char *buffer = g_malloc(PIECE);

	while (from < to) {
		ssize_t n = file_read(file, from, buffer, (size_t) MIN(to - from, PIECE), error);

		if (n == 0)
			ph_error_set(error, PH_ERROR_TEMPORARY, "'%s' became shorter", file->base);
		if (n <= 0 || !func(PH_SLICE(buffer, (size_t) n), user_data, error))
			return false;
		from += (uint64_t) n;
	}
	return true;
}

static bool
write_fd(PhSlice octets, void *user_data, GError **error)
{
	return ph_durable_write(*(int *) user_data, octets, error);
}

/* Keeps what will be removed. Without room it is not kept. */
static void
bury(Rewrite *rewrite)
{
	g_autofree char *folder = octets_folder(rewrite->account);
	g_autofree char *path = NULL;
	uint64_t at = 0;
	int fd = -1;
	bool good = true;

	if (rewrite->account->settings.grace.us == 0
	    || !ph_durable_make_folder(folder, FOLDER_MODE, NULL))
		return;
	(void) g_snprintf(rewrite->grave, sizeof rewrite->grave, "gone-%" G_GINT64_FORMAT "-%08x",
	                  g_get_real_time(), g_random_int());
	path = g_strconcat(folder, "/", rewrite->grave, NULL);
	for (guint i = 0; good && i < rewrite->edits->len; i++) {
		const Edit *edit = &g_array_index(rewrite->edits, Edit, i);
		Gone gone = { .place = edit->place, .time = g_get_real_time() };

		if (!edit->drops)
			continue;
		if (fd < 0)
			fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, MODE);
		good = fd >= 0
		       && pass(rewrite->file, edit->at, edit->at + edit->remove, write_fd, &fd,
		               NULL);
		gone.place.offset = at;
		at += edit->remove;
		(void) g_strlcpy(gone.file, rewrite->grave, sizeof gone.file);
		if (good)
			(void) g_array_append_val(rewrite->gone, gone);
	}
	if (fd >= 0)
		(void) close(fd);
	if (!good)
		(void) unlink(path);
	if (!good)
		g_array_set_size(rewrite->gone, 0);
}

/* --- writing -------------------------------------------------------------------------------------- */

/* The new file from the first change on. */
static bool
pass_tail(Rewrite *rewrite, OctetsFunc func, void *user_data, GError **error)
{
	uint64_t at = rewrite->first;
	bool good = true;

	for (guint i = 0; good && i < rewrite->edits->len; i++) {
		const Edit *edit = &g_array_index(rewrite->edits, Edit, i);

		good = pass(rewrite->file, at, edit->at, func, user_data, error);
		if (good && edit->insert != NULL)
			good = func(PH_SLICE(edit->insert->str, edit->insert->len), user_data,
			            error);
		at = edit->at + edit->remove;
	}
	return good
	       && pass(rewrite->file, at, (uint64_t) rewrite->file->status.st_size, func, user_data,
	               error);
}

typedef struct {
	Journal *journal;
	uint64_t at;
} Tail;

static bool
add_tail(PhSlice octets, void *user_data, GError **error)
{
	Tail *tail = user_data;
	uint64_t at = tail->at;

	tail->at += octets.length;
	return octets.length == 0 || journal_add(tail->journal, at, octets, error);
}

static bool
write_in_place(Rewrite *rewrite, GError **error)
{
	Journal *journal = journal_new(rewrite->account, rewrite->box, error);
	Tail tail = { journal, rewrite->first };
	bool good = journal != NULL;

	if (!good)
		return false;
	if (!rewrite->same_length)
		good = pass_tail(rewrite, add_tail, &tail, error);
	for (guint i = 0; good && rewrite->same_length && i < rewrite->edits->len; i++) {
		const Edit *edit = &g_array_index(rewrite->edits, Edit, i);

		good = journal_add(journal, edit->at,
		                   PH_SLICE(edit->insert->str, edit->insert->len), error);
	}
	good = good && journal_apply(journal, rewrite->file, rewrite->size, error);
	journal_free(journal);
	return good;
}

/* Takes over owner and mode, so that nobody is locked out. */
static bool
dress(int fd, const struct stat *status)
{
	struct stat mine;

	return fchmod(fd, status->st_mode & 07777) == 0 && fstat(fd, &mine) == 0
	       && ((mine.st_uid == status->st_uid && mine.st_gid == status->st_gid)
	           || fchown(fd, status->st_uid, status->st_gid) == 0);
}

static bool
fill_new(Rewrite *rewrite, int fd, GError **error)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	(void) fcntl(fd, F_OFD_SETLK, &lock);
	return pass(rewrite->file, 0, rewrite->first, write_fd, &fd, error)
	       && pass_tail(rewrite, write_fd, &fd, error) && ph_durable_sync(fd, error);
}

/* A new file takes the name. @done_out: false: the folder does not allow it; nothing happened. */
static bool
write_anew(Rewrite *rewrite, bool *done_out, GError **error)
{
	File *file = rewrite->file;
	g_autofree char *beside = g_strdup_printf(".%s.posthorn-%08x", file->base, g_random_int());
	PhRename move = { file->folder_fd, file->folder_fd, beside, file->base, false };
	int fd = openat(file->folder_fd, beside, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
	                MODE);
	bool good = false;

	*done_out = fd >= 0 && dress(fd, &file->status);
	if (*done_out) {
		good = fill_new(rewrite, fd, error) && ph_durable_rename(&move, error);
		if (good) {
			former_add(rewrite->account, &rewrite->box->id, file->fd,
			           (uint64_t) file->status.st_size);
			file->fd = fd;
			return fstat(file->fd, &file->status) == 0;
		}
	}
	if (fd >= 0) {
		(void) close(fd);
		(void) unlinkat(file->folder_fd, beside, 0);
	}
	return !*done_out;
}

static bool
write_file(Rewrite *rewrite, GError **error)
{
	uint64_t tail = rewrite->size - MIN(rewrite->size, rewrite->first);
	bool done = false;

	if (!rewrite->same_length && tail > rewrite->account->settings.in_place.octets
	    && rewrite->file->status.st_nlink == 1 && !write_anew(rewrite, &done, error))
		return false;
	return done || write_in_place(rewrite, error);
}

/* --- where everything lies now -------------------------------------------------------------------- */

typedef struct {
	const Rewrite *rewrite;
	guint next; /* edit */
	uint64_t grown;
	uint64_t shrunk;
	PhIndexConnection *connection; /* writes what is read through another */
} Shift;

static bool
shift_place(const Place *place, void *user_data, GError **error)
{
	Shift *shift = user_data;
	const Rewrite *rewrite = shift->rewrite;
	Place now = *place;
	const Edit *edit = NULL;

	if (shift->next < rewrite->edits->len)
		edit = &g_array_index(rewrite->edits, Edit, shift->next);
	if (edit != NULL && edit->place.uid != place->uid)
		edit = NULL;
	if (edit != NULL && !edit->drops)
		now = edit->place;
	now.offset = place->offset + shift->grown - shift->shrunk;
	if (edit != NULL) {
		shift->next++;
		shift->grown += edit->insert != NULL ? edit->insert->len : 0;
		shift->shrunk += edit->remove;
	}
	if ((edit != NULL && edit->drops) || memcmp(&now, place, sizeof now) == 0)
		return true;
	return place_put(shift->connection, rewrite->box->no, &now, error);
}

static bool
save(const Rewrite *rewrite, PhIndexConnection *connection, GError **error)
{
	Box *box = rewrite->box;
	Shift shift = { .rewrite = rewrite, .connection = connection };
	bool good = place_each(rewrite->account, box->no, shift_place, &shift, error);

	for (guint i = 0; good && i < rewrite->edits->len; i++) {
		const Edit *edit = &g_array_index(rewrite->edits, Edit, i);

		if (!edit->drops)
			continue;
		good = place_remove(connection, box->no, edit->place.uid, error);
		if (edit->place.uid == box->last_uid)
			box->last_uid = 0; /* the next scan is of the whole file */
	}
	for (guint i = 0; good && i < rewrite->gone->len; i++)
		good = place_put_gone(connection, box->no, &g_array_index(rewrite->gone, Gone, i),
		                      error);
	box->look = file_look(&rewrite->file->status);
	box->base = rewrite->has_first ? box->uidvalidity : 0;
	return good && place_save_box(connection, box, error);
}

static bool
take_last(const Place *place, void *user_data, GError **error)
{
	*(uint32_t *) user_data = place->uid;
	return true;
}

static bool
note_places(Rewrite *rewrite, GError **error)
{
	PhIndexConnection *connection = ph_index_begin_write(rewrite->account->index, error);
	bool good = false;

	if (connection == NULL)
		return false;
	good = save(rewrite, connection, error);
	good = ph_index_end_write(rewrite->account->index, connection, good, error) && good;
	if (!good || rewrite->box->last_uid != 0)
		return good;
	/* the last one was expunged: who is the last now? */
	if (!place_each(rewrite->account, rewrite->box->no, take_last, &rewrite->box->last_uid,
	                error))
		return false;
	connection = ph_index_begin_write(rewrite->account->index, error);
	if (connection == NULL)
		return false;
	good = place_save_box(connection, rewrite->box, error);
	return ph_index_end_write(rewrite->account->index, connection, good, error) && good;
}

/* --- one pass --------------------------------------------------------------------------------------- */

static bool
find_edits(Rewrite *rewrite, GError **error)
{
	return load_keywords(rewrite, error)
	       && place_each(rewrite->account, rewrite->box->no, take_place, rewrite, error)
	       && judge_chunk(rewrite, error);
}

static bool
pass_once(Rewrite *rewrite, GError **error)
{
	if (!find_edits(rewrite, error))
		return false;
	if (rewrite->edits->len == 0)
		return true;
	measure(rewrite);
	bury(rewrite);
	return write_file(rewrite, error) && note_places(rewrite, error);
}

bool
rewrite_box(Account *account, Box *box, File *file, GError **error)
{
	bool good = true;
	bool more = true;

	if (file->fd < 0)
		return true;
	if (!file->writes) {
		ph_error_set(error, PH_ERROR_TEMPORARY, "'%s' may not be written to", file->base);
		return false;
	}
	while (good && more) {
		Rewrite rewrite = { .account = account, .box = box, .file = file };

		rewrite.edits = g_array_new(FALSE, TRUE, sizeof(Edit));
		g_array_set_clear_func(rewrite.edits, edit_clear);
		rewrite.chunk = g_array_new(FALSE, FALSE, sizeof(Place));
		rewrite.gone = g_array_new(FALSE, FALSE, sizeof(Gone));
		good = pass_once(&rewrite, error);
		more = rewrite.is_full;
		(void) g_array_free(rewrite.edits, TRUE);
		(void) g_array_free(rewrite.chunk, TRUE);
		(void) g_array_free(rewrite.gone, TRUE);
		g_free(rewrite.keywords);
	}
	if (good)
		(void) g_hash_table_remove(account->dirty, &box->id);
	return good;
}

/* --- later ------------------------------------------------------------------------------------------ */

void
rewrite_mark(Account *account, const PhMailboxId *id)
{
	PhTime *since = NULL;

	if (g_hash_table_contains(account->dirty, id))
		return;
	since = g_new(PhTime, 1);
	*since = g_get_monotonic_time();
	(void) g_hash_table_insert(account->dirty, g_memdup2(id, sizeof *id), since);
}

static void
rewrite_one(Account *account, const PhMailboxId *id)
{
	Box box;
	File file;
	g_autoptr(GError) why = NULL;
	bool good = open_box(account, id, FILE_WRITE, &box, &file, &why);

	if (good) {
		/* who may not write leaves the flags in the index */
		good = !file.writes || rewrite_box(account, &box, &file, &why);
		file_close(&file);
	}
	if (!good && !g_error_matches(why, PH_ERROR, PH_ERROR_NOT_FOUND))
		ph_log_section(account->section, PH_LOG_WARNING, "mbox-flags-behind",
		               "flags could not be written into a file; the index has them",
		               PH_LOG_FAILURE(why), PH_LOG_END);
	(void) g_hash_table_remove(account->dirty, id);
}

void
rewrite_due(Account *account, bool all)
{
	g_autoptr(GArray) due = g_array_new(FALSE, FALSE, sizeof(PhMailboxId));
	PhTime before = g_get_monotonic_time() - (PhTime) account->settings.write_delay.us;
	GHashTableIter iter;
	void *id = NULL;
	void *since = NULL;

	g_hash_table_iter_init(&iter, account->dirty);
	while (g_hash_table_iter_next(&iter, &id, &since))
		if (all || *(const PhTime *) since <= before)
			(void) g_array_append_vals(due, id, 1);
	for (guint i = 0; i < due->len; i++)
		rewrite_one(account, &g_array_index(due, PhMailboxId, i));
}
