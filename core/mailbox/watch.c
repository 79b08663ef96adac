/* watch.c: hints that a file or folder was changed (inotify)
 *
 * The kernel gives one number to all watches of one file; here each has a list. When events were
 * lost, everybody gets a hint.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/watch.h>

#include "base/lock.h"

#include <errno.h>
#include <limits.h>
#include <sys/inotify.h>
#include <unistd.h>

enum {
	WATCHES_MAX = 8192,
	EVENTS = IN_CREATE | IN_MOVE | IN_DELETE | IN_MODIFY | IN_MOVE_SELF | IN_DELETE_SELF,
	ROOM = 64 * 1024,
};

struct PhWatch {
	int number; /* the kernel's */
	void (*func)(void *user_data);
	void *user_data;
};

static struct {
	PhLock lock; /* guards all, and is held while functions are called */
	int fd;
	GHashTable *lists; /* number -> GPtrArray of PhWatch */
	unsigned n;
	bool started;
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
call_all(void)
{
	GHashTableIter iter;
	void *list = NULL;

	g_hash_table_iter_init(&iter, watching.lists);
	while (g_hash_table_iter_next(&iter, NULL, &list))
		call_list(list);
}

/* Events of one folder come in rows: one call for each row is enough. */
static void
take_events(const char *events, size_t length)
{
	int last = -1;
	size_t offset = 0;

	PH_LOCKED(&watching.lock);
	while (length - offset >= sizeof(struct inotify_event)) {
		struct inotify_event event;

		memcpy(&event, events + offset, sizeof event);
		offset += sizeof event + event.len;
		if ((event.mask & IN_Q_OVERFLOW) != 0)
			call_all();
		else if (event.wd != last)
			call_list(g_hash_table_lookup(watching.lists, GINT_TO_POINTER(event.wd)));
		last = event.wd;
	}
}

static void *
watch_for_ever(void *data)
{
	char *events = g_malloc(ROOM);

	for (;;) {
		ssize_t n = read(watching.fd, events, ROOM);

		if (n > 0)
			take_events(events, (size_t) n);
		else if (n < 0 && errno != EINTR)
			break;
	}
	g_free(events);
	return NULL;
}

/* With the lock held. */
static bool
start(void)
{
	if (watching.started)
		return watching.fd >= 0;
	watching.started = true;
	watching.fd = inotify_init1(IN_CLOEXEC);
	watching.lists =
		g_hash_table_new_full(NULL, NULL, NULL, (GDestroyNotify) g_ptr_array_unref);
	if (watching.fd >= 0)
		g_thread_unref(g_thread_new("watch", watch_for_ever, NULL));
	return watching.fd >= 0;
}

PhWatch *
ph_watch_new(const char *path, void (*func)(void *user_data), void *user_data)
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
	watch->func = func;
	watch->user_data = user_data;
	g_ptr_array_add(list, watch);
	watching.n++;
	return watch;
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
