/* deliver.c: octets on their way in: files in tmp, the commit that names them, where they go then
 *
 * What a commit notes (files that arrive, files of no message any more) is written once, when the
 * batch settles, in its own transaction. Files are moved out of tmp when it is committed; the note of
 * those is replaced by the next commit's, whose sync of tmp has made the moves durable.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "tidy.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

enum {
	LATER_US = 1000 * 1000,
	DATE_US = 10 * 1000 * 1000, /* a file's own time is near enough */
};

/* The octets of a message that was appended together with its mailbox stay in tmp for now. */
static void
keep(Account *account, const char *base)
{
	(void) upload_forget(account, base);
	(void) pthread_mutex_lock(&account->lock);
	(void) g_hash_table_add(account->kept, g_strdup(base));
	(void) pthread_mutex_unlock(&account->lock);
}

bool
deliver_is_waiting(Account *account)
{
	bool is_waiting = false;

	(void) pthread_mutex_lock(&account->lock);
	is_waiting = g_hash_table_size(account->kept) > 0;
	(void) pthread_mutex_unlock(&account->lock);
	return is_waiting;
}

/* --- hooks ---------------------------------------------------------------------------------------- */

static void
arrival_clear(Arrival *arrival)
{
	g_clear_pointer(&arrival->from, g_free);
	g_clear_pointer(&arrival->base, g_free);
}

static void
cut_arrivals(Account *account, guint n)
{
	for (guint i = n; i < account->arrivals->len; i++)
		arrival_clear(&g_array_index(account->arrivals, Arrival, i));
	g_array_set_size(account->arrivals, n);
}

/* Letters of the flags and keywords of a new message: without any it goes to new. */
static Letters
arriving_letters(Account *account, Folder *folder, const PhOp *op)
{
	Letters letters = letters_from_flags(op->flags);

	for (size_t i = 0; op->keywords[i] != NULL; i++) {
		int letter = keyword_letter(account, folder, op->keywords[i], true);

		if (letter >= 0)
			letters |= LETTERS_KEYWORD << letter;
	}
	if (letters == 0 && op->flags == 0 && op->keywords[0] == NULL)
		letters = LETTERS_NEW;
	return letters | LETTERS_PRESENT;
}

/* When commits are deferred the file stays in tmp as it is, and gets its name with its place. */
static bool
add_waiting(Account *account,
            PhIndexConnection *connection,
            File *file,
            const PhOp *op,
            PhBlobId *blob_out,
            GError **error)
{
	const Folder *folder = folder_find(account, &op->mailbox);
	size_t length = strlen(file->base);
	Arrival arrival = { .folder = UINT32_MAX, .uid = op->uid };

	arrival.from = g_strndup(file->base, strcspn(file->base, ","));
	if (ABS(g_get_real_time() - op->internal_date) > DATE_US)
		arrival.date = op->internal_date;
	(void) g_array_append_val(account->arrivals, arrival);
	file->is_upload = false;
	if (folder != NULL) {
		file->home = folder->no;
		(void) g_snprintf(file->base + length, sizeof file->base - length,
		                  ",S=%" PRIu64 ",W=%" PRIu64, file->size, file->octets);
	}
	return file_pack(file, connection, blob_out, error);
}

