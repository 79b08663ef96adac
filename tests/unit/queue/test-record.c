/* test-record.c: rows of an index and heads of mails are read as written, damage is noticed
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "queue/record.h"

#include <string.h>

enum {
	SEED = 42
};

static const uint32_t destinations[] = { GUINT32_TO_LE(1), GUINT32_TO_LE(2) };

static const PhQueueRow samples[] = {
	{ .kind = PH_QUEUE_ROW_DESTINATION,
	  .number = 1,
	  .route = { "out", 3 },
	  .key_text = { "example.net", 11 } },
	{ .kind = PH_QUEUE_ROW_MAIL,
	  .position = 64,
	  .size = 4096,
	  .key = 77,
	  .arrived = 1000,
	  .not_before = 2000,
	  .by = 3000,
	  .priority = -9,
	  .bucket = 15,
	  .destinations = (const uint8_t *) destinations,
	  .n_recipients = 2 },
	{ .kind = PH_QUEUE_ROW_STATE,
	  .position = 64,
	  .recipient = 1,
	  .state = 4,
	  .attempts = 200,
	  .is_warned = true,
	  .due = 5000,
	  .reason = { "because", 7 } },
	{ .kind = PH_QUEUE_ROW_STATE, .position = 64, .state = 2, .is_released = true },
	{ .kind = PH_QUEUE_ROW_GONE, .position = 64 },
	{ .kind = PH_QUEUE_ROW_END, .position = 8192 },
};

static GByteArray *
write_samples(void)
{
	GByteArray *out = g_byte_array_new();

	for (size_t i = 0; i < G_N_ELEMENTS(samples); i++)
		ph_queue_row_append(out, &samples[i], SEED);
	return out;
}

static size_t
count_rows(const GByteArray *octets)
{
	PhSlice rest = PH_SLICE((const char *) octets->data, octets->len);
	PhQueueRow row;
	size_t n = 0;

	while (ph_queue_row_parse(&rest, SEED, &row))
		n++;
	return n;
}

static void
test_rows_are_read_as_written(void)
{
	g_autoptr(GByteArray) octets = write_samples();
	PhSlice rest = PH_SLICE((const char *) octets->data, octets->len);
	PhQueueRow row;

	g_assert_true(ph_queue_row_parse(&rest, SEED, &row));
	g_assert_true(ph_slice_is(row.route, "out") && ph_slice_is(row.key_text, "example.net"));
	g_assert_true(ph_queue_row_parse(&rest, SEED, &row));
	g_assert_cmpuint(row.position, ==, 64);
	g_assert_cmpuint(row.size, ==, 4096);
	g_assert_cmpuint(row.key, ==, 77);
	g_assert_cmpint(row.priority, ==, -9);
	g_assert_cmpint(row.by, ==, 3000);
	g_assert_cmpuint(ph_queue_row_destination(&row, 1), ==, 2);
	g_assert_true(ph_queue_row_parse(&rest, SEED, &row));
	g_assert_cmpuint(row.state, ==, 4);
	g_assert_cmpuint(row.attempts, ==, 200);
	g_assert_true(row.is_warned && !row.is_released && ph_slice_is(row.reason, "because"));
	g_assert_true(ph_queue_row_parse(&rest, SEED, &row));
	g_assert_true(row.is_released && !row.is_warned);
	g_assert_true(ph_queue_row_parse(&rest, SEED, &row));
	g_assert_cmpuint(row.kind, ==, PH_QUEUE_ROW_GONE);
	g_assert_true(ph_queue_row_parse(&rest, SEED, &row));
	g_assert_cmpuint(row.kind, ==, PH_QUEUE_ROW_END);
	g_assert_cmpuint(rest.length, ==, 0);
}

static void
test_every_changed_octet_is_noticed(void)
{
	g_autoptr(GByteArray) octets = write_samples();

	g_assert_cmpuint(count_rows(octets), ==, G_N_ELEMENTS(samples));
	for (guint i = 0; i < octets->len; i++) {
		octets->data[i] ^= 0x10;
		g_assert_cmpuint(count_rows(octets), <, G_N_ELEMENTS(samples));
		octets->data[i] ^= 0x10;
	}
}

static void
test_another_seed_is_another_file(void)
{
	g_autoptr(GByteArray) octets = write_samples();
	PhSlice rest = PH_SLICE((const char *) octets->data, octets->len);
	PhQueueRow row;

	g_assert_false(ph_queue_row_parse(&rest, SEED + 1, &row));
}

static void
test_a_head_belongs_to_its_place(void)
{
	uint8_t octets[PH_QUEUE_HEAD + 8] = { 0 };
	PhSlice all = PH_SLICE((const char *) octets, sizeof octets);
	PhQueueRecord record = { .envelope_length = 8, .octets = 100, .position = 640, .key = 5 };
	PhQueueRecord read;

	memcpy(octets + PH_QUEUE_HEAD, "envelope", 8);
	ph_queue_record_seal(&record, octets, SEED);
	g_assert_true(ph_queue_record_head(all, 640, &read));
	g_assert_cmpuint(read.octets, ==, 100);
	g_assert_cmpuint(ph_queue_record_size(&read), ==, 176);
	g_assert_true(ph_queue_record_check(all, SEED));
	g_assert_false(ph_queue_record_head(all, 648, &read));
	octets[PH_QUEUE_HEAD]++;
	g_assert_false(ph_queue_record_check(all, SEED));
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/queue/record/rows-are-read-as-written", test_rows_are_read_as_written);
	g_test_add_func("/queue/record/every-changed-octet-is-noticed",
	                test_every_changed_octet_is_noticed);
	g_test_add_func("/queue/record/another-seed-is-another-file",
	                test_another_seed_is_another_file);
	g_test_add_func("/queue/record/a-head-belongs-to-its-place",
	                test_a_head_belongs_to_its_place);
	return g_test_run();
}
