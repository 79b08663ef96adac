/* index.h: PhIndex, the metadata of one account in a SQLite database, for stores on local disks
 *
 * It holds mailboxes and their counters, records, flags, keywords, change numbers, the history of
 * expunges, values and the ids of applied transactions, and answers a store's mailboxes, changes,
 * values and commit. What it does not hold are octets: a store says with hooks where they lie, and
 * may keep them in the same database, in the same transaction.
 *
 *	PhIndexParams params = { .size = sizeof params, .path = path, .hooks = &hooks };
 *	PhIndex *index = ph_index_open(&params, error);
 *	...
 *	return ph_index_commit(index, batch, n, error);
 *
 * Mail that other programs put beside the index is adopted with transactions of the store's own,
 * made in `refresh` and given to the same ph_index_commit: an APPEND whose blob names the file (the
 * `add` hook is called with it and may keep that id), message_id random, structure scanned or
 * empty (then the core scans when it must), and given_uid, given_change and CREATE's
 * given_uidvalidity where the other program has decided them. Flags that it changed are a FLAGS
 * with PH_FLAGS_REPLACE, a file that it removed an EXPUNGE (`drop` is called and must not mind that
 * the file is gone). Let the transaction's id follow from what was found (of the file's name,
 * say): then finding it twice adopts it once. keywords is never NULL, the sets of results may be.
 *
 * The database is in WAL mode with synchronous=FULL: what commit has returned is durable, unless the
 * store has asked for deferred syncs (ph_index_defer). A busy
 * database never reaches a client; checkpoints run on a thread of their own.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_INDEX_H
#define POSTHORN_INDEX_H

#include <posthorn/store.h>

G_BEGIN_DECLS

struct sqlite3;
struct sqlite3_stmt;

typedef struct PhIndex PhIndex;

/* PhIndexConnection: one connection to the database, used by one thread until it is given back. */
typedef struct PhIndexConnection PhIndexConnection;

/* PhIndexHooks: what happens to octets. All are called inside a commit, on its thread, perhaps
 * several times for one operation when a batch is evaluated again; `finished` tells which
 * evaluation counted. Members that are NULL do nothing and keep blob ids as they are. */
typedef struct {
	size_t size; /* sizeof(PhIndexHooks) */

	/* schema: (nullable) statements that make the store's own tables, run when the database is
	 * made, in the same transaction. */
	const char *schema;

	/* add: @op appends. @blob_out: (out) holds op->blob; the id under which it is kept. */
	bool (*add)(void *user_data,
	            PhIndexConnection *connection,
	            const PhOp *op,
	            PhBlobId *blob_out,
	            GError **error);

	/* copy: one more message has these octets. @blob_out: (out) holds the source's id. */
	bool (*copy)(void *user_data,
	             PhIndexConnection *connection,
	             PhBlobId *blob_out,
	             GError **error);

	/* drop: a message that had them was removed. */
	bool (*drop)(void *user_data,
	             PhIndexConnection *connection,
	             const PhBlobId *blob,
	             GError **error);

	/* finished: the evaluation was committed (durably) or undone. */
	void (*finished)(void *user_data, bool committed);

	/* tend: housekeeping on the background thread, inside a transaction: at most a few
	 * milliseconds of work. Returns: is there more to do? */
	bool (*tend)(void *user_data, PhIndexConnection *connection, PhTime now);

	/* For stores that note in memory what the hooks above were called for:
	 * begin: the operations of the next transaction follow.
	 * undo: those since `begin` were undone, the rest of the batch goes on.
	 * settle: the whole batch was evaluated and will be committed next: the last moment to
	 * write what was noted. */
	void (*begin)(void *user_data);
	void (*undo)(void *user_data);
	bool (*settle)(void *user_data, PhIndexConnection *connection, GError **error);

	/* remove: no message has had these octets for the grace time (PhIndexParams): they may go.
	 * With it the index counts owners itself, and `copy` and `drop` are never called: copies
	 * share what the blob names. Inside a transaction of the background thread. Members from
	 * here on count when @size says that they are there. */
	bool (*remove)(void *user_data,
	               PhIndexConnection *connection,
	               const PhBlobId *blob,
	               GError **error);
} PhIndexHooks;

/* PhIndexParams: everything is copied but hooks and user_data, which live as long as the index. */
typedef struct {
	size_t size;               /* sizeof(PhIndexParams) */
	const char *path;          /* of the database; its folder is made when it is missing */
	const PhIndexHooks *hooks; /* (nullable) */
	void *user_data;
	void (*free)(void *user_data); /* (nullable) when the last reference is gone */
	uint64_t quota_octets;         /* 0: no limit */
	uint64_t quota_messages;
	uint32_t max_keywords; /* a mailbox: at most 64; 0: 64 */
	uint32_t cache_pages;  /* of each connection; 0: 16 */
	uint64_t grace_us;     /* octets are kept that long without owners (hook `remove`) */
} PhIndexParams;

/* ph_index_open: makes the database when there is none; a damaged one is left alone.
 * Returns: (owned) one reference. Blocks: yes. Errors: TEMPORARY, CORRUPT. */
PH_PUBLIC PhIndex *ph_index_open(const PhIndexParams *params, GError **error);
PH_PUBLIC PhIndex *ph_index_ref(PhIndex *index);
PH_PUBLIC void ph_index_unref(PhIndex *index);

