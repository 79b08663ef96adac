/* file.c: one file of queued mail, and its index beside it
 *
 * Both begin with the same head: magic (8), number (4), zero (4), seed (8), checksum (8). One of
 * them is enough to read the mails.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "queue/file.h"

#include <posthorn/durable.h>
#include <posthorn/error.h>
#include <posthorn/secret.h>
#include <posthorn/slice.h>

#include "queue/envelope.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

enum {
	MODE = 0600,
	HEAD_SUM_AT = 24,
	ALIGN = 8,
	PIECES_MAX = 512,
};

#define WHOLE_MAX (UINT64_C(1) << 42)

static const char magic[8] = "PHQUE\x01\r\n";

/* --- names and heads -------------------------------------------------------------------------- */

void
ph_queue_file_name(uint32_t number, bool is_index, char *name_out)
{
	g_snprintf(name_out, PH_QUEUE_FILE_NAME, "%08x.%s", number, is_index ? "index" : "mail");
}

bool
ph_queue_file_number(const char *name, bool *is_index_out, uint32_t *number_out)
{
	uint32_t number = 0;
	char again[PH_QUEUE_FILE_NAME];

	for (size_t i = 0; i < 8; i++) {
		int digit = g_ascii_xdigit_value(name[i]);

		if (digit < 0)
			return false;
		number = number << 4 | (uint32_t) digit;
	}
	*is_index_out = g_str_has_suffix(name, ".index");
	*number_out = number;
	ph_queue_file_name(number, *is_index_out, again);
	return strcmp(name, again) == 0;
}

static void
make_head(const PhQueueFile *file, char head[PH_QUEUE_FILE_START])
{
	uint32_t number = GUINT32_TO_LE(file->number);
	uint64_t seed = GUINT64_TO_LE(file->seed);
	uint64_t sum = 0;

	memset(head, 0, PH_QUEUE_FILE_START);
	memcpy(head, magic, sizeof magic);
	memcpy(head + 8, &number, sizeof number);
	memcpy(head + 16, &seed, sizeof seed);
	sum = GUINT64_TO_LE(ph_queue_checksum(PH_SLICE(head, HEAD_SUM_AT), 0));
	memcpy(head + HEAD_SUM_AT, &sum, sizeof sum);
}

/* The number is the one that the file was made with: it may have another one now (adopt.c). */
static bool
read_head(int fd, uint64_t *seed_out)
{
	char head[PH_QUEUE_FILE_START];
	uint64_t sum = 0;

	if (fd < 0 || pread(fd, head, sizeof head, 0) != (ssize_t) sizeof head)
		return false;
	memcpy(&sum, head + HEAD_SUM_AT, sizeof sum);
	memcpy(seed_out, head + 16, sizeof *seed_out);
	*seed_out = GUINT64_FROM_LE(*seed_out);
	return memcmp(head, magic, sizeof magic) == 0
	       && GUINT64_FROM_LE(sum) == ph_queue_checksum(PH_SLICE(head, HEAD_SUM_AT), 0);
}

/* --- life ------------------------------------------------------------------------------------- */

static PhQueueFile *
file_new(uint32_t number)
{
	PhQueueFile *file = g_new0(PhQueueFile, 1);

	file->refs = 1;
	file->number = number;
	file->fd = -1;
	file->index_fd = -1;
	file->end = PH_QUEUE_FILE_START;
	file->index_size = PH_QUEUE_FILE_START;
	return file;
}

PhQueueFile *
ph_queue_file_ref(PhQueueFile *file)
{
	g_atomic_int_inc(&file->refs);
	return file;
}

void
ph_queue_file_unref(PhQueueFile *file)
{
	if (file == NULL || !g_atomic_int_dec_and_test(&file->refs))
		return;
	if (file->whole != NULL)
		ph_content_unref(file->whole);
	else if (file->fd >= 0)
		(void) close(file->fd);
	if (file->index_fd >= 0)
		(void) close(file->index_fd);
	g_clear_pointer(&file->rows, g_byte_array_unref);
	g_clear_pointer(&file->numbers, g_hash_table_unref);
	g_free(file);
}

static bool
write_head(const PhQueueFile *file, int fd, GError **error)
{
	char head[PH_QUEUE_FILE_START];

	make_head(file, head);
	if (pwrite(fd, head, sizeof head, 0) == (ssize_t) sizeof head)
		return true;
	ph_error_set_errno(error, errno, "cannot write a file of the queue");
	return false;
}

