/* fuzz-queue.c: an envelope, a head or an index of the queue, damaged or made up
 *
 * The first octet says which. Rows get the checksum that they should have, so that what is behind it
 * is reached.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "queue/envelope.h"
#include "queue/record.h"

#include <string.h>

enum {
	ROW_UNIT = 8,
	ROW_LEAST = 16
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Written again it must be read as the same. */
static void
read_envelope(PhSlice octets)
{
	g_autoptr(PhEnvelope) envelope = ph_queue_envelope_parse(octets);
	g_autoptr(PhEnvelope) again = NULL;
	g_autoptr(GByteArray) out = g_byte_array_new();

	if (envelope == NULL)
		return;
	g_assert_true(ph_queue_envelope_append(envelope, out));
	again = ph_queue_envelope_parse(PH_SLICE((const char *) out->data, out->len));
	g_assert_nonnull(again);
	g_assert_cmpstr(again->id, ==, envelope->id);
	g_assert_cmpuint(again->n_recipients, ==, envelope->n_recipients);
	g_assert_cmpuint(again->n_parameters, ==, envelope->n_parameters);
}

static void
read_rows(PhSlice octets)
{
	g_autofree char *copy = g_memdup2(octets.data, octets.length);
	PhSlice rest = PH_SLICE(copy, octets.length);
	PhQueueRow row;
	size_t at = 0;

	while (rest.length - at >= ROW_LEAST) {
		size_t length = (uint8_t) copy[at + 4] * (size_t) ROW_UNIT;
		uint32_t sum = 0;

		copy[at + 5] = 0;
		if (length < ROW_LEAST || length > rest.length - at)
			break;
		sum = GUINT32_TO_LE(
			(uint32_t) ph_queue_checksum(PH_SLICE(copy + at + 4, length - 4), 0));
		memcpy(copy + at, &sum, sizeof sum);
		at += length;
	}
	while (ph_queue_row_parse(&rest, 0, &row))
		for (uint32_t i = 0; row.kind == PH_QUEUE_ROW_MAIL && i < row.n_recipients; i++)
			(void) ph_queue_row_destination(&row, i);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	PhSlice octets = PH_SLICE((const char *) data, size);
	PhQueueRecord record;

	if (size == 0)
		return 0;
	octets = ph_slice_from(octets, 1);
	if (data[0] % 3 == 0)
		read_envelope(octets);
	else if (data[0] % 3 == 1)
		read_rows(octets);
	else if (ph_queue_record_head(octets, 64, &record))
		g_assert_cmpuint(ph_queue_record_size(&record), >=, PH_QUEUE_HEAD);
	return 0;
}
