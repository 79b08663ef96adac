/* powerloss.c: writes down what a process does to the files below a folder, and what it syncs
 *
 * Loaded with LD_PRELOAD. POWERLOSS_ROOT is the folder, POWERLOSS_TRACE the file that events are
 * appended to, in the order in which they happened, by all processes together: a lock on the trace is
 * held while the call is made and its event written. rebuild.py makes from the trace a folder as it
 * could be found after the power went.
 *
 * POWERLOSS_IGNORE=KIND:TEXT: syncs of that kind (file, folder, system) of paths that contain the
 * text do not count: with it a test shows that it would notice if the server left one out.
 *
 * POWERLOSS_FAIL=PATH: while that file is there every sync fails; this needs no trace.
 *
 * An event is a line, and for a write its octets:
 *
 *	file ID PATH       the path names this file (opened for the first time)
 *	make ID PATH       the path names this new file
 *	blank ID           a new file without a name (O_TMPFILE)
 *	name ID PATH       which gets this name
 *	folder PATH        a new folder
 *	write ID AT LENGTH the octets follow
 *	cut ID LENGTH      truncated or extended
 *	sync ID            content and length are on the disk
 *	names PATH         so are the names in this folder
 *	all                so is everything
 *	rename OLD\tNEW    link OLD\tNEW    gone PATH    rmdir PATH
 *
 * Files that are mapped for writing (SQLite's -shm) are not followed: what is in them must not
 * matter.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
	FILES_MAX = 65536,
	TRACE_FD = 900,
	LINE_MAX_OCTETS = 2 * PATH_MAX + 64,
};

/* One file that was seen: its number, and whether syncs of it are ignored. */
typedef struct {
	dev_t dev;
	ino_t ino;
	bool is_ignored;
} File;

#define REAL(name) ((__typeof__(&name)) dlsym(RTLD_NEXT, #name))

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char root[PATH_MAX];
static const char *ignored;
static int trace = -1;
static File files[FILES_MAX];
static int n_files;
static unsigned long file_base;

