/* hints.h: names that other programs (and we) changed in a folder, as inotify tells them
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef STORE_MAILDIR_HINTS_H
#define STORE_MAILDIR_HINTS_H

#include "maildir.h"

typedef struct Finder Finder;
typedef struct Ear Ear; /* a watch */

typedef struct {
	PhWatchKind kind;
	char *name; /* (owned) */
} Hint;

/* Hints: of a folder that is watched. */
typedef struct Hints {
	bool follows
		[2]; /* of new and cur: what `seen` says and the hints are all there is to know */
	gint is_deaf[2]; /* atomic: not everything that happens there is told */
	Finder *finder;  /* (nullable) */

	pthread_mutex_t lock; /* guards what follows */
	GArray *names[2];     /* of Hint */
	bool lost[2];
} Hints;

/* hints_watch: new and cur of every folder as it is now; those made later are read now and then. */
void hints_watch(Account *account, void (*func)(void *user_data), void *user_data);
/* hints_unwatch: the account is closed. */
void hints_unwatch(Account *account);
void hints_free(Hints *hints); /* (nullable) */

/* hints_own: before we rename or link a file ourselves; either is a path or NULL. hints_own_end: after a
 * number of these. */
void hints_own(Account *account, const char *from, const char *to);
void hints_own_end(Account *account);

/* hints_wait: is there something to be looked at? hints_take: (owned) what there is; NULL: some were lost.
 * hints_begin: before a part is read as a whole: what was told before does not matter any more.
 * hints_again: the account will be asked to look once more. */
bool hints_wait(const Folder *folder, int part);
GArray *hints_take(Folder *folder, int part);
void hints_begin(Folder *folder, int part);
void hints_again(Account *account);

#endif
