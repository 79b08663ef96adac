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
	PH_LANE_STEP = 10000, /* messages of one step of a large operation */
	PH_LANE_THREADS = 32,
	PH_ACCOUNT_KEYWORDS = 64, /* of a mailbox, that views can hold */
};

/* PhAccountsParams: of the process; 0 means the default. */
typedef struct {
	size_t open_accounts; /* [server] open-accounts: 500 */
} PhAccountsParams;

/* ph_accounts_configure: Thread: load. */
void ph_accounts_configure(const PhAccountsParams *params);

/* ph_accounts_forget_section: closes what is open in a section that goes away (NULL: in all);
 * transactions under way are waited for. Thread: main. Blocks: yes. */
void ph_accounts_forget_section(PhSection *section);

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

typedef enum {
	PH_HANDLE_CLOSED,
	PH_HANDLE_MOVING, /* being opened or closed */
	PH_HANDLE_OPEN,
} PhHandleState;

struct PhAccount {
	gint n_refs;
	char *key;
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
	PhNames *names;          /* (nullable) as last read */
	uint64_t list_version;   /* rises when a mailbox is made, named or removed */
	uint64_t counts_version; /* rises with every commit */
	GQueue waiting;          /* the lane: transactions not yet taken */
	bool scheduled;          /* the lane is in the pool's queue or being worked on */
	GHashTable *mailboxes;   /* PhMailboxId -> PhMailbox: open ones, not counted */
};

/* ph_account_acquire: the engine's handle, opened when needed, until release. Blocks: yes. */
void *ph_account_acquire(PhAccount *account, GError **error);
void ph_account_release(PhAccount *account);

/* PhAccountCall: one call of the store: handle and bracket together. */
typedef struct {
	PhAccount *account;
	const PhStore *table;
	void *engine;
	PhCall call;
} PhAccountCall;

/* ph_account_enter: false with @error: the call must not be made. ph_account_leave: @ok: false
 * counts an error. Blocks: yes. */
bool ph_account_enter(PhAccount *account, PhAccountCall *call, GError **error);
void ph_account_leave(PhAccountCall *call, bool ok);

/* ph_account_mailbox: the shared state of one mailbox; kept as long as the account. Returns:
 * (owned) a reference. Thread: any. */
PhMailbox *ph_account_mailbox(PhAccount *account, const PhMailboxId *id);

/* ph_account_names: as it is now. Returns: (owned) ph_names_unref. */
PhNames *ph_account_names(PhAccount *account, GError **error);
void ph_names_unref(PhNames *names);

guint ph_mailbox_id_hash(gconstpointer key);
gboolean ph_mailbox_id_equal(gconstpointer a, gconstpointer b);

/* ph_account_touched: something in the mailbox was committed: whoever has it open is told. */
void ph_account_touched(PhAccount *account, const PhMailboxId *id, uint64_t change);

/* ph_mailbox_random: for ids. */
void ph_mailbox_random(uint8_t *octets, size_t length);

#endif