/* The store's members of the same names. */
PH_PUBLIC bool ph_index_mailboxes(PhIndex *index,
                                  PhMailboxInfoFunc func,
                                  void *user_data,
                                  uint64_t *list_change_out,
                                  GError **error);
PH_PUBLIC bool ph_index_changes(PhIndex *index,
                                const PhMailboxId *mailbox,
                                const PhChangesQuery *query,
                                PhChangesResult *result_out,
                                GError **error);
PH_PUBLIC bool ph_index_values(PhIndex *index,
                               const PhMailboxId *mailbox,
                               const char *prefix,
                               PhValueFunc func,
                               void *user_data,
                               GError **error);
PH_PUBLIC bool ph_index_commit(PhIndex *index,
                               PhTransaction *const *batch,
                               size_t n,
                               GError **error);
PH_PUBLIC void ph_index_forget(PhIndex *index, PhTime before);

/* The same for a store whose account object begins with its `PhIndex *`: its table names them as they
 * are. verify is ph_index_check(), sync ph_index_sync(), compact ph_index_compact(). */
PH_PUBLIC bool ph_index_store_mailboxes(void *account,
                                        PhMailboxInfoFunc func,
                                        void *user_data,
                                        uint64_t *list_change_out,
                                        GError **error);
PH_PUBLIC bool ph_index_store_changes(void *account,
                                      const PhMailboxId *mailbox,
                                      const PhChangesQuery *query,
                                      PhChangesResult *result_out,
                                      GError **error);
PH_PUBLIC bool ph_index_store_values(void *account,
                                     const PhMailboxId *mailbox,
                                     const char *prefix,
                                     PhValueFunc func,
                                     void *user_data,
                                     GError **error);
PH_PUBLIC bool ph_index_store_commit(void *account,
                                     PhTransaction *const *batch,
                                     size_t n,
                                     GError **error);
PH_PUBLIC void ph_index_store_forget(void *account, PhTime before);
PH_PUBLIC bool ph_index_store_sync(void *account, GError **error);
PH_PUBLIC bool ph_index_store_verify(void *account,
                                     bool repair,
                                     PhListLineFunc report,
                                     void *user_data,
                                     GError **error);
PH_PUBLIC bool ph_index_store_compact(void *account, GError **error);

/* ph_index_tend_soon: has the background thread call `tend` after about @delay_us; asked for several
 * times, it comes once. Thread: any. */
PH_PUBLIC void ph_index_tend_soon(PhIndex *index, uint64_t delay_us);

/* ph_index_defer: for the store's `defer`: from now on a commit is atomic and visible, but waits for
 * no sync. @fd_out: (owned by the caller) the database's folder. ph_index_sync: makes everything
 * durable that was committed. Blocks: yes. */
PH_PUBLIC bool ph_index_defer(PhIndex *index, int *fd_out, GError **error);
PH_PUBLIC bool ph_index_sync(PhIndex *index, GError **error);

/* ph_index_check: SQLite's own check of the database; that pages, records, counters and owners of
 * records agree. @repair corrects counters and owners, and takes out messages that have lost their
 * record. One line for each finding. */
PH_PUBLIC bool ph_index_check(PhIndex *index,
                              bool repair,
                              PhListLineFunc report,
                              void *user_data,
                              GError **error);

/* ph_index_compact: gives the space of what was removed back to the file system, in short transactions
 * between which commits go on. A database that an earlier release has made is made anew once, while its
 * commits wait; a large one cannot be. Blocks: yes. Errors: TEMPORARY, UNSUPPORTED. */
PH_PUBLIC bool ph_index_compact(PhIndex *index, GError **error);

/* ph_index_set_aside: gives the files of a damaged index another name. Then the store opens an empty
 * one at @path and adopts what mail lies beside it (see the head of this file; with given uids and
 * uidvalidity where it still knows them): so an index is rebuilt. Nobody has it open.
 * @aside_out: (out, owned, nullable) the database's new path. Blocks: yes. */
PH_PUBLIC bool ph_index_set_aside(const char *path, char **aside_out, GError **error);

/* ph_index_begin_read: a connection for reading; give it back soon. Blocks: yes. */
PH_PUBLIC PhIndexConnection *ph_index_begin_read(PhIndex *index, GError **error);
PH_PUBLIC void ph_index_end_read(PhIndex *index, PhIndexConnection *connection);

/* ph_index_begin_write: the writing connection with a transaction begun (several are nested by
 * nobody: never inside a hook). ph_index_end_write: commits durably, or undoes. */
PH_PUBLIC PhIndexConnection *ph_index_begin_write(PhIndex *index, GError **error);
PH_PUBLIC bool ph_index_end_write(PhIndex *index,
                                  PhIndexConnection *connection,
                                  bool commit,
                                  GError **error);

/* ph_index_statement: a prepared statement of the store, kept with the connection and reset.
 * @slot: 0 to 15, one for each text. Returns: (borrowed) NULL with @error. */
PH_PUBLIC struct sqlite3_stmt *ph_index_statement(PhIndexConnection *connection,
                                                  uint32_t slot,
                                                  const char *sql,
                                                  GError **error);
PH_PUBLIC struct sqlite3 *ph_index_database(PhIndexConnection *connection);

/* ph_index_fail: sets @error from the connection's last SQLite error: CORRUPT or TEMPORARY.
 * Returns: false. */
PH_PUBLIC bool ph_index_fail(PhIndexConnection *connection, const char *doing, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PhIndex, ph_index_unref)

G_END_DECLS

#endif