__attribute__((constructor)) static void
begin(void)
{
	const char *folder = getenv("POWERLOSS_ROOT");
	const char *path = getenv("POWERLOSS_TRACE");
	int fd = -1;

	ignored = getenv("POWERLOSS_IGNORE");
	if (folder == NULL || path == NULL || realpath(folder, root) == NULL)
		return;
	fd = REAL(open)(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	trace = fcntl(fd, F_DUPFD_CLOEXEC, TRACE_FD);
	(void) REAL(close)(fd);
	file_base = (unsigned long) getpid() * FILES_MAX;
}

/* --- the trace ---------------------------------------------------------------------------------- */

static void
enter(void)
{
	pthread_mutex_lock(&lock);
	while (flock(trace, LOCK_EX) != 0 && errno == EINTR)
		continue;
}

static void
leave(void)
{
	int error = errno;

	(void) flock(trace, LOCK_UN);
	pthread_mutex_unlock(&lock);
	errno = error;
}

static void
put(const void *octets, size_t length)
{
	const char *at = octets;
	int error = errno;

	while (length > 0) {
		ssize_t n = REAL(write)(trace, at, length);

		if (n <= 0)
			abort();
		at += n;
		length -= (size_t) n;
	}
	errno = error;
}

__attribute__((format(printf, 1, 2))) static void
say(const char *format, ...)
{
	char line[LINE_MAX_OCTETS];
	va_list arguments;
	int n = 0;

	va_start(arguments, format);
	n = vsnprintf(line, sizeof line, format, arguments);
	va_end(arguments);
	if (n < 0 || n >= (int) sizeof line)
		abort();
	put(line, (size_t) n);
}

/* --- paths and files ----------------------------------------------------------------------------- */

static bool
is_below(const char *path)
{
	size_t n = strlen(root);

	return strncmp(path, root, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

/* The absolute path of @name seen from @folder, its folder resolved; false when it is not ours. */
static bool
resolve(int folder, const char *name, char *path)
{
	char joined[2 * PATH_MAX];
	char link[64];
	char *slash = NULL;
	ssize_t n = 0;

	if (trace < 0 || name == NULL)
		return false;
	if (name[0] == '/' || folder == AT_FDCWD) {
		snprintf(joined, sizeof joined, "%s", name);
	} else {
		snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
		n = readlink(link, joined, PATH_MAX - 1);
		if (n < 0)
			return false;
		snprintf(joined + n, sizeof joined - (size_t) n, "/%s", name);
	}
	slash = strrchr(joined, '/');
	if (slash == NULL || slash == joined || slash[1] == '\0')
		return false;
	*slash = '\0';
	if (realpath(joined, path) == NULL)
		return false;
	n = (ssize_t) strlen(path);
	return snprintf(path + n, PATH_MAX - (size_t) n, "/%s", slash + 1) < PATH_MAX
	       && is_below(path);
}

static bool
is_ignored(const char *kind, const char *path)
{
	size_t n = strlen(kind);

	return ignored != NULL && strncmp(ignored, kind, n) == 0 && ignored[n] == ':'
	       && strstr(path, ignored + n + 1) != NULL;
}

/* The number of an open file; 0: not followed. */
static unsigned long
number_of(int fd)
{
	struct stat info;

	if (trace < 0 || fd < 0 || fstat(fd, &info) != 0 || !S_ISREG(info.st_mode))
		return 0;
	for (int i = n_files; i > 0; i--)
		if (files[i - 1].ino == info.st_ino && files[i - 1].dev == info.st_dev)
			return file_base + (unsigned long) i;
	return 0;
}

static const File *
file_of(unsigned long number)
{
	return &files[number - file_base - 1];
}

/* A name without a file of this process yet, or a new file. */
static void
note_open(int fd, const char *path, bool is_new)
{
	struct stat info;
	size_t n = strlen(path);

	if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)
	    || (n > 4 && strcmp(path + n - 4, "-shm") == 0))
		return;
	if (!is_new && number_of(fd) != 0)
		return;
	if (n_files == FILES_MAX)
		abort();
	files[n_files++] = (File){ info.st_dev, info.st_ino, is_ignored("file", path) };
	say("%s %lu %s\n", is_new ? "make" : "file", file_base + (unsigned long) n_files, path);
}

/* --- calls that name files -------------------------------------------------------------------------- */

/* The path of an open file; false when it is not ours. */
static bool
path_of(int fd, char *path)
{
	char link[64];
	ssize_t n = 0;

	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	n = readlink(link, path, PATH_MAX - 1);
	if (n < 0)
		return false;
	path[n] = '\0';
	return is_below(path);
}

/* A file without a name: who links it later gives its descriptor. */
static int
open_blank(int folder, const char *name, int flags, mode_t mode)
{
	char path[PATH_MAX];
	struct stat info;
	int fd = -1;

	if (trace < 0)
		return REAL(openat)(folder, name, flags, mode);
	enter();
	fd = REAL(openat)(folder, name, flags, mode);
	if (fd >= 0 && path_of(fd, path) && fstat(fd, &info) == 0) {
		if (n_files == FILES_MAX)
			abort();
		files[n_files++] = (File){ info.st_dev, info.st_ino, false };
		say("blank %lu\n", file_base + (unsigned long) n_files);
	}
	leave();
	return fd;
}

static int
open_below(int folder, const char *name, int flags, mode_t mode)
{
	char path[PATH_MAX];
	bool was_there = true;
	int fd = -1;

	if ((flags & O_TMPFILE) == O_TMPFILE)
		return open_blank(folder, name, flags, mode);
	if ((flags & O_DIRECTORY) == 0 && resolve(folder, name, path)) {
		enter();
		was_there = faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
		fd = REAL(openat)(folder, name, flags, mode);
		if (fd >= 0) {
			note_open(fd, path, !was_there);
			if (was_there && (flags & O_TRUNC) != 0 && number_of(fd) != 0)
				say("cut %lu 0\n", number_of(fd));
		}
		leave();
		return fd;
	}
	return REAL(openat)(folder, name, flags, mode);
}

#define MODE_OF(flags)                                                    \
	mode_t mode = 0;                                                  \
	if ((flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE) { \
		va_list arguments;                                        \
		va_start(arguments, flags);                               \
		mode = va_arg(arguments, mode_t);                         \
		va_end(arguments);                                        \
	}

int
open(const char *name, int flags, ...)
{
	MODE_OF(flags)
	return open_below(AT_FDCWD, name, flags, mode);
}

int
open64(const char *name, int flags, ...)
{
	MODE_OF(flags)
	return open_below(AT_FDCWD, name, flags, mode);
}

int
openat(int folder, const char *name, int flags, ...)
{
	MODE_OF(flags)
	return open_below(folder, name, flags, mode);
}

int
openat64(int folder, const char *name, int flags, ...)
{
	MODE_OF(flags)
	return open_below(folder, name, flags, mode);
}

/* What the headers make of a call without a mode when they check more. */
int
__open_2(const char *name, int flags)
{
	return open_below(AT_FDCWD, name, flags, 0);
}

int
__open64_2(const char *name, int flags)
{
	return open_below(AT_FDCWD, name, flags, 0);
}

int
__openat_2(int folder, const char *name, int flags)
{
	return open_below(folder, name, flags, 0);
}

int
__openat64_2(int folder, const char *name, int flags)
{
	return open_below(folder, name, flags, 0);
}

int
mkdirat(int folder, const char *name, mode_t mode)
{
	char path[PATH_MAX];
	int status = 0;

	if (!resolve(folder, name, path))
		return REAL(mkdirat)(folder, name, mode);
	enter();
	status = REAL(mkdirat)(folder, name, mode);
	if (status == 0)
		say("folder %s\n", path);
	leave();
	return status;
}

int
mkdir(const char *name, mode_t mode)
{
	return mkdirat(AT_FDCWD, name, mode);
}

int
renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned int flags)
{
	char old[PATH_MAX];
	char fresh[PATH_MAX];
	int status = 0;

	if (!resolve(from_folder, from, old) || !resolve(to_folder, to, fresh))
		return REAL(renameat2)(from_folder, from, to_folder, to, flags);
	enter();
	status = REAL(renameat2)(from_folder, from, to_folder, to, flags);
	if (status == 0)
		say("rename %s\t%s\n", old, fresh);
	leave();
	return status;
}

int
renameat(int from_folder, const char *from, int to_folder, const char *to)
{
	return renameat2(from_folder, from, to_folder, to, 0);
}

int
rename(const char *from, const char *to)
{
	return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0);
}