static int
make_file(int folder_fd, uint32_t number, bool is_index, GError **error)
{
	char name[PH_QUEUE_FILE_NAME];
	int fd = -1;

	ph_queue_file_name(number, is_index, name);
	fd = openat(folder_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, MODE);
	if (fd < 0)
		ph_error_set_errno(error, errno, "cannot make '%s' in the queue", name);
	return fd;
}

static void
share(PhQueueFile *file)
{
	file->whole = ph_content_new_file(file->fd, 0, WHOLE_MAX);
}

PhQueueFile *
ph_queue_file_make(int folder_fd, uint32_t number, GError **error)
{
	g_autoptr(PhQueueFile) file = file_new(number);

	ph_secret_random((uint8_t *) &file->seed, sizeof file->seed);
	file->fd = make_file(folder_fd, number, false, error);
	if (file->fd < 0)
		return NULL;
	share(file);
	file->index_fd = make_file(folder_fd, number, true, error);
	if (file->index_fd >= 0 && write_head(file, file->fd, error)
	    && write_head(file, file->index_fd, error) && ph_durable_sync(file->fd, error)
	    && ph_durable_sync_folder(folder_fd, error))
		return g_steal_pointer(&file);
	ph_queue_file_remove(folder_fd, number);
	return NULL;
}

/* Its maker has died before there could be a mail in it. */
static bool
is_unborn(int fd)
{
	static const char zeros[PH_QUEUE_FILE_START];
	char head[PH_QUEUE_FILE_START] = { 0 };
	ssize_t n = pread(fd, head, sizeof head, 0);

	return n >= 0 && (n < PH_QUEUE_FILE_START || memcmp(head, zeros, sizeof head) == 0);
}

PhQueueFile *
ph_queue_file_open(int folder_fd, uint32_t number, bool writes, GError **error)
{
	g_autoptr(PhQueueFile) file = file_new(number);
	int flags = (writes ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOFOLLOW;
	char name[PH_QUEUE_FILE_NAME];
	bool has_head = false;

	ph_queue_file_name(number, true, name);
	file->index_fd = openat(folder_fd, name, flags | (writes ? O_CREAT : 0), MODE);
	ph_queue_file_name(number, false, name);
	file->fd = openat(folder_fd, name, flags);
	if (file->fd < 0 || (writes && file->index_fd < 0)) {
		ph_error_set_errno(error, errno, "cannot open '%s' of the queue", name);
		return NULL;
	}
	share(file);
	has_head = read_head(file->index_fd, &file->seed);
	if (!has_head && is_unborn(file->fd)) {
		ph_error_set(error, PH_ERROR_GONE, "'%s' was never used", name);
		return NULL;
	}
	if (!has_head && !read_head(file->fd, &file->seed)) {
		ph_error_set(error, PH_ERROR_CORRUPT, "the head of '%s' is damaged", name);
		return NULL;
	}
	if (!has_head && writes
	    && (ftruncate(file->index_fd, 0) < 0 || !write_head(file, file->index_fd, error))) {
		if (error != NULL && *error == NULL)
			ph_error_set_errno(error, errno, "cannot write '%s' of the queue", name);
		return NULL;
	}
	return g_steal_pointer(&file);
}

void
ph_queue_file_remove(int folder_fd, uint32_t number)
{
	char name[PH_QUEUE_FILE_NAME];

	ph_queue_file_name(number, false, name);
	if (unlinkat(folder_fd, name, 0) < 0 && errno != ENOENT)
		return;
	ph_queue_file_name(number, true, name);
	(void) unlinkat(folder_fd, name, 0);
}

/* --- mails ------------------------------------------------------------------------------------ */

/* What was not written yet of the pieces; false when nothing is left. */
static bool
skip(struct iovec **pieces, size_t *n, size_t written)
{
	while (*n > 0 && written >= (*pieces)->iov_len) {
		written -= (*pieces)->iov_len;
		*pieces += 1;
		*n -= 1;
	}
	if (*n == 0)
		return false;
	(*pieces)->iov_base = (char *) (*pieces)->iov_base + written;
	(*pieces)->iov_len -= written;
	return true;
}

bool
ph_queue_file_put(PhQueueFile *file,
                  uint64_t position,
                  struct iovec *pieces,
                  size_t n,
                  GError **error)
{
	while (skip(&pieces, &n, 0)) {
		ssize_t written =
			pwritev(file->fd, pieces, (int) MIN(n, PIECES_MAX), (off_t) position);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0) {
			ph_error_set_errno(error, written < 0 ? errno : EIO,
			                   "cannot write to the queue");
			return false;
		}
		position += (uint64_t) written;
		if (!skip(&pieces, &n, (size_t) written))
			break;
	}
	return true;
}

