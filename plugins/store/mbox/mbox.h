/* mbox.h: the inside of the mbox store
 *
 * Octets are in mbox files, everything else is PhIndex's; two tables of ours stand beside its own
 * in the same database: `box`, one row a mailbox file with what the file looked like when it was
 * last read, and `place`, one row a message: where it lies and what it looked like. The index says
 * what is there; places are a cache that a scan of the file makes anew.
 *
 * Locks, outermost first: Account.writer, the lock file beside the index (other processes of this
 * server), the locks of mbox files (file.c; foreign programs).
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef STORE_MBOX_H
#define STORE_MBOX_H

#include <posthorn/error.h>
#include <posthorn/index.h>

#include "file.h"
#include "lines.h"
#include "scan.h"

#include <pthread.h>

enum {
	KIND_UPLOAD = 'U',
	KIND_FILE = 'F', /* an upload that is durable already */
	KIND_PLACE = 'M',
};

typedef struct {
	const char *inbox;
	const char *folders;
	const char *index;
	const char *const *write_locks;
	const char *const *read_locks;
	PhDuration lock_timeout;
	PhDuration stale_lock;
	PhDuration write_delay;
	PhDuration grace;
	PhSize largest;
	PhSize in_place;
	uint32_t variant; /* Variant */
} Settings;

/* Box: a mailbox and its file. */
typedef struct {
	int64_t no; /* upper half of its places' keys; 0: not in the table yet */
	PhMailboxId id;
	char name[1004]; /* as the index has it */
	char path[1004]; /* the name under which the file was last seen */
	Look look;
	uint64_t folder;      /* inode of the folder it was seen in; 0: never seen */
	uint32_t last_uid;    /* of the message that lies last; 0: none */
	uint32_t base;        /* uidvalidity in the file */
	uint32_t uidvalidity; /* from the index, as the members below */
	uint32_t uidnext;
	uint32_t n_messages;
} Box;

/* Place: where a message lies. */
typedef struct {
	uint32_t uid;
	uint32_t marks; /* MARK_* */
	uint64_t offset;
	uint64_t length;
	uint64_t octets;
	uint64_t digest;
	uint32_t flags; /* in the file */
	uint32_t keywords_hash;
	uint32_t metadata;
	uint32_t from;
} Place;

/* Planned: an append whose octets are in the file already, for the hook that names its place. */
typedef struct {
	const PhOp *op;
	int64_t no;
	Place place;
	bool may_move; /* the index chooses the uid */
	bool is_named; /* the hook came */
	Box *box;      /* (nullable) whose row is written with it */
} Planned;

struct Account {
	PhIndex *index; /* first: ph_index_store_mailboxes() and others */
	PhSection *section;
	Settings settings; /* a copy; strings are the instance's */
	char *inbox;
	char *folders;
	char *path; /* of the index */
	pthread_mutex_t writer;
	int lock_fd;          /* of the file beside the index */
	GHashTable *plan;     /* PhOp -> Planned; belongs to the running commit */
	GHashTable *dirty;    /* PhMailboxId -> PhTime; guarded by writer */
	GHashTable *told;     /* names of files that were reported as damaged; guarded by writer */
	GPtrArray *former;    /* of Former; guarded by writer */
	GPtrArray *watches;   /* of PhWatch */
	pthread_mutex_t lock; /* guards what follows */
	GHashTable *uploads;  /* number -> PhContent */
	uint64_t next_upload;
};

/* place.c */
extern const char place_schema[];
bool place_load_box(Account *account, const PhMailboxId *id, Box *box, GError **error);
bool place_save_box(PhIndexConnection *connection, Box *box, GError **error);
bool place_remove_box(PhIndexConnection *connection, int64_t no, GError **error);
bool place_put(PhIndexConnection *connection, int64_t no, const Place *place, GError **error);
bool place_remove(PhIndexConnection *connection, int64_t no, uint32_t uid, GError **error);
/* place_get, place_get_gone: true with uid 0 when there is none. */
bool place_get(PhIndexConnection *connection,
               int64_t no,
               uint32_t uid,
               Place *place,
               GError **error);
/* Returns true with uid 0 in @place when there is none. */
bool place_find_unnamed(PhIndexConnection *connection,
                        int64_t no,
                        const Message *message,
                        const PhUidSet *except,
                        Place *place,
                        GError **error);
typedef bool (*PlaceFunc)(const Place *place, void *user_data, GError **error);
/* place_each: in the order of the file. */
bool place_each(Account *account, int64_t no, PlaceFunc func, void *user_data, GError **error);
typedef bool (*BoxFunc)(const Box *box, void *user_data, GError **error);
bool place_each_box(Account *account, BoxFunc func, void *user_data, GError **error);

/* Gone: an expunged message that is kept for a while. */
typedef struct {
	char file[40];
	Place place; /* offset and length in that file */
	PhTime time;
} Gone;

bool place_put_gone(PhIndexConnection *connection, int64_t no, const Gone *gone, GError **error);
bool place_get_gone(PhIndexConnection *connection,
                    int64_t no,
                    uint32_t uid,
                    Gone *gone,
                    GError **error);
