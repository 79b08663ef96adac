/* journal.c: changes a mailbox file in place so that a crash leaves the old file or the new one
 *
 * What is to be written is first written to a file beside the index, with where it goes and the
 * size that the mbox has then; when that is durable the mbox is changed and synced, and the journal
 * removed. A journal that is found at opening is played again: the same octets to the same places.
 * Mail that another program appended after the crash is moved to the new end. A journal that does
 * not fit the file any more is set aside and reported; nothing is written then.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/durable.h>
#include <posthorn/log.h>
#include <posthorn/slice.h>

#include "mbox.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

enum {
	MODE = 0600,
	PIECE = 64 * 1024,
};

static const uint64_t magic = UINT64_C(0x316c6e724a786f62);

typedef struct {
	uint64_t magic;
	uint64_t device;
	uint64_t inode;
	uint64_t before; /* the file's size */
	uint64_t after;
	uint64_t length; /* of the journal */
	uint64_t sum;    /* of what follows and of this, with 0 here */
} Header;

typedef struct {
	uint64_t offset;
	uint64_t length;
} Piece;

struct Journal {
	Account *account;
	char *path;
	int fd;
	Header header;
	uint64_t sum;
	const char *mailbox;
};

static char *
path_of(const Account *account, int64_t no)
{
	return g_strdup_printf("%s.journal-%" PRId64, account->path, no);
}

static uint64_t
add_sum(uint64_t sum, const void *octets, size_t length)
{
	const unsigned char *at = octets;

	for (size_t i = 0; i < length; i++)
		sum = (sum ^ at[i]) * UINT64_C(1099511628211);
	return sum;
}

/* --- writing -------------------------------------------------------------------------------------- */

Journal *
journal_new(Account *account, const Box *box, GError **error)
{
	Journal *journal = g_new0(Journal, 1);

	journal->account = account;
	journal->path = path_of(account, box->no);
	journal->mailbox = box->name;
	journal->sum = UINT64_C(14695981039346656037);
	journal->header.length = sizeof(Header);
	journal->fd =
		open(journal->path, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, MODE);
	if (journal->fd >= 0 && lseek(journal->fd, sizeof(Header), SEEK_SET) > 0)
		return journal;
	ph_error_set(error, PH_ERROR_TEMPORARY, "cannot make '%s': %s", journal->path,
	             g_strerror(errno));
	journal_free(journal);
	return NULL;
}

bool
journal_add(Journal *journal, uint64_t offset, PhSlice octets, GError **error)
{
	Piece piece = { offset, octets.length };

	journal->sum = add_sum(journal->sum, &piece, sizeof piece);
	journal->sum = add_sum(journal->sum, octets.data, octets.length);
	journal->header.length += sizeof piece + octets.length;
	return ph_durable_write(journal->fd, PH_SLICE((const char *) &piece, sizeof piece), error)
	       && ph_durable_write(journal->fd, octets, error);
}

static bool
sync_folder(const Journal *journal, GError **error)
{
	g_autofree char *folder = g_path_get_dirname(journal->path);
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool good = fd >= 0 && ph_durable_sync_folder(fd, error);

	if (fd < 0)
		ph_error_set_errno(error, errno, "cannot open '%s'", folder);
	else
		(void) close(fd);
	return good;
}

/* The header goes last: without it nothing counts. */
static bool
seal(Journal *journal, const File *file, uint64_t size, GError **error)
{
	Header *header = &journal->header;

	header->magic = magic;
	header->device = (uint64_t) file->status.st_dev;
	header->inode = (uint64_t) file->status.st_ino;
	header->before = (uint64_t) file->status.st_size;
	header->after = size;
	header->sum = add_sum(journal->sum, header, sizeof *header);
	if (pwrite(journal->fd, header, sizeof *header, 0) != (ssize_t) sizeof *header) {
		ph_error_set(error, PH_ERROR_TEMPORARY, "cannot write '%s'", journal->path);
		return false;
	}
	return ph_durable_sync(journal->fd, error) && sync_folder(journal, error);
}

/* --- applying ------------------------------------------------------------------------------------- */

typedef bool (*PieceFunc)(uint64_t offset, PhSlice octets, void *user_data, GError **error);

static bool
read_exactly(int fd, void *buffer, size_t length, uint64_t offset)
{
	return pread(fd, buffer, length, (off_t) offset) == (ssize_t) length;
}

