/* durable.c: files that are on the disk when the call returns
 *
 * The only home of fsync and rename.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/durable.h>
#include <posthorn/error.h>
#include <posthorn/secret.h>
#include <posthorn/slice.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static void
close_fd(int *fd)
{
	if (*fd >= 0)
		(void) close(*fd);
}

#define AUTO_FD __attribute__((cleanup(close_fd))) int

bool
ph_durable_write(int fd, PhSlice octets, GError **error)
{
	while (octets.length > 0) {
		ssize_t n = write(fd, octets.data, octets.length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			ph_error_set_errno(error, errno, "cannot write");
			return false;
		}
		octets = ph_slice_from(octets, (size_t) n);
	}
	return true;
}

bool
ph_durable_sync(int fd, GError **error)
{
	if (fdatasync(fd) == 0)
		return true;
	ph_error_set_errno(error, errno, "cannot sync a file");
	return false;
}

bool
ph_durable_sync_folder(int folder_fd, GError **error)
{
	if (fsync(folder_fd) == 0)
		return true;
	ph_error_set_errno(error, errno, "cannot sync a folder");
	return false;
}

/* Opens the folder in which @name, seen from @folder_fd, stands. */
static int
open_parent(int folder_fd, const char *name, GError **error)
{
	g_autofree char *parent = g_path_get_dirname(name);
	int fd = openat(folder_fd, parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		ph_error_set_errno(error, errno, "cannot open '%s'", parent);
	return fd;
}

static bool
sync_parent(int folder_fd, const char *name, GError **error)
{
	AUTO_FD fd = open_parent(folder_fd, name, error);

	return fd >= 0 && ph_durable_sync_folder(fd, error);
}

static bool
fill(int fd, PhSlice octets, uint32_t mode, GError **error)
{
	if (!ph_durable_write(fd, octets, error))
		return false;
	/* not subject to the umask: the caller says what the mode is */
	if (fchmod(fd, (mode_t) mode) < 0 || fsync(fd) < 0) {
		ph_error_set_errno(error, errno, "cannot sync a file");
		return false;
	}
	return true;
}

bool
ph_durable_replace(int folder_fd, const char *name, PhSlice octets, uint32_t mode, GError **error)
{
	uint64_t random = 0;
	g_autofree char *temporary = NULL;
	AUTO_FD fd = -1;
	bool good = false;

	ph_secret_random(&random, sizeof random);
	temporary = g_strdup_printf("%s.%016" PRIx64 ".tmp", name, random);
	fd = openat(folder_fd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
	            0600);
	if (fd < 0) {
		ph_error_set_errno(error, errno, "cannot create '%s'", temporary);
		return false;
	}
	good = fill(fd, octets, mode, error);
	if (!good)
		g_prefix_error(error, "'%s': ", name);
	if (good && renameat(folder_fd, temporary, folder_fd, name) < 0) {
		ph_error_set_errno(error, errno, "cannot rename to '%s'", name);
		good = false;
	}
	if (!good)
		(void) unlinkat(folder_fd, temporary, 0);
	return good && sync_parent(folder_fd, name, error);
}

bool
ph_durable_move(const PhRename *move, GError **error)
{
	unsigned int flags = move->keep_existing ? RENAME_NOREPLACE : 0;

	if (renameat2(move->from_folder_fd, move->from, move->to_folder_fd, move->to, flags) < 0) {
		ph_error_set_errno(error, errno, "cannot rename '%s' to '%s'", move->from,
		                   move->to);
		return false;
	}
	return true;
}

bool
ph_durable_rename(const PhRename *move, GError **error)
{
	return ph_durable_move(move, error) && sync_parent(move->to_folder_fd, move->to, error)
	       && sync_parent(move->from_folder_fd, move->from, error);
}

bool
ph_durable_unlink(int folder_fd, const char *name, GError **error)
{
	if (unlinkat(folder_fd, name, 0) < 0) {
		if (errno == ENOENT)
			return true;
		ph_error_set_errno(error, errno, "cannot remove '%s'", name);
		return false;
	}
	return sync_parent(folder_fd, name, error);
}

bool
ph_durable_make_folder(const char *path, uint32_t mode, GError **error)
{
	g_autofree char *parent = g_path_get_dirname(path);
	struct stat info;

	if (mkdir(path, (mode_t) mode) == 0)
		return sync_parent(AT_FDCWD, path, error);
	if (errno == ENOENT && g_strcmp0(parent, path) != 0)
		return ph_durable_make_folder(parent, mode, error)
		       && ph_durable_make_folder(path, mode, error);
	if (errno == EEXIST && stat(path, &info) == 0 && S_ISDIR(info.st_mode))
		return true;
	ph_error_set_errno(error, errno == EEXIST ? ENOTDIR : errno, "cannot create '%s'", path);
	return false;
}
