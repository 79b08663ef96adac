/* tidy.h: what runs in the background, and where files are
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef STORE_MAILDIR_TIDY_H
#define STORE_MAILDIR_TIDY_H

#include "defer.h"
#include "maildir.h"
#include "takeover.h"

bool tidy(void *account, PhIndexConnection *connection, PhTime now);
void tidy_soon(Account *account);
/* tidy_finally: before an account is closed: what is left, unless it is very much. */
void tidy_finally(Account *account);
/* find_file: the path of a message's file, wherever it is: (owned) or NULL. */
char *find_file(Account *account,
                PhIndexConnection *connection,
                const Folder *folder,
                const PhBlobId *blob,
                Letters guess);
char *trash_path(const Account *account, const PhBlobId *blob);

/* Touch: a bracket around what we change in a folder: when nobody else changed it since we looked, it
 * need not be read again. */
typedef struct {
	Account *account;
	Folder *folder; /* (nullable) */
	bool known[2];
} Touch;

void touch_begin(Touch *touch, Account *account, Folder *folder);
void touch_end(Touch *touch);

/* Listing: the names of one folder, read when the first guess fails. */
typedef struct {
	Account *account;
	uint32_t folder;
	GHashTable *names; /* base -> path, owned */
} Listing;

Listing *listing_new(Account *account);
void listing_free(Listing *listing);

/* Placed: a file that is not in its home. */
typedef struct {
	PhBlobId blob;
	uint32_t folder;
} Placed;

/* find_own: the file of this very message. find_source: one with the same octets, to link.
 * Returns: path (owned) or NULL. */
char *find_own(Listing *listing,
               PhIndexConnection *connection,
               const PhBlobId *blob,
               Letters guess);
char *find_source(Listing *listing,
                  PhIndexConnection *connection,
                  const PhBlobId *blob,
                  Letters guess);
/* find_is_elsewhere: of a copy: does its file lie in another folder? */
bool find_is_elsewhere(PhIndexConnection *connection, const PhBlobId *blob, const Folder *folder);

/* defer_is_bad: are the octets of a message whose file has no place yet not what was written? */
bool defer_is_bad(Listing *listing, PhIndexConnection *connection, const PhBlobId *blob);

/* tmp_path: where octets are written and wait: the name without sum and sizes. find_waiting: there, or in
 * tmp under the whole name, which files got there in former times. Returns: path (owned) or NULL. */
char *tmp_path(const char *base);
char *find_waiting(Account *account, const File *file);

/* deliver_unique: a name that no file has. @base: NAME_ROOM + 60 octets. */
void deliver_unique(char *base, size_t size);

/* upload_sync: names in tmp. upload_forget: a commit has named it, it may not be abandoned any more.
 * Returns: it could have been. upload_leave: the file gets its place. */
bool upload_sync(Account *account, GError **error);
bool upload_forget(Account *account, const char *base);
bool upload_leave(Account *account, const File *file, const char *to);

/* tidy_places: until every message has its file in its folder and removed ones have none. */
bool tidy_places(Account *account, GError **error);
/* tidy_expect: has the housekeeping run soon when a process that stopped has left it something. */
bool tidy_expect(Account *account, GError **error);
/* tidy_resume: finishes renames that were under way when a process stopped. */
bool tidy_resume(Account *account, GError **error);

/* tidy_sync: names in that folder (below the root) are as they will be found after a power loss, before
 * the index says how they are. A folder that another program removed has none. */
bool tidy_sync(const Account *account, const char *path, GError **error);

/* subscriptions_look: what other programs made of the file. subscriptions_note: the commit altered some.
 * subscriptions_follow: then the file is written. */
bool subscriptions_look(Account *account, GError **error);
void subscriptions_note(Account *account, PhTransaction *const *batch, size_t n);
void subscriptions_follow(Account *account, PhIndexConnection *connection);

/* trash_next_blob: of a row of removed messages. trash_step: Returns: there is more to do. trash_is_stuck:
 * is it the file of a removed message that cannot leave its folder? In the index's write transaction. */
bool trash_next_blob(const char *octets, size_t size, size_t *offset, PhBlobId *blob);
bool trash_is_stuck(const Account *account, PhSlice base);
bool trash_step(Account *account, PhIndexConnection *connection, PhTime now);

/* Plan: a file that gets another name in the next step. */
typedef struct {
	uint32_t uid;
	Letters from;
	Letters to;
	char base[BASE_MAX + 1];
} Plan;

#endif
