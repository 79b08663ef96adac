/* record.c: how one record lies in the journal
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "journal/record.h"

#include <posthorn/slice.h>

#include "base/little.h"

#include <string.h>
#include <xxhash.h>

enum {
	MAGIC = 0x524a4850, /* "PHJR" */
	ALIGN = 8,
	CHECKSUM_AT = 24,
};

uint64_t
ph_journal_checksum(PhSlice octets, uint64_t seed)
{
	return XXH3_64bits_withSeed(octets.data, octets.length, seed);
}

static uint64_t
checksum(const char *record, size_t length, uint64_t seed)
{
	uint64_t header = ph_journal_checksum(PH_SLICE(record, CHECKSUM_AT), seed);

	return ph_journal_checksum(PH_SLICE(record + PH_JOURNAL_HEADER, length), header);
}

size_t
ph_journal_record_size(size_t payload_length)
{
	return (PH_JOURNAL_HEADER + payload_length + ALIGN - 1) / ALIGN * ALIGN;
}

size_t
ph_journal_record_begin(GByteArray *out)
{
	size_t start = out->len;

	(void) g_byte_array_set_size(out, out->len + PH_JOURNAL_HEADER);
	return start;
}

void
ph_journal_record_end(GByteArray *out, size_t start, PhJournalKind kind, uint64_t position)
{
	size_t length = out->len - start - PH_JOURNAL_HEADER;
	size_t end = out->len;
	size_t size = ph_journal_record_size(length);
	uint8_t *at = NULL;

	(void) g_byte_array_set_size(out, (guint) (start + size));
	memset(out->data + end, 0, start + size - end);
	at = out->data + start;
	ph_put32(at, MAGIC);
	ph_put32(at + 4, kind);
	ph_put32(at + 8, (uint32_t) length);
	ph_put32(at + 12, 0);
	ph_put64(at + 16, position);
	ph_put64(at + CHECKSUM_AT, 0);
}

size_t
ph_journal_record_size_at(const uint8_t *record)
{
	return ph_journal_record_size(ph_get32((const char *) record + 8));
}

size_t
ph_journal_record_seal(uint8_t *record, uint64_t seed)
{
	size_t length = ph_get32((const char *) record + 8);

	ph_put64(record + CHECKSUM_AT, checksum((const char *) record, length, seed));
	return ph_journal_record_size(length);
}

bool
ph_journal_record_parse(PhSlice octets,
                        uint64_t position,
                        uint64_t seed,
                        PhJournalRecord *record_out)
{
	size_t length = 0;

	if (octets.length < PH_JOURNAL_HEADER || ph_get32(octets.data) != MAGIC
	    || ph_get64(octets.data + 16) != position)
		return false;
	length = ph_get32(octets.data + 8);
	if (length > PH_JOURNAL_RECORD_MAX || ph_journal_record_size(length) > octets.length
	    || ph_get64(octets.data + CHECKSUM_AT) != checksum(octets.data, length, seed))
		return false;
	record_out->kind = ph_get32(octets.data + 4);
	record_out->payload = PH_SLICE(octets.data + PH_JOURNAL_HEADER, length);
	record_out->size = ph_journal_record_size(length);
	return true;
}
