/* content.c: a message's octets out of its file, with CRLF line ends
 *
 * Small files are read in one go. A large one that holds CRLF already is given as the file itself,
 * so that it can be sent without a copy; any other is read piece by piece, and places on the way are
 * remembered, so that who reads backwards does not begin anew.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "tidy.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum {
	PIECE = 64 * 1024,
	MARKS = 64,
};

/* --- converting ----------------------------------------------------------------------------------- */

/* How many octets LF without CR needs: @before: the octet before the piece. */
static size_t
count_bare(const char *octets, size_t length, char before)
{
	const char *at = octets;
	const char *end = octets + length;
	size_t n = 0;

	while (at < end) {
		const char *lf = memchr(at, '\n', (size_t) (end - at));

		if (lf == NULL)
			break;
		n += (lf > octets ? lf[-1] : before) != '\r';
		at = lf + 1;
	}
	return n;
}

static size_t
convert(char *to, const char *octets, size_t length, char before)
{
	const char *at = octets;
	const char *end = octets + length;
	char *out = to;

	while (at < end) {
		const char *lf = memchr(at, '\n', (size_t) (end - at));
		size_t n = (size_t) ((lf != NULL ? lf : end) - at);

		memcpy(out, at, n);
		out += n;
		if (lf == NULL)
			break;
		if ((lf > octets ? lf[-1] : before) != '\r')
			*out++ = '\r';
		*out++ = '\n';
		at = lf + 1;
	}
	return (size_t) (out - to);
}

