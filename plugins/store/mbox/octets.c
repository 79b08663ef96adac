/* octets.c: octets on their way in, and messages that are read
 *
 * An upload is a reference to its content until the commit that names it writes it into the mbox;
 * one that must be durable is a file beside the index. A message that is read is taken out of the
 * mbox at once, under a lock for reading: small ones into memory, others into a spool file, so that
 * no reader is ever bound to a file that other programs rewrite. A message that does not lie where
 * it was makes the file be read anew.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/content.h>
#include <posthorn/durable.h>
#include <posthorn/secret.h>
#include <posthorn/slice.h>

#include "fields.h"
#include "mbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

enum {
	SMALL = 256 * 1024,
	MODE = 0600,
	FOLDER_MODE = 0700,
	PREFIX = 1, /* of a blob id */
};

static const PhTime upload_us =
	INT64_C(86400000000); /* an upload that nobody named by then is gone */

/* --- uploads --------------------------------------------------------------------------------------- */

char *
octets_folder(const Account *account)
{
	return g_strconcat(account->path, ".octets", NULL);
}

static bool
number_of(const PhBlobId *blob, char kind, uint64_t *number_out)
{
	if (blob->length != PREFIX + sizeof *number_out || blob->octets[0] != (uint8_t) kind)
		return false;
	memcpy(number_out, &blob->octets[PREFIX], sizeof *number_out);
	return true;
}

static PhBlobId
blob_of(char kind, uint64_t number)
{
	PhBlobId blob = { .length = PREFIX + sizeof number };

	blob.octets[0] = (uint8_t) kind;
	memcpy(&blob.octets[PREFIX], &number, sizeof number);
	return blob;
}

static char *
file_of(const Account *account, uint64_t number)
{
	return g_strdup_printf("%s.octets/upload-%016" PRIx64, account->path, number);
}

static bool
write_piece(PhSlice piece, void *user_data, GError **error)
{
	return ph_durable_write(*(int *) user_data, piece, error);
}

static bool
upload_file(Account *account, PhContent *content, PhBlobId *blob_out, GError **error)
{
	g_autofree char *folder = octets_folder(account);
	g_autofree char *path = NULL;
	uint64_t number = 0;
	int fd = -1;
	int folder_fd = -1;
	bool good = false;

	ph_secret_random(&number, sizeof number);
	path = file_of(account, number);
	if (!ph_durable_make_folder(folder, FOLDER_MODE, error))
		return false;
	folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, MODE);
	if (fd < 0 || folder_fd < 0)
		ph_error_set_errno(error, errno, "cannot make '%s'", path);
	else
		good = ph_content_each(content, 0, ph_content_length(content), write_piece, &fd,
		                       error)
		       && ph_durable_sync(fd, error) && ph_durable_sync_folder(folder_fd, error);
	if (fd >= 0)
		(void) close(fd);
	if (folder_fd >= 0)
		(void) close(folder_fd);
	if (good)
		*blob_out = blob_of(KIND_FILE, number);
	else
		(void) unlink(path);
	return good;
}

bool
octets_upload(void *data, PhContent *content, bool durable, PhBlobId *blob_out, GError **error)
{
	Account *account = data;
	uint64_t number = 0;

	if (account->settings.largest.octets != 0
	    && ph_content_length(content) > account->settings.largest.octets) {
		ph_error_set(error, PH_ERROR_TOO_LARGE, "a message of %" G_GUINT64_FORMAT " octets",
		             ph_content_length(content));
		return false;
	}
	if (durable)
		return upload_file(account, content, blob_out, error);
	(void) pthread_mutex_lock(&account->lock);
	number = ++account->next_upload;
	(void) g_hash_table_insert(account->uploads, g_memdup2(&number, sizeof number),
	                           ph_content_ref(content));
	(void) pthread_mutex_unlock(&account->lock);
	*blob_out = blob_of(KIND_UPLOAD, number);
	return true;
}

void
octets_used(Account *account, const PhBlobId *blob)
{
	uint64_t number = 0;

	if (number_of(blob, KIND_UPLOAD, &number)) {
		(void) pthread_mutex_lock(&account->lock);
		(void) g_hash_table_remove(account->uploads, &number);
		(void) pthread_mutex_unlock(&account->lock);
	} else if (number_of(blob, KIND_FILE, &number)) {
		g_autofree char *path = file_of(account, number);

		(void) unlink(path);
	}
}

