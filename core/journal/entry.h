/* entry.h: a transaction and its results as the payload of a record, and back
 *
 * Of an APPEND that names octets in the journal itself their position and length are kept; of
 * another one the blob id, under which the store has them durably.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_JOURNAL_ENTRY_H
#define PH_JOURNAL_ENTRY_H

#include <posthorn/identity.h>
#include <posthorn/store.h>

/* PhJournalOctets: where an operation's octets lie; position 0: in the store. */
typedef struct {
	uint64_t position;
	uint64_t length;
} PhJournalOctets;

/* PhJournalEntry: one that was read. Its operations carry given results and can be committed. */
typedef struct {
	char *section;
	PhIdentity *identity;
	PhTransaction transaction;
	GPtrArray *ops;          /* of PhOp */
	PhJournalOctets *octets; /* as many */
} PhJournalEntry;

/* ph_journal_entry_append: appends the payload. @octets: as many as operations. @is_hidden: nothing
 * of what messages say may be in it: structures are left out. */
void ph_journal_entry_append(GByteArray *out,
                             const char *section,
                             const PhIdentity *identity,
                             const PhTransaction *transaction,
                             const PhJournalOctets *octets,
                             bool is_hidden);

/* ph_journal_entry_parse: Returns: (owned) NULL when the payload is none. Pure; @payload may be
 * anything. */
PhJournalEntry *ph_journal_entry_parse(PhSlice payload);
void ph_journal_entry_free(PhJournalEntry *entry);

/* ph_journal_entry_peek_account: only whose it is. @identity_out: (owned). */
bool ph_journal_entry_peek_account(PhSlice payload, char **section_out, PhIdentity **identity_out);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PhJournalEntry, ph_journal_entry_free)

#endif
