/* apply.h: what every store does alike when it applies transactions
 *
 * Helpers for authors of stores: which messages an operation is about, what a flag change comes to,
 * the next uid and uidvalidity, counters, limits on keywords, and a batch whose transactions are
 * each applied whole or not at all. Use as many of them as fit; none is required.
 *
 * A store that can get, set and undo entries gives ph_apply_batch a dozen small steps and has its
 * commit. One that keeps an account's metadata in memory uses PhLedger (ledger.h), which is that.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_APPLY_H
#define POSTHORN_APPLY_H

#include <posthorn/slice.h>
#include <posthorn/store.h>

G_BEGIN_DECLS

/* Thread: any, for all functions here; one object is used by one thread at a time. */

/* --- operations ------------------------------------------------------------------------------ */

/* ph_op_targets: the messages that the operation is about: those of its uids (given pairs: of its
 * from_uids) that are in @there, the uids of the mailbox. The others go to op->missing.
 * Returns: (owned); NULL with NOT_FOUND when one is missing that must exist. */
PH_PUBLIC PhUidSet *ph_op_targets(PhOp *op, const PhUidSet *there, GError **error);

/* ph_op_is_refused: does `unchanged since` forbid to alter a record with that change? Then @uid is
 * noted. @own_change: of the transaction under way, 0 when it has none yet. */
PH_PUBLIC bool ph_op_is_refused(PhOp *op, uint32_t uid, uint64_t change, uint64_t own_change);

/* ph_op_alter: what a FLAGS operation makes of a record's flags and keywords. @keywords: (inout,
 * owned) NULL-terminated; replaced when they are altered. Returns: is anything altered? */
PH_PUBLIC bool ph_op_alter(const PhOp *op, uint32_t *flags, char ***keywords);

/* ph_op_next_change: the change number of a transaction that alters something, after @last: the
 * given one when it is higher. */
PH_PUBLIC uint64_t ph_op_next_change(const PhOp *op, uint64_t last);

/* ph_uid_take: the next uid; @given: (0: none) instead. @uidnext is raised. Errors: INVALID for a
 * given one below uidnext, LIMIT when all are used. */
PH_PUBLIC bool
ph_uid_take(uint32_t *uidnext, uint32_t given, uint32_t *uid_out, GError **error);

/* ph_uidvalidity_next: a new uidvalidity; @given: (0: none) instead. @last: (inout) the account's
 * highest, which is raised. */
PH_PUBLIC uint32_t ph_uidvalidity_next(uint32_t *last, uint32_t given);

/* ph_keywords_admit: adds those of @words to @known, the keywords of a mailbox, that it has not
 * (in any case). @most, @longest: as in PhStore, 0 for the usual. Errors: LIMIT. */
PH_PUBLIC bool ph_keywords_admit(GPtrArray *known,
                                 const char *const *words,
                                 uint32_t most,
                                 uint32_t longest,
                                 GError **error);

/* ph_mailbox_info_count: counts a record in, or out when @by is -1. */
PH_PUBLIC void ph_mailbox_info_count(PhMailboxInfo *info, const PhRecord *record, int by);

/* --- transactions ------------------------------------------------------------------------------ */

/* ph_transaction_clear: as if it had never been tried; given pairs stay. */
PH_PUBLIC void ph_transaction_clear(PhTransaction *transaction);

/* ph_transaction_pack: the results as octets, to give them again. ph_transaction_unpack: gives
 * them; false when they belong to a transaction with other operations. */
PH_PUBLIC GBytes *ph_transaction_pack(const PhTransaction *transaction);
PH_PUBLIC bool ph_transaction_unpack(PhTransaction *transaction, PhSlice packed);

/* PhApplied: ids of applied transactions with their results, in memory. */
typedef struct PhApplied PhApplied;

PH_PUBLIC PhApplied *ph_applied_new(void);
PH_PUBLIC void ph_applied_free(PhApplied *applied);