void
octets_abandon(void *data, const PhBlobId *blob)
{
	octets_used(data, blob);
}

static PhContent *
open_file(const char *path, GError **error)
{
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	struct stat status;

	if (fd >= 0 && fstat(fd, &status) == 0)
		return ph_content_new_file(fd, 0, (uint64_t) status.st_size);
	ph_error_set(error, PH_ERROR_INVALID, "the octets to append were not uploaded");
	if (fd >= 0)
		(void) close(fd);
	return NULL;
}

PhContent *
octets_uploaded(Account *account, const PhBlobId *blob, GError **error)
{
	PhContent *content = NULL;
	uint64_t number = 0;

	if (number_of(blob, KIND_FILE, &number)) {
		g_autofree char *path = file_of(account, number);

		return open_file(path, error);
	}
	if (number_of(blob, KIND_UPLOAD, &number)) {
		(void) pthread_mutex_lock(&account->lock);
		content = g_hash_table_lookup(account->uploads, &number);
		if (content != NULL)
			(void) ph_content_ref(content);
		(void) pthread_mutex_unlock(&account->lock);
	}
	if (content == NULL)
		ph_error_set(error, PH_ERROR_INVALID, "the octets to append were not uploaded");
	return content;
}

/* --- reading ---------------------------------------------------------------------------------------- */

typedef struct {
	GString *text; /* a small message */
	PhSpool *spool;
	GError *error;
} Taken;

static void
take_octets(PhSlice octets, void *user_data)
{
	Taken *taken = user_data;

	if (taken == NULL)
		return;
	if (taken->spool == NULL)
		(void) g_string_append_len(taken->text, octets.data, (gssize) octets.length);
	else if (taken->error == NULL)
		(void) ph_spool_write(taken->spool, octets, &taken->error);
}

/* The octets of one message as they are now. @same_out: they are those of @place. */
static bool
decode(const Source *source, const Place *place, Taken *taken, bool *same_out, GError **error)
{
	Wire wire;
	Lines lines;
	Line line;
	FromLine from;
	bool found = true;
	bool good = true;
	bool begins = false;

	wire_init(&wire, place->marks & (MARK_COUNTED | MARK_VERBATIM | MARK_QUOTED_ONCE),
	          take_octets, taken);
	lines_init(&lines, source, place->offset, place->offset + place->length);
	while (good && (good = lines_next(&lines, &line, &found, error)) && found) {
		if (line.offset == place->offset)
			begins = from_parse(line_body(&line), &from);
		wire_line(&wire, &line);
		good = taken == NULL || taken->error == NULL;
	}
	wire_finish(&wire);
	lines_clear(&lines);
	*same_out = good && begins && wire.octets == place->octets
	            && (place->digest == 0 || wire.digest == place->digest);
	if (taken != NULL && taken->error != NULL)
		g_propagate_error(error, g_steal_pointer(&taken->error));
	return good;
}

bool
octets_lie(const File *file, const Place *place, bool *same_out, GError **error)
{
	return decode(&file->source, place, NULL, same_out, error);
}

static PhContent *
take_content(Taken *taken, GError **error)
{
	gsize length = 0;

	if (taken->spool != NULL)
		return ph_spool_finish(g_steal_pointer(&taken->spool), error);
	length = taken->text->len;
	return ph_content_new_take(g_string_free(g_steal_pointer(&taken->text), FALSE), length);
}

static bool
read_message(const Source *source, const Place *place, PhContent **content_out, GError **error)
{
	Taken taken = { .text = NULL };
	bool same = false;
	bool good = false;

	if (place->octets > SMALL)
		taken.spool = ph_spool_new();
	else
		taken.text = g_string_sized_new((gsize) place->octets + 1);
	good = decode(source, place, &taken, &same, error);
	if (good && same)
		*content_out = take_content(&taken, error);
	if (taken.text != NULL)
		(void) g_string_free(taken.text, TRUE);
	ph_spool_free(taken.spool);
	return good && (!same || *content_out != NULL);
}

