/* account.h: an account's inside: handle, lane, names, open mailboxes
 *
 * Locks, in the order in which they may be taken: the registry's, an account's, a mailbox's. None
 * is held across a call into a store.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_MAILBOX_ACCOUNT_H
#define PH_MAILBOX_ACCOUNT_H

#include <posthorn/error.h>
#include <posthorn/mailbox.h>

#include "base/lock.h"
#include "config/section.h"
#include "mailbox/mailbox.h"
#include "net/services.h"
#include "plugin/call.h"

enum {
	PH_ACCOUNTS_OPEN = 500, /* engine handles kept open */
	PH_LANE_OPS = 1000,     /* of one batch */
	PH_LANE_OCTETS = 4 * 1024 * 1024,
	PH_LANE_STEP = 10000, /* messages of one step of a large operation, at first */
	PH_LANE_STEP_MIN = 2500,
	PH_LANE_STEP_MAX = 100000,
	PH_LANE_THREADS = 32,
	PH_ACCOUNT_KEYWORDS = 64, /* of a mailbox, that views can hold */
};

/* PhAccountsParams: of the process; 0 means the default. */
typedef struct {
	size_t open_accounts;      /* [server] open-accounts: 500 */
	struct PhJournal *journal; /* (nullable, borrowed) outlives all accounts */
	bool commits_directly;     /* until ph_accounts_use_journal(): another process is there */
} PhAccountsParams;

/* ph_accounts_configure: Thread: load. */
void ph_accounts_configure(const PhAccountsParams *params);

/* ph_accounts_forget_section: closes what is open in a section that goes away (NULL: in all);
 * transactions under way are waited for. Thread: main. Blocks: yes. */
void ph_accounts_forget_section(PhSection *section);

/* ph_accounts_begin_switch: another process will own the journal: every handle is closed, and none is
 * opened, until ph_accounts_end_switch(), after which commits are durable in the stores, or with
 * @journal (nullable, borrowed) deferred again. False: some handle was in use all the time, or until
 * @cancelled (atomic) became true, and everything is as before. ph_accounts_use_journal: from now on;
 * handles change when nobody uses them. Thread: any, one at a time. Blocks: yes. */
bool ph_accounts_begin_switch(PhDuration within, gint *cancelled);
void ph_accounts_end_switch(struct PhJournal *journal);
void ph_accounts_use_journal(struct PhJournal *journal);

/* ph_accounts_sync: everything in the section that was acknowledged is durable in the store itself, so
 * that a copy of its files is complete. Thread: any. Blocks: yes. */
bool ph_accounts_sync(PhSection *section, GError **error);

/* ph_accounts_replay: opens every account that an unclean stop left to be replayed, on a thread of
 * its own. @config: referenced. ph_accounts_stop_replay: what is not done then is done by the next
 * process. Thread: main. */
void ph_accounts_replay(PhConfig *config);
void ph_accounts_stop_replay(void);

/* ph_accounts_new: the store of a listener, for PhServices. @store: (borrowed). Thread: load. */
PhAccounts *ph_accounts_new(PhSection *store);
void ph_accounts_free(PhAccounts *accounts);

/* PhNames: the mailbox list at one moment, INBOX first, then by name. Counted, never changed. */
typedef struct {
	gint n_refs;
	uint32_t n;
	uint64_t list_version; /* the account's when it was read */
	uint64_t counts_version;
	PhMailboxInfo infos[];
} PhNames;

/* ph_transaction_use: the mailbox's special use from now on. */
PhOp *ph_transaction_use(PhTransaction *transaction,
                         const PhMailboxInfo *info,
                         uint32_t special_use);

typedef enum {
	PH_HANDLE_CLOSED,
	PH_HANDLE_MOVING, /* being opened or closed */
	PH_HANDLE_OPEN,
} PhHandleState;

struct PhAccount {
	gint n_refs;
	char *key;
	struct PhAccount *sibling; /* (nullable) of the same key, made by an earlier config */
	uint64_t echo;             /* of the key, for other processes */
	PhSection *section;
	PhConfig *config; /* (nullable) the section's, kept: a commit may outlast a reload */
	const PhStore *store;
	PhIdentity *identity; /* as the directory gave it last; read atomically */
	GPtrArray *former;    /* (nullable) identities before: somebody may still look at them */
	PhLock lock;          /* guards what follows */
	PhSignal moved;       /* the handle's state has changed */
	void *handle;
	PhHandleState state;
	unsigned n_users; /* of the handle now */
	bool is_outdated; /* the handle was opened with another quota */
	uint64_t last_used;
	PhMailboxId inbox;
	bool has_inbox;
	bool maildrop_locked;
	PhNames *names;            /* (nullable) as last read */
	uint64_t list_version;     /* rises when a mailbox is made, named or removed */
	uint64_t counts_version;   /* rises with every commit */
	GQueue waiting;            /* the lane: transactions not yet taken */
	uint32_t step;             /* messages of a step; 0: not known yet */
	bool scheduled;            /* the lane is in the pool's queue or being worked on */
	GHashTable *mailboxes;     /* PhMailboxId -> PhMailbox: open ones, not counted */
	struct PhForeign *foreign; /* (nullable) set once: other programs may write too */
	char *moved_to;            /* (nullable) the section that serves the user; never changes */
	bool is_held;              /* no commit begins: ph_account_hold() */
	gint is_retired;           /* every further call is GONE; read atomically */
	struct PhJournal *journal; /* (nullable) commits are deferred; of the handle, constant while
	                              somebody uses it */
	struct PhJournal *expecting; /* (nullable) while it is scheduled: told that more comes */
	uint64_t entered;            /* the journal's position behind the last commit */
	uint64_t n_begun;            /* commits */
	uint64_t n_entered;          /* of them, in the journal or failed */
};

