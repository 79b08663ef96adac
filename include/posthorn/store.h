/* store.h: the contract of a storage backend
 *
 * A store keeps accounts; an account is everything one user has, and the unit of atomicity, quota
 * and notification. The store lists mailboxes, reports what changed since a change number, takes
 * octets, reads them, and applies described transactions. It knows nothing of sequence numbers,
 * sessions, IMAP or POP3.
 *
 * Promises that every store keeps, each proved by the conformance kit:
 * [STORE-1] A transaction is applied whole or not at all; a crash anywhere leaves the old state or
 *           the new one.
 * [STORE-2] What `commit` has returned as done survives the loss of power at that instant.
 * [STORE-3] Uids ascend: once one is visible no smaller one appears; none is used twice under one
 *           uidvalidity. A new uidvalidity is max(account counter, clock) + 1 and never lower.
 * [STORE-4] Change numbers rise with every commit that alters a mailbox. A flag change that alters
 *           nothing takes no new change number.
 * [STORE-5] A transaction id applied again changes nothing and gives the first result; ids are
 *           remembered for at least 24 hours.
 * [STORE-6] Content is readable for the grace time after its message was expunged, then GONE.
 * [STORE-7] No member returns data of another account, whatever it is given.
 * [STORE-8] No call needs a whole mailbox in memory.
 *
 * Threads: members are called on workers and may block. Calls on one account object never overlap,
 * except upload, abandon, content, changes, mailboxes and values, which may run beside anything.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_STORE_H
#define POSTHORN_STORE_H

#include <posthorn/content.h>
#include <posthorn/identity.h>
#include <posthorn/plugin.h>
#include <posthorn/record.h>

G_BEGIN_DECLS

typedef bool (*PhMailboxInfoFunc)(const PhMailboxInfo *info, void *user_data);
typedef void (*PhListLineFunc)(const char *line, void *user_data);
typedef bool (*PhValueFunc)(const char *key, PhSlice value, void *user_data);

/* --- transactions --------------------------------------------------------------------------- */

typedef enum {
	PH_OP_APPEND = 1,
	PH_OP_FLAGS = 2,
	PH_OP_EXPUNGE = 3, /* the uids, whatever their flags */
	PH_OP_COPY = 4,
	PH_OP_MOVE = 5,
	PH_OP_CREATE = 6,
	PH_OP_RENAME = 7,
	PH_OP_REMOVE = 8,
	PH_OP_PUT = 9,
	PH_OP_RAISE = 10, /* a mailbox's uidnext and change, see given results */
} PhOpKind;

/* Lengths of what PUT keeps. The core puts at most PH_VALUE_MAX octets under a key; a store takes
 * PH_VALUE_ROOM more, for what one that stands on it adds (encryption does). */
enum {
	PH_VALUE_MAX = 64 * 1024,
	PH_VALUE_ROOM = 256,
};

typedef enum {
	PH_FLAGS_ADD = 1,
	PH_FLAGS_REMOVE = 2,
	PH_FLAGS_REPLACE = 3,
} PhFlagsMode;

/* PhOp: one described change. Which members hold for which kind stands beside them. Allocated by
 * the core; a store reads the first part and fills in the results.
 *
 * Given results: with has_given an operation carries what was decided elsewhere (by a journal that
 * is replayed, an import, the first store of a mirror), and the store takes it as it is:
 *
 *	any     given_change: when it is higher than every change of the account, it is the
 *	        transaction's change; else the store counts on as usual. 0: not given
 *	APPEND  given_uid: at least the mailbox's uidnext, else INVALID. 0: not given
 *	CREATE  given_uidvalidity (0: not given); given_uid: the first uidnext (0: 1)
 *	COPY,   from_uids and to_uids hold the pairs, as many in each, to_uids at least the target's
 *	MOVE    uidnext, else INVALID. @uids is not looked at; the sets stay as they are, and `missing`
 *	        tells which of from_uids were not there
 *	RAISE   raises the mailbox's uidnext to given_uid and its change to given_change; it is always
 *	        given, and never lowers either
 *
 * Given results never lower uidnext or change, and quota does not refuse what was taken
 * elsewhere. */
