/* mailbox.h: accounts, transactions and views, for protocols and local delivery
 *
 * The core stands between protocols and stores: it queues the transactions of all sessions of an
 * account and commits them in batches, keeps one shared state for each open mailbox, and gives
 * each client a view: sequence numbers, what it has been told, and what it must be told next.
 *
 * Reading blocks (call it from a session callback); writing never does: a transaction is built,
 * submitted with a wake, and its results are read when the session is resumed.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_MAILBOX_H
#define POSTHORN_MAILBOX_H

#include <posthorn/message.h>
#include <posthorn/session.h>
#include <posthorn/store.h>

G_BEGIN_DECLS

/* --- accounts -------------------------------------------------------------------------------- */

/* ph_account_open: a user's mail in a store section; INBOX exists afterwards. Accounts are shared
 * and cached: cheap when it is open already. Returns: (owned) a reference. Thread: worker.
 * Blocks: yes. */
PH_PUBLIC PhAccount *ph_account_open(PhSection *store, const PhIdentity *identity, GError **error);

/* ph_session_account: the same in the store of the session's listener. */
PH_PUBLIC PhAccount *ph_session_account(PhSession *session,
                                        const PhIdentity *identity,
                                        GError **error);
PH_PUBLIC PhAccount *ph_account_ref(PhAccount *account);
PH_PUBLIC void ph_account_unref(PhAccount *account);
PH_PUBLIC const PhIdentity *ph_account_identity(const PhAccount *account);

/* ph_account_abilities: PH_STORE_* of the store. ph_account_max_keywords: a mailbox. */
PH_PUBLIC uint32_t ph_account_abilities(const PhAccount *account);
PH_PUBLIC uint32_t ph_account_max_keywords(const PhAccount *account);

/* PhQuota: what an account holds and may hold; a limit of 0: none. */
typedef struct {
	uint64_t octets;
	uint64_t messages;
	uint64_t max_octets;
	uint64_t max_messages;
} PhQuota;

/* ph_account_quota: as of now. The limits are the directory's, or else the store section's.
 * ph_quota_is_full: can nothing be added at all? Pure. */
PH_PUBLIC bool ph_account_quota(PhAccount *account, PhQuota *quota_out, GError **error);
PH_PUBLIC bool ph_quota_is_full(const PhQuota *quota);

/* ph_account_mailboxes: every mailbox ordered by name, INBOX first. False of @func stops. */
PH_PUBLIC bool ph_account_mailboxes(PhAccount *account,
                                    PhMailboxInfoFunc func,
                                    void *user_data,
                                    GError **error);

/* ph_account_find: by name ("INBOX" in any case). @info_out->name is not set.
 * Errors: NOT_FOUND. */
PH_PUBLIC bool ph_account_find(PhAccount *account,
                               PhSlice name,
                               PhMailboxInfo *info_out,
                               GError **error);

/* ph_account_find_id: the same for the id alone: cheaper, because counters need not be fresh. */
PH_PUBLIC bool ph_account_find_id(PhAccount *account,
                                  PhSlice name,
                                  PhMailboxId *id_out,
                                  GError **error);

/* ph_account_values: what PUT stored. @mailbox: (nullable) the account's own. */
PH_PUBLIC bool ph_account_values(PhAccount *account,
                                 const PhMailboxId *mailbox,
                                 const char *prefix,
                                 PhValueFunc func,
                                 void *user_data,
                                 GError **error);

/* Subscriptions are account values under this prefix, followed by the mailbox name; the value is
 * "1". They outlive the mailbox (RFC 3501 6.3.6). */
#define PH_KEY_SUBSCRIPTION "subscription/"

/* ph_mailbox_name_check: may a mailbox have this name? UTF-8, 1 to 1,000 octets, at most 200
 * levels, no empty, "." or ".." component, no control character, no leading '~' or '/'.
 * Pure. @reason_out: (nullable, static) a sentence. */
PH_PUBLIC bool ph_mailbox_name_check(PhSlice name, const char **reason_out);

/* ph_account_lock_maildrop: POP3's exclusive lock, one for an account in this process; false when
 * another session has it. */
PH_PUBLIC bool ph_account_lock_maildrop(PhAccount *account);
PH_PUBLIC void ph_account_unlock_maildrop(PhAccount *account);

/* --- transactions ------------------------------------------------------------------------------ */

/* ph_transaction_new: an empty one. @id: (nullable) 16 octets; a random one otherwise.
 * Returns: (owned). Use by one thread at a time; not touched between submit and its wake. */
PH_PUBLIC PhTransaction *ph_transaction_new(PhAccount *account, const uint8_t *id);

