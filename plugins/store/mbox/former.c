/* former.c: mail that another program appends to a file that has just lost its name
 *
 * A program that opens an mbox and then waits for its lock gets the lock on the former file when a
 * new one has taken the name, and appends where nobody will look. So the former file stays open for
 * a while, and what grows there is appended to the mailbox. (Programs that take the dot lock before
 * they open, as most do, never come into this.)
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/log.h>

#include "mbox.h"

#include <fcntl.h>
#include <unistd.h>

enum {
	MOST = 8, /* of an account at a time */
	PIECE = 64 * 1024,
};

static const PhTime kept_us = INT64_C(120000000);

struct Former {
	PhMailboxId id;
	int fd;
	uint64_t size; /* up to here it was taken over */
	PhTime since;
};

void
former_free(void *data)
{
	Former *former = data;

	(void) close(former->fd);
	g_free(former);
}

void
former_add(Account *account, const PhMailboxId *id, int fd, uint64_t size)
{
	struct flock lock = { .l_type = F_UNLCK, .l_whence = SEEK_SET };
	Former *former = g_new0(Former, 1);

	/* who waits for it may go on, and is seen */
	(void) fcntl(fd, F_OFD_SETLK, &lock);
	former->id = *id;
	former->fd = fd;
	former->size = size;
	former->since = g_get_monotonic_time();
	if (account->former->len >= MOST)
		g_ptr_array_remove_index(account->former, 0);
	g_ptr_array_add(account->former, former);
}

/* Appends what stands behind former->size; the file's own end is as it was if that fails. */
static bool
take_over(Former *former, uint64_t size, File *file, GError **error)
{
	g_autofree char *buffer = g_malloc(PIECE);
	File from = { .fd = former->fd, .base = file->base };
	uint64_t end = (uint64_t) file->status.st_size;
	uint64_t to = end;
	bool good = true;

	for (uint64_t at = former->size; good && at < size;) {
		ssize_t n = file_read(&from, at, buffer, (size_t) MIN(size - at, PIECE), error);

		good = n > 0 && file_write(file, to, PH_SLICE(buffer, (size_t) n), error);
		at += n > 0 ? (uint64_t) n : 0;
		to += n > 0 ? (uint64_t) n : 0;
	}
	if (good && file_sync(file, error)) {
		former->size = size;
		return true;
	}
	(void) file_cut(file, end, NULL);
	if (error != NULL && *error == NULL)
		ph_error_set(error, PH_ERROR_TEMPORARY, "cannot take over mail for '%s'",
		             file->base);
	return false;
}

static bool
look_at(Account *account, Former *former, const Box *box, File *file, GError **error)
{
	struct flock lock = { .l_type = F_RDLCK, .l_whence = SEEK_SET };
	struct stat status;
	bool good = true;

	if (fstat(former->fd, &status) < 0 || (uint64_t) status.st_size <= former->size)
		return true;
	/* somebody is still at it: the next time */
	if (fcntl(former->fd, F_OFD_SETLK, &lock) < 0)
		return true;
	good = fstat(former->fd, &status) == 0
	       && take_over(former, (uint64_t) status.st_size, file, error);
	lock.l_type = F_UNLCK;
	(void) fcntl(former->fd, F_OFD_SETLK, &lock);
	if (good)
		ph_log_section(account->section, PH_LOG_NOTICE, "mbox-late-append",
		               "mail that was appended to a replaced file was taken over",
		               PH_LOG_TEXT("mailbox", box->name), PH_LOG_END);
	return good;
}

bool
former_take_over(Account *account, const Box *box, File *file, GError **error)
{
	bool good = true;

	for (guint i = 0; good && file->writes && file->fd >= 0 && i < account->former->len; i++) {
		Former *former = g_ptr_array_index(account->former, i);

		if (memcmp(&former->id, &box->id, sizeof box->id) == 0)
			good = look_at(account, former, box, file, error);
	}
	return good;
}

void
former_close(Account *account, bool all)
{
	PhTime before = g_get_monotonic_time() - kept_us;

	for (guint i = account->former->len; i > 0; i--) {
		Former *former = g_ptr_array_index(account->former, i - 1);
		PhMailboxId id = former->id;
		Box box;
		File file;

		if (!all && former->since > before)
			continue;
		if (open_box(account, &id, FILE_WRITE, &box, &file, NULL))
			file_close(&file);
		g_ptr_array_remove_index(account->former, i - 1);
	}
}