/* The descriptor in "/proc/self/fd/N"; -1: it is another path. */
static int
fd_in(const char *path)
{
	static const char before[] = "/proc/self/fd/";
	int fd = -1;
	char rest = '\0';

	if (strncmp(path, before, sizeof before - 1) != 0
	    || sscanf(path + sizeof before - 1, "%d%c", &fd, &rest) != 1)
		return -1;
	return fd;
}

static int
link_blank(int fd, int to_folder, const char *to)
{
	char link[64];
	char fresh[PATH_MAX];
	unsigned long number = 0;
	int status = 0;

	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	if (!resolve(to_folder, to, fresh))
		return REAL(linkat)(AT_FDCWD, link, to_folder, to, AT_SYMLINK_FOLLOW);
	enter();
	status = REAL(linkat)(AT_FDCWD, link, to_folder, to, AT_SYMLINK_FOLLOW);
	number = number_of(fd);
	if (status == 0 && number != 0)
		say("name %lu %s\n", number, fresh);
	leave();
	return status;
}

int
linkat(int from_folder, const char *from, int to_folder, const char *to, int flags)
{
	char old[PATH_MAX];
	char fresh[PATH_MAX];
	int status = 0;

	if (fd_in(from) >= 0 && (flags & AT_SYMLINK_FOLLOW) != 0)
		return link_blank(fd_in(from), to_folder, to);
	if (!resolve(from_folder, from, old) || !resolve(to_folder, to, fresh))
		return REAL(linkat)(from_folder, from, to_folder, to, flags);
	enter();
	status = REAL(linkat)(from_folder, from, to_folder, to, flags);
	if (status == 0)
		say("link %s\t%s\n", old, fresh);
	leave();
	return status;
}