static bool
add(void *user_data,
    PhIndexConnection *connection,
    const PhOp *op,
    PhBlobId *blob_out,
    GError **error)
{
	Account *account = user_data;
	Folder *folder = folder_find(account, &op->mailbox);
	Arrival arrival = { .uid = op->uid };
	File file;

	account->n_added++;
	if (!file_unpack(blob_out, connection, &file) || !file.is_upload) {
		ph_error_set(error, PH_ERROR_INVALID, "the octets to append were not uploaded");
		return false;
	}
	if (account->deferred && !file.is_adopted)
		return add_waiting(account, connection, &file, op, blob_out, error);
	if (folder == NULL) { /* made in this very batch: the file waits in tmp */
		account->waits_in_tmp = true;
		keep(account, file.base);
		file.is_upload = false;
		return file_pack(&file, connection, blob_out, error);
	}
	arrival.folder = folder->no;
	arrival.letters = file.is_adopted ? ((const Adopted *) (const void *) op)->letters
	                                  : arriving_letters(account, folder, op);
	if (!file.is_adopted) {
		size_t length = strlen(file.base);

		arrival.from = g_strdup(file.base);
		if (ABS(g_get_real_time() - op->internal_date) > DATE_US)
			arrival.date = op->internal_date;
		(void) g_snprintf(file.base + length, sizeof file.base - length,
		                  ",S=%" PRIu64 ",W=%" PRIu64, file.size, file.octets);
	}
	arrival.base = g_strdup(file.base);
	file.is_upload = file.is_adopted = false;
	file.home = folder->no;
	(void) g_array_append_val(account->arrivals, arrival);
	return file_pack(&file, connection, blob_out, error);
}

static bool
copy(void *user_data, PhIndexConnection *connection, PhBlobId *blob_out, GError **error)
{
	Account *account = user_data;

	account->next_copy = account->next_copy + 1 != 0 ? account->next_copy + 1 : 1;
	file_set_copy(blob_out, account->next_copy);
	return true;
}

static bool
drop(void *user_data, PhIndexConnection *connection, const PhBlobId *blob, GError **error)
{
	Account *account = user_data;

	g_byte_array_append(account->drops, &blob->length, 1);
	g_byte_array_append(account->drops, blob->octets, blob->length);
	return true;
}

static void
begin(void *user_data)
{
	Account *account = user_data;

	account->mark_arrivals = account->arrivals->len;
	account->mark_drops = account->drops->len;
}

static void
undo(void *user_data)
{
	Account *account = user_data;

	cut_arrivals(account, account->mark_arrivals);
	g_byte_array_set_size(account->drops, account->mark_drops);
}

static bool
settle_drops(Account *account, PhIndexConnection *connection, GError **error)
{
	sqlite3_stmt *row = NULL;

	if (account->drops->len == 0)
		return true;
	row = sql(connection, SQL_DROP_ADD, g_get_real_time(), error);
	if (row == NULL)
		return false;
	(void) sqlite3_bind_blob64(row, 2, account->drops->data, account->drops->len,
	                           SQLITE_STATIC);
	return sql_done(connection, row, "note removed messages", error);
}

/* folder, letters, name in tmp, base name; for each file that leaves tmp after the commit */
static void
pack(GByteArray *packed, const GArray *arrivals)
{
	for (guint i = 0; i < arrivals->len; i++) {
		const Arrival *arrival = &g_array_index(arrivals, Arrival, i);

		if (arrival->from == NULL || arrival->base == NULL)
			continue;
		g_byte_array_append(packed, (const guint8 *) &arrival->folder,
		                    sizeof arrival->folder);
		g_byte_array_append(packed, (const guint8 *) &arrival->letters,
		                    sizeof arrival->letters);
		g_byte_array_append(packed, (const guint8 *) arrival->from,
		                    (guint) strlen(arrival->from) + 1);
		g_byte_array_append(packed, (const guint8 *) arrival->base,
		                    (guint) strlen(arrival->base) + 1);
	}
}

static GByteArray *
pack_arrivals(Account *account)
{
	GByteArray *packed = g_byte_array_new();

	pack(packed, account->arrivals);
	pack(packed, account->late);
	return packed;
}

