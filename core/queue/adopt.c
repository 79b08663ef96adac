/* adopt.c: mail that another process has accepted for this queue
 *
 * A process that has let go of the queue and still has sessions writes what they bring to a queue of
 * its own, in a folder below this one, and delivers nothing. Whoever has that folder's lock may take
 * its files: the owner of the queue takes the lock when the writer has let go of it, or has died,
 * and renames the files to be its own. A mail lies in one of the two folders at any time.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/durable.h>
#include <posthorn/error.h>
#include <posthorn/log.h>
#include <posthorn/secret.h>

#include "base/clock.h"
#include "queue/private.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define BESIDE "beside"

enum {
	YOUNG_SECONDS = 60, /* an empty folder may be about to be used */
};

char *
ph_queue_beside(const char *folder)
{
	g_autofree char *name = NULL;
	uint64_t number = 0;

	ph_secret_random((uint8_t *) &number, sizeof number);
	name = g_strdup_printf("%016" G_GINT64_MODIFIER "x", number);
	return g_build_filename(folder, BESIDE, name, NULL);
}

bool
ph_queue_exists_beside(const char *folder)
{
	g_autofree char *beside = g_build_filename(folder, BESIDE, NULL);
	GDir *dir = g_dir_open(beside, 0, NULL);
	const char *name = NULL;
	bool found = false;

	if (dir == NULL)
		return false;
	while (!found && (name = g_dir_read_name(dir)) != NULL) {
		g_autofree char *path = g_build_filename(beside, name, NULL);

		found = ph_queue_exists(path);
	}
	g_dir_close(dir);
	return found;
}

void
ph_queue_leave_beside(const char *folder)
{
	g_autofree char *lock = g_build_filename(folder, PH_QUEUE_LOCK, NULL);

	if (ph_queue_exists(folder))
		return;
	(void) unlink(lock);
	(void) rmdir(folder);
}

/* --- one folder ------------------------------------------------------------------------------- */

/* Gives a file a name in the queue's own folder. Its index has its name there before it, because without
 * it nobody knows what is held, and its old one until then: after a failure, and after a crash, both
 * are found where they were. */
static bool
take_one(const PhQueue *queue, int from_fd, uint32_t from, uint32_t to)
{
	char old_index[PH_QUEUE_FILE_NAME];
	char new_index[PH_QUEUE_FILE_NAME];
	char old_name[PH_QUEUE_FILE_NAME];
	char new_name[PH_QUEUE_FILE_NAME];
	const PhRename move = { .from_folder_fd = from_fd,
		                .to_folder_fd = queue->folder_fd,
		                .from = old_name,
		                .to = new_name };

	ph_queue_file_name(from, true, old_index);
	ph_queue_file_name(to, true, new_index);
	ph_queue_file_name(from, false, old_name);
	ph_queue_file_name(to, false, new_name);
	if (linkat(from_fd, old_index, queue->folder_fd, new_index, 0) < 0 && errno != ENOENT)
		return false;
	if (!ph_durable_move(&move, NULL)) {
		(void) unlinkat(queue->folder_fd, new_index, 0);
		return false;
	}
	(void) unlinkat(from_fd, old_index, 0);
	return true;
}

/* Whoever took its file has died before it was removed. */
static void
remove_index(int folder_fd, uint32_t number)
{
	char name[PH_QUEUE_FILE_NAME];

	ph_queue_file_name(number, false, name);
	if (faccessat(folder_fd, name, F_OK, 0) < 0 && errno == ENOENT)
		ph_queue_file_remove(folder_fd, number);
}

