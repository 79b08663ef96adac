/* account-registry.h: all accounts of the process; shared by the files that keep them
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_MAILBOX_ACCOUNT_REGISTRY_H
#define PH_MAILBOX_ACCOUNT_REGISTRY_H

#include "journal/journal.h"
#include "mailbox/account.h"

typedef struct {
	PhLock lock;          /* guards all */
	GHashTable *accounts; /* key -> PhAccount, not counted */
	GPtrArray *open;      /* PhAccount with an open handle */
	size_t max_open;
	PhJournal *journal; /* (nullable) */
	bool defers;        /* handles that are opened now defer their commits */
	bool is_switching;  /* none is opened now */
	unsigned n_moving;  /* handles that are being opened or closed */
	PhSignal moved;
	bool ready;      /* `moved` is */
	gint n_siblings; /* accounts that have one; read atomically */
	gint is_beside;  /* another process uses the accounts too; read atomically */
} PhAccountRegistry;

extern PhAccountRegistry ph_account_registry;

/* ph_accounts_close_oldest: of a section (nullable) whose idle handles are more than @keep: the one used
 * longest ago; false when there was none. */
bool ph_accounts_close_oldest(PhSection *section, size_t keep);

/* ph_account_siblings: the accounts with the same key but this one. Returns: (owned, nullable) references;
 * NULL when there are none, which costs nothing. */
GPtrArray *ph_account_siblings(PhAccount *self);

/* ph_accounts_moved: a handle was opened or closed. With the registry's lock held. */
void ph_accounts_moved(void);

#endif