static bool
settle_arrivals(Account *account, PhIndexConnection *connection, GError **error)
{
	g_autoptr(GByteArray) packed = pack_arrivals(account);
	States states = { .connection = connection, .account = account };
	sqlite3_stmt *row = NULL;

	for (guint i = 0; i < account->arrivals->len; i++) {
		const Arrival *arrival = &g_array_index(account->arrivals, Arrival, i);

		if (arrival->base == NULL)
			continue; /* it waits in tmp until it is durable */
		if (!states_set(&states, arrival->folder, arrival->uid, arrival->letters, error))
			return false;
	}
	for (guint i = 0; i < account->notes->len; i++) {
		const Note *note = &g_array_index(account->notes, Note, i);

		if (!states_load(&states, note->folder, note->uid, error)
		    || (states.states[note->uid % CHUNK] == note->from
		        && !states_set(&states, note->folder, note->uid, note->to, error)))
			return false;
	}
	if (!states_flush(&states, error))
		return false;
	if (packed->len == 0 && !account->waits_in_tmp)
		return true;
	if (!upload_sync(account, error))
		return false;
	row = sql(connection, SQL_ARRIVING_PUT, (int64_t) account->instance_id, error);
	if (row == NULL)
		return false;
	/* no octets at NULL would be no value */
	(void) sqlite3_bind_blob64(row, 2, packed->len > 0 ? packed->data : (const guint8 *) "",
	                           packed->len, SQLITE_STATIC);
	return sql_done(connection, row, "note files that arrive", error);
}

static bool
settle(void *user_data, PhIndexConnection *connection, GError **error)
{
	return settle_drops(user_data, connection, error)
	       && settle_arrivals(user_data, connection, error);
}

/* A file's time is its message's date, for who has no index. */
static void
set_date(const Account *account, const char *path, PhTime date)
{
	const struct timespec when = {
		.tv_sec = date / G_USEC_PER_SEC,
		.tv_nsec = date % G_USEC_PER_SEC * 1000,
	};
	const struct timespec times[2] = { when, when };

	if (date > 0)
		(void) utimensat(account->root_fd, path, times, AT_SYMLINK_NOFOLLOW);
}

/* A file leaves tmp. One that is not there any more has done so already. False when it cannot now. */
static bool
arrive(Account *account, const Arrival *arrival)
{
	Folder *folder = folder_at(account, arrival->folder);
	g_autofree char *from = tmp_path(arrival->from);
	g_autofree char *to = NULL;

	if (folder == NULL)
		to = g_strconcat("tmp/", arrival->base, NULL);
	else
		to = folder_where(account, folder, arrival->letters, ph_slice(arrival->base));
	set_date(account, from, arrival->date);
	return ph_durable_move(&(PhRename){ account->root_fd, account->root_fd, from, to, true },
	                       NULL)
	       || faccessat(account->root_fd, from, F_OK, AT_SYMLINK_NOFOLLOW) != 0;
}

/* The file may be the only place where the octets are: it stays in tmp, is read there, and noted by
 * each commit until it could be moved. */
static void
arrive_or_wait(Account *account, const Arrival *arrival)
{
	Arrival late = *arrival;

	if (arrive(account, arrival))
		return;
	keep(account, arrival->from);
	late.from = g_strdup(arrival->from);
	late.base = g_strdup(arrival->base);
	(void) g_array_append_val(account->late, late);
}

static void
retry_late(Account *account)
{
	for (guint i = account->late->len; i > 0; i--) {
		Arrival *late = &g_array_index(account->late, Arrival, i - 1);

		if (!arrive(account, late))
			continue;
		arrival_clear(late);
		(void) g_array_remove_index(account->late, i - 1);
	}
}

void
deliver_forget_late(Account *account)
{
	for (guint i = 0; i < account->late->len; i++)
		arrival_clear(&g_array_index(account->late, Arrival, i));
	g_array_unref(account->late);
}

/* They are named now: nobody may abandon them. */
static void
keep_all(Account *account)
{
	for (guint i = 0; i < account->arrivals->len; i++) {
		const Arrival *arrival = &g_array_index(account->arrivals, Arrival, i);

		if (arrival->from != NULL)
			(void) upload_forget(account, arrival->from);
		if (arrival->from != NULL && arrival->base == NULL && arrival->date > 0) {
			g_autofree char *path = tmp_path(arrival->from);

			set_date(account, path, arrival->date);
		}
	}
}

