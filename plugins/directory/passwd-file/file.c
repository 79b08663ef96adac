/* file.c: a text file that is read again when it has changed
 *
 * Identity, size and times to the nanosecond decide. Many workers read at once; whoever finds a
 * change reads the file outside the lock and swaps the result in.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "file.h"

#include <posthorn/error.h>
#include <posthorn/log.h>
#include <posthorn/slice.h>

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>

enum {
	MAX_FILE = 256 << 20,
};

/* Stamp: all zero for a file that is not there. */
typedef struct {
	uint64_t device;
	uint64_t inode;
	int64_t octets;
	int64_t modified_s;
	int64_t modified_ns;
	int64_t changed_s;
	int64_t changed_ns;
} Stamp;

struct WatchedFile {
	PhSection *section;
	char *path;
	const Parsed *parsed;
	pthread_rwlock_t lock; /* guards the rest */
	void *value;
	Stamp stamp;
	bool complained;
};

WatchedFile *
watched_file_new(PhSection *section, const char *path, const Parsed *parsed)
{
	WatchedFile *file = g_new0(WatchedFile, 1);

	file->section = section;
	file->path = g_strdup(path);
	file->parsed = parsed;
	(void) pthread_rwlock_init(&file->lock, NULL);
	return file;
}

void
watched_file_free(WatchedFile *file)
{
	if (file == NULL)
		return;
	if (file->value != NULL)
		file->parsed->unref(file->value);
	(void) pthread_rwlock_destroy(&file->lock);
	g_free(file->path);
	g_free(file);
}

static bool
take_stamp(const char *path, Stamp *out)
{
	struct stat status;
	memset(out, 0, sizeof *out);
	if (stat(path, &status) != 0)
		return errno == ENOENT;

	out->device = (uint64_t) status.st_dev;
	out->inode = (uint64_t) status.st_ino;
	out->octets = status.st_size;
	out->modified_s = status.st_mtim.tv_sec;
	out->modified_ns = status.st_mtim.tv_nsec;
	out->changed_s = status.st_ctim.tv_sec;
	out->changed_ns = status.st_ctim.tv_nsec;
	return true;
}

static void *
current(WatchedFile *file, const Stamp *stamp)
{
	void *value = NULL;

	(void) pthread_rwlock_rdlock(&file->lock);
	if (file->value != NULL
	    && (stamp == NULL || memcmp(stamp, &file->stamp, sizeof *stamp) == 0))
		value = file->parsed->ref(file->value);
	(void) pthread_rwlock_unlock(&file->lock);
	return value;
}

static void *
swap_in(WatchedFile *file, const Stamp *stamp, void *value)
{
	(void) pthread_rwlock_wrlock(&file->lock);
	if (file->value != NULL)
		file->parsed->unref(file->value);
	file->value = value;
	file->stamp = *stamp;
	file->complained = false;
	void *result = file->parsed->ref(value);
	(void) pthread_rwlock_unlock(&file->lock);
	return result;
}

/* The file cannot be read: the last good state, said once; an error when there never was one. */
static void *
fall_back(WatchedFile *file, const char *reason, GError **error)
{
	void *value = current(file, NULL);
	if (value == NULL) {
		g_set_error(error, PH_ERROR, PH_ERROR_TEMPORARY, "cannot read '%s': %s", file->path,
		            reason);
		return NULL;
	}

	(void) pthread_rwlock_wrlock(&file->lock);
	bool first = !file->complained;
	file->complained = true;
	(void) pthread_rwlock_unlock(&file->lock);
	if (first)
		ph_log_section(file->section, PH_LOG_ERROR, "file-unreadable",
		               "cannot read a changed file; what it held before is still used",
		               PH_LOG_TEXT("path", file->path), PH_LOG_TEXT("error", reason),
		               PH_LOG_END);
	return value;
}

static bool
read_text(const char *path, const Stamp *stamp, char **text_out, gsize *length_out, GError **error)
{
	static const Stamp missing;
	if (memcmp(stamp, &missing, sizeof missing) == 0) {
		*text_out = g_strdup("");
		*length_out = 0;
		return true;
	}
	if (stamp->octets > MAX_FILE) {
		g_set_error_literal(error, PH_ERROR, PH_ERROR_LIMIT, "it is larger than 256 MiB");
		return false;
	}
	return g_file_get_contents(path, text_out, length_out, error);
}

void *
watched_file_get(WatchedFile *file, GError **error)
{
	Stamp stamp;
	if (!take_stamp(file->path, &stamp))
		return fall_back(file, g_strerror(errno), error);
	void *value = current(file, &stamp);
	if (value != NULL)
		return value;

	g_autoptr(GError) failure = NULL;
	g_autofree char *text = NULL;
	gsize length = 0;
	if (!read_text(file->path, &stamp, &text, &length, &failure))
		return fall_back(file, failure->message, error);
	value = file->parsed->parse(PH_SLICE(text, length), file->section, file->path);
	return swap_in(file, &stamp, value);
}

bool
watched_file_check(WatchedFile *file, const char *missing, GError **error)
{
	struct stat info;

	if (stat(file->path, &info) != 0 && errno == ENOENT) {
		ph_log_section(file->section, PH_LOG_WARNING, "file-missing", missing,
		               PH_LOG_TEXT("path", file->path), PH_LOG_END);
	} else if (stat(file->path, &info) == 0 && !S_ISREG(info.st_mode)) {
		g_set_error(error, PH_ERROR, PH_ERROR_INVALID,
		            "'%s' is not a regular file; name the right one", file->path);
		return false;
	} else if (stat(file->path, &info) == 0 && (info.st_mode & S_IWOTH) != 0) {
		g_set_error(error, PH_ERROR, PH_ERROR_DENIED,
		            "everybody can write '%s' (mode %04o); run: chmod o-w '%s'", file->path,
		            (unsigned int) (info.st_mode & 07777), file->path);
		return false;
	}
	void *value = watched_file_get(file, error);
	if (value == NULL)
		return false;
	file->parsed->unref(value);
	return true;
}

uint64_t
watched_file_version(const WatchedFile *file)
{
	Stamp stamp;

	return take_stamp(file->path, &stamp)
	               ? ph_slice_hash(PH_SLICE((const char *) &stamp, sizeof stamp))
	                         | UINT64_C(1) << 32
	               : 0;
}
