/* spool.c: gathers octets of unknown length in memory, then in an unnamed file
 *
 * Up to 64 KiB lie in memory. What is longer goes to a file without a name (O_TMPFILE), so that a
 * crash leaves nothing behind; where the file system has no such files, a named one is made and
 * unlinked at once. Writes to the file are gathered to pieces of 64 KiB.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "base/spool.h"

#include <posthorn/content.h>
#include <posthorn/error.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum {
	memory_octets = 64 * 1024,
	first_octets = 8 * 1024,
	file_mode = 0600,
};

struct PhSpool {
	char *memory; /* (owned) what is not in the file yet */
	size_t used;
	size_t capacity;
	uint64_t in_file;
	int fd; /* (owned) -1: none yet */
};

static char *spool_directory;

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
flush(PhSpool *spool, GError **error)
{
	if (spool->fd < 0 && !open_file(spool, error))
		return false;
	if (!write_file(spool, PH_SLICE(spool->memory, spool->used), error))
		return false;
	spool->used = 0;
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
	if (spool->used + octets.length > memory_octets) {
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
		content = ph_content_new_take(g_steal_pointer(&spool->memory), spool->used);
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
	g_free(spool->memory);
	g_free(spool);
}
