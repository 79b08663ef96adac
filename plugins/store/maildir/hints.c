/* hints.c: names that other programs (and we) changed in a folder, as inotify tells them
 *
 * The names of a folder's changes are kept until the next refresh, which looks at these only. When there
 * are too many, or some were lost, the folder is read instead, as it is when its times changed and nothing
 * was told.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "hints.h"

#include "finder.h"

#include <string.h>
#include <sys/vfs.h>

enum {
	WATCHES = 64, /* of one account */
	HINTS = 1024, /* of one part of a folder */
};

static const int64_t racy_ns = 1500000000;

struct Ear {
	Account *account;
	Folder *folder;
	int part;
	void (*func)(void *user_data);
	void *user_data;
	PhWatch *watch; /* (nullable) */
};

static void
clear_hint(void *data)
{
	Hint *hint = data;

	g_free(hint->name);
}

static GArray *
new_names(void)
{
	GArray *names = g_array_new(FALSE, FALSE, sizeof(Hint));

	g_array_set_clear_func(names, clear_hint);
	return names;
}

static Hints *
new_hints(void)
{
	Hints *hints = g_new0(Hints, 1);

	(void) pthread_mutex_init(&hints->lock, NULL);
	hints->names[IN_NEW] = new_names();
	hints->names[IN_CUR] = new_names();
	return hints;
}

void
hints_free(Hints *hints)
{
	if (hints == NULL)
		return;
	finder_free(hints->finder);
	g_array_unref(hints->names[IN_NEW]);
	g_array_unref(hints->names[IN_CUR]);
	(void) pthread_mutex_destroy(&hints->lock);
	g_free(hints);
}

/* --- our own changes -------------------------------------------------------------------------------- */

static void *
own_key(PhWatchKind kind, const char *name)
{
	return (void *) (uintptr_t) (known_hash(ph_slice(name)) * 2 + (kind == PH_WATCH_LEFT));
}

static void
note_own(Account *account, PhWatchKind kind, const char *path)
{
	const char *slash = path != NULL ? strrchr(path, '/') : NULL;

	if (slash != NULL)
		(void) g_hash_table_add(account->own, own_key(kind, slash + 1));
}

void
hints_own(Account *account, const char *from, const char *to)
{
	(void) pthread_mutex_lock(&account->lock);
	if (account->watches != NULL) {
		if (account->own == NULL)
			account->own = g_hash_table_new(NULL, NULL);
		note_own(account, PH_WATCH_LEFT, from);
		note_own(account, PH_WATCH_APPEARED, to);
	}
	(void) pthread_mutex_unlock(&account->lock);
}

/* What has not come now does not come. */
void
hints_own_end(Account *account)
{
	bool wait = false;

	(void) pthread_mutex_lock(&account->lock);
	wait = account->own != NULL && g_hash_table_size(account->own) > 0;
	(void) pthread_mutex_unlock(&account->lock);
	if (!wait)
		return;
	ph_watch_catch_up();
	(void) pthread_mutex_lock(&account->lock);
	g_hash_table_remove_all(account->own);
	(void) pthread_mutex_unlock(&account->lock);
}

static bool
is_own(Account *account, PhWatchKind kind, const char *name)
{
	bool own = false;

	(void) pthread_mutex_lock(&account->lock);
	own = account->own != NULL && g_hash_table_size(account->own) > 0
	      && g_hash_table_remove(account->own, own_key(kind, name));
	(void) pthread_mutex_unlock(&account->lock);
	return own;
}

/* --- the watching thread's --------------------------------------------------------------------- */

static void
hear(PhWatchKind kind, const char *name, void *user_data)
{
	const Ear *ear = user_data;
	Hints *hints = ear->folder->hints;
	GArray *names = NULL;

	if (name[0] != '\0' && is_own(ear->account, kind, name))
		return;
	if (kind == PH_WATCH_GONE)
		g_atomic_int_set(&hints->is_deaf[ear->part], 1);
	(void) pthread_mutex_lock(&hints->lock);
	names = hints->names[ear->part];
	if (name[0] == '\0' || names->len >= HINTS) {
		hints->lost[ear->part] = true;
		g_array_set_size(names, 0);
	} else if (!hints->lost[ear->part] && name[0] != '.') {
		Hint hint = { kind, g_strdup(name) };

		(void) g_array_append_val(names, hint);
	}
	(void) pthread_mutex_unlock(&hints->lock);
}

static void
wake(void *user_data)
{
	const Ear *ear = user_data;

	if (hints_wait(ear->folder, ear->part) || ear->folder->has_new)
		ear->func(ear->user_data);
}