static bool
read_all(int fd, uint64_t position, uint8_t *octets, size_t length)
{
	size_t got = 0;

	while (got < length) {
		ssize_t n = pread(fd, octets + got, length - got, (off_t) (position + got));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		got += (size_t) n;
	}
	return true;
}

bool
ph_queue_file_read(PhQueueFile *file,
                   uint64_t position,
                   PhQueueRecord *record_out,
                   GBytes **octets_out,
                   GError **error)
{
	enum {
		GUESS = 4096
	};

	g_autofree uint8_t *octets = g_malloc(GUESS);
	ssize_t n = pread(file->fd, octets, GUESS, (off_t) position);
	size_t length = 0;
	bool good = n >= PH_QUEUE_HEAD
	            && ph_queue_record_head(PH_SLICE((const char *) octets, (size_t) n), position,
	                                    record_out);

	if (good) {
		length = PH_QUEUE_HEAD + (size_t) record_out->envelope_length;
		if (length > (size_t) n) {
			octets = g_realloc(octets, length);
			good = read_all(file->fd, position, octets, length);
		}
	}
	if (!good || !ph_queue_record_check(PH_SLICE((const char *) octets, length), file->seed)) {
		ph_error_set(error, PH_ERROR_CORRUPT,
		             "a mail in file %08x of the queue, at %" G_GUINT64_FORMAT
		             ", is not what was written",
		             file->number, position);
		return false;
	}
	*octets_out = g_bytes_new_take(g_steal_pointer(&octets), length);
	return true;
}

PhContent *
ph_queue_file_content(PhQueueFile *file, const PhQueueRecord *record)
{
	return ph_content_new_range(file->whole,
	                            record->position + PH_QUEUE_HEAD + record->envelope_length,
	                            record->octets);
}

PhContent *
ph_queue_file_copy(PhQueueFile *file, const PhQueueRecord *record)
{
	g_autofree uint8_t *octets = g_try_malloc(MAX(record->octets, 1));

	if (octets == NULL
	    || !read_all(file->fd, record->position + PH_QUEUE_HEAD + record->envelope_length,
	                 octets, record->octets))
		return NULL;
	return ph_content_new_take((char *) g_steal_pointer(&octets), record->octets);
}

static bool
add_piece(PhSlice piece, void *user_data, GError **error)
{
	(void) XXH3_64bits_update(user_data, piece.data, piece.length);
	return true;
}

bool
ph_queue_file_check(PhContent *content, const PhQueueRecord *record, GError **error)
{
	XXH3_state_t *state = XXH3_createState();
	bool good = false;

	(void) XXH3_64bits_reset(state);
	good = ph_content_each(content, 0, record->octets, add_piece, state, error);
	if (good && XXH3_64bits_digest(state) != record->octets_sum) {
		ph_error_set(error, PH_ERROR_CORRUPT,
		             "the octets of a mail in the queue, at %" G_GUINT64_FORMAT
		             " of its file, are not what was written",
		             record->position);
		good = false;
	}
	(void) XXH3_freeState(state);
	return good;
}

/* --- finding mails without an index ----------------------------------------------------------- */

/* Is there a whole mail at this place? */
static bool
is_mail(const PhQueueFile *file, PhSlice all, uint64_t position, PhQueueRecord *record_out)
{
	PhSlice rest = ph_slice_from(all, position);
	uint64_t length = 0;

	if (!ph_queue_record_head(rest, position, record_out)
	    || ph_queue_record_size(record_out) > rest.length)
		return false;
	length = PH_QUEUE_HEAD + (uint64_t) record_out->envelope_length;
	return ph_queue_record_check(PH_SLICE(rest.data, length), file->seed)
	       && XXH3_64bits(rest.data + length, record_out->octets) == record_out->octets_sum;
}

