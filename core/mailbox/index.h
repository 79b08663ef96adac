/* index.h: the inside of PhIndex, shared by its files
 *
 * index.c opens, closes and lends connections; index-schema.c makes and migrates tables;
 * index-read.c answers questions; index-commit.c applies batches with the operations of index-op.h;
 * index-tend.c checkpoints and tidies in the background; index-compact.c gives pages back;
 * index-vfs.c writes logs.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_MAILBOX_INDEX_H
#define PH_MAILBOX_INDEX_H

#include <posthorn/error.h>
#include <posthorn/index.h>

#include "base/lock.h"
#include "mailbox/index-page.h"

#include <sqlite3.h>

enum {
	PH_INDEX_SLOTS = 16,    /* statements of the store */
	PH_INDEX_KEYWORDS = 64, /* bits of one integer */
	PH_INDEX_KEYWORD_LENGTH = 100,
	PH_INDEX_CACHED = 256,         /* mailboxes whose counters are kept */
	PH_INDEX_WAL_PAGES = 1024,     /* checkpoint in the background above this */
	PH_INDEX_WAL_PAGES_MAX = 4096, /* checkpoint by the committer above this */
	PH_INDEX_WAL_PAGES_DEFERRED =
		2048, /* instead of the first, where a checkpoint costs the only syncs */
};

/* The index's own statements; their texts stand in index-schema.c. */
typedef enum {
	PH_SQL_BEGIN,
	PH_SQL_BEGIN_READ,
	PH_SQL_COMMIT,
	PH_SQL_ROLLBACK,
	PH_SQL_SAVE,
	PH_SQL_RELEASE,
	PH_SQL_UNDO,
	PH_SQL_DATA_VERSION,
	PH_SQL_ACCOUNT,
	PH_SQL_ACCOUNT_SET,
	PH_SQL_TOTALS,
	PH_SQL_MAILBOXES,
	PH_SQL_MAILBOX,
	PH_SQL_MAILBOX_SET,
	PH_SQL_MAILBOX_SET_TAIL,
	PH_SQL_MAILBOX_ADD,
	PH_SQL_MAILBOX_NAME,
	PH_SQL_MAILBOX_REMOVE,
	PH_SQL_KEYWORDS,
	PH_SQL_KEYWORD_ADD,
	PH_SQL_PAGE_AT,
	PH_SQL_PAGES,
	PH_SQL_PAGES_ALTERED,
	PH_SQL_PAGE_ADD,
	PH_SQL_PAGE_SET,
	PH_SQL_PAGE_REMOVE,
	PH_SQL_PAGES_REMOVE,
	PH_SQL_RECORDS,
	PH_SQL_RECORD_ADD,
	PH_SQL_RECORD_COPY,
	PH_SQL_RECORD_BLOB,
	PH_SQL_RECORD_HIGHEST,
	PH_SQL_RECORD_REMOVE,
	PH_SQL_OWNED,
	PH_SQL_OWNED_ADD,
	PH_SQL_OWNED_REMOVE,
	PH_SQL_DROPPED_ADD,
	PH_SQL_DROPPED_REMOVE,
	PH_SQL_DROPPED_OLD,
	PH_SQL_EXPUNGED,
	PH_SQL_EXPUNGED_ADD,
	PH_SQL_VALUES,
	PH_SQL_VALUE_PUT,
	PH_SQL_VALUE_REMOVE,
	PH_SQL_VALUES_REMOVE,
	PH_SQL_KEYWORDS_REMOVE,
	PH_SQL_EXPUNGED_REMOVE,
	PH_SQL_APPLIED,
	PH_SQL_APPLIED_ADD,
	PH_SQL_FORGET,
	PH_SQL_TRIM_LIMIT,
	PH_SQL_TRIM,
	PH_SQL_TRIM_MARK,
	PH_SQL_N,
} PhSql;

struct PhIndexConnection {
	sqlite3 *db;
	sqlite3_stmt *own[PH_SQL_N];
	sqlite3_stmt *store[PH_INDEX_SLOTS];
};

