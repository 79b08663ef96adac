/* file.c: opens mbox files under the locks that other programs respect
 *
 * fcntl locks are of the kind that belongs to the open file, so that two threads exclude each
 * other; to programs with the older kind they look the same. A dot lock holds our process id and
 * host; it is stale when that process is gone, or when nobody touched it or the mailbox for the
 * time of `stale-lock`. No link is ever followed: who may write to a user's folder must not make
 * the server read another's mail.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/durable.h>
#include <posthorn/slice.h>

#include "mbox.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

enum {
	FILE_MODE = 0600,
	DOT_OCTETS = 300,
	WAIT_FIRST_US = 500,
	WAIT_MOST_US = 50000,
	REPLACED_TRIES = 10,
};

static const char *const words[] = { "dotlock", "dotlock-try", "fcntl", "flock", NULL };

bool
file_is_lock_word(const char *word)
{
	return g_strv_contains(words, word);
}

/* Taken: what came of an attempt to take a lock. */
typedef enum {
	TAKEN,
	BUSY,
	FAILED,
} Taken;

/* --- waiting ------------------------------------------------------------------------------------- */

typedef struct {
	uint64_t deadline_us;
	uint64_t wait_us;
} Patience;

static Patience
begin_waiting(const Account *account)
{
	return (Patience){
		.deadline_us =
			(uint64_t) g_get_monotonic_time() + account->settings.lock_timeout.us,
		.wait_us = WAIT_FIRST_US,
	};
}

/* Waits a little. Returns: false when the time is over. */
static bool
wait_more(Patience *patience)
{
	if ((uint64_t) g_get_monotonic_time() >= patience->deadline_us)
		return false;
	g_usleep(patience->wait_us);
	patience->wait_us = MIN(patience->wait_us * 2, WAIT_MOST_US);
	return true;
}

/* --- dot locks ----------------------------------------------------------------------------------- */

static char *
dot_name(const File *file)
{
	return g_strconcat(file->base, ".lock", NULL);
}