static ssize_t
read_all(int fd, char *buffer, size_t length, uint64_t offset)
{
	size_t done = 0;

	while (done < length) {
		ssize_t n = pread(fd, buffer + done, length - done, (off_t) (offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		done += (size_t) n;
	}
	return (ssize_t) done;
}

bool
content_measure(int fd, uint64_t *octets_out, bool *is_plain_out, GError **error)
{
	g_autofree char *buffer = g_malloc(PIECE);
	uint64_t offset = 0;
	uint64_t bare = 0;
	char before = '\0';

	for (;;) {
		ssize_t n = read_all(fd, buffer, PIECE, offset);

		if (n < 0) {
			ph_error_set_errno(error, errno, "cannot read a message");
			return false;
		}
		if (n == 0)
			break;
		bare += count_bare(buffer, (size_t) n, before);
		before = buffer[n - 1];
		offset += (uint64_t) n;
	}
	*octets_out = offset + bare;
	*is_plain_out = bare == 0;
	return true;
}

/* --- large files ---------------------------------------------------------------------------------- */

/* Mark: at this offset of the file so many CRs were added. */
typedef struct {
	uint64_t offset;
	uint64_t octets; /* on the wire */
	char before;
} Mark;

typedef struct {
	int fd;
	uint64_t size;
	uint64_t step; /* of the file between two marks */
	Mark at;
	Mark marks[MARKS];
	unsigned n_marks;
	char raw[PIECE];
	char wire[2 * PIECE]; /* of the piece at `at` */
	size_t n_raw;
	size_t n_wire;
} Large;

static bool
read_piece(Large *large, GError **error)
{
	ssize_t n = read_all(large->fd, large->raw, PIECE, large->at.offset);

	if (n <= 0) {
		ph_error_set(error, n < 0 ? PH_ERROR_TEMPORARY : PH_ERROR_CORRUPT,
		             "a message's file cannot be read or is too short");
		return false;
	}
	large->n_raw = (size_t) n;
	large->n_wire = convert(large->wire, large->raw, large->n_raw, large->at.before);
	return true;
}

static void
step_on(Large *large)
{
	large->at.offset += large->n_raw;
	large->at.octets += large->n_wire;
	large->at.before = large->raw[large->n_raw - 1];
	large->n_raw = large->n_wire = 0;
	if (large->n_marks < MARKS && large->at.offset >= large->step * (large->n_marks + 1))
		large->marks[large->n_marks++] = large->at;
}

/* Goes to the piece that holds an octet of the wire. */
static bool
go_to(Large *large, uint64_t octets, GError **error)
{
	if (octets < large->at.octets) {
		large->at = (Mark){ 0, 0, '\0' };
		large->n_raw = large->n_wire = 0;
	}
	for (unsigned i = 0; i < large->n_marks; i++) {
		if (large->marks[i].octets > octets || large->marks[i].octets <= large->at.octets)
			continue;
		large->at = large->marks[i];
		large->n_raw = large->n_wire = 0;
	}
	for (;;) {
		if (large->n_raw == 0 && !read_piece(large, error))
			return false;
		if (octets < large->at.octets + large->n_wire)
			return true;
		step_on(large);
	}
}

static ssize_t
large_read(void *handle, uint64_t offset, char *buffer, size_t length, GError **error)
{
	Large *large = handle;
	size_t done = 0;

	while (done < length) {
		size_t skip = 0;
		size_t n = 0;

		if (!go_to(large, offset + done, error))
			return -1;
		skip = (size_t) (offset + done - large->at.octets);
		n = MIN(length - done, large->n_wire - skip);
		memcpy(buffer + done, large->wire + skip, n);
		done += n;
	}
	return (ssize_t) done;
}

static void
large_free(void *handle)
{
	Large *large = handle;

	(void) close(large->fd);
	g_free(large);
}

static const PhContentTable large_table = {
	.size = sizeof large_table,
	.read = large_read,
	.free = large_free,
};

/* --- opening -------------------------------------------------------------------------------------- */

static PhContent *
read_small(int fd, size_t size, const File *file, GError **error)
{
	g_autofree char *raw = g_malloc(size + 1);
	ssize_t n = read_all(fd, raw, size, 0);
	size_t bare = 0;
	char *wire = NULL;

	if (n < 0) {
		ph_error_set_errno(error, errno, "cannot read a message");
		return NULL;
	}
	bare = file->is_plain && (size_t) n == file->size ? 0 : count_bare(raw, (size_t) n, '\0');
	if ((uint64_t) n + bare != file->octets) {
		ph_error_set(error, PH_ERROR_CORRUPT, "the file '%s' is not what it was",
		             file->base);
		return NULL;
	}
	if (bare == 0)
		return ph_content_new_take(g_steal_pointer(&raw), (size_t) n);
	wire = g_malloc((size_t) n + bare);
	(void) convert(wire, raw, (size_t) n, '\0');
	return ph_content_new_take(wire, (size_t) n + bare);
}

/* @fd: (owned). */
static PhContent *
make_content(int fd, const File *file, GError **error)
{
	PhContent *content = NULL;
	Large *large = NULL;
	struct stat info;

	if (fstat(fd, &info) < 0 || !S_ISREG(info.st_mode)
	    || (uint64_t) info.st_size != file->size) {
		ph_error_set(error, PH_ERROR_CORRUPT, "the file '%s' is not what it was",
		             file->base);
	} else if (file->is_plain && file->size > PIECE) {
		return ph_content_new_file(fd, 0, file->size);
	} else if (file->size <= SMALL) {
		content = read_small(fd, (size_t) info.st_size, file, error);
	} else {
		large = g_new0(Large, 1);
		large->fd = fd;
		large->size = file->size;
		large->step = MAX(file->size / MARKS, (uint64_t) 1);
		return ph_content_new_custom(&large_table, large, file->octets);
	}
	(void) close(fd);
	return content;
}

/* What we last knew the file's letters to be: a guess that is nearly always right. */
static Letters
guess_letters(Account *account, PhIndexConnection *connection, const Folder *folder, uint32_t uid)
{
	uint32_t chunk = uid / CHUNK;
	Letters states[CHUNK];
	Letters letters = 0;
	bool known = false;

	(void) pthread_mutex_lock(&account->lock);
	known = account->cached_folder == folder->no && account->cached_chunk == chunk;
	letters = account->cached[uid % CHUNK];
	(void) pthread_mutex_unlock(&account->lock);
	if (known || connection == NULL)
		return known ? letters : 0;
	(void) state_get(connection, folder->no, chunk, states);
	(void) pthread_mutex_lock(&account->lock);
	memcpy(account->cached, states, sizeof states);
	account->cached_folder = folder->no;
	account->cached_chunk = chunk;
	(void) pthread_mutex_unlock(&account->lock);
	return states[uid % CHUNK];
}

static int
open_where(Account *account, const Folder *folder, Letters letters, const File *file)
{
	g_autofree char *where = folder_where(account, folder, letters, ph_slice(file->base));

	return openat(account->root_fd, where, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
}

static int
open_waiting(Account *account, const File *file)
{
	g_autofree char *where = tmp_path(file->base);

	return openat(account->root_fd, where, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
}

/* It is not where we knew it: another program renamed it, or it waits to be placed, or is gone. */
static int
open_searched(Account *account, const Folder *folder, const PhBlobId *blob, Letters guess)
{
	PhIndexConnection *connection = ph_index_begin_read(account->index, NULL);
	g_autofree char *path = NULL;

	if (connection == NULL)
		return -1;
	path = find_file(account, connection, folder, blob, guess);
	ph_index_end_read(account->index, connection);
	return path != NULL ? openat(account->root_fd, path,
	                             O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
	                    : -1;
}

bool
content_open(void *data,
             const PhMailboxId *mailbox,
             uint32_t uid,
             const PhBlobId *blob,
             PhContent **content_out,
             GError **error)
{
	Account *account = data;
	const Folder *folder = folder_find(account, mailbox);
	PhIndexConnection *connection = NULL;
	Letters guess = 0;
	File file;
	int fd = -1;

	if (folder == NULL) {
		ph_error_set(error, PH_ERROR_GONE, "the mailbox was removed");
		return false;
	}
	guess = guess_letters(account, NULL, folder, uid);
	if (guess == 0 || file_is_long(blob)) {
		connection = ph_index_begin_read(account->index, error);
		if (connection == NULL)
			return false;
		guess = guess_letters(account, connection, folder, uid);
	}
	if (!file_unpack(blob, connection, &file) || file.is_upload)
		file.base[0] = '\0';
	if (connection != NULL)
		ph_index_end_read(account->index, connection);
	if (file.base[0] != '\0' && guess != 0)
		fd = open_where(account, folder, guess, &file);
	else if (file.base[0] != '\0' && file.copy == 0)
		fd = open_waiting(account, &file);
	/* twice: the housekeeping may have moved it between two looks */
	for (int i = 0; file.base[0] != '\0' && fd < 0 && i < 2; i++)
		fd = open_searched(account, folder, blob, guess);
	if (fd < 0) {
		ph_error_set(error, PH_ERROR_GONE, "the message was removed");
		return false;
	}
	*content_out = make_content(fd, &file, error);
	return *content_out != NULL;
}