/* --- watching ------------------------------------------------------------------------------------- */

static void
ear_free(void *data)
{
	Ear *ear = data;

	ph_watch_free(ear->watch);
	g_free(ear);
}

/* Is what was seen before all that there was when the watch began? */
static bool
is_as_seen(const Account *account, const Folder *folder, int part, const char *path)
{
	return folder->seen[part] != 0 && stat_ns(account->root_fd, path) == folder->seen[part]
	       && folder->looked[part] > folder->seen[part] + racy_ns;
}

/* On a file system that other hosts, or a server of its own, write to, the kernel tells of what is done
 * here alone. */
static bool
is_local(const char *path)
{
	static const uint32_t local[] = {
		0xef53,     /* ext2, ext3, ext4 */
		0x58465342, /* xfs */
		0x9123683e, /* btrfs */
		0x01021994, /* tmpfs */
		0x858458f6, /* ramfs */
		0xf2f52010, /* f2fs */
		0x2fc12fc1, /* zfs */
		0xca451a4e, /* bcachefs */
		0x794c7630, /* overlay */
		0x3153464a, /* jfs */
		0x52654973, /* reiserfs */
		0x3434,     /* nilfs */
	};
	struct statfs info;

	if (statfs(path, &info) != 0)
		return false;
	for (size_t i = 0; i < G_N_ELEMENTS(local); i++)
		if ((uint32_t) info.f_type == local[i])
			return true;
	return false;
}

static void
watch_part(Account *account, Folder *folder, const Ear *like)
{
	Ear *ear = g_memdup2(like, sizeof *like);
	g_autofree char *part = folder_below(account, folder, like->part == IN_NEW ? "new" : "cur");
	g_autofree char *path = g_build_filename(account->root, part, NULL);

	if (folder->hints == NULL)
		folder->hints = new_hints();
	ear->account = account;
	ear->folder = folder;
	g_atomic_int_set(&folder->hints->is_deaf[like->part], 0);
	ear->watch = ph_watch_names(path, hear, wake, ear);
	g_ptr_array_add(account->watches, ear);
	if (ear->watch == NULL || !is_local(path))
		g_atomic_int_set(&folder->hints->is_deaf[like->part], 1);
	folder->hints->follows[like->part] =
		g_atomic_int_get(&folder->hints->is_deaf[like->part]) == 0
		&& is_as_seen(account, folder, like->part, part);
}

void
hints_watch(Account *account, void (*func)(void *user_data), void *user_data)
{
	(void) pthread_mutex_lock(&account->lock);
	account->watches = g_ptr_array_new_with_free_func(ear_free);
	(void) pthread_mutex_unlock(&account->lock);
	for (guint i = 0; i < account->numbered->len && account->watches->len < WATCHES; i++) {
		Folder *folder = folder_at(account, i);

		for (int part = 0; folder != NULL && !folder->is_gone && part < 2; part++)
			watch_part(account, folder,
			           &(Ear){ .part = part, .func = func, .user_data = user_data });
	}
}

void
hints_unwatch(Account *account)
{
	GPtrArray *watches = NULL;

	(void) pthread_mutex_lock(&account->lock);
	watches = g_steal_pointer(&account->watches);
	(void) pthread_mutex_unlock(&account->lock);
	g_clear_pointer(&watches, g_ptr_array_unref);
}

/* --- the refreshing thread's -------------------------------------------------------------------- */

bool
hints_wait(const Folder *folder, int part)
{
	Hints *hints = folder->hints;
	bool wait = false;

	(void) pthread_mutex_lock(&hints->lock);
	wait = hints->lost[part] || hints->names[part]->len > 0;
	(void) pthread_mutex_unlock(&hints->lock);
	return wait;
}

GArray *
hints_take(Folder *folder, int part)
{
	Hints *hints = folder->hints;
	GArray *names = NULL;

	(void) pthread_mutex_lock(&hints->lock);
	if (!hints->lost[part]) {
		names = hints->names[part];
		hints->names[part] = new_names();
	}
	(void) pthread_mutex_unlock(&hints->lock);
	return names;
}

void
hints_begin(Folder *folder, int part)
{
	Hints *hints = folder->hints;

	if (hints == NULL)
		return;
	(void) pthread_mutex_lock(&hints->lock);
	g_array_set_size(hints->names[part], 0);
	hints->lost[part] = false;
	(void) pthread_mutex_unlock(&hints->lock);
}

void
hints_again(Account *account)
{
	const Ear *ear = NULL;

	if (account->watches != NULL && account->watches->len > 0) {
		ear = g_ptr_array_index(account->watches, 0);
		ear->func(ear->user_data);
	}
}
