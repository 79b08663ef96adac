/* spool.c: gathers octets of unknown length in memory, then in an unnamed file
 *
 * Up to 64 KiB lie in memory, and up to 4 MiB while the common memory of all spools has room. What is
 * longer goes to a file without a name (O_TMPFILE), so that a crash leaves nothing behind; where the
 * file system has no such files, a named one is made and unlinked at once. Writes to the file are
 * gathered to pieces of 64 KiB.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "base/spool.h"

#include <posthorn/error.h>

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

enum {
	memory_octets = 64 * 1024,
	first_octets = 8 * 1024,
	most_octets = 4 * 1024 * 1024,    /* of one spool in memory */
	common_octets = 32 * 1024 * 1024, /* of all, above 64 KiB each */
	file_mode = 0600,
};

struct PhSpool {
	char *memory; /* (owned) what is not in the file yet */
	size_t used;
	size_t capacity;
	size_t lent; /* of the common memory */
	uint64_t in_file;
	int fd; /* (owned) -1: none yet */
};

static char *spool_directory;
static _Atomic size_t common_lent;

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

static bool
borrow(size_t octets)
{
	size_t lent = atomic_load(&common_lent);

	while (octets <= common_octets - lent)
		if (atomic_compare_exchange_weak(&common_lent, &lent, lent + octets))
			return true;
	return false;
}

void
ph_spool_repay(size_t lent)
{
	if (lent > 0)
		atomic_fetch_sub(&common_lent, lent);
}

/* From now on no more is kept in memory than costs nobody else. */
static void
settle(PhSpool *spool)
{
	if (spool->lent == 0)
		return;
	spool->capacity = memory_octets;
	spool->memory = g_realloc(spool->memory, spool->capacity);
	ph_spool_repay(spool->lent);
	spool->lent = 0;
}

static bool
flush(PhSpool *spool, GError **error)
{
	if (spool->fd < 0 && !open_file(spool, error))
		return false;
	if (!write_file(spool, PH_SLICE(spool->memory, spool->used), error))
		return false;
	spool->used = 0;
	settle(spool);
	return true;
}

/* Makes room in memory for @octets more, if there may be so much. */
static bool
extend(PhSpool *spool, size_t octets)
{
	size_t wanted = spool->used + octets;
	size_t capacity = MIN(MAX(wanted, 2 * spool->capacity), (size_t) most_octets);

	if (wanted <= spool->capacity)
		return true;
	if (spool->fd >= 0 || wanted > most_octets
	    || !borrow(capacity - MAX(spool->capacity, (size_t) memory_octets)))
		return false;
	spool->lent += capacity - MAX(spool->capacity, (size_t) memory_octets);
	spool->capacity = capacity;
	spool->memory = g_realloc(spool->memory, capacity);
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

bool
ph_spool_write(PhSpool *spool, PhSlice octets, GError **error)
{
	if (octets.length == 0)
		return true;
	if (spool->used + octets.length > memory_octets && !extend(spool, octets.length)) {
		if (!flush(spool, error))
			return false;
		if (octets.length >= memory_octets)
			return write_file(spool, octets, error);
	}
	reserve(spool, octets.length);
	memcpy(spool->memory + spool->used, octets.data, octets.length);
	spool->used += octets.length;
	return true;
}

uint64_t
ph_spool_length(const PhSpool *spool)
{
	return spool->in_file + spool->used;
}

PhContent *
ph_spool_finish(PhSpool *spool, GError **error)
{
	PhContent *content = NULL;

	if (spool->fd < 0) {
		content = ph_content_new_lent(g_steal_pointer(&spool->memory), spool->used,
		                              spool->lent);
		spool->lent = 0;
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
	ph_spool_repay(spool->lent);
	g_free(spool->memory);
	g_free(spool);
}