/* ph_applied_forget: ids applied before that time. */
PH_PUBLIC void ph_applied_forget(PhApplied *applied, PhTime before);

/* --- applying ---------------------------------------------------------------------------------- */

/* ph_apply_record_copy: with keywords and structure of its own. */
PH_PUBLIC PhRecord *ph_apply_record_copy(const PhRecord *record);
PH_PUBLIC void ph_apply_record_free(PhRecord *record);

/* PhApplyMailbox: a mailbox as transactions change it. */
typedef struct {
	PhMailboxInfo info;  /* its name is owned */
	PhUidSet *there;     /* uids */
	GPtrArray *keywords; /* in use, owned */
	uint64_t number;     /* the store's: short for the id */
	uint64_t edition;    /* the store's: of the transaction that may write to this copy */
} PhApplyMailbox;

PH_PUBLIC PhApplyMailbox *ph_apply_mailbox_new(const PhMailboxInfo *info);
PH_PUBLIC PhApplyMailbox *ph_apply_mailbox_copy(const PhApplyMailbox *mailbox);
PH_PUBLIC void ph_apply_mailbox_free(PhApplyMailbox *mailbox);

/* PhApplyHead: the numbers of an account. */
typedef struct {
	uint64_t change;      /* the highest */
	uint64_t own_change;  /* of the transaction under way; 0: it has altered nothing */
	uint64_t list_change;
	uint64_t n_messages;  /* of all mailboxes */
	uint64_t octets;
	uint64_t quota_octets; /* 0: no limit */
	uint64_t quota_messages;
	uint32_t uidvalidity; /* the highest */
	uint32_t reserved;
} PhApplyHead;

/* PhApplySteps: what a store must be able to do so that ph_apply_batch does the rest: all kinds of
 * operations, given results, limits, quota, counters, change numbers and ids. What was written by
 * a transaction that fails is undone by `finish`. All are required. */
typedef struct {
	size_t size; /* sizeof(PhApplySteps) */
	uint32_t max_keywords; /* as in PhStore */
	uint32_t max_keyword_length;
	PhApplyHead *(*head)(void *account);

	/* mailbox: to read it and to write to it; NULL when there is none. named: is there one? */
	PhApplyMailbox *(*mailbox)(void *account, const PhMailboxId *id);
	bool (*named)(void *account, const char *name);
	void (*create)(void *account, const PhMailboxInfo *info);
	void (*remove)(void *account, PhApplyMailbox *mailbox); /* its messages are gone already */

	/* record: one that is there. write: a new or altered one. erase: expunged, or moved when
	 * @blob is NULL; the octets that @blob names stay readable for the grace time. */
	const PhRecord *(*record)(void *account, const PhApplyMailbox *mailbox, uint32_t uid);
	void (*write)(void *account, PhApplyMailbox *mailbox, const PhRecord *record);
	void (*erase)(void *account, PhApplyMailbox *mailbox, uint32_t uid, const PhBlobId *blob);

	/* blob: is there such an upload? With @is_copy, @blob is named by one message more and may
	 * become another one. Errors: INVALID. */
	bool (*blob)(void *account, PhBlobId *blob, bool is_copy, GError **error);

	/* value: @mailbox: (nullable) the account's own; an empty one removes. */
	void (*value)(void *account, const PhMailboxId *mailbox, const char *key, PhSlice value);

	/* finish: @keep: the transaction is applied; else all since the last finish is undone. */
	void (*finish)(void *account, bool keep);
} PhApplySteps;

/* ph_apply_batch: a store's commit, for the account that it locks meanwhile. @applied: (nullable)
 * when the store looks for ids that were applied before itself. */
PH_PUBLIC void ph_apply_batch(const PhApplySteps *steps,
                              void *account,
                              PhApplied *applied,
                              PhTransaction *const *batch,
                              size_t n);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PhApplied, ph_applied_free)

G_END_DECLS

#endif