/* Passes what the journal holds, at most PIECE octets at a time. */
static bool
each_piece(const Journal *journal, PieceFunc func, void *user_data, GError **error)
{
	g_autofree char *buffer = g_malloc(PIECE);
	uint64_t at = sizeof(Header);
	Piece piece;

	while (at < journal->header.length) {
		if (!read_exactly(journal->fd, &piece, sizeof piece, at))
			break;
		at += sizeof piece;
		if (piece.length > journal->header.length - at)
			break;
		for (uint64_t done = 0; done < piece.length;) {
			size_t n = (size_t) MIN(piece.length - done, PIECE);

			if (!read_exactly(journal->fd, buffer, n, at + done))
				return false;
			if (!func(piece.offset + done, PH_SLICE(buffer, n), user_data, error))
				return false;
			done += n;
		}
		at += piece.length;
	}
	if (at == journal->header.length)
		return true;
	ph_error_set(error, PH_ERROR_CORRUPT, "'%s' is damaged", journal->path);
	return false;
}

static bool
write_piece(uint64_t offset, PhSlice octets, void *user_data, GError **error)
{
	file_touch_lock(user_data);
	return file_write(user_data, offset, octets, error);
}

static bool
play(const Journal *journal, File *file, uint64_t size, GError **error)
{
	return each_piece(journal, write_piece, file, error) && file_cut(file, size, error)
	       && file_sync(file, error);
}

static bool
drop(Journal *journal, GError **error)
{
	if (unlink(journal->path) == 0)
		return sync_folder(journal, error);
	ph_error_set_errno(error, errno, "cannot remove '%s'", journal->path);
	return false;
}

/* Room for what the file grows by is taken first: a full disk is met before anything is changed. */
static bool
take_room(const Journal *journal, File *file, GError **error)
{
	const Header *header = &journal->header;
	int failed = 0;

	if (header->after <= header->before)
		return true;
	failed = posix_fallocate(file->fd, (off_t) header->before,
	                         (off_t) (header->after - header->before));
	if (failed == 0)
		return true;
	(void) file_cut(file, header->before, NULL);
	ph_error_set(error, PH_ERROR_TEMPORARY, "no room in '%s': %s", file->base,
	             g_strerror(failed));
	return false;
}

bool
journal_apply(Journal *journal, File *file, uint64_t size, GError **error)
{
	if (!seal(journal, file, size, error) || !take_room(journal, file, error)) {
		(void) drop(journal, NULL);
		return false;
	}
	/* from here on only forward: what fails now is finished at the next opening */
	return play(journal, file, size, error) && drop(journal, error);
}

void
journal_free(Journal *journal)
{
	if (journal == NULL)
		return;
	if (journal->fd >= 0)
		(void) close(journal->fd);
	g_free(journal->path);
	g_free(journal);
}

/* --- recovery ------------------------------------------------------------------------------------- */

static bool
sum_piece(uint64_t offset, PhSlice octets, void *user_data, GError **error)
{
	uint64_t *sum = user_data;

	*sum = add_sum(*sum, octets.data, octets.length);
	return true;
}

/* Is it whole? Pieces are summed as they were added: head, then octets. */
static bool
is_whole(const Journal *journal)
{
	Header header = journal->header;
	uint64_t sum = UINT64_C(14695981039346656037);
	uint64_t at = sizeof header;
	g_autofree char *buffer = g_malloc(PIECE);

	while (at < header.length) {
		size_t n = (size_t) MIN(header.length - at, PIECE);

		if (!read_exactly(journal->fd, buffer, n, at))
			return false;
		(void) sum_piece(at, PH_SLICE(buffer, n), &sum, NULL);
		at += n;
	}
	header.sum = 0;
	return header.magic == magic && add_sum(sum, &header, sizeof header) == journal->header.sum;
}

typedef struct {
	File *file;
	uint64_t from;
	bool ours;
} Compare;

/* Behind @from the file holds what the journal says, or zeros of room that was taken. */
static bool
compare_piece(uint64_t offset, PhSlice octets, void *user_data, GError **error)
{
	Compare *compare = user_data;
	g_autofree char *there = g_malloc(octets.length);
	ssize_t got = file_read(compare->file, offset, there, octets.length, error);

	if (got < 0)
		return false;
	for (size_t i = 0; i < (size_t) got; i++)
		if (offset + i >= compare->from && there[i] != octets.data[i] && there[i] != '\0')
			compare->ours = false;
	return true;
}

/* Where mail begins that another program appended after the crash; the size: none. */
static bool
find_appended(const Journal *journal, File *file, uint64_t *from_out, GError **error)
{
	const Header *header = &journal->header;
	uint64_t size = (uint64_t) file->status.st_size;
	Compare compare = { file, header->before, true };

	if (header->after > header->before && size > header->before
	    && !each_piece(journal, compare_piece, &compare, error))
		return false;
	if (header->after > header->before && compare.ours)
		*from_out = MIN(size, header->after);
	else
		*from_out = MIN(size, header->before);
	return true;
}