/* PhIndexMailbox: counters of one mailbox, as the running transaction sees them. */
typedef struct {
	PhMailboxId id;
	int64_t no; /* upper half of its messages' keys; 0 is the account */
	uint32_t uidvalidity;
	uint32_t uidnext;
	uint32_t n_messages;
	uint32_t n_unseen;
	uint32_t n_deleted;
	uint32_t n_keywords;
	uint64_t octets;
	uint64_t change;
	bool dirty;
	bool tail_dirty;
	GByteArray *tail;  /* its newest messages, packed: they stand in the mailbox's own row */
	PhIndexPage *page; /* (nullable) the same, unpacked while a transaction uses it */
	bool has_keywords; /* names below are loaded */
	char *keywords[PH_INDEX_KEYWORDS]; /* (owned) by bit */
} PhIndexMailbox;

struct PhIndex {
	gint n_refs;
	char *path;
	const PhIndexHooks *hooks; /* never NULL */
	void *user_data;
	void (*free)(void *user_data);
	uint64_t quota_octets;
	uint64_t quota_messages;
	uint64_t grace_us;
	uint64_t gather_us; /* what is due in that time goes at once */
	uint32_t max_keywords;
	uint32_t cache_pages;
	PhLock lock; /* guards until the next blank line */
	PhSignal given_back;
	PhIndexConnection *main;  /* the only one that writes */
	PhIndexConnection *spare; /* (nullable) a further one for reading, at rest */
	bool main_busy;
	unsigned n_waiting; /* for `main` */
	uint64_t n_turns;   /* how often it was taken */
	unsigned n_extra;
	bool tending;         /* in the background thread's queue */
	gint is_deferred;     /* commits wait for no sync; read atomically, set once */
	uint64_t tend_due_us; /* when it was asked for; 0: it was not */
	GList due_link;       /* among those that are due, without a reference */
	uint64_t due_us;      /* when; 0: it is not among them */

	/* Belongs to whoever holds @main with a transaction begun. */
	GHashTable *mailboxes; /* PhMailboxId -> PhIndexMailbox */
	bool loaded;
	int64_t data_version;
	uint64_t change; /* the highest of the account */
	uint64_t list_change;
	uint32_t uidvalidity; /* the highest ever given */
	int64_t next_no;
	uint64_t next_record;
	uint64_t octets;
	uint64_t messages;
	bool account_dirty;
	int wal_pages;    /* after the last commit that wrote */
	bool wal_grew;    /* the running one has written */
	bool has_dropped; /* records: noted by the running one */
	bool knows_due;   /* when the oldest that were dropped may go was looked up */
};

/* PhIndexRun: one evaluation of a transaction. */
typedef struct {
	PhIndex *index;
	PhIndexConnection *connection;
	PhTransaction *transaction;
	uint64_t change; /* 0 until something is altered */
	uint64_t given;  /* the highest change that was decided elsewhere */
	PhTime now;
} PhIndexRun;

static inline int64_t
ph_index_key(int64_t no, uint32_t uid)
{
	return (int64_t) ((uint64_t) no << 32 | uid);
}

/* index.c */
sqlite3_stmt *ph_index_sql(PhIndexConnection *connection, PhSql which, GError **error);
bool ph_index_exec(PhIndexConnection *connection, PhSql which, GError **error);
/* ph_index_done: steps a statement that gives no row, and resets it. */
bool ph_index_done(PhIndexConnection *connection,
                   sqlite3_stmt *statement,
                   const char *doing,
                   GError **error);
/* ph_index_give_way: who waits for the writing connection gets it first. */
void ph_index_give_way(PhIndex *index);
PhIndexConnection *ph_index_take_main(PhIndex *index);
void ph_index_give_main(PhIndex *index);
/* ph_index_begin_scan: like begin_read, for long reading: never the writing connection. */
PhIndexConnection *ph_index_begin_scan(PhIndex *index, GError **error);
PhIndexConnection *ph_index_connect(PhIndex *index, GError **error);
void ph_index_disconnect(PhIndexConnection *connection);
/* ph_index_drop_spare: closes the reading connection that is at rest: it is only memory. */
void ph_index_drop_spare(PhIndex *index);