typedef struct {
	uint32_t kind;               /* PhOpKind */
	uint32_t flags;              /* APPEND, FLAGS: PH_FLAG_* */
	PhMailboxId mailbox;         /* all but account PUT */
	PhMailboxId to;              /* COPY, MOVE: another mailbox of the account */
	const PhUidSet *uids;        /* FLAGS, EXPUNGE, COPY, MOVE */
	const char *const *keywords; /* APPEND, FLAGS: NULL-terminated, never NULL */
	uint32_t flags_mode;         /* FLAGS: PhFlagsMode */
	bool has_unchanged_since;    /* FLAGS: 0 is a value (RFC 7162) */
	bool must_exist; /* FLAGS, COPY, MOVE: a missing uid fails the transaction: NOT_FOUND */
	bool is_account_value; /* PUT: of the account, not of a mailbox */
	bool has_given;        /* any: results were decided elsewhere, see above */
	uint64_t unchanged_since;
	PhBlobId blob;          /* APPEND: from upload */
	uint64_t octets;        /* APPEND: on the wire */
	PhTime internal_date;   /* APPEND */
	int32_t internal_zone;  /* APPEND: minutes east of UTC */
	uint32_t special_use;   /* CREATE: PH_USE_*; RENAME: 0 leaves it as it is */
	PhTime save_date;       /* APPEND, COPY, MOVE */
	uint8_t message_id[16]; /* APPEND */
	PhSlice structure;      /* APPEND: serialised; may be empty */
	const char *name;       /* CREATE, RENAME: the new name; RENAME: may be that which it has */
	const char *key;        /* PUT: at most 1,024 octets, UTF-8 */
	PhSlice value;          /* PUT: at most 64 KiB, see PH_VALUE_ROOM; empty removes */
	uint32_t given_uid;     /* with has_given; 0: not given */
	uint32_t given_uidvalidity;
	uint64_t given_change;
	/* results */
	uint32_t uid;         /* APPEND: the new uid */
	uint32_t uidvalidity; /* APPEND, COPY, MOVE: of the target; CREATE */
	PhUidSet *refused;    /* FLAGS: changed since; empty at first, owned by the core */
	PhUidSet *missing;    /* FLAGS, EXPUNGE, COPY, MOVE: not there */
	PhUidSet *from_uids;  /* COPY, MOVE: in the order of the pairs; given: by the caller */
	PhUidSet *to_uids;    /* COPY, MOVE: ascending, paired with from_uids one by one */
} PhOp;

/* PhTransaction: operations that happen together. */
typedef struct {
	uint8_t id[16];
	PhOp *const *ops;
	uint32_t n_ops;
	/* results: set by the store for each transaction of a batch whose commit returned true */
	bool done;       /* applied, now or before */
	uint64_t change; /* its change number */
	GError *error;   /* (owned by the transaction) why not, when not done */
} PhTransaction;

/* --- the table ------------------------------------------------------------------------------- */

/* PhStoreAbilities: what IMAP's capability string and the tools are computed from. */
enum {
	PH_STORE_CHEAP_COPY = 1U << 0, /* copies share octets */
	PH_STORE_EXACT_QUOTA = 1U << 1,
	PH_STORE_SHARED_PROCESSES = 1U << 2,
	PH_STORE_SHARED_NODES = 1U << 3,
	PH_STORE_FOREIGN_WRITERS = 1U << 4, /* other programs change it: refresh and watch matter */
	PH_STORE_VOLATILE = 1U << 5,        /* forgets everything with the process: for tests */
	PH_STORE_MENDS_LINES = 1U << 6,     /* a bare CR or LF may come back as CRLF */
	PH_STORE_HIDES_OCTETS = 1U << 7,    /* encrypted: octets are never kept in the journal */
	PH_STORE_COMPACTS_BESIDE = 1U << 8, /* compact may run beside anything, commits included */
};

struct PhStore {
	size_t size;
	uint32_t abilities;          /* PH_STORE_* */
	uint32_t max_keywords;       /* a mailbox; 0: 64 */
	uint32_t max_keyword_length; /* 0: 100 */
	uint32_t reserved;

	/* create: for one section. Must not connect or open databases (the worker process starts
	 * later). Required. Thread: load. destroy: required. Thread: main. */
	bool (*create)(PhSection *section,
	               const void *settings,
	               void **instance_out,
	               GError **error);
	void (*destroy)(void *instance);

	/* open_account: attaches to a user's mail, creating it on first use. Cheap: called at every
	 * login and delivery. @identity: (borrowed; take a reference) limits come with it. At most
	 * one account object for a user and section is open at a time in a process.
	 * Required. Blocks: yes. Errors: TEMPORARY, CORRUPT, DENIED.
	 * close_account: nothing of it is used any more. Required. */
	bool (*open_account)(void *instance,
	                     const PhIdentity *identity,
	                     void **account_out,
	                     GError **error);
	void (*close_account)(void *account);

	/* mailboxes: every mailbox, in any order, from one consistent snapshot. @list_change_out:
	 * rises when a mailbox is created, renamed or removed.
	 * Required. Blocks: yes. */
	bool (*mailboxes)(void *account,
	                  PhMailboxInfoFunc func,
	                  void *user_data,
	                  uint64_t *list_change_out,
	                  GError **error);

	/* changes: see PhChangesQuery. Never writes. Required. Blocks: yes.
	 * Errors: GONE for a removed mailbox. */
	bool (*changes)(void *account,
	                const PhMailboxId *mailbox,
	                const PhChangesQuery *query,
	                PhChangesResult *result_out,
	                GError **error);

	/* values: what PUT stored under keys that begin with @prefix, in key order. @mailbox:
	 * (nullable) the account's own. Required. Blocks: yes. */
	bool (*values)(void *account,
	               const PhMailboxId *mailbox,
	               const char *prefix,
	               PhValueFunc func,
	               void *user_data,
	               GError **error);

