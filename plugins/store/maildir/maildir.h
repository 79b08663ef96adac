/* maildir.h: the inside of the maildir store
 *
 * Octets are files in maildirs, one a message; everything else is PhIndex's, in a database in a
 * folder of its own beside them. The index is the truth; what the names of the files say follows
 * in the background (tidy.c), and what other programs do to them is folded in (scan.c).
 *
 * Order of a delivery: the file is written and synced in the root's tmp, tmp is synced, the index
 * commits, then the file is renamed to where it belongs. A crash before the commit leaves a file in
 * tmp that nothing names; one after it leaves a message whose file is still in tmp, and a note in
 * the same transaction says so. So whatever lies in new and cur and is not in the index was put
 * there by another program.
 *
 * Locks: Account.lock guards what stands behind it; the running commit's notes belong to whoever
 * holds the index's write transaction. Refreshes of several processes exclude each other by a lock
 * on a file.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef STORE_MAILDIR_H
#define STORE_MAILDIR_H

#include <posthorn/content.h>
#include <posthorn/durable.h>
#include <posthorn/error.h>
#include <posthorn/index.h>
#include <posthorn/log.h>
#include <posthorn/slice.h>
#include <posthorn/watch.h>

#include "account.h"

#include <sqlite3.h>
#include <sys/stat.h>

/* sql: a statement of one of the 16 slots with its first parameter bound. sql_done: steps and resets
 * it. */
enum {
	SQL_FOLDER_ADD,
	SQL_FOLDER_SET,
	SQL_FOLDER_SEEN,
	SQL_FOLDER_SYNCED,
	SQL_STATE_GET,
	SQL_STATE_PUT,
	SQL_ARRIVING_PUT,
	SQL_DROP_ADD,
	SQL_DROP_NEXT,
	SQL_DROP_DONE,
	SQL_DROP_REMOVE,
	SQL_PLACE_PUT,
	SQL_PLACE_GET,
	SQL_PLACE_REMOVE,
	SQL_NAME_ADD,
	SQL_NAME_GET,
};

extern const char tables_schema[];
sqlite3_stmt *sql(PhIndexConnection *connection, uint32_t which, int64_t first, GError **error);
bool sql_done(PhIndexConnection *connection, sqlite3_stmt *row, const char *doing, GError **error);
/* sql_once: a statement that is seldom needed: sqlite3_finalize it. */
sqlite3_stmt *sql_once(PhIndexConnection *connection, const char *text, GError **error);

/* --- folders (folders.c, folder-name.c, folder-list.c) ------------------------------------------- */

/* folder_path: where a mailbox of this name lies, below the root. NULL: it cannot be (@error). */
char *folder_path(const Settings *settings, const char *name, GError **error);
/* folder_name: what a folder that was found is called: NULL: it is none of ours. */
char *folder_name(const Settings *settings, const char *path);

/* The folder of a mailbox, or of a number; (borrowed): it lives as long as the account. */
Folder *folder_find(Account *account, const PhMailboxId *id);
Folder *folder_at(Account *account, uint32_t no);
/* Paths below the root, as they are now: (owned). folder_dir: "" for INBOX. folder_below: of a part or a
 * file of a folder. folder_where: "path/cur/name". */
char *folder_dir(Account *account, const Folder *folder);
char *folder_below(Account *account, const Folder *folder, const char *what);
char *folder_where(Account *account, const Folder *folder, Letters letters, PhSlice base);

bool folders_load(Account *account, GError **error);
/* folders_follow: makes, renames and removes folders as the index has mailboxes. @paths: (nullable)
 * name -> path of those that are there already. */
bool folders_follow(Account *account, GHashTable *paths, GError **error);
/* folders_look: takes over the folders that other programs made, forgets those they removed. */
bool folders_look(Account *account, GError **error);
/* folders_check: may these operations be done? */
bool folders_check(Account *account, const PhTransaction *transaction, GError **error);
bool folders_is_structural(const PhTransaction *transaction);

/* commit_ops: one transaction of the store's own. */
bool commit_ops(Account *account, PhOp *const *ops, uint32_t n, GError **error);

/* --- states (state.c): the letters of each message's file --------------------------------------- */

bool state_get(PhIndexConnection *connection, uint32_t folder, uint32_t chunk, Letters *states);
bool state_put(PhIndexConnection *connection,
               uint32_t folder,
               uint32_t chunk,
               const Letters *states,
               GError **error);

/* states_all: of all messages below @uidnext. Returns: (owned) NULL when that were too many. */
Letters *states_all(PhIndexConnection *connection, uint32_t folder, uint32_t uidnext, uint32_t n);

/* state_set: in the running transaction; flush when done. */
typedef struct {
	PhIndexConnection *connection;
	Account *account;
	uint32_t folder; /* 0: nothing loaded */
	uint32_t chunk;
	bool dirty;
	Letters states[CHUNK];
} States;

bool states_load(States *states, uint32_t folder, uint32_t uid, GError **error);
bool states_set(States *states, uint32_t folder, uint32_t uid, Letters letters, GError **error);
bool states_flush(States *states, GError **error);

/* --- octets (upload.c, deliver.c, content.c) --------------------------------------------------------------- */

extern const PhIndexHooks maildir_hooks;
bool deliver_upload(void *account,
                    PhContent *content,
                    bool durable,
                    PhBlobId *blob_out,
                    GError **error);
void deliver_abandon(void *account, const PhBlobId *blob);
/* deliver_forget_late: with the account. deliver_is_waiting: is there what was named in tmp? */
void deliver_forget_late(Account *account);
bool deliver_is_waiting(Account *account);
/* deliver_resume: finishes what was under way when a process stopped. */
bool deliver_resume(Account *account, GError **error);

bool content_open(void *account,
                  const PhMailboxId *mailbox,
                  uint32_t uid,
                  const PhBlobId *blob,
                  PhContent **content_out,
                  GError **error);
/* content_measure: octets on the wire of a file with any line ends. */
bool content_measure(int fd, uint64_t *octets_out, bool *is_plain_out, GError **error);
int64_t stat_ns(int root_fd, const char *path); /* of a folder; 0: it cannot be read */

#endif