/* Mail behind the end goes to a journal of its own first: that one then holds everything. */
static bool
play_with_appended(Journal *journal, File *file, uint64_t from, GError **error)
{
	uint64_t size = (uint64_t) file->status.st_size;
	uint64_t to = journal->header.after;
	g_autofree char *buffer = g_malloc(PIECE);
	g_autofree char *final = g_strdup(journal->path);
	g_autofree char *beside = g_strconcat(journal->path, ".new", NULL);
	Journal *more = g_new0(Journal, 1);
	PhRename move = { AT_FDCWD, AT_FDCWD, beside, final, false };
	bool good = true;

	*more = *journal;
	more->path = g_strdup(beside);
	more->fd = open(beside, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, MODE);
	good = more->fd >= 0 && lseek(more->fd, sizeof(Header), SEEK_SET) > 0;
	more->header.length = sizeof(Header);
	more->sum = UINT64_C(14695981039346656037);
	for (uint64_t at = sizeof(Header); good && at < journal->header.length;) {
		size_t n = (size_t) MIN(journal->header.length - at, PIECE);

		good = read_exactly(journal->fd, buffer, n, at)
		       && ph_durable_write(more->fd, PH_SLICE(buffer, n), error);
		more->sum = add_sum(more->sum, buffer, n);
		more->header.length += n;
		at += n;
	}
	for (uint64_t at = from; good && at < size;) {
		ssize_t n = file_read(file, at, buffer, (size_t) MIN(size - at, PIECE), error);

		good = n > 0
		       && journal_add(more, to + (at - from), PH_SLICE(buffer, (size_t) n), error);
		at += n > 0 ? (uint64_t) n : 0;
	}
	good = good && seal(more, file, to + (size - from), error)
	       && ph_durable_rename(&move, error);
	if (good) {
		g_free(more->path);
		more->path = g_strdup(final);
		good = play(more, file, more->header.after, error) && drop(more, error);
	} else if (error != NULL && *error == NULL) {
		ph_error_set(error, PH_ERROR_TEMPORARY, "cannot write '%s'", beside);
	}
	journal_free(more);
	return good;
}

static bool
set_aside(const Journal *journal, const Box *box, GError **error)
{
	g_autofree char *to = g_strdup_printf("%s.kept-%" PRId64, journal->path, g_get_real_time());
	PhRename move = { AT_FDCWD, AT_FDCWD, journal->path, to, true };

	ph_log_section(
		journal->account->section, PH_LOG_ERROR, "mbox-journal-kept",
		"a change that a crash interrupted does not fit the file any more; it is kept",
		PH_LOG_TEXT("mailbox", box->name), PH_LOG_TEXT("path", to), PH_LOG_END);
	return ph_durable_rename(&move, error);
}

static bool
recover(Journal *journal, const Box *box, File *file, GError **error)
{
	const Header *header = &journal->header;
	uint64_t size = file->fd >= 0 ? (uint64_t) file->status.st_size : 0;
	uint64_t from = 0;

	if (!read_exactly(journal->fd, &journal->header, sizeof journal->header, 0)
	    || !is_whole(journal))
		return drop(journal, error); /* the crash came before anything was changed */
	if (file->fd < 0 || header->inode != (uint64_t) file->status.st_ino
	    || header->device != (uint64_t) file->status.st_dev
	    || size < MIN(header->before, header->after))
		return set_aside(journal, box, error);
	if (!file->writes) {
		ph_error_set(error, PH_ERROR_TEMPORARY,
		             "'%s' was being changed when a crash came, and may not be written to",
		             file->base);
		return false;
	}
	if (!find_appended(journal, file, &from, error))
		return false;
	ph_log_section(journal->account->section, PH_LOG_NOTICE, "mbox-recovered",
	               "a change that a crash had interrupted was finished",
	               PH_LOG_TEXT("mailbox", box->name), PH_LOG_END);
	if (from < size && header->after != header->before)
		return play_with_appended(journal, file, from, error);
	return play(journal, file, MAX(header->after, from < size ? size : 0), error)
	       && drop(journal, error);
}

bool
journal_is_left(const Account *account, const Box *box)
{
	g_autofree char *path = path_of(account, box->no);

	return access(path, F_OK) == 0;
}

bool
journal_recover(Account *account, const Box *box, File *file, GError **error)
{
	Journal journal = { .account = account, .fd = -1 };
	g_autofree char *path = path_of(account, box->no);
	bool good = true;

	if (box->no == 0)
		return true;
	journal.path = path;
	journal.fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	if (journal.fd < 0)
		return true;
	good = recover(&journal, box, file, error);
	(void) close(journal.fd);
	return good;
}
