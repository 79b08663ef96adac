/* record.c: how one mail lies in a file of the queue, and how the file's index tells of it
 *
 * A row is its checksum (4), its length in units of eight octets (2), its kind (1), a small number
 * (1), and members in the order of the functions below, padded with zeros.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "queue/record.h"

#include <posthorn/slice.h>

#include "base/little.h"
#include "queue/envelope.h"

#include <string.h>
#include <xxhash.h>

enum {
	MAGIC = 0x514d4850, /* "PHMQ" */
	ALIGN = 8,
	CHECKSUM_AT = 56,
	ROW_HEAD = 8,
	ROW_MAIL = 64,        /* before the destinations */
	ROW_DESTINATION = 16, /* before the texts */
	ROW_STATE = 32,       /* before the reason */
	ROW_GONE = 16,
	PRIORITY_SHIFT = 9,
	IS_WARNED = 1 << 0, /* flags of a state */
	IS_RELEASED = 1 << 1,
};

#define OCTETS_MAX (UINT64_C(1) << 40)

uint64_t
ph_queue_checksum(PhSlice octets, uint64_t seed)
{
	return XXH3_64bits_withSeed(octets.data, octets.length, seed);
}

/* --- mails ------------------------------------------------------------------------------------ */

uint64_t
ph_queue_record_size(const PhQueueRecord *record)
{
	return (PH_QUEUE_HEAD + record->envelope_length + record->octets + ALIGN - 1) / ALIGN
	       * ALIGN;
}

static uint64_t
head_sum(const char *octets, size_t envelope_length, uint64_t seed)
{
	uint64_t sum = ph_queue_checksum(PH_SLICE(octets, CHECKSUM_AT), seed);

	return ph_queue_checksum(PH_SLICE(octets + PH_QUEUE_HEAD, envelope_length), sum);
}

void
ph_queue_record_seal(const PhQueueRecord *record, uint8_t *octets, uint64_t seed)
{
	memset(octets, 0, PH_QUEUE_HEAD);
	ph_put32(octets, MAGIC);
	ph_put32(octets + 4, record->envelope_length);
	ph_put64(octets + 8, record->octets);
	ph_put64(octets + 16, record->position);
	ph_put64(octets + 24, record->key);
	ph_put64(octets + 32, record->octets_sum);
	ph_put64(octets + CHECKSUM_AT,
	         head_sum((const char *) octets, record->envelope_length, seed));
}

bool
ph_queue_record_head(PhSlice octets, uint64_t position, PhQueueRecord *record_out)
{
	PhQueueRecord record;

	if (octets.length < PH_QUEUE_HEAD || ph_get32(octets.data) != MAGIC)
		return false;
	record = (PhQueueRecord){ .envelope_length = ph_get32(octets.data + 4),
		                  .octets = ph_get64(octets.data + 8),
		                  .position = ph_get64(octets.data + 16),
		                  .key = ph_get64(octets.data + 24),
		                  .octets_sum = ph_get64(octets.data + 32) };
	if (record.position != position || record.envelope_length > PH_ENVELOPE_MAX
	    || record.octets > OCTETS_MAX)
		return false;
	*record_out = record;
	return true;
}

bool
ph_queue_record_check(PhSlice octets, uint64_t seed)
{
	return octets.length >= PH_QUEUE_HEAD
	       && ph_get64(octets.data + CHECKSUM_AT)
	                  == head_sum(octets.data, octets.length - PH_QUEUE_HEAD, seed);
}

/* --- rows ------------------------------------------------------------------------------------- */

static size_t
body_size(const PhQueueRow *row)
{
	switch (row->kind) {
	case PH_QUEUE_ROW_MAIL:
		return ROW_MAIL + 4 * (size_t) row->n_recipients;
	case PH_QUEUE_ROW_DESTINATION:
		return ROW_DESTINATION + row->route.length + row->key_text.length;
	case PH_QUEUE_ROW_STATE:
		return ROW_STATE + row->reason.length;
	default:
		return ROW_GONE;
	}
}

static void
put_mail(uint8_t *at, const PhQueueRow *row)
{
	ph_put64(at + 16, row->size);
	ph_put64(at + 24, row->key);
	ph_put64(at + 32, (uint64_t) row->arrived);
	ph_put64(at + 40, (uint64_t) row->not_before);
	ph_put64(at + 48, (uint64_t) row->by);
	ph_put32(at + 56, row->n_recipients);
	ph_put16(at + 60, row->bucket);
	memcpy(at + ROW_MAIL, row->destinations, 4 * (size_t) row->n_recipients);
}

static void
put_destination(uint8_t *at, const PhQueueRow *row)
{
	ph_put32(at + 8, row->number);
	ph_put16(at + 12, (uint32_t) row->route.length);
	ph_put16(at + 14, (uint32_t) row->key_text.length);
	memcpy(at + ROW_DESTINATION, row->route.data, row->route.length);
	memcpy(at + ROW_DESTINATION + row->route.length, row->key_text.data, row->key_text.length);
}

