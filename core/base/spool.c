/* spool.c: gathers octets of unknown length in memory, then in an unnamed file
 *
 * Up to 64 KiB lie in memory, and up to 4 MiB while the common memory of all spools has room. That
 * comes in pieces of 64, 128, then 256 KiB, which are kept for the next message: a message of a
 * megabyte neither moves while it grows nor asks the system for memory each time, and one a little
 * above 64 KiB takes little of what is common. What is longer goes to a file without a name
 * (O_TMPFILE), so that a crash leaves nothing behind; where the file system has no such files, a
 * named one is made and unlinked at once. Writes to the file are gathered to pieces of 64 KiB.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "base/spool.h"

#include <posthorn/error.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

enum {
	memory_octets = 64 * 1024,
	first_octets = 8 * 1024,
	least_piece = 64 * 1024,       /* of the common memory; the next ones are larger */
	piece_sizes = 3,               /* each twice the one before */
	most_octets = 4 * 1024 * 1024, /* of one spool in memory */
	most_pieces = 17,              /* for that: 64 + 128 + 15 * 256 KiB behind the first 64 */
	common_octets = 32 * 1024 * 1024, /* of all, above 64 KiB each */
	kept_pieces = 16,                 /* of each size, that nobody uses */
	file_mode = 0600,
};

struct PhSpool {
	char *memory; /* (owned) the first octets, or what is not in the file yet */
	size_t used;  /* of it */
	size_t capacity;
	char **pieces; /* (owned, nullable) behind it, all but the last one full */
	size_t n_pieces;
	size_t lent;      /* octets that there is room for in the pieces */
	size_t in_pieces; /* octets */
	uint64_t in_file;
	int fd; /* (owned) -1: none yet */
};

static char *spool_directory;
static _Atomic size_t common_lent;

static struct {
	pthread_mutex_t lock;

	struct {
		char *pieces[kept_pieces]; /* (owned) */
		size_t n;
	} of[piece_sizes];
} kept = { .lock = PTHREAD_MUTEX_INITIALIZER };

void
ph_spool_set_directory(const char *path)
{
	g_free(spool_directory);
	spool_directory = g_strdup(path);
}

PhSpool *
ph_spool_new(void)
{
	PhSpool *spool = g_new0(PhSpool, 1);

	spool->fd = -1;
	return spool;
}

static bool
fail(const char *what, GError **error)
{
	g_set_error(error, PH_ERROR, PH_ERROR_TEMPORARY, "spool file cannot be %s: %s", what,
	            g_strerror(errno));
	return false;
}

static bool
open_file(PhSpool *spool, GError **error)
{
	const char *directory = spool_directory != NULL ? spool_directory : g_get_tmp_dir();
	g_autofree char *name = NULL;

	spool->fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, file_mode);
	if (spool->fd >= 0)
		return true;
	if (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT)
		return fail("made", error);
	name = g_build_filename(directory, ".spool-XXXXXX", NULL);
	spool->fd = g_mkstemp_full(name, O_RDWR | O_CLOEXEC, file_mode);
	if (spool->fd < 0)
		return fail("made", error);
	(void) unlink(name);
	return true;
}

static bool
write_file(PhSpool *spool, PhSlice octets, GError **error)
{
	while (octets.length > 0) {
		ssize_t n = pwrite(spool->fd, octets.data, octets.length, (off_t) spool->in_file);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail("written", error);
		octets.data += n;
		octets.length -= (size_t) n;
		spool->in_file += (uint64_t) n;
	}
	return true;
}

/* --- the common memory ------------------------------------------------------------------------ */

/* The size of a spool's piece number @i, as a power of two over the least. */
static unsigned
size_class(size_t i)
{
	return i < piece_sizes ? (unsigned) i : piece_sizes - 1;
}

static size_t
size_of_piece(size_t i)
{
	return (size_t) least_piece << size_class(i);
}

static bool
borrow(size_t octets)
{
	size_t lent = atomic_load(&common_lent);

	while (lent + octets <= common_octets)
		if (atomic_compare_exchange_weak(&common_lent, &lent, lent + octets))
			return true;
	return false;
}

/* Returns: (owned, nullable) number @i of a spool, to be given back with ph_spool_return(). */
static char *
take_piece(size_t i)
{
	unsigned class = size_class(i);
	char *piece = NULL;

	if (!borrow(size_of_piece(i)))
		return NULL;
	(void) pthread_mutex_lock(&kept.lock);
	if (kept.of[class].n > 0)
		piece = kept.of[class].pieces[--kept.of[class].n];
	(void) pthread_mutex_unlock(&kept.lock);
	return piece != NULL ? piece : g_malloc(size_of_piece(i));
}

void
ph_spool_return(char *piece, size_t i)
{
	unsigned class = size_class(i);
	bool is_kept = false;

	atomic_fetch_sub(&common_lent, size_of_piece(i));
	(void) pthread_mutex_lock(&kept.lock);
	is_kept = kept.of[class].n < kept_pieces;
	if (is_kept)
		kept.of[class].pieces[kept.of[class].n++] = piece;
	(void) pthread_mutex_unlock(&kept.lock);
	if (!is_kept)
		g_free(piece);
}

