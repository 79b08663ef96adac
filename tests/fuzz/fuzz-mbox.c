/* fuzz-mbox.c: any octets are an mbox, and any message survives one
 *
 * The first octet chooses the variant. What a scan counts is what decoding gives, messages follow
 * each other without gaps, and a message that is written, alone and behind another, comes back
 * octet for octet, transcribed too.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "encode.h"
#include "fields.h"
#include "scan.h"
#include "transcribe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	decode_marks = MARK_COUNTED | MARK_VERBATIM | MARK_QUOTED_ONCE,
	n_variants = 5,
};

static ssize_t
read_memory(void *handle, uint64_t offset, char *buffer, size_t length, GError **error)
{
	const PhSlice *octets = handle;
	PhSlice rest = ph_slice_from(*octets, (size_t) offset);

	length = MIN(length, rest.length);
	if (length > 0)
		memcpy(buffer, rest.data, length);
	return (ssize_t) length;
}

static bool
take(PhSlice octets, void *user_data, GError **error)
{
	(void) g_string_append_len(user_data, octets.data, (gssize) octets.length);
	return true;
}

static void
put(PhSlice octets, void *user_data)
{
	(void) take(octets, user_data, NULL);
}

static GString *
decode(const Source *source, const Message *message)
{
	GString *out = g_string_new(NULL);
	Wire wire;
	Lines lines;
	Line line;
	bool found = true;

	wire_init(&wire, message->marks & decode_marks, put, out);
	lines_init(&lines, source, message->offset, message->offset + message->length);
	while (lines_next(&lines, &line, &found, NULL) && found)
		wire_line(&wire, &line);
	wire_finish(&wire);
	lines_clear(&lines);
	g_assert_cmpuint(out->len, ==, message->octets);
	g_assert_cmpuint(wire.digest, ==, message->digest);
	return out;
}

/* Reads all messages; the @wanted-th is checked against @octets. Returns: how many. */
static unsigned
read_all(PhSlice mbox, Variant variant, const PhSlice *octets)
{
	Source source = { read_memory, &mbox };
	uint64_t end = 0;
	unsigned n = 0;
	Scan scan;
	Message message;
	bool found = true;

	scan_init(&scan, &source, variant, 0, mbox.length);
	while (scan_next(&scan, &message, &found, NULL) && found) {
		g_autoptr(GString) text = decode(&source, &message);

		g_assert_cmpuint(message.offset, >=, end);
		end = message.offset + message.length;
		g_assert_cmpuint(end, <=, mbox.length);
		if (octets != NULL)
			g_assert_cmpmem(text->str, text->len, octets->data, octets->length);
		n++;
	}
	scan_clear(&scan);
	return n;
}

static void
write_message(PhSlice octets, GString *mbox)
{
	Source source = { read_memory, &octets };
	Metadata metadata = { .uid = 1, .validity = 2, .keywords = "", .base_keywords = "" };
	GString *copy = NULL;
	PhSlice first = PH_SLICE_EMPTY;
	Source written = { read_memory, &first };
	Span span = { .source = &written };
	Survey survey;

	g_assert_true(encode_survey(&source, octets.length, &survey, NULL));
	metadata.marks = survey.marks;
	from_append(ph_slice(survey.sender), 0, mbox);
	fields_append(&metadata, 0, mbox);
	g_assert_true(encode_message(&source, octets.length, survey.marks, take, mbox, NULL));
	copy = g_string_new_len(mbox->str, (gssize) mbox->len);
	first = PH_SLICE(copy->str, copy->len);
	span.end = copy->len;
	g_assert_true(transcribe(&span, &metadata, take, mbox, NULL));
	(void) g_string_free(copy, TRUE);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autoptr(GString) mbox = g_string_new(NULL);
	PhSlice octets = PH_SLICE_EMPTY;

	if (size < 1)
		return 0;
	octets = PH_SLICE((const char *) data + 1, size - 1);
	(void) read_all(octets, (Variant) (data[0] % n_variants), NULL);
	write_message(octets, mbox);
	g_assert_cmpuint(read_all(PH_SLICE(mbox->str, mbox->len), VARIANT_AUTO, &octets), ==, 2);
	return 0;
}