static void
put_state(uint8_t *at, const PhQueueRow *row)
{
	ph_put64(at + 16, (uint64_t) row->due);
	ph_put16(at + 24, row->recipient);
	ph_put16(at + 26, row->attempts);
	ph_put16(at + 28,
	         (row->is_warned ? IS_WARNED : 0U) | (row->is_released ? IS_RELEASED : 0U));
	ph_put16(at + 30, (uint32_t) row->reason.length);
	if (row->reason.length > 0)
		memcpy(at + ROW_STATE, row->reason.data, row->reason.length);
}

/* The first eight octets of the body are the mail's position, but for a destination. */
void
ph_queue_row_append(GByteArray *out, const PhQueueRow *row, uint64_t seed)
{
	size_t size = (body_size(row) + ALIGN - 1) / ALIGN * ALIGN;
	size_t start = out->len;
	uint8_t *at = NULL;

	(void) g_byte_array_set_size(out, (guint) (start + size));
	at = out->data + start;
	memset(at, 0, size);
	ph_put16(at + 4, (uint32_t) (size / ALIGN));
	at[6] = (uint8_t) row->kind;
	at[7] = (uint8_t) (row->kind == PH_QUEUE_ROW_MAIL ? row->priority + PRIORITY_SHIFT
	                                                  : (int32_t) row->state);
	if (row->kind != PH_QUEUE_ROW_DESTINATION)
		ph_put64(at + 8, row->position);
	if (row->kind == PH_QUEUE_ROW_MAIL)
		put_mail(at, row);
	else if (row->kind == PH_QUEUE_ROW_DESTINATION)
		put_destination(at, row);
	else if (row->kind == PH_QUEUE_ROW_STATE)
		put_state(at, row);
	ph_put32(at, (uint32_t) ph_queue_checksum(PH_SLICE((const char *) at + 4, size - 4), seed));
}

static bool
get_mail(const char *at, size_t size, PhQueueRow *row)
{
	if (size < ROW_MAIL)
		return false;
	row->priority = CLAMP((int32_t) (uint8_t) at[7] - PRIORITY_SHIFT, -9, 9);
	row->size = ph_get64(at + 16);
	row->key = ph_get64(at + 24);
	row->arrived = (PhTime) ph_get64(at + 32);
	row->not_before = (PhTime) ph_get64(at + 40);
	row->by = (PhTime) ph_get64(at + 48);
	row->n_recipients = ph_get32(at + 56);
	row->bucket = ph_get16(at + 60);
	row->destinations = (const uint8_t *) at + ROW_MAIL;
	return row->n_recipients > 0 && row->n_recipients <= PH_ENVELOPE_RECIPIENTS_MAX
	       && row->n_recipients <= (size - ROW_MAIL) / 4 && row->size % ALIGN == 0
	       && row->size > PH_QUEUE_HEAD && row->size <= OCTETS_MAX + PH_ENVELOPE_MAX;
}

static bool
get_destination(const char *at, size_t size, PhQueueRow *row)
{
	if (size < ROW_DESTINATION)
		return false;
	row->number = ph_get32(at + 8);
	row->route = PH_SLICE(at + ROW_DESTINATION, ph_get16(at + 12));
	row->key_text = PH_SLICE(at + ROW_DESTINATION + row->route.length, ph_get16(at + 14));
	return row->route.length + row->key_text.length <= size - ROW_DESTINATION;
}

static bool
get_state(const char *at, size_t size, PhQueueRow *row)
{
	if (size < ROW_STATE)
		return false;
	row->state = (uint8_t) at[7];
	row->due = (PhTime) ph_get64(at + 16);
	row->recipient = ph_get16(at + 24);
	row->attempts = ph_get16(at + 26);
	row->is_warned = (ph_get16(at + 28) & IS_WARNED) != 0;
	row->is_released = (ph_get16(at + 28) & IS_RELEASED) != 0;
	row->reason = PH_SLICE(at + ROW_STATE, ph_get16(at + 30));
	return row->reason.length <= size - ROW_STATE;
}

bool
ph_queue_row_parse(PhSlice *rest, uint64_t seed, PhQueueRow *row_out)
{
	PhQueueRow row = { .kind = 0 };
	const char *at = rest->data;
	size_t size = 0;
	bool good = false;

	if (rest->length < ROW_GONE)
		return false;
	size = (size_t) ph_get16(at + 4) * ALIGN;
	if (size < ROW_GONE || size > rest->length
	    || ph_get32(at) != (uint32_t) ph_queue_checksum(PH_SLICE(at + 4, size - 4), seed))
		return false;
	row.kind = (uint8_t) at[6];
	row.position = row.kind != PH_QUEUE_ROW_DESTINATION ? ph_get64(at + 8) : 0;
	if (row.kind == PH_QUEUE_ROW_MAIL)
		good = get_mail(at, size, &row);
	else if (row.kind == PH_QUEUE_ROW_DESTINATION)
		good = get_destination(at, size, &row);
	else if (row.kind == PH_QUEUE_ROW_STATE)
		good = get_state(at, size, &row);
	else
		good = row.kind == PH_QUEUE_ROW_GONE || row.kind == PH_QUEUE_ROW_END;
	if (!good)
		return false;
	*rest = PH_SLICE(at + size, rest->length - size);
	*row_out = row;
	return true;
}

uint32_t
ph_queue_row_destination(const PhQueueRow *row, uint32_t recipient)
{
	return ph_get32((const char *) row->destinations + 4 * (size_t) recipient);
}