/* Who made the lock, when it tells "process:host" and that is this host. 0: not known. */
static pid_t
dot_owner(const File *file, const char *name)
{
	char text[DOT_OCTETS] = "";
	int fd = openat(file->folder_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	ssize_t got = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;
	PhSlice rest = PH_SLICE(text, got > 0 ? (size_t) got : 0);
	PhSlice owner = ph_slice_split(&rest, ':');
	uint32_t number = 0;

	if (fd >= 0)
		(void) close(fd);
	while (rest.length > 0 && (unsigned char) rest.data[rest.length - 1] <= ' ')
		rest.length--;
	if (!ph_slice_to_u32(owner, INT32_MAX, &number) || !ph_slice_is(rest, g_get_host_name()))
		return 0;
	return (pid_t) number;
}

static bool
is_older(const struct stat *status, uint64_t age_us)
{
	int64_t age = g_get_real_time() / G_USEC_PER_SEC - (int64_t) status->st_mtime;

	return age > 0 && (uint64_t) age * G_USEC_PER_SEC > age_us;
}

/* A stale lock is removed only if it is still the one that was judged. */
static void
remove_if_stale(const File *file, const char *name)
{
	uint64_t age_us = file->account->settings.stale_lock.us;
	struct stat judged;
	struct stat now;
	struct stat mbox;
	pid_t owner = 0;
	bool stale = false;

	if (fstatat(file->folder_fd, name, &judged, AT_SYMLINK_NOFOLLOW) < 0
	    || !S_ISREG(judged.st_mode))
		return;
	owner = dot_owner(file, name);
	if (owner > 0 && owner != getpid())
		stale = kill(owner, 0) < 0 && errno == ESRCH;
	if (!stale)
		stale = is_older(&judged, age_us)
		        && (fstatat(file->folder_fd, file->base, &mbox, AT_SYMLINK_NOFOLLOW) < 0
		            || is_older(&mbox, age_us));
	if (stale && fstatat(file->folder_fd, name, &now, AT_SYMLINK_NOFOLLOW) == 0
	    && now.st_ino == judged.st_ino && now.st_mtim.tv_sec == judged.st_mtim.tv_sec
	    && now.st_mtim.tv_nsec == judged.st_mtim.tv_nsec)
		(void) unlinkat(file->folder_fd, name, 0);
}

/* The lock gets its name when its content is there: nobody reads it empty. */
static int
make_dot(const File *file, const char *name)
{
	g_autofree char *beside = g_strdup_printf(".%s.%d.%08x", name, getpid(), g_random_int());
	g_autofree char *text = g_strdup_printf("%d:%s", getpid(), g_get_host_name());
	int fd = openat(file->folder_fd, beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	int failed = fd < 0 ? errno : 0;

	if (fd < 0)
		return failed;
	if (!ph_durable_write(fd, ph_slice(text), NULL))
		failed = errno != 0 ? errno : EIO;
	else if (linkat(file->folder_fd, beside, file->folder_fd, name, 0) < 0)
		failed = errno;
	(void) close(fd);
	(void) unlinkat(file->folder_fd, beside, 0);
	return failed;
}

/* Where there is no right or no room to make a lock, dotlock-try goes without. */
static bool
may_be_missed(int failed)
{
	return failed == EACCES || failed == EPERM || failed == EROFS || failed == ENOSPC
	       || failed == EDQUOT;
}

static Taken
take_dot(File *file, bool must, GError **error)
{
	g_autofree char *name = dot_name(file);
	int failed = make_dot(file, name);

	if (failed == EEXIST) {
		remove_if_stale(file, name);
		return BUSY;
	}
	file->has_dot = failed == 0;
	if (failed == 0 || (!must && may_be_missed(failed)))
		return TAKEN;
	ph_error_set(error, PH_ERROR_TEMPORARY, "cannot make '%s': %s", name, g_strerror(failed));
	return FAILED;
}

void
file_touch_lock(const File *file)
{
	g_autofree char *name = dot_name(file);

	if (file->has_dot)
		(void) utimensat(file->folder_fd, name, NULL, AT_SYMLINK_NOFOLLOW);
}

/* --- locks of the kernel ------------------------------------------------------------------------- */

static Taken
take_fcntl(int fd, short kind)
{
	struct flock lock = { .l_type = kind, .l_whence = SEEK_SET };

	if (fcntl(fd, F_OFD_SETLK, &lock) == 0 || errno == ENOLCK || errno == EINVAL)
		return TAKEN; /* or there are none on this file system */
	return BUSY;
}

static Taken
take_flock(int fd, int kind)
{
	return flock(fd, kind | LOCK_NB) == 0 ? TAKEN : BUSY;
}

static Taken
take_lock(File *file, const char *word, GError **error)
{
	if (g_str_has_prefix(word, "dotlock"))
		return file->writes ? take_dot(file, g_str_equal(word, "dotlock"), error) : TAKEN;
	if (file->fd < 0)
		return TAKEN;
	if (g_str_equal(word, "flock"))
		return take_flock(file->fd, file->writes ? LOCK_EX : LOCK_SH);
	return take_fcntl(file->fd, file->writes ? F_WRLCK : F_RDLCK);
}

static void
drop_dot(File *file)
{
	g_autofree char *name = dot_name(file);

	if (file->has_dot)
		(void) unlinkat(file->folder_fd, name, 0);
	file->has_dot = false;
}

static void
drop_locks(File *file)
{
	drop_dot(file);
	if (file->fd < 0)
		return;
	(void) take_fcntl(file->fd, F_UNLCK);
	(void) flock(file->fd, LOCK_UN);
}

/* All of them or none. */
static Taken
try_locks(File *file, GError **error)
{
	const Settings *settings = &file->account->settings;
	const char *const *order = file->writes ? settings->write_locks : settings->read_locks;
	Taken taken = TAKEN;

	for (; taken == TAKEN && order != NULL && *order != NULL; order++)
		taken = take_lock(file, *order, error);
	if (taken != TAKEN)
		drop_locks(file);
	return taken;
}

/* Nobody is kept waiting by a lock whose holder waits for another: programs take them in different
 * orders (mutt: fcntl, then the dot lock). */
static bool
take_locks(File *file, GError **error)
{
	Patience patience = begin_waiting(file->account);
	Taken taken = BUSY;

	while ((taken = try_locks(file, error)) == BUSY) {
		if (wait_more(&patience))
			continue;
		ph_error_set(error, PH_ERROR_TEMPORARY, "'%s' is locked by another program",
		             file->base);
		return false;
	}
	return taken == TAKEN;
}

/* --- opening -------------------------------------------------------------------------------------- */

/* Its name is durable before mail is in it: no sync of the file itself promises that. */
static bool
make_empty(File *file, int flags, GError **error)
{
	file->fd =
		openat(file->folder_fd, file->base, O_RDWR | O_CREAT | O_EXCL | flags, FILE_MODE);
	if (file->fd < 0 || ph_durable_sync_folder(file->folder_fd, error))
		return true;
	(void) unlinkat(file->folder_fd, file->base, 0);
	return false;
}

static bool
open_existing(File *file, FileMode mode, GError **error)
{
	const int flags = O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY;

	file->writes = mode != FILE_READ;
	file->fd = openat(file->folder_fd, file->base, (file->writes ? O_RDWR : O_RDONLY) | flags);
	if (file->fd < 0 && mode == FILE_WRITE && (errno == EACCES || errno == EROFS)) {
		file->writes = false;
		file->fd = openat(file->folder_fd, file->base, O_RDONLY | flags);
	}
	if (file->fd < 0 && mode == FILE_APPEND && errno == ENOENT
	    && !make_empty(file, flags, error))
		return false;
	if (file->fd < 0 && errno == ENOENT)
		return true;
	if (file->fd < 0) {
		ph_error_set(error, PH_ERROR_TEMPORARY, "cannot open '%s': %s", file->base,
		             errno == ELOOP ? "it is a symbolic link" : g_strerror(errno));
		return false;
	}
	if (fstat(file->fd, &file->status) < 0 || !S_ISREG(file->status.st_mode)) {
		ph_error_set(error, PH_ERROR_TEMPORARY, "'%s' is no regular file", file->base);
		return false;
	}
	return true;
}

/* Is the file that we hold still the one of that name? */
static bool
is_current(File *file)
{
	struct stat named;
	bool is_there = fstatat(file->folder_fd, file->base, &named, AT_SYMLINK_NOFOLLOW) == 0;

	if (file->fd < 0)
		return !is_there;
	return is_there && fstat(file->fd, &file->status) == 0
	       && named.st_ino == file->status.st_ino && named.st_dev == file->status.st_dev;
}

static void
release(File *file)
{
	if (file->fd >= 0)
		(void) close(file->fd);
	file->fd = -1;
	drop_dot(file);
}

bool
file_open(const Account *account, const char *name, FileMode mode, File *file, GError **error)
{
	Where where = { .folder_fd = -1 };
	struct stat folder;

	*file = (File){ .account = account, .fd = -1, .folder_fd = -1 };
	if (!layout_find(account, name, &where, error))
		return false;
	file->folder_fd = where.folder_fd;
	file->base = where.base;
	if (fstat(file->folder_fd, &folder) == 0)
		file->folder = folder.st_ino;
	for (int tries = 0; tries < REPLACED_TRIES; tries++) {
		if (!open_existing(file, mode, error) || !take_locks(file, error))
			break;
		if (is_current(file)) {
			file->source = (Source){ file_read, file };
			return true;
		}
		release(file);
		if (tries + 1 == REPLACED_TRIES)
			ph_error_set(error, PH_ERROR_TEMPORARY, "'%s' is replaced all the time",
			             file->base);
	}
	file_close(file);
	return false;
}

void
file_close(File *file)
{
	if (file->folder_fd < 0)
		return;
	release(file);
	(void) close(file->folder_fd);
	file->folder_fd = -1;
	g_clear_pointer(&file->base, g_free);
}

/* --- looking and reading ------------------------------------------------------------------------- */

Look
file_look(const struct stat *status)
{
	const int64_t second_ns = 1000000000;

	return (Look){
		.device = (uint64_t) status->st_dev,
		.inode = (uint64_t) status->st_ino,
		.size = (uint64_t) status->st_size,
		.mtime_ns = status->st_mtim.tv_sec * second_ns + status->st_mtim.tv_nsec,
		.ctime_ns = status->st_ctim.tv_sec * second_ns + status->st_ctim.tv_nsec,
	};
}

bool
file_same_look(const Look *a, const Look *b)
{
	return a->device == b->device && a->inode == b->inode && a->size == b->size
	       && a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns;
}

ssize_t
file_read(void *handle, uint64_t offset, char *buffer, size_t length, GError **error)
{
	const File *file = handle;
	size_t copied = 0;

	while (copied < length) {
		ssize_t got = pread(file->fd, buffer + copied, length - copied,
		                    (off_t) (offset + copied));

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			ph_error_set_errno(error, errno, "cannot read '%s'", file->base);
			return -1;
		}
		if (got == 0)
			break;
		copied += (size_t) got;
	}
	return (ssize_t) copied;
}

bool
file_write(File *file, uint64_t offset, PhSlice octets, GError **error)
{
	while (octets.length > 0) {
		ssize_t n = pwrite(file->fd, octets.data, octets.length, (off_t) offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			ph_error_set(error, PH_ERROR_TEMPORARY, "cannot write to '%s': %s",
			             file->base, g_strerror(n < 0 ? errno : ENOSPC));
			return false;
		}
		offset += (uint64_t) n;
		octets = ph_slice_from(octets, (size_t) n);
	}
	return true;
}

bool
file_cut(File *file, uint64_t size, GError **error)
{
	if (ftruncate(file->fd, (off_t) size) == 0 && fstat(file->fd, &file->status) == 0)
		return true;
	ph_error_set(error, PH_ERROR_TEMPORARY, "cannot shorten '%s': %s", file->base,
	             g_strerror(errno));
	return false;
}

bool
file_sync(File *file, GError **error)
{
	if (!ph_durable_sync(file->fd, error)) {
		g_prefix_error(error, "'%s': ", file->base);
		return false;
	}
	return fstat(file->fd, &file->status) == 0;
}

/* --- other processes of the server ---------------------------------------------------------------- */

bool
file_lock_account(Account *account, GError **error)
{
	g_autofree char *name = g_strconcat(account->path, ".lock", NULL);
	Patience patience = begin_waiting(account);

	if (account->lock_fd < 0)
		account->lock_fd = open(name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);
	if (account->lock_fd < 0) {
		ph_error_set(error, PH_ERROR_TEMPORARY, "cannot open '%s': %s", name,
		             g_strerror(errno));
		return false;
	}
	while (take_fcntl(account->lock_fd, F_WRLCK) == BUSY) {
		if (wait_more(&patience))
			continue;
		ph_error_set(error, PH_ERROR_TEMPORARY, "'%s' is held by another process", name);
		return false;
	}
	return true;
}

void
file_unlock_account(Account *account)
{
	struct flock lock = { .l_type = F_UNLCK, .l_whence = SEEK_SET };

	(void) fcntl(account->lock_fd, F_OFD_SETLK, &lock);
}
