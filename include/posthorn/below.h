/* below.h: for stores that stand on another store section: compression, encryption, mirrors
 *
 * A wrapper's account begins with a PhBelow, the account of the store below. Every member of a
 * store's table that the wrapper does not change is then one of the functions here:
 *
 *	typedef struct {
 *		PhBelow below;
 *		int level;
 *	} Account;
 *
 *	static const PhStore store = {
 *		.size = sizeof store,
 *		...
 *		.mailboxes = ph_below_mailboxes,
 *		.changes = ph_below_changes,
 *		.upload = upload,
 *		...
 *		.narrow = narrow,
 *	};
 *
 * What the store below does not offer, the wrapper cannot offer either: `narrow` takes it from the
 * section's copy of the table with ph_below_narrow().
 *
 * The account below belongs to the wrapper alone: a config names the section below in no listener
 * and no route.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_BELOW_H
#define POSTHORN_BELOW_H

#include <posthorn/store.h>

G_BEGIN_DECLS

/* PhBelow: the account below; the first member of a wrapper's account. */
typedef struct {
	const PhStore *store;
	void *account;
} PhBelow;

/* ph_below_open: @section: (borrowed) a store, from PH_OPTION_SECTION. Thread: worker. Blocks:
 * yes. ph_below_close: nothing to do when it is not open. */
PH_PUBLIC bool ph_below_open(PhBelow *below,
                             PhSection *section,
                             const PhIdentity *identity,
                             GError **error);
PH_PUBLIC void ph_below_close(PhBelow *below);

/* ph_below_narrow: @table: as `narrow` has it. Abilities and limits become those of @section;
 * optional members that it lacks go. Thread: load. */
PH_PUBLIC void ph_below_narrow(PhSection *section, PhStore *table);

/* ph_below_is_exact: for wrappers that change octets. @section: the store below. Returns: false with
 * a sentence when that may change line ends, which such octets do not survive. Thread: load. */
PH_PUBLIC bool ph_below_is_exact(PhSection *section, GError **error);

/* The members of a store's table, forwarded as they are. @account: begins with a PhBelow. The
 * optional ones may be called only when the store below has them. */
PH_PUBLIC void ph_below_close_account(void *account);
PH_PUBLIC bool ph_below_mailboxes(void *account,
                                  PhMailboxInfoFunc func,
                                  void *user_data,
                                  uint64_t *list_change_out,
                                  GError **error);
PH_PUBLIC bool ph_below_changes(void *account,
                                const PhMailboxId *mailbox,
                                const PhChangesQuery *query,
                                PhChangesResult *result_out,
                                GError **error);
PH_PUBLIC bool ph_below_values(void *account,
                               const PhMailboxId *mailbox,
                               const char *prefix,
                               PhValueFunc func,
                               void *user_data,
                               GError **error);
PH_PUBLIC bool ph_below_upload(void *account,
                               PhContent *content,
                               bool durable,
                               PhBlobId *blob_out,
                               GError **error);
PH_PUBLIC void ph_below_abandon(void *account, const PhBlobId *blob);
PH_PUBLIC bool ph_below_content(void *account,
                                const PhMailboxId *mailbox,
                                uint32_t uid,
                                const PhBlobId *blob,
                                PhContent **content_out,
                                GError **error);
PH_PUBLIC bool ph_below_commit(void *account,
                               PhTransaction *const *batch,
                               size_t n,
                               GError **error);
PH_PUBLIC bool ph_below_outcome(void *account, PhTransaction *transaction, GError **error);
PH_PUBLIC void ph_below_forget(void *account, PhTime before);
PH_PUBLIC bool ph_below_refresh(void *account, const PhMailboxId *mailbox, GError **error);
PH_PUBLIC bool ph_below_sync(void *account, GError **error);
PH_PUBLIC bool ph_below_defer(void *account, int *fd_out, GError **error);
PH_PUBLIC bool ph_below_watch(void *account,
                              void (*func)(void *user_data),
                              void *user_data,
                              GError **error);
PH_PUBLIC bool ph_below_share(void *account,
                              const PhBlobId *blob,
                              void *to_account,
                              PhBlobId *blob_out,
                              GError **error);
PH_PUBLIC bool ph_below_verify(void *account,
                               bool repair,
                               PhListLineFunc report,
                               void *user_data,
                               GError **error);
PH_PUBLIC bool ph_below_compact(void *account, GError **error);

/* PhStoreMessageFunc: one message. @info, @record: borrowed for the call. False stops with the
 * error that it has set. */
typedef bool (*PhStoreMessageFunc)(const PhMailboxInfo *info,
                                   const PhRecord *record,
                                   void *user_data,
                                   GError **error);

/* ph_store_each_message: every message of an account, mailbox by mailbox in uid order, read in
 * portions so that @func may call the store. Records have their flags word, dates, octets, blob and
 * message id, not keywords and structure. Thread: worker. Blocks: yes. */
PH_PUBLIC bool ph_store_each_message(const PhStore *store,
                                     void *account,
                                     PhStoreMessageFunc func,
                                     void *user_data,
                                     GError **error);

/* ph_store_check_octets: reads the octets of every message through @store and reports those that
 * cannot be read; for the `verify` of wrappers. (How many there are it cannot compare: a record
 * tells octets on the wire, and other wrappers may stand above.) Thread: worker. Blocks: yes. */
PH_PUBLIC bool ph_store_check_octets(const PhStore *store,
                                     void *account,
                                     PhListLineFunc report,
                                     void *user_data,
                                     GError **error);

G_END_DECLS

#endif
