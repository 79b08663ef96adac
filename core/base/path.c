/* path.c: opening files below one directory, and files that only trusted users can change
 *
 * The kernel's openat2 does the first in one call; where it is missing (or filtered away) the walk
 * opens one component at a time with O_NOFOLLOW. The second always walks, because it must look at
 * each folder.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "base/path.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

bool
ph_path_is_name(const char *name)
{
	size_t n = strlen(name);

	return n > 0 && n <= NAME_MAX && strchr(name, '/') == NULL && strcmp(name, ".") != 0
	       && strcmp(name, "..") != 0;
}

static int
open_kernel(int folder_fd, const char *relative, int flags, mode_t mode)
{
	struct open_how how = {
		.flags = (uint64_t) (flags | O_CLOEXEC),
		.mode = (flags & O_CREAT) != 0 ? mode : 0,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};

	return (int) syscall(SYS_openat2, folder_fd, relative, &how, sizeof how);
}

/* Opens the folder that holds the last component. Returns: (owned) or -1 with errno. */
static int
walk(int folder_fd, char **components, size_t n)
{
	int at = dup(folder_fd);

	for (size_t i = 0; at >= 0 && i < n; i++) {
		int next = -1;
		int saved = EXDEV;

		if (ph_path_is_name(components[i])) {
			next = openat(at, components[i],
			              O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
			saved = errno;
		}
		(void) close(at);
		errno = saved;
		at = next;
	}
	return at;
}

static int
open_walking(int folder_fd, const char *relative, int flags, mode_t mode)
{
	g_auto(GStrv) components = g_strsplit(relative, "/", -1);
	size_t n = g_strv_length(components);
	int folder = -1;
	int fd = -1;
	int saved = 0;

	if (n == 0 || !ph_path_is_name(components[n - 1])) {
		errno = EXDEV;
		return -1;
	}
	folder = walk(folder_fd, components, n - 1);
	if (folder < 0)
		return -1;
	fd = openat(folder, components[n - 1], flags | O_NOFOLLOW | O_CLOEXEC, mode);
	saved = errno;
	(void) close(folder);
	errno = saved;
	return fd;
}

int
ph_path_open_below(int folder_fd, const char *relative, int flags, mode_t mode, GError **error)
{
	int fd = open_kernel(folder_fd, relative, flags, mode);

	if (fd < 0 && (errno == ENOSYS || errno == EPERM))
		fd = open_walking(folder_fd, relative, flags, mode);
	if (fd < 0 && (errno == EXDEV || errno == ELOOP))
		ph_error_set(error, PH_ERROR_DENIED,
		             "'%s' leads out of its folder or through a symbolic link", relative);
	else if (fd < 0)
		ph_error_set_errno(error, errno, "cannot open '%s'", relative);
	return fd;
}

static bool
check_owner(int fd, const char *path, uid_t user, bool is_folder, GError **error)
{
	struct stat info;
	bool shared = false;

	if (fstat(fd, &info) < 0) {
		ph_error_set_errno(error, errno, "cannot look at '%s'", path);
		return false;
	}
	if (info.st_uid != 0 && info.st_uid != user) {
		ph_error_set(error, PH_ERROR_DENIED,
		             "'%s' belongs to user %u; it must belong to root or the server's user",
		             path, (unsigned int) info.st_uid);
		return false;
	}
	shared = (info.st_mode & (S_IWGRP | S_IWOTH)) != 0;
	if (shared && !(is_folder && (info.st_mode & S_ISVTX) != 0)) {
		ph_error_set(error, PH_ERROR_DENIED,
		             "'%s' can be written by its group or by everybody (mode %04o); "
		             "run: chmod go-w '%s'",
		             path, (unsigned int) (info.st_mode & 07777), path);
		return false;
	}
	return true;
}

/* One step down from *@at, which is replaced. */
static bool
step_down(int *at, const char *component, const char *so_far, bool last, GError **error)
{
	int flags = last ? O_RDONLY | O_NONBLOCK : O_PATH | O_DIRECTORY;
	int next = openat(*at, component, flags | O_NOFOLLOW | O_CLOEXEC);

	if (next < 0) {
		ph_error_set_errno(error, errno, "cannot open '%s'", so_far);
		return false;
	}
	(void) close(*at);
	*at = next;
	return true;
}

static int
open_checked(const char *path, uid_t user, GError **error)
{
	g_auto(GStrv) components = g_strsplit(path + 1, "/", -1);
	g_autoptr(GString) so_far = g_string_new("");
	int at = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	bool good = at >= 0 && check_owner(at, "/", user, true, error);

	for (size_t i = 0; good && components[i] != NULL; i++) {
		bool last = components[i + 1] == NULL;

		g_string_append_printf(so_far, "/%s", components[i]);
		good = step_down(&at, components[i], so_far->str, last, error)
		       && check_owner(at, so_far->str, user, !last, error);
	}
	if (good)
		return at;
	if (at >= 0)
		(void) close(at);
	return -1;
}

int
ph_path_open_trusted(const char *path, uid_t user, GError **error)
{
	char real[PATH_MAX] = "";
	struct stat info;
	int fd = -1;

	if (path[0] != '/' || realpath(path, real) == NULL) {
		ph_error_set_errno(error, path[0] != '/' ? EINVAL : errno, "cannot open '%s'",
		                   path);
		return -1;
	}
	fd = open_checked(real, user, error);
	if (fd >= 0 && fstat(fd, &info) == 0 && S_ISREG(info.st_mode))
		return fd;
	if (fd >= 0) {
		(void) close(fd);
		ph_error_set(error, PH_ERROR_INVALID, "'%s' is not a regular file", path);
	}
	return -1;
}