/* ph_transaction_free: after it was resolved, or instead of submitting it (uploads are abandoned).
 * When the session dies first, hand it over with ph_transaction_detach: it frees itself. */
PH_PUBLIC void ph_transaction_free(PhTransaction *transaction);
PH_PUBLIC void ph_transaction_detach(PhTransaction *transaction);

/* PhAppendOptions: everything may be left zero. */
typedef struct {
	size_t size;
	uint32_t flags;               /* PH_FLAG_* */
	int32_t internal_zone;        /* minutes */
	PhTime internal_date;         /* 0: now */
	const char *const *keywords;  /* (nullable) */
	const PhStructure *structure; /* (nullable) when it was scanned already */
} PhAppendOptions;

/* ph_transaction_append: uploads the octets and scans their structure now. Returns the operation
 * (borrowed from the transaction) whose results hold the uid later. Blocks: yes. */
PH_PUBLIC PhOp *ph_transaction_append(PhTransaction *transaction,
                                      const PhMailboxId *mailbox,
                                      PhContent *content,
                                      const PhAppendOptions *options,
                                      GError **error);

/* The others only note what is wanted; uid sets, names and values are copied. Each returns the
 * operation. ph_transaction_create makes the mailbox id. */
PH_PUBLIC PhOp *ph_transaction_flags(PhTransaction *transaction,
                                     const PhMailboxId *mailbox,
                                     const PhUidSet *uids,
                                     uint32_t mode,
                                     uint32_t flags,
                                     const char *const *keywords);
PH_PUBLIC PhOp *ph_transaction_expunge(PhTransaction *transaction,
                                       const PhMailboxId *mailbox,
                                       const PhUidSet *uids);
PH_PUBLIC PhOp *ph_transaction_copy(PhTransaction *transaction,
                                    const PhMailboxId *mailbox,
                                    const PhUidSet *uids,
                                    const PhMailboxId *to);
PH_PUBLIC PhOp *ph_transaction_move(PhTransaction *transaction,
                                    const PhMailboxId *mailbox,
                                    const PhUidSet *uids,
                                    const PhMailboxId *to);
PH_PUBLIC PhOp *ph_transaction_create(PhTransaction *transaction,
                                      PhSlice name,
                                      uint32_t special_use);
PH_PUBLIC PhOp *ph_transaction_rename(PhTransaction *transaction,
                                      const PhMailboxId *mailbox,
                                      PhSlice name);
PH_PUBLIC PhOp *ph_transaction_remove(PhTransaction *transaction, const PhMailboxId *mailbox);
/* ph_transaction_raise: see PH_OP_RAISE. 0 raises nothing. */
PH_PUBLIC PhOp *ph_transaction_raise(PhTransaction *transaction,
                                     const PhMailboxId *mailbox,
                                     uint32_t uidnext,
                                     uint64_t change);
PH_PUBLIC PhOp *ph_transaction_put(PhTransaction *transaction,
                                   const PhMailboxId *mailbox,
                                   const char *key,
                                   PhSlice value);

/* ph_transaction_submit: queues it in the account's lane. @wake: (owned) completed when it is
 * durable or has failed: then look at done and error. Thread: any. Never blocks. */
PH_PUBLIC void ph_transaction_submit(PhTransaction *transaction, PhWake *wake);

/* ph_transaction_run: submit and wait, for tools and tests; never in a session. */
PH_PUBLIC bool ph_transaction_run(PhTransaction *transaction, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PhAccount, ph_account_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PhTransaction, ph_transaction_free)

/* --- views -------------------------------------------------------------------------------------- */

/* ph_view_open: selects a mailbox for one client. @notify: whom to notify when it may have changed.
 * Returns: (owned). Thread: session, for all view functions. Blocks: yes. Errors: NOT_FOUND. */
PH_PUBLIC PhView *ph_view_open(PhAccount *account,
                               PhSlice name,
                               bool read_only,
                               PhSessionRef notify,
                               GError **error);
PH_PUBLIC void ph_view_close(PhView *view);

PH_PUBLIC bool ph_view_is_read_only(const PhView *view);
PH_PUBLIC PhAccount *ph_view_account(const PhView *view);
PH_PUBLIC const PhMailboxId *ph_view_mailbox(const PhView *view);
PH_PUBLIC uint32_t ph_view_uidvalidity(const PhView *view);
PH_PUBLIC uint32_t ph_view_uidnext(const PhView *view);
PH_PUBLIC uint64_t ph_view_change(const PhView *view); /* HIGHESTMODSEQ of what was told */

