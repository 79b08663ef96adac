/* read.h: an account's mailboxes, messages and values as a tool reads them
 *
 * Everything is asked of the store itself, past the states that sessions share.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_TOOLS_READ_H
#define PH_TOOLS_READ_H

#include "mailbox/account.h"

/* ph_read_mailboxes: Returns: (owned) array of PhMailboxInfo with names of their own, by id order
 * of the store; NULL with @error. */
GArray *ph_read_mailboxes(PhAccount *account, GError **error);

/* ph_mailbox_by_id, _by_name: (borrowed, nullable) of such an array. */
const PhMailboxInfo *ph_mailbox_by_id(const GArray *mailboxes, const PhMailboxId *id);
const PhMailboxInfo *ph_mailbox_by_name(const GArray *mailboxes, const char *name);

/* PhMark: what a comparison must know of a message. */
typedef struct {
	uint32_t uid;
	uint32_t state; /* a hash of flags and keywords */
	uint64_t change;
} PhMark;

/* ph_read_marks: Returns: (owned) array of PhMark in uid order. */
GArray *ph_read_marks(PhAccount *account, const PhMailboxId *mailbox, GError **error);

/* ph_read_records: @func for the records of @uids (NULL: all) in uid order. */
bool ph_read_records(PhAccount *account,
                     const PhMailboxId *mailbox,
                     const PhUidSet *uids,
                     bool (*func)(const PhRecord *record, void *user_data),
                     void *user_data,
                     GError **error);

/* ph_read_dates: the same with nothing but uid, change and dates. */
bool ph_read_dates(PhAccount *account,
                   const PhMailboxId *mailbox,
                   bool (*func)(const PhRecord *record, void *user_data),
                   void *user_data,
                   GError **error);

/* ph_record_dup: (owned) with a copy of everything; ph_record_free. */
PhRecord *ph_record_dup(const PhRecord *record);
void ph_record_free(PhRecord *record);

/* ph_read_content: a message's octets. Returns: (owned). */
PhContent *ph_read_content(PhAccount *account,
                           const PhMailboxId *mailbox,
                           const PhRecord *record,
                           GError **error);

/* ph_read_values: Returns: (owned) key -> GBytes. @mailbox: (nullable) the account's. */
GHashTable *ph_read_values(PhAccount *account, const PhMailboxId *mailbox, GError **error);

enum {
	PH_DIGEST_OCTETS = 32
};

/* ph_content_digest: SHA-256 of all octets. */
bool ph_content_digest(PhContent *content, uint8_t digest[PH_DIGEST_OCTETS], GError **error);

/* ph_transaction_add_record: appends a message as @record says: uid, change, flags, keywords, dates,
 * message id. @change: given for the transaction. Blocks: yes (upload). */
PhOp *ph_transaction_add_record(PhTransaction *transaction,
                                const PhMailboxId *mailbox,
                                const PhRecord *record,
                                PhContent *content,
                                uint64_t change,
                                GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PhRecord, ph_record_free)

#endif
