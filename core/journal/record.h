/* record.h: how one record lies in the journal
 *
 * A header and a payload, padded with zeros to eight octets. The checksum covers both, the record's
 * position in the journal, and a seed that each filling of a segment has for itself: what an
 * earlier filling or another journal left behind is no record.
 *
 *	0  magic     4    8  length of the payload  4    16  position  8
 *	4  kind      4   12  zero                   4    24  checksum  8
 *
 * All numbers are little-endian. Pure.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_JOURNAL_RECORD_H
#define PH_JOURNAL_RECORD_H

#include <posthorn/types.h>

enum {
	PH_JOURNAL_HEADER = 32,
	PH_JOURNAL_RECORD_MAX = 8 * 1024 * 1024, /* of a payload */
};

typedef enum {
	PH_JOURNAL_OCTETS = 1,      /* of a message */
	PH_JOURNAL_TRANSACTION = 2, /* entry.h */
} PhJournalKind;

typedef struct {
	uint32_t kind;
	PhSlice payload;
	size_t size; /* header and padding included */
} PhJournalRecord;

/* ph_journal_record_size: what a payload of that length takes. */
size_t ph_journal_record_size(size_t payload_length);

/* ph_journal_record_begin: room for a header at the end of @out; the payload is appended next.
 * ph_journal_record_end: completes header and padding of the record that began at @start.
 * ph_journal_record_seal: the checksum, when it is known where the record goes; again when it goes
 * elsewhere. Returns: the record's size. */
size_t ph_journal_record_begin(GByteArray *out);
void ph_journal_record_end(GByteArray *out, size_t start, PhJournalKind kind, uint64_t position);
size_t ph_journal_record_seal(uint8_t *record, uint64_t seed);

/* ph_journal_record_size_at: of a record that was ended. */
size_t ph_journal_record_size_at(const uint8_t *record);

/* ph_journal_record_parse: the record at the beginning of @octets; false when there is none that is
 * whole and belongs at this position. @record_out: points into @octets. */
bool ph_journal_record_parse(PhSlice octets,
                             uint64_t position,
                             uint64_t seed,
                             PhJournalRecord *record_out);

/* ph_journal_checksum: of anything. */
uint64_t ph_journal_checksum(PhSlice octets, uint64_t seed);

#endif