size_t
ph_spool_lent(void)
{
	return atomic_load(&common_lent);
}

static void
return_pieces(PhSpool *spool)
{
	for (size_t i = 0; i < spool->n_pieces; i++)
		ph_spool_return(spool->pieces[i], i);
	g_clear_pointer(&spool->pieces, g_free);
	spool->n_pieces = spool->lent = spool->in_pieces = 0;
}

/* --- writing ------------------------------------------------------------------------------------ */

static size_t
length_of_piece(const PhSpool *spool, size_t i)
{
	bool is_last = i + 1 == spool->n_pieces;

	return size_of_piece(i) - (is_last ? spool->lent - spool->in_pieces : 0);
}

/* From then on no more is kept in memory than costs nobody else. */
static bool
flush(PhSpool *spool, GError **error)
{
	if (spool->fd < 0 && !open_file(spool, error))
		return false;
	if (!write_file(spool, PH_SLICE(spool->memory, spool->used), error))
		return false;
	spool->used = 0;
	for (size_t i = 0; i < spool->n_pieces; i++)
		if (!write_file(spool, PH_SLICE(spool->pieces[i], length_of_piece(spool, i)),
		                error))
			return false;
	return_pieces(spool);
	return true;
}

static void
reserve(PhSpool *spool, size_t octets)
{
	size_t wanted = spool->used + octets;

	if (wanted <= spool->capacity)
		return;
	wanted = MAX(wanted, (size_t) first_octets);
	if (spool->capacity > 0)
		wanted = MAX(wanted, 2 * spool->capacity);
	spool->capacity = MIN(wanted, (size_t) memory_octets);
	spool->memory = g_realloc(spool->memory, spool->capacity);
}

/* Puts as much as there is room for into the first octets. */
static void
put_first(PhSpool *spool, PhSlice *octets)
{
	size_t n = MIN(octets->length, memory_octets - spool->used);

	if (n == 0)
		return;
	reserve(spool, n);
	memcpy(spool->memory + spool->used, octets->data, n);
	spool->used += n;
	*octets = PH_SLICE(octets->data + n, octets->length - n);
}

static bool
add_piece(PhSpool *spool)
{
	char *piece = spool->n_pieces < most_pieces ? take_piece(spool->n_pieces) : NULL;

	if (piece == NULL)
		return false;
	if (spool->pieces == NULL)
		spool->pieces = g_new(char *, most_pieces);
	spool->lent += size_of_piece(spool->n_pieces);
	spool->pieces[spool->n_pieces++] = piece;
	return true;
}

/* The same for the pieces behind them, as far as they are lent. */
static void
put_behind(PhSpool *spool, PhSlice *octets)
{
	while (octets->length > 0) {
		size_t last = 0;
		size_t n = 0;

		if (spool->in_pieces == spool->lent && !add_piece(spool))
			return;
		last = spool->n_pieces - 1;
		n = MIN(octets->length, spool->lent - spool->in_pieces);
		memcpy(spool->pieces[last] + length_of_piece(spool, last), octets->data, n);
		spool->in_pieces += n;
		*octets = PH_SLICE(octets->data + n, octets->length - n);
	}
}

bool
ph_spool_write(PhSpool *spool, PhSlice octets, GError **error)
{
	if (spool->fd < 0) {
		put_first(spool, &octets);
		if (spool->used + spool->in_pieces + octets.length <= most_octets)
			put_behind(spool, &octets);
	}
	if (octets.length == 0)
		return true;
	if (spool->used + spool->in_pieces + octets.length > memory_octets) {
		if (!flush(spool, error))
			return false;
		if (octets.length >= memory_octets)
			return write_file(spool, octets, error);
	}
	put_first(spool, &octets);
	return true;
}

uint64_t
ph_spool_length(const PhSpool *spool)
{
	return spool->in_file + spool->used + spool->in_pieces;
}

/* All that is in memory. */
static PhContent *
join(PhSpool *spool)
{
	PhContent *parts[1 + most_pieces];
	size_t n = spool->n_pieces;
	PhContent *whole = NULL;

	parts[0] = ph_content_new_take(g_steal_pointer(&spool->memory), spool->used);
	if (n == 0)
		return parts[0];
	for (size_t i = 0; i < n; i++)
		parts[i + 1] = ph_content_new_lent(spool->pieces[i], i, length_of_piece(spool, i));
	spool->n_pieces = 0;
	whole = ph_content_new_joined(parts, n + 1);
	for (size_t i = 0; i <= n; i++)
		ph_content_unref(parts[i]);
	return whole;
}

PhContent *
ph_spool_finish(PhSpool *spool, GError **error)
{
	PhContent *content = NULL;

	if (spool->fd < 0) {
		content = join(spool);
	} else if (flush(spool, error)) {
		content = ph_content_new_file(spool->fd, 0, spool->in_file);
		spool->fd = -1;
	}
	ph_spool_free(spool);
	return content;
}

void
ph_spool_free(PhSpool *spool)
{
	if (spool == NULL)
		return;
	if (spool->fd >= 0)
		(void) close(spool->fd);
	return_pieces(spool);
	g_free(spool->memory);
	g_free(spool);
}
