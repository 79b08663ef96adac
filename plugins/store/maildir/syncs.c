/* syncs.c: syncs of whole file systems, each of which serves all accounts there
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "syncs.h"

#include <posthorn/log.h>

#include <errno.h>
#include <glib.h>
#include <pthread.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
	REST_US = 1000 * 1000, /* between the beginnings of two syncs of one file system */
};

typedef struct {
	uint64_t device;
	int64_t began; /* of the last good sync; 0: none */
	bool failed; /* for good: the journal, which has the octets, is replayed by another process */
} System;

static struct {
	pthread_mutex_t lock; /* guards all */
	pthread_cond_t hurries;
	GArray *systems; /* of System; made once */
	bool hurry;
} syncs = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* The clock of the wall may be set back. */
static void
make_once(void)
{
	pthread_condattr_t attributes;

	(void) pthread_condattr_init(&attributes);
	(void) pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	(void) pthread_cond_init(&syncs.hurries, &attributes);
	(void) pthread_condattr_destroy(&attributes);
	syncs.systems = g_array_new(FALSE, TRUE, sizeof(System));
}

static void
take_lock(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void) pthread_once(&once, make_once);
	(void) pthread_mutex_lock(&syncs.lock);
}

static void
drop_lock(void)
{
	(void) pthread_mutex_unlock(&syncs.lock);
}

/* With the lock held; (borrowed) until the next call. */
static System *
find(uint64_t device)
{
	System fresh = { .device = device };

	for (guint i = 0; i < syncs.systems->len; i++)
		if (g_array_index(syncs.systems, System, i).device == device)
			return &g_array_index(syncs.systems, System, i);
	(void) g_array_append_val(syncs.systems, fresh);
	return &g_array_index(syncs.systems, System, syncs.systems->len - 1);
}

bool
syncs_note(uint64_t device, int64_t began, bool good)
{
	System *system = NULL;
	bool first = false;

	take_lock();
	system = find(device);
	first = !good && !system->failed;
	if (good)
		system->began = MAX(system->began, began);
	else
		system->failed = true;
	drop_lock();
	return first;
}

bool
syncs_has(uint64_t device, int64_t time)
{
	const System *system = NULL;
	bool has = false;

	take_lock();
	system = find(device);
	has = !system->failed && system->began > time;
	drop_lock();
	return has;
}

bool
syncs_failed(uint64_t device)
{
	bool failed = false;

	take_lock();
	failed = find(device)->failed;
	drop_lock();
	return failed;
}

/* With the lock held. */
static int64_t
due(uint64_t device)
{
	const System *system = find(device);

	return system->began == 0 || system->failed ? 0 : system->began + REST_US;
}

int64_t
syncs_due(uint64_t device)
{
	int64_t time = 0;

	take_lock();
	time = due(device);
	drop_lock();
	return time;
}

/* --- of a descriptor ------------------------------------------------------------------------------ */

static uint64_t
device_of(int fd)
{
	struct stat info = { .st_dev = 0 };

	(void) fstat(fd, &info);
	return (uint64_t) info.st_dev;
}

bool
syncs_covers(int fd, int64_t time)
{
	return syncs_has(device_of(fd), time);
}

bool
syncs_make(int fd, const char *path)
{
	uint64_t device = device_of(fd);
	int64_t now = g_get_monotonic_time();
	int number = 0;

	if (syncs_failed(device)) {
		errno = EIO;
		return false;
	}
	number = syncfs(fd) == 0 ? 0 : errno;
	if (syncs_note(device, now, number == 0))
		ph_log(PH_LOG_ERROR, "maildir-sync-failed",
		       "a file system could not be synced; until the server is started again "
		       "the names of files there follow no more",
		       PH_LOG_TEXT("path", path), PH_LOG_TEXT("reason", g_strerror(number)),
		       PH_LOG_END);
	/* another one may have failed meanwhile, and was told of what this one was not */
	if (number == 0 && syncs_failed(device))
		number = EIO;
	errno = number;
	return number == 0;
}

void
syncs_rest(int fd)
{
	uint64_t device = device_of(fd);
	int64_t end = 0;

	take_lock();
	end = due(device);
	while (!syncs.hurry && g_get_monotonic_time() < end) {
		const struct timespec until = { .tv_sec = end / G_USEC_PER_SEC,
			                        .tv_nsec = end % G_USEC_PER_SEC * 1000 };

		(void) pthread_cond_timedwait(&syncs.hurries, &syncs.lock, &until);
	}
	syncs.hurry = false;
	drop_lock();
}

void
syncs_hurry(void)
{
	take_lock();
	syncs.hurry = true;
	(void) pthread_cond_signal(&syncs.hurries);
	drop_lock();
}
