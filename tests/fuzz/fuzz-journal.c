/* fuzz-journal.c: a record of the journal, damaged or made up
 *
 * The first octet says whether the rest is a whole record or a payload.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "journal/entry.h"
#include "journal/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Written again it must be read as the same. */
static void
check_again(const PhJournalEntry *entry)
{
	g_autoptr(GByteArray) out = g_byte_array_new();
	g_autoptr(PhJournalEntry) again = NULL;

	ph_journal_entry_append(out, entry->section, entry->identity, &entry->transaction,
	                        entry->octets, false);
	again = ph_journal_entry_parse(PH_SLICE((const char *) out->data, out->len));
	g_assert_nonnull(again);
	g_assert_cmpuint(again->transaction.n_ops, ==, entry->transaction.n_ops);
	g_assert_cmpstr(again->section, ==, entry->section);
}

static void
read_payload(PhSlice payload)
{
	g_autoptr(PhJournalEntry) entry = ph_journal_entry_parse(payload);
	g_autoptr(PhIdentity) identity = NULL;
	g_autofree char *section = NULL;

	g_assert_true(ph_journal_entry_peek_account(payload, &section, &identity) || entry == NULL);
	if (entry != NULL)
		check_again(entry);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	PhSlice octets = PH_SLICE((const char *) data, size);
	PhJournalRecord record;

	if (size == 0)
		return 0;
	octets = ph_slice_from(octets, 1);
	if ((data[0] & 1) != 0)
		read_payload(octets);
	else if (ph_journal_record_parse(octets, 4096, 0, &record))
		read_payload(record.payload);
	return 0;
}