	/* upload: takes octets in constant memory; what no commit names disappears by itself, also
	 * after a crash. @content: (borrowed; take a reference to keep it). @durable: octets and
	 * name must survive power loss on return (else at the latest when a commit that names the
	 * blob returns). Required. Thread: worker, concurrently. Blocks: yes.
	 * Errors: TEMPORARY (disk full), TOO_LARGE. */
	bool (*upload)(void *account,
	               PhContent *content,
	               bool durable,
	               PhBlobId *blob_out,
	               GError **error);

	/* abandon: no further commit will name that upload. Called for those that a commit has named
	 * too: their messages keep their octets. Required. */
	void (*abandon)(void *account, const PhBlobId *blob);

	/* content: opens a message's octets. @content_out: (out, owned): outlives the account.
	 * Required. Blocks: yes. Errors: GONE, CORRUPT. */
	bool (*content)(void *account,
	                const PhMailboxId *mailbox,
	                uint32_t uid,
	                const PhBlobId *blob,
	                PhContent **content_out,
	                GError **error);

	/* commit: applies a batch; see the promises above. Sets done, change and error of each
	 * transaction and the results of its operations. Operations say what is wanted and carry no
	 * computed values, so a batch may be evaluated several times.
	 * Required. Blocks: yes. Never two at once for one account.
	 * Returns: false when nothing of the batch was applied (@error: TEMPORARY ...), or when the
	 * engine cannot say (OUTCOME_UNKNOWN: the account waits, asks `outcome`, and commits the
	 * same ids again until there is an answer). */
	bool (*commit)(void *account, PhTransaction *const *batch, size_t n, GError **error);

	/* outcome: was the transaction applied? Sets its done, change and results when it was;
	 * false with @error when the engine cannot say yet. forget: the core will not ask for ids
	 * older than @before any more. Optional. Thread: worker. Blocks: yes. */
	bool (*outcome)(void *account, PhTransaction *transaction, GError **error);
	void (*forget)(void *account, PhTime before);

	/* Optional; the core has a default for each.
	 * refresh: folds in what other programs did to the mailbox, as commits of the store's own
	 * (new uids, flag changes, expunges, each with a change number). @mailbox: (nullable) NULL:
	 * what they did to the list of mailboxes. With PH_STORE_FOREIGN_WRITERS the core calls it
	 * before a mailbox is opened, when a session asks for news, looks at the counters or at the
	 * list (at most about every 100 ms without a hint), on a hint and every 30 s while a
	 * mailbox is open; never beside a commit. What it altered is seen in `mailboxes`. So it is
	 * cheap when nothing happened. Errors: those of commit; NOT_FOUND, GONE for the mailbox.
	 * sync: makes durable what was deferred.
	 * watch: calls @func(user_data) when the account may have changed, from any thread, until
	 * close_account, which waits for a call under way. Hints may be lost, merged, repeated, and
	 * given for the store's own commits. Called at most once for an account object.
	 * share: names the blob in another account of the same section without a second upload.
	 * verify, repair: @report gets one line for each finding. compact: gives space back; with
	 * PH_STORE_COMPACTS_BESIDE it may run beside commits, and lets them go first. */
	bool (*refresh)(void *account, const PhMailboxId *mailbox, GError **error);
	bool (*sync)(void *account, GError **error);
	bool (*watch)(void *account,
	              void (*func)(void *user_data),
	              void *user_data,
	              GError **error);
	bool (*share)(void *account,
	              const PhBlobId *blob,
	              void *to_account,
	              PhBlobId *blob_out,
	              GError **error);
	bool (*verify)(void *account,
	               bool repair,
	               PhListLineFunc report,
	               void *user_data,
	               GError **error);
	bool (*compact)(void *account, GError **error);

	/* narrow: for a store that stands on others (below.h): what this section's own copy of the
	 * table can truthfully offer, now that the stores below are known. It may clear optional
	 * members and set abilities and the limits of keywords; members beyond table->size do not
	 * exist. Called once after create. Optional. Thread: load. */
	void (*narrow)(void *instance, struct PhStore *table);

	/* defer: from now on `commit` makes changes of this account object visible and consistent, but
	 * not durable: the server's journal does that (`[server] durability = journal`). Called once,
	 * right after open_account. After the loss of power the account may be as it was after any
	 * earlier commit, whole transactions only, with their ids. The core then commits the later ones
	 * again with given results and their ids; of an id that is known the store checks that the octets
	 * which the operations name are there, and takes them from the upload if not. Octets of a
	 * dropped message are removed only when the drop is durable. What upload was asked to make
	 * durable still is, and kept for days when no commit names it. `sync` makes everything of the
	 * account durable, whichever process did it; so does syncfs().
	 * @fd_out: (out, owned by the core) any open file or folder, readable, on the file system on which
	 * the account lies. Left out by a store that cannot. Optional. Blocks: yes. */
	bool (*defer)(void *account, int *fd_out, GError **error);
};

G_END_DECLS

#endif