/* index-schema.c */
extern const char *const ph_index_sql_texts[PH_SQL_N];
bool ph_index_prepare_schema(PhIndex *index, PhIndexConnection *connection, GError **error);
/* ph_index_number: the first column of the first row. */
bool ph_index_number(PhIndexConnection *connection,
                     const char *sql,
                     int64_t *number_out,
                     GError **error);

/* index-commit.c */
bool ph_index_load(PhIndex *index, PhIndexConnection *connection, GError **error);
void ph_index_unload(PhIndex *index);
PhIndexMailbox *ph_index_mailbox(PhIndex *index,
                                 PhIndexConnection *connection,
                                 const PhMailboxId *id,
                                 GError **error);
/* ph_index_read_tail: (owned, nullable) that column of a row. */
GByteArray *ph_index_read_tail(sqlite3_stmt *row, int column);
bool ph_index_load_keywords(PhIndexConnection *connection, PhIndexMailbox *mailbox, GError **error);
bool ph_index_save(PhIndex *index, PhIndexConnection *connection, GError **error);
/* ph_index_next_change: the number of this transaction; noted for @mailbox (nullable). */
uint64_t ph_index_next_change(PhIndexRun *run, PhIndexMailbox *mailbox);

/* index-result.c: what a transaction gave, to give it again. */
GByteArray *ph_index_pack_results(const PhTransaction *transaction);
bool ph_index_unpack_results(PhTransaction *transaction, PhSlice packed);

/* index-new.c: makes the database where there is none; one that is there is left alone. */
bool ph_index_make(PhIndex *index, GError **error);

/* index-vfs.c: name of the file layer that writes logs well; NULL: SQLite's own. */
const char *ph_index_vfs(void);

/* ph_index_forget_unsynced: at the end of a transaction: drops what still waits for a sync. That
 * was undone: a commit has synced. */
void ph_index_forget_unsynced(sqlite3 *db);

/* ph_index_take_sync_failure: did the last sync of a log on this thread fail? Asking forgets it. What
 * was written stays unsynced until it is written again: a sync is never tried twice. */
bool ph_index_take_sync_failure(void);

/* ph_index_hold_syncs: while @hold, the log's content is written but not synced; a sync that keeps the
 * log readable is done all the same. ph_index_sync_log: now; an SQLite status. */
void ph_index_hold_syncs(sqlite3 *db, bool hold);
int ph_index_sync_log(sqlite3 *db);

/* index-defer.c */
bool ph_index_commit_now(PhIndex *index, PhIndexConnection *connection, GError **error);
int ph_index_wal_limit(PhIndex *index);
void ph_index_keep_log(PhIndexConnection *connection);

/* index-compact.c: ph_index_compact_some: in the background, when many pages are free. Returns: some
 * were given back, and a checkpoint will cut the file. */
bool ph_index_compact_some(PhIndex *index);

/* index-tend.c */
void ph_index_tend(PhIndex *index);
/* ph_index_tend_at: after about @delay_us, unless it was closed by then; of several times asked for
 * the first counts. ph_index_leave_due: before it is freed. */
void ph_index_tend_at(PhIndex *index, uint64_t delay_us);
void ph_index_leave_due(PhIndex *index);
/* ph_index_expect_due: at the end of a transaction that was committed: has the background remove records
 * whose grace time will be over. */
void ph_index_expect_due(PhIndex *index, PhIndexConnection *connection);
/* ph_index_tidy: removes what can be removed now; true: the log is long enough to be copied back. */
bool ph_index_tidy(PhIndex *index);
bool ph_index_checkpoint(PhIndex *index, GError **error);

#endif
