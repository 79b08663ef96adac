/* watch.c: hints that a file or folder was changed (inotify)
 *
 * The kernel gives one number to all watches of one file; here each has a list. When events were
 * lost, everybody gets a hint. Whoever holds the lock reads and tells, so that events are told in their
 * order, and one who needs to know what has happened so far need not wait for the thread.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/watch.h>

#include "base/lock.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

enum {
	WATCHES_MAX = 8192,
	GONE = IN_MOVE_SELF | IN_DELETE_SELF | IN_IGNORED | IN_UNMOUNT,
	EVENTS = IN_CREATE | IN_MOVE | IN_DELETE | IN_MODIFY | IN_MOVE_SELF | IN_DELETE_SELF,
	ROOM = 64 * 1024,
	ROWS = 64, /* of events, at most, when somebody catches up */
};

struct PhWatch {
	int number;                                                             /* the kernel's */
	void (*name_func)(PhWatchKind kind, const char *name, void *user_data); /* (nullable) */
	void (*func)(void *user_data);
	void *user_data;
};

static struct {
	PhLock lock; /* guards all, and is held while functions are called */
	int fd;
	GHashTable *lists; /* number -> GPtrArray of PhWatch */
	unsigned n;
	bool started;
	char *events;
} watching = { .lock = PH_LOCK_INIT, .fd = -1 };

static void
call_list(GPtrArray *list)
{
	for (guint i = 0; list != NULL && i < list->len; i++) {
		PhWatch *watch = g_ptr_array_index(list, i);

		watch->func(watch->user_data);
	}
}

static void
tell_name(GPtrArray *list, PhWatchKind kind, const char *name)
{
	for (guint i = 0; list != NULL && i < list->len; i++) {
		PhWatch *watch = g_ptr_array_index(list, i);

		if (watch->name_func != NULL)
			watch->name_func(kind, name, watch->user_data);
	}
}

static void
tell_lost(void)
{
	GHashTableIter iter;
	void *list = NULL;

	g_hash_table_iter_init(&iter, watching.lists);
	while (g_hash_table_iter_next(&iter, NULL, &list)) {
		tell_name(list, PH_WATCH_LOST, "");
		call_list(list);
	}
}

/* @name: of what happened; NULL: of the folder itself. */
static void
tell(GPtrArray *list, uint32_t mask, const char *name)
{
	if (name == NULL)
		tell_name(list, (mask & GONE) != 0 ? PH_WATCH_GONE : PH_WATCH_LOST, "");
	else if ((mask & (IN_CREATE | IN_MOVED_TO)) != 0)
		tell_name(list, PH_WATCH_APPEARED, name);
	else if ((mask & IN_MOVED_FROM) != 0)
		tell_name(list, PH_WATCH_LEFT, name);
	else if ((mask & IN_DELETE) != 0)
		tell_name(list, PH_WATCH_REMOVED, name);
}

/* Events of one folder come in rows: one call for each row is enough. With the lock held. */
static void
take_events(const char *events, size_t length)
{
	GPtrArray *last = NULL;
	size_t offset = 0;

	while (length - offset >= sizeof(struct inotify_event)) {
		struct inotify_event event;
		const char *name = events + offset + sizeof event;
		GPtrArray *list = NULL;

		memcpy(&event, events + offset, sizeof event);
		offset += sizeof event + event.len;
		if ((event.mask & IN_Q_OVERFLOW) != 0)
			tell_lost();
		else
			list = g_hash_table_lookup(watching.lists, GINT_TO_POINTER(event.wd));
		if (last != NULL && list != last)
			call_list(last);
		if (list != NULL)
			tell(list, event.mask, event.len > 0 ? name : NULL);
		last = list;
	}
	call_list(last);
}

/* With the lock held. Returns: there may be more. */
static bool
take_row(void)
{
	ssize_t n = read(watching.fd, watching.events, ROOM);

	if (n > 0)
		take_events(watching.events, (size_t) n);
	return n > 0 || (n < 0 && errno == EINTR);
}

static void *
watch_for_ever(void *data)
{
	struct pollfd waited = { .fd = watching.fd, .events = POLLIN };

	while (poll(&waited, 1, -1) >= 0 || errno == EINTR) {
		PH_LOCKED(&watching.lock);
		(void) take_row();
	}
	return NULL;
}

void
ph_watch_catch_up(void)
{
	PH_LOCKED(&watching.lock);
	for (int i = 0; watching.fd >= 0 && i < ROWS; i++)
		if (!take_row())
			return;
	if (watching.fd >= 0)
		tell_lost();
}

/* With the lock held. */
static bool
start(void)
{
	if (watching.started)
		return watching.fd >= 0;
	watching.started = true;
	watching.fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	watching.events = g_malloc(ROOM);
	watching.lists =
		g_hash_table_new_full(NULL, NULL, NULL, (GDestroyNotify) g_ptr_array_unref);
	if (watching.fd >= 0)
		g_thread_unref(g_thread_new("watch", watch_for_ever, NULL));
	return watching.fd >= 0;
}

PhWatch *
ph_watch_names(const char *path,
               void (*name_func)(PhWatchKind kind, const char *name, void *user_data),
               void (*func)(void *user_data),
               void *user_data)
{
	PhWatch *watch = NULL;
	GPtrArray *list = NULL;
	int number = -1;

	PH_LOCKED(&watching.lock);
	if (!start() || watching.n >= WATCHES_MAX)
		return NULL;
	number = inotify_add_watch(watching.fd, path, EVENTS);
	if (number < 0)
		return NULL;
	list = g_hash_table_lookup(watching.lists, GINT_TO_POINTER(number));
	if (list == NULL) {
		list = g_ptr_array_new();
		(void) g_hash_table_insert(watching.lists, GINT_TO_POINTER(number), list);
	}
	watch = g_new0(PhWatch, 1);
	watch->number = number;
	watch->name_func = name_func;
	watch->func = func;
	watch->user_data = user_data;
	g_ptr_array_add(list, watch);
	watching.n++;
	return watch;
}

PhWatch *
ph_watch_new(const char *path, void (*func)(void *user_data), void *user_data)
{
	return ph_watch_names(path, NULL, func, user_data);
}

void
ph_watch_free(PhWatch *watch)
{
	GPtrArray *list = NULL;

	if (watch == NULL)
		return;
	PH_LOCKED(&watching.lock);
	list = g_hash_table_lookup(watching.lists, GINT_TO_POINTER(watch->number));
	(void) g_ptr_array_remove_fast(list, watch);
	if (list->len == 0) {
		(void) inotify_rm_watch(watching.fd, watch->number);
		(void) g_hash_table_remove(watching.lists, GINT_TO_POINTER(watch->number));
	}
	watching.n--;
	g_free(watch);
}
