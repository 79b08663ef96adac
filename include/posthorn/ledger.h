/* ledger.h: PhLedger, the metadata of one account in memory
 *
 * What PhIndex is on SQLite, this is in memory: mailboxes, records, flags, keywords, change numbers,
 * expunges, values and the ids of applied transactions, every transaction whole or not at all. It
 * is for stores that hold accounts in memory, for tests, and as the model that others are compared
 * with. What it does not hold are octets: two hooks tell the store when blobs are named and dropped.
 *
 * Members may be called by several threads; the hooks are called inside them.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_LEDGER_H
#define POSTHORN_LEDGER_H

#include <posthorn/store.h>

G_BEGIN_DECLS

typedef struct PhLedger PhLedger;

/* PhLedgerHooks: NULL members do nothing. */
typedef struct {
	size_t size; /* sizeof(PhLedgerHooks) */

	/* use: a message names @blob. With @is_copy it is named by one more, and @blob may become
	 * another id. The transaction may be undone: then `drop` is called. Errors: INVALID when
	 * there is no such upload. */
	bool (*use)(void *user_data, PhBlobId *blob, bool is_copy, GError **error);

	/* drop: the message that had it was expunged, or its transaction undone. */
	void (*drop)(void *user_data, const PhBlobId *blob);
} PhLedgerHooks;

/* ph_ledger_new: @hooks: (nullable) lives as long as the ledger. */
PH_PUBLIC PhLedger *ph_ledger_new(const PhLedgerHooks *hooks, void *user_data);
PH_PUBLIC void ph_ledger_free(PhLedger *ledger);

/* ph_ledger_set_quota: limits from now on; 0: none. */
PH_PUBLIC void ph_ledger_set_quota(PhLedger *ledger, uint64_t octets, uint64_t messages);

/* The store's members of the same names. No callback may call the ledger. */
PH_PUBLIC bool ph_ledger_mailboxes(PhLedger *ledger,
                                   PhMailboxInfoFunc func,
                                   void *user_data,
                                   uint64_t *list_change_out,
                                   GError **error);
PH_PUBLIC bool ph_ledger_changes(PhLedger *ledger,
                                 const PhMailboxId *mailbox,
                                 const PhChangesQuery *query,
                                 PhChangesResult *result_out,
                                 GError **error);
PH_PUBLIC bool ph_ledger_values(PhLedger *ledger,
                                const PhMailboxId *mailbox,
                                const char *prefix,
                                PhValueFunc func,
                                void *user_data,
                                GError **error);
PH_PUBLIC bool ph_ledger_commit(PhLedger *ledger,
                                PhTransaction *const *batch,
                                size_t n,
                                GError **error);
PH_PUBLIC void ph_ledger_forget(PhLedger *ledger, PhTime before);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PhLedger, ph_ledger_free)

G_END_DECLS

#endif