int
link(const char *from, const char *to)
{
	return linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int
unlinkat(int folder, const char *name, int flags)
{
	char path[PATH_MAX];
	int status = 0;

	if (!resolve(folder, name, path))
		return REAL(unlinkat)(folder, name, flags);
	enter();
	status = REAL(unlinkat)(folder, name, flags);
	if (status == 0)
		say("%s %s\n", (flags & AT_REMOVEDIR) != 0 ? "rmdir" : "gone", path);
	leave();
	return status;
}

int
unlink(const char *name)
{
	return unlinkat(AT_FDCWD, name, 0);
}

int
rmdir(const char *name)
{
	return unlinkat(AT_FDCWD, name, AT_REMOVEDIR);
}

/* --- calls that write -------------------------------------------------------------------------------- */

static void
note_write(unsigned long number, off_t at, const void *octets, size_t length)
{
	say("write %lu %lld %zu\n", number, (long long) at, length);
	put(octets, length);
}

/* @at: -1: where the descriptor is. */
static off_t
place_of(int fd, off_t at)
{
	struct stat info;

	if (at >= 0)
		return at;
	if ((fcntl(fd, F_GETFL) & O_APPEND) != 0)
		return fstat(fd, &info) == 0 ? info.st_size : 0;
	return lseek(fd, 0, SEEK_CUR);
}

static ssize_t
write_at(int fd, const void *octets, size_t length, off_t at)
{
	unsigned long number = number_of(fd);
	off_t place = 0;
	ssize_t n = 0;

	if (number == 0)
		return at < 0 ? REAL(write)(fd, octets, length)
		              : REAL(pwrite)(fd, octets, length, at);
	enter();
	place = place_of(fd, at);
	n = at < 0 ? REAL(write)(fd, octets, length) : REAL(pwrite)(fd, octets, length, at);
	if (n > 0)
		note_write(number, place, octets, (size_t) n);
	leave();
	return n;
}

ssize_t
write(int fd, const void *octets, size_t length)
{
	return write_at(fd, octets, length, -1);
}

ssize_t
pwrite(int fd, const void *octets, size_t length, off_t at)
{
	return write_at(fd, octets, length, at);
}

ssize_t
pwrite64(int fd, const void *octets, size_t length, off_t at)
{
	return write_at(fd, octets, length, at);
}

/* Piece by piece: what is written together may be torn anywhere all the same. */
ssize_t
pwritev(int fd, const struct iovec *pieces, int n_pieces, off_t at)
{
	ssize_t done = 0;

	for (int i = 0; i < n_pieces; i++) {
		ssize_t n = write_at(fd, pieces[i].iov_base, pieces[i].iov_len, at + done);

		if (n < 0)
			return done > 0 ? done : n;
		done += n;
		if ((size_t) n < pieces[i].iov_len)
			break;
	}
	return done;
}

ssize_t
pwritev64(int fd, const struct iovec *pieces, int n_pieces, off_t at)
{
	return pwritev(fd, pieces, n_pieces, at);
}

ssize_t
writev(int fd, const struct iovec *pieces, int n_pieces)
{
	unsigned long number = number_of(fd);
	off_t at = 0;
	ssize_t n = 0;
	ssize_t left = 0;

	if (number == 0)
		return REAL(writev)(fd, pieces, n_pieces);
	enter();
	at = place_of(fd, -1);
	n = left = REAL(writev)(fd, pieces, n_pieces);
	for (int i = 0; i < n_pieces && left > 0; i++) {
		size_t length =
			pieces[i].iov_len < (size_t) left ? pieces[i].iov_len : (size_t) left;

		note_write(number, at, pieces[i].iov_base, length);
		at += (off_t) length;
		left -= (ssize_t) length;
	}
	leave();
	return n;
}

int
ftruncate(int fd, off_t length)
{
	unsigned long number = number_of(fd);
	int status = 0;

	if (number == 0)
		return REAL(ftruncate)(fd, length);
	enter();
	status = REAL(ftruncate)(fd, length);
	if (status == 0)
		say("cut %lu %lld\n", number, (long long) length);
	leave();
	return status;
}

int
ftruncate64(int fd, off_t length)
{
	return ftruncate(fd, length);
}

/* --- syncs -------------------------------------------------------------------------------------------- */

/* What a sync covers is what was written before it began. */
static void
note_sync(int fd)
{
	unsigned long number = number_of(fd);
	struct stat info;
	char path[PATH_MAX];

	if (number != 0) {
		if (!file_of(number)->is_ignored)
			say("sync %lu\n", number);
		return;
	}
	if (fstat(fd, &info) != 0 || !S_ISDIR(info.st_mode))
		return;
	if (path_of(fd, path) && !is_ignored("folder", path))
		say("names %s\n", path);
}

static bool
must_fail(void)
{
	const char *path = getenv("POWERLOSS_FAIL");

	if (path == NULL || access(path, F_OK) != 0)
		return false;
	errno = EIO;
	return true;
}

static void
sync_file(int fd)
{
	if (trace < 0)
		return;
	enter();
	note_sync(fd);
	leave();
}

int
fsync(int fd)
{
	if (must_fail())
		return -1;
	sync_file(fd);
	return 0;
}

int
fdatasync(int fd)
{
	if (must_fail())
		return -1;
	sync_file(fd);
	return 0;
}

int
syncfs(int fd)
{
	if (must_fail())
		return -1;
	if (trace < 0)
		return REAL(syncfs)(fd);
	enter();
	if (!is_ignored("system", root))
		say("all\n");
	leave();
	return 0;
}
