/* watch.h: hints that a file or folder was changed, for stores whose mail others may write
 *
 * One descriptor and one thread of the process serve all. Hints may come late, together, or not at
 * all (the system's limits): who uses them looks by itself now and then, too.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_WATCH_H
#define POSTHORN_WATCH_H

#include <posthorn/types.h>

G_BEGIN_DECLS

typedef struct PhWatch PhWatch;

/* ph_watch_new: @func(user_data) is called, on a thread of its own, when names in the folder or
 * octets of the file change. It must not block, nor make or free a watch. Thread: any.
 * Returns: (owned) NULL when it cannot be watched, or when 8,192 are. */
PH_PUBLIC PhWatch *ph_watch_new(const char *path, void (*func)(void *user_data), void *user_data);

/* PhWatchKind: what happened to a name. LOST: to names that nobody knows. GONE: to the folder itself, which
 * was renamed, removed, or unmounted: of what has its path now nothing is told. */
typedef enum {
	PH_WATCH_APPEARED, /* made, or renamed to this */
	PH_WATCH_LEFT,     /* renamed to something else, or to another folder */
	PH_WATCH_REMOVED,
	PH_WATCH_LOST, /* the name is "" */
	PH_WATCH_GONE, /* the same */
} PhWatchKind;

/* ph_watch_names: as ph_watch_new; @name_func is called for each name first, in the order in which
 * things happened, @func after a row of them. @name: (borrowed) of an entry of the folder. */
PH_PUBLIC PhWatch *ph_watch_names(const char *path,
                                  void (*name_func)(PhWatchKind kind,
                                                    const char *name,
                                                    void *user_data),
                                  void (*func)(void *user_data),
                                  void *user_data);

/* ph_watch_catch_up: what happened in watched folders before this call was told when it returns, or
 * was told as LOST. Not from a function that a watch calls. Thread: any. */
PH_PUBLIC void ph_watch_catch_up(void);

/* ph_watch_free: waits for a call under way; there is none afterwards. Thread: any. */
PH_PUBLIC void ph_watch_free(PhWatch *watch);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PhWatch, ph_watch_free)

G_END_DECLS

#endif