uint64_t
ph_queue_file_scan(PhQueueFile *file,
                   uint64_t position,
                   PhQueueScanFunc func,
                   void *user_data,
                   uint64_t *damaged_out)
{
	struct stat info;
	uint64_t end = position;
	PhQueueRecord record;
	PhSlice all;
	void *map = NULL;

	*damaged_out = 0;
	if (fstat(file->fd, &info) < 0 || (uint64_t) info.st_size <= position)
		return position;
	map = mmap(NULL, (size_t) info.st_size, PROT_READ, MAP_SHARED, file->fd, 0);
	if (map == MAP_FAILED)
		return (uint64_t) info.st_size / ALIGN * ALIGN + ALIGN;
	all = PH_SLICE(map, (size_t) info.st_size);
	while (position + PH_QUEUE_HEAD <= all.length) {
		if (!is_mail(file, all, position, &record)) {
			position += ALIGN;
			continue;
		}
		*damaged_out += position - end;
		func(&record, PH_SLICE(all.data + position, PH_QUEUE_HEAD + record.envelope_length),
		     user_data);
		position += ph_queue_record_size(&record);
		end = position;
	}
	(void) munmap(map, (size_t) info.st_size);
	return end;
}

/* --- the index -------------------------------------------------------------------------------- */

bool
ph_queue_file_index(PhQueueFile *file, PhQueueRowFunc func, void *user_data, GError **error)
{
	struct stat info = { .st_size = 0 };
	void *octets = MAP_FAILED;
	size_t length = 0;
	PhSlice rest;
	PhQueueRow row;

	if (file->index_fd < 0 || fstat(file->index_fd, &info) < 0
	    || info.st_size <= PH_QUEUE_FILE_START)
		return true;
	length = (size_t) info.st_size - PH_QUEUE_FILE_START;
	/* not of the heap: the rows of the tables would come to lie behind it, and keep its room */
	octets = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (octets == MAP_FAILED
	    || !read_all(file->index_fd, PH_QUEUE_FILE_START, octets, length)) {
		if (octets != MAP_FAILED)
			(void) munmap(octets, length);
		ph_error_set(error, PH_ERROR_TEMPORARY, "cannot read index %08x of the queue",
		             file->number);
		return false;
	}
	rest = PH_SLICE(octets, length);
	while (ph_queue_row_parse(&rest, file->seed, &row))
		func(&row, user_data);
	(void) munmap(octets, length);
	file->index_size = (uint64_t) info.st_size - rest.length;
	/* what stands behind must not be taken for rows when others were written before it */
	if (rest.length > 0)
		(void) !ftruncate(file->index_fd, (off_t) file->index_size);
	return true;
}

bool
ph_queue_file_append(PhQueueFile *file, PhSlice rows, bool sync, GError **error)
{
	struct iovec piece = { (char *) (uintptr_t) rows.data, rows.length };
	uint64_t at = file->index_size;

	while (piece.iov_len > 0) {
		ssize_t n = pwrite(file->index_fd, piece.iov_base, piece.iov_len, (off_t) at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			ph_error_set_errno(error, n < 0 ? errno : EIO,
			                   "cannot write index %08x of the queue", file->number);
			return false;
		}
		at += (uint64_t) n;
		piece.iov_base = (char *) piece.iov_base + n;
		piece.iov_len -= (size_t) n;
	}
	file->index_size = at;
	return !sync || ph_durable_sync(file->index_fd, error);
}

bool
ph_queue_file_replace(PhQueueFile *file, int folder_fd, PhSlice rows, GError **error)
{
	g_autofree char *whole = g_malloc(PH_QUEUE_FILE_START + rows.length);
	char name[PH_QUEUE_FILE_NAME];
	int fd = -1;

	make_head(file, whole);
	memcpy(whole + PH_QUEUE_FILE_START, rows.data, rows.length);
	ph_queue_file_name(file->number, true, name);
	if (!ph_durable_replace(folder_fd, name, PH_SLICE(whole, PH_QUEUE_FILE_START + rows.length),
	                        MODE, error))
		return false;
	fd = openat(folder_fd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0) {
		ph_error_set_errno(error, errno, "cannot open '%s' of the queue", name);
		return false;
	}
	(void) close(file->index_fd);
	file->index_fd = fd;
	file->index_size = PH_QUEUE_FILE_START + rows.length;
	return true;
}