/* Looks the message up and reads it. True without content: it does not lie where it should. */
static bool
try_to_read(Account *account,
            const PhMailboxId *mailbox,
            uint32_t uid,
            PhContent **content_out,
            GError **error)
{
	Box box;
	Place place;
	File file;
	PhIndexConnection *connection = NULL;
	bool good = false;

	if (!place_load_box(account, mailbox, &box, error))
		return false;
	connection = ph_index_begin_read(account->index, error);
	if (connection == NULL)
		return false;
	good = place_get(connection, box.no, uid, &place, error);
	ph_index_end_read(account->index, connection);
	if (!good || place.uid == 0)
		return good;
	if (!file_open(account, box.name, FILE_READ, &file, error))
		return false;
	if (file.fd >= 0)
		good = read_message(&file.source, &place, content_out, error);
	file_close(&file);
	return good;
}

static bool
read_gone(Account *account,
          const PhMailboxId *mailbox,
          uint32_t uid,
          PhContent **content_out,
          GError **error)
{
	Box box;
	Gone gone;
	File file = { .account = account, .fd = -1, .folder_fd = -1 };
	PhIndexConnection *connection = NULL;
	g_autofree char *path = NULL;
	bool good = false;

	if (!place_load_box(account, mailbox, &box, error))
		return false;
	connection = ph_index_begin_read(account->index, error);
	if (connection == NULL)
		return false;
	good = place_get_gone(connection, box.no, uid, &gone, error);
	ph_index_end_read(account->index, connection);
	if (!good || gone.place.uid == 0)
		return good;
	path = g_strdup_printf("%s.octets/%s", account->path, gone.file);
	file.fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (file.fd < 0)
		return true;
	file.base = gone.file;
	file.source = (Source){ file_read, &file };
	good = read_message(&file.source, &gone.place, content_out, error);
	(void) close(file.fd);
	return good;
}

static bool
sync_now(Account *account, const PhMailboxId *mailbox, GError **error)
{
	Box box;
	File file;
	bool good = false;

	(void) pthread_mutex_lock(&account->writer);
	if (file_lock_account(account, error)) {
		good = open_box(account, mailbox, FILE_WRITE, &box, &file, error);
		if (good)
			file_close(&file);
		file_unlock_account(account);
	}
	(void) pthread_mutex_unlock(&account->writer);
	return good;
}

bool
octets_content(void *data,
               const PhMailboxId *mailbox,
               uint32_t uid,
               const PhBlobId *blob,
               PhContent **content_out,
               GError **error)
{
	Account *account = data;
	PhContent *content = NULL;
	g_autoptr(GError) why = NULL;
	bool good = try_to_read(account, mailbox, uid, &content, &why)
	            && (content != NULL || read_gone(account, mailbox, uid, &content, &why))
	            && (content != NULL
	                || (sync_now(account, mailbox, &why)
	                    && try_to_read(account, mailbox, uid, &content, &why)));

	if (good && content != NULL) {
		*content_out = content;
		return true;
	}
	if (good || g_error_matches(why, PH_ERROR, PH_ERROR_NOT_FOUND))
		ph_error_set(error, PH_ERROR_GONE, "the message was removed");
	else
		g_propagate_error(error, g_steal_pointer(&why));
	return false;
}

/* --- what has been kept long enough ----------------------------------------------------------------- */

void
octets_expire(Account *account)
{
	g_autofree char *path = octets_folder(account);
	PhTime now = g_get_real_time();
	PhTime before = now - (PhTime) account->settings.grace.us;
	DIR *folder = opendir(path);
	const struct dirent *entry = NULL;
	unsigned n = 0;

	while (folder != NULL && (entry = readdir(folder)) != NULL) {
		bool is_upload = g_str_has_prefix(entry->d_name, "upload-");
		PhTime limit = is_upload ? now - upload_us : before;
		struct stat status;

		if (entry->d_name[0] == '.'
		    || fstatat(dirfd(folder), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0
		    || (PhTime) status.st_mtime * G_USEC_PER_SEC >= limit)
			continue;
		(void) unlinkat(dirfd(folder), entry->d_name, 0);
		n += is_upload ? 0 : 1;
	}
	if (folder != NULL)
		(void) closedir(folder);
	if (n > 0) {
		PhIndexConnection *connection = ph_index_begin_write(account->index, NULL);

		if (connection != NULL)
			(void) ph_index_end_write(account->index, connection,
			                          place_forget_gone(connection, before, NULL),
			                          NULL);
	}
}
