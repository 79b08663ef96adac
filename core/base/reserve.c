/* reserve.c: space that is kept so that mail can be removed when the disk is full
 *
 * Whether the disk is full is asked of the file system, not concluded from an error, because a store
 * may have wrapped it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "base/reserve.h"

#include <posthorn/error.h>
#include <posthorn/log.h>

#include "base/clock.h"
#include "base/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum {
	SMALLEST = 512 * 1024,
	LARGEST = 8 * 1024 * 1024,
	SHARE = 32,        /* of the file system, between these */
	FULL = 128 * 1024, /* so little is as good as nothing */
	LAST = 32 * 1024,  /* the rest is not worth giving up */
	FILE_MODE = 0600,
	RETRY_US = 1000000
};

static struct {
	PhLock lock; /* guards the descriptor and the file */
	int fd;
	off_t size;
	_Atomic bool is_short;
	uint64_t tried_us;
} reserve = { .lock = PH_LOCK_INIT, .fd = -1 };

static off_t
wanted_size(int fd)
{
	struct statvfs info;
	uint64_t all = 0;

	if (fstatvfs(fd, &info) == 0)
		all = (uint64_t) info.f_blocks * info.f_frsize;
	return (off_t) CLAMP(all / SHARE, (uint64_t) SMALLEST, (uint64_t) LARGEST);
}

static bool
is_full(int fd)
{
	struct statvfs info;

	return fstatvfs(fd, &info) == 0 && (uint64_t) info.f_bavail * info.f_frsize < FULL;
}

/* With the lock: makes the file whole, if there is room for more than itself. */
static bool
fill(void)
{
	struct stat before = { .st_size = 0 };

	if (fstat(reserve.fd, &before) != 0 || posix_fallocate(reserve.fd, 0, reserve.size) != 0)
		return false;
	if (!is_full(reserve.fd))
		return true;
	/* The next message would bring us back here: this waits until there is real room. */
	if (ftruncate(reserve.fd, before.st_size) != 0)
		ph_log(PH_LOG_WARNING, "reserve-failed", "cannot give space back", PH_LOG_END);
	return false;
}

bool
ph_reserve_open(const char *folder, GError **error)
{
	g_autofree char *path = g_build_filename(folder, "reserve", NULL);
	PH_LOCKED(&reserve.lock);

	g_return_val_if_fail(reserve.fd < 0, false);
	reserve.fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
	if (reserve.fd < 0) {
		ph_error_set_errno(error, errno, "cannot open '%s'", path);
		return false;
	}
	reserve.size = wanted_size(reserve.fd);
	atomic_store(&reserve.is_short, posix_fallocate(reserve.fd, 0, reserve.size) != 0);
	return true;
}

void
ph_reserve_close(void)
{
	PH_LOCKED(&reserve.lock);

	if (reserve.fd >= 0)
		(void) close(reserve.fd);
	reserve.fd = -1;
	atomic_store(&reserve.is_short, false);
}

bool
ph_reserve_spend(void)
{
	struct stat info = { .st_size = 0 };
	PH_LOCKED(&reserve.lock);

	if (reserve.fd < 0 || !is_full(reserve.fd) || fstat(reserve.fd, &info) != 0
	    || info.st_size < LAST)
		return false;
	if (!atomic_exchange(&reserve.is_short, true))
		ph_log(PH_LOG_ERROR, "disk-full",
		       "the disk is full: mail can be removed, none is taken", PH_LOG_END);
	return ftruncate(reserve.fd, info.st_size / 2) == 0;
}

bool
ph_reserve_may_grow(GError **error)
{
	uint64_t now_us = 0;

	if (!atomic_load_explicit(&reserve.is_short, memory_order_relaxed))
		return true;
	PH_LOCKED(&reserve.lock);
	now_us = ph_clock_us();
	if (reserve.fd >= 0 && now_us - reserve.tried_us >= RETRY_US) {
		reserve.tried_us = now_us;
		if (fill()) {
			atomic_store(&reserve.is_short, false);
			ph_log(PH_LOG_NOTICE, "disk-has-room", "the disk has room again",
			       PH_LOG_END);
		}
	}
	if (!atomic_load(&reserve.is_short))
		return true;
	ph_error_set(error, PH_ERROR_TEMPORARY, "the disk is full");
	return false;
}
