/* kit.h: what the rules have in common: accounts, transactions, what is there, failing
 *
 * A rule runs alone in its process: its state is global, and the first failure ends the process
 * with the sentence that says what was wrong. So rules read as a list of what must hold.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_CONFORM_KIT_H
#define POSTHORN_CONFORM_KIT_H

#include <posthorn/apply.h>
#include <posthorn/content.h>
#include <posthorn/error.h>
#include <posthorn/slice.h>
#include <posthorn/store.h>

#include "conform/conform.h"

/* ph_kit: the store under test. */
extern PhConformStore ph_kit;

/* --- results -------------------------------------------------------------------------------- */

/* ph_kit_fail, ph_kit_skip: end the process. ph_kit_note: figures or remarks beside the result. */
void ph_kit_fail(const char *format, ...) G_GNUC_PRINTF(1, 2) G_GNUC_NORETURN;
void ph_kit_skip(const char *format, ...) G_GNUC_PRINTF(1, 2) G_GNUC_NORETURN;
void ph_kit_note(const char *format, ...) G_GNUC_PRINTF(1, 2);
void ph_kit_count(void);
int ph_kit_finish(void);
void ph_kit_report_to(int descriptor, bool is_helper);

/* KIT_CHECK: one thing that must hold; else the sentence that follows. */
#define KIT_CHECK(condition, ...)                 \
	do {                                      \
		ph_kit_count();                   \
		if (!(condition))                 \
			ph_kit_fail(__VA_ARGS__); \
	} while (0)

/* ph_kit_same_text: @what is @actual and should be @expected. */
void ph_kit_same_text(const char *what, const char *actual, const char *expected);
void ph_kit_same(const char *what, uint64_t actual, uint64_t expected);

/* ph_kit_scaled: @n times the scale, at least @least. */
uint32_t ph_kit_scaled(uint32_t n, uint32_t least);

/* --- accounts --------------------------------------------------------------------------------- */

/* PhKitAccount: an open account with its INBOX. */
typedef struct {
	void *handle;
	PhIdentity *identity;
	PhMailboxId inbox;
} PhKitAccount;

/* ph_kit_rule: the rule that is tried. Its accounts are its own. */
extern const char *ph_kit_rule;

/* ph_kit_open: the account of a user of this run and rule; @who: part of the name. As the core does, it
 * makes INBOX when there is none. */
void ph_kit_open(PhKitAccount *a, const char *who);
void ph_kit_open_limited(PhKitAccount *a, const char *who, uint64_t octets, uint64_t messages);
void ph_kit_open_user(PhKitAccount *a, const char *user, const char *domain);
void ph_kit_reopen(PhKitAccount *a);
void ph_kit_close(PhKitAccount *a);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PhKitAccount, ph_kit_close)

/* --- transactions ------------------------------------------------------------------------------- */

/* PhKitTx: a transaction being described; `op` is the last operation that was added. */
typedef struct {
	PhTransaction public;
	GPtrArray *ops;  /* PhOp, owned */
	GPtrArray *kept; /* what the operations point to */
	PhOp *op;
} PhKitTx;

PhKitTx *ph_kit_tx(void);
void ph_kit_tx_free(PhKitTx *tx);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PhKitTx, ph_kit_tx_free)

/* Adding operations; each returns the new one, whose members may be changed before the commit.
 * Uid sets are texts: "1:3,7". Keywords are words separated by blanks. */
PhOp *ph_kit_add(PhKitTx *tx, uint32_t kind, const PhMailboxId *mailbox);
PhOp *ph_kit_add_uids(PhKitTx *tx, uint32_t kind, const PhMailboxId *mailbox, const char *uids);
PhOp *ph_kit_add_flags(PhKitTx *tx, const PhMailboxId *mailbox, const char *uids, uint32_t mode);
PhOp *ph_kit_add_create(PhKitTx *tx, const char *name, PhMailboxId *id_out);
PhOp *ph_kit_add_rename(PhKitTx *tx, const PhMailboxId *mailbox, const char *name);
PhOp *ph_kit_add_transfer(PhKitTx *tx,
                          uint32_t kind,
                          const PhMailboxId *from,
                          const char *uids,
                          const PhMailboxId *to);