/* PhLimits: of one account; 0: none. */
typedef struct {
	uint64_t octets;
	uint64_t messages;
} PhLimits;

/* Values of the account under this prefix are the server's own. */
#define PH_KEY_OWN "posthorn/"

/* ph_account_limits: the directory's, or where it gives none the section's. */
PhLimits ph_account_limits(PhSection *store, const PhIdentity *identity);

/* ph_account_attach: the account without making INBOX and wherever it was moved: for tools.
 * ph_account_get: the same for the section that the instance was made for. Returns: (owned). */
PhAccount *ph_account_attach(PhSection *store, const PhIdentity *identity, const PhLimits *limits);
PhAccount *ph_account_get(PhSection *section, const PhIdentity *identity, const PhLimits *limits);

/* ph_account_hold: until ph_account_let_go() no commit begins; returns when the one under way is
 * done, so that the holder may call members which overlap with no commit. What is submitted
 * meanwhile waits. One holder at a time, others wait. Thread: any but the lane's. Blocks: yes. */
void ph_account_hold(PhAccount *account);
void ph_account_let_go(PhAccount *account);

/* ph_account_commit_held: commits one transaction of the holder's. Blocks: yes. */
bool ph_account_commit_held(PhAccount *account, PhTransaction *transaction, GError **error);

/* ph_account_mark_moved: notes durably that @section serves the user from now on. ph_account_retire:
 * whoever uses the account is told that it is gone and opens it again there. Both by the holder.
 * ph_account_moved_to: @section_out: (out, owned, nullable). */
bool ph_account_mark_moved(PhAccount *account, const char *section, GError **error);
void ph_account_retire(PhAccount *account, const char *section);
bool ph_account_moved_to(PhAccount *account, char **section_out, GError **error);

/* ph_account_tell_others: what was committed here may be seen through an earlier or a later config, in
 * this process or another: whoever has it open there is told. When it is durable.
 * ph_accounts_set_beside: another process is there. ph_accounts_hear: tells sessions of what it did
 * since the last call. Thread of the last two: main. */
void ph_account_tell_others(PhAccount *account);
void ph_accounts_set_beside(bool is_beside);
void ph_accounts_hear(void);

/* ph_account_touch_all: everybody who has a mailbox open is told to look again.
 * ph_account_forget_names: the mailbox list is read anew. */
void ph_account_touch_all(PhAccount *account);
void ph_account_forget_names(PhAccount *account);

/* ph_account_acquire: the engine's handle, opened when needed, until release. Blocks: yes. */
void *ph_account_acquire(PhAccount *account, GError **error);
void ph_account_release(PhAccount *account);

/* PhAccountCall: one call of the store: handle and bracket together. */
typedef struct {
	PhAccount *account;
	const PhStore *table;
	void *engine;
	PhCall call;
	bool is_blind; /* nothing of the account is seen by it */
} PhAccountCall;

/* ph_account_enter: false with @error: the call must not be made. ph_account_leave: @ok: false
 * counts an error. Blocks: yes. */
bool ph_account_enter(PhAccount *account, PhAccountCall *call, GError **error);
void ph_account_leave(PhAccountCall *call, bool ok);

/* ph_account_show: what this thread's session tells next was read from the account: its output waits
 * until all that was committed before is durable. ph_account_leave() does it. Blocks: while a
 * commit is on its way into the journal. */
void ph_account_show(PhAccount *account);

/* replay.c: ph_account_prepare: for a handle just opened: defers, and replays what waits. */
bool ph_account_prepare(PhAccount *account, void *engine, GError **error);

/* ph_accounts_journal: (borrowed, nullable) of the process. ph_account_journal: (borrowed, nullable) the
 * one that a handle opened now would use. */
struct PhJournal *ph_accounts_journal(void);
struct PhJournal *ph_account_journal(const PhAccount *account);

/* ph_account_mailbox: the shared state of one mailbox; kept as long as the account. Returns:
 * (owned) a reference. Thread: any. */
PhMailbox *ph_account_mailbox(PhAccount *account, const PhMailboxId *id);

/* ph_account_names: as it is now. Returns: (owned) ph_names_unref. */
PhNames *ph_account_names(PhAccount *account, GError **error);
PhNames *ph_names_ref(PhNames *names);
void ph_names_unref(PhNames *names);

guint ph_mailbox_id_hash(gconstpointer key);
gboolean ph_mailbox_id_equal(gconstpointer a, gconstpointer b);

/* ph_account_touched: something in the mailbox was committed: whoever has it open is told. */
void ph_account_touched(PhAccount *account, const PhMailboxId *id, uint64_t change);

/* ph_mailbox_random: for ids. */
void ph_mailbox_random(uint8_t *octets, size_t length);

#endif