static bool
take_files(PhQueue *queue, int folder_fd, const char *path, GArray *numbers)
{
	GDir *dir = g_dir_open(path, 0, NULL);
	const char *name = NULL;
	uint32_t number = 0;
	bool is_index = false;
	bool good = dir != NULL;

	while (good && (name = g_dir_read_name(dir)) != NULL) {
		if (!ph_queue_file_number(name, &is_index, &number))
			continue;
		if (is_index) {
			remove_index(folder_fd, number);
			continue;
		}
		/* used up in any case: something may be left there */
		queue->last_number++;
		good = take_one(queue, folder_fd, number, queue->last_number);
		if (good)
			g_array_append_val(numbers, queue->last_number);
	}
	if (dir != NULL)
		g_dir_close(dir);
	return good;
}

static bool
is_young(int folder_fd)
{
	struct stat info = { 0 };

	return fstat(folder_fd, &info) != 0
	       || info.st_mtime + YOUNG_SECONDS > ph_clock_wall_us() / G_USEC_PER_SEC;
}

/* With the folder's lock. */
static void
empty_folder(PhQueue *queue, int folder_fd, const char *path, GArray *numbers)
{
	guint n_before = numbers->len;
	bool is_new = is_young(folder_fd);

	if (!take_files(queue, folder_fd, path, numbers)) {
		ph_log(PH_LOG_ERROR, "queue-adopt",
		       "mail that another process accepted stays where it is for now",
		       PH_LOG_TEXT("folder", path), PH_LOG_END);
		return;
	}
	if (numbers->len == n_before && is_new)
		return;
	if (numbers->len == n_before || ph_durable_sync_folder(queue->folder_fd, NULL))
		ph_queue_leave_beside(path);
}

static void
look_at(PhQueue *queue, const char *path, GArray *numbers)
{
	int folder_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	int lock_fd = -1;

	if (folder_fd < 0)
		return;
	lock_fd = openat(folder_fd, PH_QUEUE_LOCK, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (lock_fd < 0 && !is_young(folder_fd))
		lock_fd = openat(folder_fd, PH_QUEUE_LOCK,
		                 O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (lock_fd >= 0 && flock(lock_fd, LOCK_EX | LOCK_NB) == 0)
		empty_folder(queue, folder_fd, path, numbers);
	if (lock_fd >= 0)
		(void) close(lock_fd);
	(void) close(folder_fd);
}

/* --- all of them ------------------------------------------------------------------------------ */

void
ph_queue_take_names(PhQueue *queue, GArray *numbers)
{
	g_autofree char *beside = g_build_filename(queue->folder, BESIDE, NULL);
	GDir *dir = g_dir_open(beside, 0, NULL);
	const char *name = NULL;

	if (dir == NULL)
		return;
	while ((name = g_dir_read_name(dir)) != NULL) {
		g_autofree char *path = g_build_filename(beside, name, NULL);

		look_at(queue, path, numbers);
	}
	g_dir_close(dir);
}

void
ph_queue_take_in(PhQueue *queue)
{
	g_autoptr(GArray) numbers = g_array_new(FALSE, FALSE, sizeof(uint32_t));

	ph_queue_take_names(queue, numbers);
	for (guint i = 0; i < numbers->len; i++) {
		g_autoptr(GError) error = NULL;

		if (!ph_queue_take_file(queue, g_array_index(numbers, uint32_t, i), &error))
			ph_log(PH_LOG_ERROR, "queue-adopt",
			       "mail that another process accepted is read at the next start",
			       PH_LOG_FAILURE(error), PH_LOG_END);
	}
}

void
ph_queue_adopt(PhQueue *queue)
{
	PH_LOCKED(&queue->lock);
	queue->wants_adoption = true;
	if (!queue->is_writing)
		ph_signal_one(&queue->work);
}

uint32_t
ph_queue_n_busy(PhQueue *queue)
{
	uint32_t n = 0;

	PH_LOCKED(&queue->lock);
	for (uint32_t i = 1; i < queue->table.slots.end; i++) {
		const PhQueueSlot *row = ph_table_slot(&queue->table, i);

		n += row->message != 0 && row->state == PH_QUEUE_BUSY;
	}
	return n;
}