PhOp *ph_kit_add_put(PhKitTx *tx, const PhMailboxId *mailbox, const char *key, PhSlice value);
PhOp *ph_kit_add_append(PhKitTx *tx, PhKitAccount *a, const PhMailboxId *mailbox, PhSlice octets);
void ph_kit_set_keywords(PhKitTx *tx, PhOp *op, const char *words);
char *ph_kit_keep(PhKitTx *tx, char *text);

/* Committing. ph_kit_commit: one batch of one; was it done? ph_kit_must: it must be, and @tx is
 * freed; returns its change. ph_kit_must_fail: it must fail with @code (0: any); @tx is freed.
 * ph_kit_batch: several at once; the commit must return true. */
bool ph_kit_commit(PhKitAccount *a, PhKitTx *tx);
uint64_t ph_kit_must(PhKitAccount *a, PhKitTx *tx, const char *what);
void ph_kit_must_fail(PhKitAccount *a, PhKitTx *tx, uint32_t code, const char *what);
void ph_kit_batch(PhKitAccount *a, PhKitTx *const *txs, size_t n);

/* The most frequent ones in one word. Messages: PH_SLICE_EMPTY gives a small one of its own. */
uint32_t ph_kit_append(PhKitAccount *a, const PhMailboxId *mailbox, PhSlice octets);
void ph_kit_fill(PhKitAccount *a, const PhMailboxId *mailbox, uint32_t n);
void ph_kit_create(PhKitAccount *a, const char *name, PhMailboxId *id_out);
void ph_kit_remove(PhKitAccount *a, const PhMailboxId *mailbox);
uint64_t ph_kit_expunge(PhKitAccount *a, const PhMailboxId *mailbox, const char *uids);
uint64_t ph_kit_set_flags(PhKitAccount *a,
                          const PhMailboxId *mailbox,
                          const char *uids,
                          uint32_t mode,
                          uint32_t flags,
                          const char *keywords);
uint64_t ph_kit_transfer(PhKitAccount *a,
                         uint32_t kind,
                         const PhMailboxId *from,
                         const char *uids,
                         const PhMailboxId *to);

/* --- what is there ------------------------------------------------------------------------------ */

/* PhKitRecord: a copy of a PhRecord. */
typedef struct {
	PhRecord record;
	char *keywords; /* sorted, lower case, separated by blanks */
	char *structure;
} PhKitRecord;

/* PhKitReading: what one call of `changes` said. */
typedef struct {
	GArray *records; /* of PhKitRecord */
	PhUidSet *expunged;
	PhChangesResult result;
	uint64_t since;
	const PhUidSet *uids;
	uint32_t last_uid;
	uint32_t stop_after; /* 0: never */
} PhKitReading;

#define KIT_ALL_FIELDS                                                                    \
	(PH_FIELD_FLAGS | PH_FIELD_DATES | PH_FIELD_OCTETS | PH_FIELD_BLOB | PH_FIELD_IDS \
	 | PH_FIELD_STRUCTURE)

/* ph_kit_read: fields: PH_FIELD_*. The order, the set and `since` are checked on the way. */
PhKitReading *ph_kit_read(PhKitAccount *a,
                          const PhMailboxId *mailbox,
                          uint64_t since,
                          const char *uids,
                          uint32_t fields);
bool ph_kit_try_read(PhKitAccount *a,
                     const PhMailboxId *mailbox,
                     PhKitReading *reading,
                     uint32_t fields,
                     GError **error);
void ph_kit_reading_free(PhKitReading *reading);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PhKitReading, ph_kit_reading_free)
const PhRecord *ph_kit_record(const PhKitReading *reading, uint32_t uid);
const PhKitRecord *ph_kit_record_full(const PhKitReading *reading, uint32_t uid);

/* Texts to compare. ph_kit_messages: "1:- 2:SF+work 5:T" of the mailbox: uid, flags as letters
 * (Seen, Answered, Flagged, deleTed, Draft), keywords. ph_kit_changed: the same for what changed
 * after @since, then "gone 3:4" cut down to what was ever there (uids up to @top).
 * ph_kit_names: "INBOX a a/b", sorted. ph_kit_values: "key=value ...". ph_kit_set: "1:3,7". */
