/* uidlist.h: uids written down beside the mail, as Dovecot does
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef STORE_MAILDIR_UIDLIST_H
#define STORE_MAILDIR_UIDLIST_H

#include "tidy.h"

enum {
	UIDLIST_GAP = 4096, /* uids that a list may not know of yet */
};

/* UidlistEnds: what the first and the last line say. */
typedef struct {
	unsigned version;
	uint32_t uidvalidity;
	uint32_t next;
	uint32_t last;
	size_t digits_at; /* not 0: we have written it */
	int64_t size;
	bool is_torn;
} UidlistEnds;

/* uidlist_ends: of the folder at this path. False: there is none, or it is nobody's. */
bool uidlist_ends(const Account *account, const char *path, UidlistEnds *ends);

/* uidlist_look: once for a folder: may lines be appended, or does the list know more than the index
 * (list.is_newer)? Then a scan takes that over and calls uidlist_taken.
 * uidlist_before: the same before a commit gives out uids. */
bool uidlist_look(Account *account, Folder *folder, GError **error);
void uidlist_taken(Folder *folder);
bool uidlist_before(Account *account, PhTransaction *const *batch, size_t n, GError **error);

/* UidlistWork: a folder whose list is behind. uidlist_follow: a step; inside the index's write
 * transaction. Returns: there is more to do. */
typedef struct {
	Folder *folder;
	uint32_t uidvalidity;
	uint32_t uidnext;
	uint32_t n_messages;
} UidlistWork;

bool uidlist_is_behind(Folder *folder, const PhMailboxInfo *info);
bool uidlist_follow(Account *account, PhIndexConnection *connection, const UidlistWork *work);

#endif
