/* test-entry.c: what is read is what was written, and nothing else is read at all
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "journal/record.h"
#include "sample.h"

static GByteArray *
pack(bool is_hidden)
{
	GByteArray *out = g_byte_array_new();
	PhJournalOctets octets[3] = { { .position = 4242, .length = 5 } };
	Sample sample;

	sample_init(&sample, "anna", 9);
	ph_journal_entry_append(out, "mail", sample.identity, &sample.transaction, octets,
	                        is_hidden);
	sample_clear(&sample);
	return out;
}

static PhSlice
all(const GByteArray *array)
{
	return PH_SLICE((const char *) array->data, array->len);
}

/* For a store that encrypts nothing of what a message says is written. */
static void
test_hidden(void)
{
	g_autoptr(GByteArray) packed = pack(true);
	g_autoptr(PhJournalEntry) entry = ph_journal_entry_parse(all(packed));

	g_assert_nonnull(entry);
	g_assert_null(memmem(packed->data, packed->len, "structure", 9));
	g_assert_cmpuint(entry->transaction.ops[0]->structure.length, ==, 0);
	g_assert_cmpuint(entry->transaction.ops[0]->given_uid, ==, 9);
}

static void
test_round_trip(void)
{
	g_autoptr(GByteArray) packed = pack(false);
	g_autoptr(PhJournalEntry) entry = ph_journal_entry_parse(all(packed));
	const PhOp *append = NULL;
	const PhOp *copy = NULL;

	g_assert_nonnull(entry);
	g_assert_cmpstr(entry->section, ==, "mail");
	g_assert_cmpstr(ph_identity_address(entry->identity), ==, "anna@a.example");
	g_assert_cmpuint(entry->transaction.n_ops, ==, 3);
	append = entry->transaction.ops[0];
	g_assert_true(append->has_given);
	g_assert_cmpuint(append->given_uid, ==, 9);
	g_assert_cmpuint(append->given_uidvalidity, ==, 77);
	g_assert_cmpuint(append->given_change, ==, 1009);
	g_assert_cmpstr(append->keywords[1], ==, "work");
	g_assert_true(ph_slice_is(append->structure, "structure"));
	g_assert_cmpuint(entry->octets[0].position, ==, 4242);
	copy = entry->transaction.ops[1];
	g_assert_cmpuint(ph_uid_set_count(copy->to_uids), ==, 3);
	g_assert_true(ph_uid_set_contains(copy->from_uids, 5));
	g_assert_cmpstr(entry->transaction.ops[2]->key, ==, "k");
	g_assert_null(entry->transaction.ops[2]->name);
}

/* Whatever is cut off or altered: no crash, no nonsense taken. */
static void
test_damage(void)
{
	g_autoptr(GByteArray) packed = pack(false);

	for (guint length = 0; length < packed->len; length++) {
		g_autofree char *copy = g_memdup2(packed->data, length);

		g_assert_null(ph_journal_entry_parse(PH_SLICE(copy, length)));
	}
	for (guint i = 0; i < packed->len; i++) {
		g_autofree char *copy = g_memdup2(packed->data, packed->len);
		g_autoptr(PhJournalEntry) entry = NULL;

		copy[i] = (char) ~copy[i];
		entry = ph_journal_entry_parse(PH_SLICE(copy, packed->len));
		g_assert_true(entry == NULL || entry->transaction.n_ops == 3);
	}
}

static void
test_record(void)
{
	g_autoptr(GByteArray) out = g_byte_array_new();
	size_t start = ph_journal_record_begin(out);
	PhJournalRecord record;

	(void) g_byte_array_append(out, (const guint8 *) "octets", 6);
	ph_journal_record_end(out, start, PH_JOURNAL_OCTETS, 4096);
	g_assert_cmpuint(out->len, ==, 40);
	g_assert_false(ph_journal_record_parse(all(out), 4096, 7, &record));
	g_assert_cmpuint(ph_journal_record_seal(out->data, 7), ==, 40);
	g_assert_true(ph_journal_record_parse(all(out), 4096, 7, &record));
	g_assert_true(ph_slice_is(record.payload, "octets"));
	/* of another filling, another place, torn, altered */
	g_assert_false(ph_journal_record_parse(all(out), 4096, 8, &record));
	g_assert_false(ph_journal_record_parse(all(out), 4104, 7, &record));
	for (guint i = 0; i < out->len; i++) {
		g_assert_false(ph_journal_record_parse(PH_SLICE((const char *) out->data, i), 4096,
		                                       7, &record));
		out->data[i] ^= 1;
		/* what pads the record to eight octets is not looked at */
		g_assert_true(i >= 38 || !ph_journal_record_parse(all(out), 4096, 7, &record));
		out->data[i] ^= 1;
	}
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/journal/entry/hidden-structures-are-left-out", test_hidden);
	g_test_add_func("/journal/entry/round-trip", test_round_trip);
	g_test_add_func("/journal/entry/damage-is-refused", test_damage);
	g_test_add_func("/journal/entry/records-are-whole-or-none", test_record);
	return g_test_run();
}