char *ph_kit_messages(PhKitAccount *a, const PhMailboxId *mailbox);
char *ph_kit_changed(PhKitAccount *a, const PhMailboxId *mailbox, uint64_t since, uint32_t top);
char *ph_kit_names(PhKitAccount *a, uint64_t *list_change_out);
char *ph_kit_values(PhKitAccount *a, const PhMailboxId *mailbox, const char *prefix);
char *ph_kit_set(const PhUidSet *set);
void ph_kit_same_messages(PhKitAccount *a, const PhMailboxId *mailbox, const char *expected);

/* ph_kit_info: the row of a mailbox; false when it is not listed (the name is not kept). */
bool ph_kit_info(PhKitAccount *a, const PhMailboxId *mailbox, PhMailboxInfo *info_out);
PhMailboxInfo ph_kit_must_info(PhKitAccount *a, const PhMailboxId *mailbox);

/* ph_kit_check_counts: every counter of every mailbox is what a scan counts. */
void ph_kit_check_counts(PhKitAccount *a);

/* --- octets --------------------------------------------------------------------------------------- */

/* ph_kit_content: opens a message. ph_kit_same_octets: what is read, in pieces, is @octets. */
PhContent *ph_kit_content(PhKitAccount *a, const PhMailboxId *mailbox, uint32_t uid);
void ph_kit_same_octets(PhContent *content, PhSlice octets);
void ph_kit_check_octets(PhKitAccount *a, const PhMailboxId *mailbox, uint32_t uid, PhSlice octets);

/* ph_kit_generated: octets that are made as they are read, the same for the same seed; ends with
 * CRLF. ph_kit_check_generated: the content is that. */
PhContent *ph_kit_generated(uint64_t seed, uint64_t length);
void ph_kit_check_generated(PhContent *content, uint64_t seed, uint64_t length);
PhSlice ph_kit_small(void);

uint64_t ph_kit_random(void);
uint64_t ph_kit_now_us(void);

/* ph_kit_peak: octets of memory that this process has had at most. */
uint64_t ph_kit_peak(void);

/* --- processes ------------------------------------------------------------------------------------- */

/* ph_kit_start: starts this program once more in @role. @output_out: a pipe from its standard
 * output. @environment: (nullable) instead of this process's. ph_kit_end: waits; was the status 0? */
GPid ph_kit_start(const char *const *role, int *output_out);
GPid ph_kit_start_in(const char *const *role, char **environment, int *output_out);
bool ph_kit_end(GPid pid);

/* The roles: crash.c, full.c, power.c, together.c, life.c. */
int ph_kit_role_write(const char *const *words);
int ph_kit_role_fill(const char *const *words);
int ph_kit_role_append(const char *const *words);
int ph_kit_role_list(const char *const *words);
int ph_kit_role_prepare(const char *const *words);
int ph_kit_role_look(const char *const *words);
int ph_kit_role_unsynced(const char *const *words);
int ph_kit_role_unsynced_look(const char *const *words);

/* ph_kit_is: does the store say so? PH_STORE_*. */
bool ph_kit_is(uint32_t ability);

extern const PhConformRule ph_conform_messages[];
extern const PhConformRule ph_conform_flags[];
extern const PhConformRule ph_conform_mailboxes[];
extern const PhConformRule ph_conform_transactions[];
extern const PhConformRule ph_conform_given[];
extern const PhConformRule ph_conform_uids[];
extern const PhConformRule ph_conform_changes[];
extern const PhConformRule ph_conform_values[];
extern const PhConformRule ph_conform_content[];
extern const PhConformRule ph_conform_limits[];
extern const PhConformRule ph_conform_isolation[];
extern const PhConformRule ph_conform_life[];
extern const PhConformRule ph_conform_large[];
extern const PhConformRule ph_conform_together[];
extern const PhConformRule ph_conform_crash[];
extern const PhConformRule ph_conform_full[];
extern const PhConformRule ph_conform_power[];
extern const PhConformRule ph_conform_speed[];

#endif