/* What we change ourselves is known: the folder need not be read again for it. */
static void
arrive_all(Account *account)
{
	guint i = account->deferred ? account->arrivals->len : 0;

	while (i < account->arrivals->len) {
		const Arrival *first = &g_array_index(account->arrivals, Arrival, i);
		Folder *folder = folder_at(account, first->folder);
		Touch touch;

		touch_begin(&touch, account, folder);
		for (; i < account->arrivals->len; i++) {
			const Arrival *arrival = &g_array_index(account->arrivals, Arrival, i);

			if (arrival->folder != first->folder)
				break;
			if (arrival->from != NULL)
				arrive_or_wait(account, arrival);
		}
		touch_end(&touch);
		if (folder != NULL)
			folder->has_new = true;
	}
}

static void
finished(void *user_data, bool committed)
{
	Account *account = user_data;
	bool waits = account->waits_in_tmp || (account->deferred && account->arrivals->len > 0);
	bool work = committed && (account->drops->len > 0 || waits);

	if (committed && account->late->len > 0)
		retry_late(account);
	if (committed) {
		keep_all(account);
		arrive_all(account);
		g_atomic_int_set(&account->unsynced, 1);
		g_atomic_int_set(&account->changed, 1);
		if (g_atomic_int_exchange(&account->unsettled, 1) == 0)
			ph_index_tend_soon(account->index, LATER_US);
	}
	cut_arrivals(account, 0);
	g_byte_array_set_size(account->drops, 0);
	account->waits_in_tmp = false;
	if (work)
		tidy_soon(account);
}

const PhIndexHooks maildir_hooks = {
	.size = sizeof maildir_hooks,
	.schema = tables_schema,
	.add = add,
	.copy = copy,
	.drop = drop,
	.finished = finished,
	.tend = tidy,
	.begin = begin,
	.undo = undo,
	.settle = settle,
};

/* --- after a crash -------------------------------------------------------------------------------- */

/* A commit that no sync has followed may still be lost, and its file be in new by then. */
static bool
resume_one(Account *account, const Arrival *arrival, GError **error)
{
	g_autofree char *from = tmp_path(arrival->from);

	if (faccessat(account->root_fd, from, F_OK, AT_SYMLINK_NOFOLLOW) != 0)
		return true;
	if (!ph_index_sync(account->index, error))
		return false;
	arrive_or_wait(account, arrival);
	return true;
}

static bool
resume_packed(Account *account, const char *at, const char *end, GError **error)
{
	while (end - at > (ptrdiff_t) (sizeof(uint32_t) + sizeof(Letters))) {
		Arrival arrival = { .uid = 0 };

		memcpy(&arrival.folder, at, sizeof arrival.folder);
		at += sizeof arrival.folder;
		memcpy(&arrival.letters, at, sizeof arrival.letters);
		at += sizeof arrival.letters;
		if (memchr(at, '\0', (size_t) (end - at)) == NULL)
			return true;
		arrival.from = (char *) (uintptr_t) at;
		at += strlen(at) + 1;
		if (at >= end || memchr(at, '\0', (size_t) (end - at)) == NULL)
			return true;
		arrival.base = (char *) (uintptr_t) at;
		at += strlen(at) + 1;
		if (!resume_one(account, &arrival, error))
			return false;
	}
	return true;
}

bool
deliver_resume(Account *account, GError **error)
{
	PhIndexConnection *connection = ph_index_begin_read(account->index, error);
	g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func((GDestroyNotify) g_bytes_unref);
	sqlite3_stmt *row = NULL;
	bool good = false;

	if (connection == NULL)
		return false;
	row = sql_once(connection, "SELECT files FROM arriving", error);
	good = row != NULL;
	while (row != NULL && sqlite3_step(row) == SQLITE_ROW)
		g_ptr_array_add(rows, g_bytes_new(sqlite3_column_blob(row, 0),
		                                  (gsize) sqlite3_column_bytes(row, 0)));
	(void) sqlite3_finalize(row);
	ph_index_end_read(account->index, connection);
	for (guint i = 0; good && i < rows->len; i++) {
		gsize size = 0;
		const char *files = g_bytes_get_data(g_ptr_array_index(rows, i), &size);

		good = resume_packed(account, files, files + size, error);
	}
	return good;
}