bool place_forget_gone(PhIndexConnection *connection, PhTime before, GError **error);

/* sync.c */
typedef enum {
	SYNC_USUAL,
	SYNC_WHOLE, /* the whole file, whatever it looks like */
} SyncDepth;

/* sync_box: folds in what other programs did to the file. */
bool sync_box(Account *account, Box *box, File *file, SyncDepth depth, GError **error);
/* list_sync: mailboxes that other programs made or removed; what a crash left undone. */
bool list_sync(Account *account, GError **error);
void sync_place(const Message *message, uint32_t uid, Place *place);
bool sync_is_known(const Message *message, const Place *place);

/* run.c */
/* run_ops: one transaction of ours. */
bool run_ops(Account *account, PhOp *const *ops, size_t n, GError **error);
extern const PhIndexHooks run_hooks;
Planned *run_plan(Account *account, const PhOp *op);

/* list.c */
/* list_settle: the file of a mailbox that was named anew or removed follows the index. */
bool list_settle(Account *account, const Box *box, bool *exists_out, GError **error);

/* commit.c */
bool commit_batch(void *account, PhTransaction *const *batch, size_t n, GError **error);

/* append.c */
/* append_batch: writes the octets that the transactions append and copy, and commits them. One
 * transaction, or several that only append. @again_out: nothing was done, and it is worth trying
 * them one by one. */
bool append_batch(Account *account,
                  PhTransaction *const *batch,
                  size_t n,
                  bool *again_out,
                  GError **error);

/* intent.c */
/* Intent: messages that are about to be appended, so that a crash in between is known as such. */
typedef struct {
	int64_t no;
	uint64_t start;
	uint32_t first_uid;
	uint32_t n;
} Intent;

void intent_write(const Account *account, const Intent *intents, size_t n);
/* intent_recover: removes what a crash left half-appended at the end of the file. */
bool intent_recover(const Account *account, const Box *box, File *file, GError **error);

/* open.c */
/* open_is_same: does the file look as it did? */
bool open_is_same(Account *account, const PhMailboxId *id);
/* open_box: the mailbox with its file, locked and in step with the index. */
bool open_box(Account *account,
              const PhMailboxId *id,
              FileMode mode,
              Box *box,
              File *file,
              GError **error);

/* rewrite.c */
/* rewrite_box: removes what was expunged and writes flags and uids into the file. */
bool rewrite_box(Account *account, Box *box, File *file, GError **error);
void rewrite_mark(Account *account, const PhMailboxId *id);
/* rewrite_due: those that have waited; @all: everything. */
void rewrite_due(Account *account, bool all);

/* former.c */
typedef struct Former Former;
void former_free(void *former);
/* former_add: a file that another one has replaced. @fd: (owned) */
void former_add(Account *account, const PhMailboxId *id, int fd, uint64_t size);
/* former_take_over: what was appended to it since is appended to the mailbox. */
bool former_take_over(Account *account, const Box *box, File *file, GError **error);
/* former_close: those that were kept long enough, or all, after a last look. */
void former_close(Account *account, bool all);

/* watch.c */
bool watch_account(void *account, void (*func)(void *user_data), void *user_data, GError **error);
/* watch_end: waits for a call under way. */
void watch_end(Account *account);

/* journal.c */
typedef struct Journal Journal;
Journal *journal_new(Account *account, const Box *box, GError **error);
bool journal_add(Journal *journal, uint64_t offset, PhSlice octets, GError **error);
/* journal_apply: makes it durable, then changes the file; @size: what it has afterwards. */
bool journal_apply(Journal *journal, File *file, uint64_t size, GError **error);
void journal_free(Journal *journal);
/* journal_is_left: did a crash interrupt a change? journal_recover: finishes it. */
bool journal_is_left(const Account *account, const Box *box);
bool journal_recover(Account *account, const Box *box, File *file, GError **error);

/* verify.c */
bool verify_account(void *account,
                    bool repair,
                    PhListLineFunc report,
                    void *user_data,
                    GError **error);
/* verify_compact: writes everything into the files that is still in the index only. */
bool verify_compact(void *account, GError **error);

/* octets.c */
/* octets_lie: is the message in the file what its place says? */
bool octets_lie(const File *file, const Place *place, bool *same_out, GError **error);
bool octets_upload(void *account,
                   PhContent *content,
                   bool durable,
                   PhBlobId *blob_out,
                   GError **error);
void octets_abandon(void *account, const PhBlobId *blob);
/* octets_used: a commit has taken it. */
void octets_used(Account *account, const PhBlobId *blob);
PhContent *octets_uploaded(Account *account, const PhBlobId *blob, GError **error);
bool octets_content(void *account,
                    const PhMailboxId *mailbox,
                    uint32_t uid,
                    const PhBlobId *blob,
                    PhContent **content_out,
                    GError **error);
/* octets_folder: (owned) path of the folder beside the index for octets outside of mboxes. */
char *octets_folder(const Account *account);
void octets_expire(Account *account);

/* subscriptions_are_unknown: the index is new. subscriptions_take_over: those of Dovecot. */
bool subscriptions_are_unknown(Account *account);
bool subscriptions_take_over(Account *account, GError **error);

#endif