/* Sequence numbers run from 1 to ph_view_count(). They change only inside ph_view_sync(). */
PH_PUBLIC uint32_t ph_view_count(const PhView *view);
PH_PUBLIC uint32_t ph_view_n_recent(const PhView *view);
PH_PUBLIC uint32_t ph_view_first_unseen(const PhView *view); /* sequence number, 0: none */
PH_PUBLIC uint32_t ph_view_uid(const PhView *view, uint32_t number);
PH_PUBLIC uint32_t ph_view_number(const PhView *view, uint32_t uid);   /* 0: not in the view */
PH_PUBLIC uint32_t ph_view_flags(const PhView *view, uint32_t number); /* PH_FLAG_* as known now */
PH_PUBLIC bool ph_view_is_recent(const PhView *view, uint32_t number);
PH_PUBLIC uint64_t ph_view_message_change(const PhView *view, uint32_t number);

/* ph_view_append_flags: "\Seen $Junk keyword" as in FETCH FLAGS, \Recent included, without
 * parentheses. ph_view_has_keyword: any case. */
PH_PUBLIC void ph_view_append_flags(const PhView *view, uint32_t number, GString *out);
PH_PUBLIC bool ph_view_has_keyword(const PhView *view, uint32_t number, PhSlice keyword);

/* ph_view_keywords: all keywords in use in the mailbox, NULL-terminated, borrowed until the next
 * sync. ph_view_can_add_keywords: PERMANENTFLAGS has \*. */
PH_PUBLIC const char *const *ph_view_keywords(const PhView *view);
PH_PUBLIC bool ph_view_can_add_keywords(const PhView *view);

/* ph_view_uids: sequence-number set to uids and back; numbers beyond the end are left out of the
 * result and counted in @n_missing_out (nullable). Returns: (owned). */
PH_PUBLIC PhUidSet *ph_view_uids(const PhView *view,
                                 const PhUidSet *numbers,
                                 uint64_t *n_missing_out);
PH_PUBLIC PhUidSet *ph_view_numbers(const PhView *view, const PhUidSet *uids);

/* PhViewEvents: what a client must be told, in this order. Numbers are as the client knows them at
 * that moment. */
typedef struct {
	void (*expunged)(void *user_data, uint32_t number, uint32_t uid);
	void (*count)(void *user_data, uint32_t n_messages, uint32_t n_recent); /* EXISTS, RECENT */
	void (*flags)(void *user_data, uint32_t number); /* changed by somebody: FETCH FLAGS */
	void (*keywords)(void *user_data);               /* the set of keywords grew: FLAGS */
} PhViewEvents;

/* ph_view_sync: brings the view up to date. @expunges: may messages disappear now (not during
 * FETCH, STORE, SEARCH: RFC 3501 7.4.1)? Then numbers change. Without it expunged messages stay
 * and read as GONE. Blocks: yes. Errors: GONE when the mailbox was removed. */
PH_PUBLIC bool ph_view_sync(PhView *view,
                            bool expunges,
                            const PhViewEvents *events,
                            void *user_data,
                            GError **error);

/* ph_view_needs_sync: has anything changed since the last one? Cheap. */
PH_PUBLIC bool ph_view_needs_sync(const PhView *view);

/* ph_view_quiet: the flag change @op was made by this client and need not be reported to it
 * (.SILENT); a later change by others is. Call it before the sync that follows the commit. */
PH_PUBLIC void ph_view_quiet(PhView *view, const PhOp *op, uint64_t change);

/* PhCursor: reads records of a uid set in uid order, in bounded pieces. */
typedef struct PhCursor PhCursor;
PH_PUBLIC PhCursor *ph_cursor_new(PhView *view, const PhUidSet *uids, uint32_t fields);

/* ph_cursor_next: the next record (borrowed until the next call), NULL at the end or with @error.
 * Uids that are gone are skipped; compare with what was asked for. */
PH_PUBLIC const PhRecord *ph_cursor_next(PhCursor *cursor, GError **error);
PH_PUBLIC void ph_cursor_free(PhCursor *cursor);

/* ph_view_content: a message's octets. Returns: (owned). Errors: GONE, CORRUPT. */
PH_PUBLIC PhContent *ph_view_content(PhView *view, const PhRecord *record, GError **error);

/* ph_view_structure: its MIME structure: from the record, else scanned from the octets and kept.
 * Returns: (owned). */
PH_PUBLIC PhStructure *ph_view_structure(PhView *view, const PhRecord *record, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PhView, ph_view_close)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PhCursor, ph_cursor_free)

G_END_DECLS

#endif
