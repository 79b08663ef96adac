/* test-parsers.c: From_ lines, fields, quoting, and what a scan makes of an mbox
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/record.h>
#include <posthorn/slice.h>

#include "encode.h"
#include "fields.h"
#include "from.h"
#include "scan.h"
#include "transcribe.h"

#define FROM "From anna@example.org Sun Nov 22 03:53:52 2026\n"

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

static void
take(PhSlice octets, void *user_data)
{
	(void) g_string_append_len(user_data, octets.data, (gssize) octets.length);
}

static bool
take_encoded(PhSlice octets, void *user_data, GError **error)
{
	take(octets, user_data);
	return true;
}

/* Each message as clients see it, with '|' behind it. */
static char *
decode(PhSlice octets, const Message *message)
{
	Source source = { read_memory, &octets };
	GString *out = g_string_new(NULL);
	Wire wire;
	Lines lines;
	Line line;
	bool found = true;

	wire_init(&wire, message->marks & (MARK_COUNTED | MARK_VERBATIM | MARK_QUOTED_ONCE), take,
	          out);
	lines_init(&lines, &source, message->offset, message->offset + message->length);
	while (lines_next(&lines, &line, &found, NULL) && found)
		wire_line(&wire, &line);
	wire_finish(&wire);
	lines_clear(&lines);
	g_assert_cmpuint(wire.octets, ==, message->octets);
	g_assert_cmpuint(out->len, ==, message->octets);
	g_assert_cmpuint(wire.digest, ==, message->digest);
	return g_string_free(out, FALSE);
}

static char *
read_all(PhSlice octets, Variant variant)
{
	Source source = { read_memory, &octets };
	GString *out = g_string_new(NULL);
	Scan scan;
	Message message;
	bool found = true;

	scan_init(&scan, &source, variant, 0, octets.length);
	while (scan_next(&scan, &message, &found, NULL) && found) {
		g_autofree char *text = decode(octets, &message);

		(void) g_string_append_len(out, text, (gssize) message.octets);
		(void) g_string_append_c(out, '|');
	}
	scan_clear(&scan);
	return g_string_free(out, FALSE);
}

static void
assert_read(const char *mbox, Variant variant, const char *expected)
{
	g_autofree char *got = read_all(ph_slice(mbox), variant);

	g_assert_cmpstr(got, ==, expected);
}

/* --- From_ lines ---------------------------------------------------------------------------------- */

static void
from_lines_have_a_date(void)
{
	static const char *const good[] = {
		"From anna@example.org Sun Nov 22 03:53:52 2026",
		"From anna Sun Nov  2 03:53 2026",
		"From  Sun Nov 22 03:53:52 2026",
		"From \"a b\"@example.org Sun Nov 22 03:53:52 2026",
		"From anna@example.org Sun Nov 22 03:53:52 MET 2026",
		"From anna@example.org Sun Nov 22 03:53:52 MET DST 2026",
		"From anna@example.org Sun Nov 22 03:53:52 2026 +0100",
		"From anna@example.org Sun Nov 22 03:53:52 +0100 2026",
		"From anna@example.org  Sun Nov 22 03:53:52 2026 remote from host",
	};
	static const char *const bad[] = {
		"From here on it is text",
		"From anna@example.org",
		"From anna@example.org Sun Nov 32 03:53:52 2026",
		"From anna@example.org Sun Feb 30 03:53:52 2026",
		"From anna@example.org Sun Nov 22 24:53:52 2026",
		"From anna@example.org Son Nov 22 03:53:52 2026",
		"From anna@example.org Sun Nov 22 03:53:52 26",
		">From anna@example.org Sun Nov 22 03:53:52 2026",
		"from anna@example.org Sun Nov 22 03:53:52 2026",
		"From",
		"",
	};
	FromLine from;

	for (size_t i = 0; i < G_N_ELEMENTS(good); i++)
		g_assert_true(from_parse(ph_slice(good[i]), &from));
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		g_assert_false(from_parse(ph_slice(bad[i]), &from));
}

static void
from_lines_keep_sender_and_date(void)
{
	const PhTime time = INT64_C(1795319632) * 1000000;
	g_autoptr(GString) line = g_string_new(NULL);
	FromLine from;

	g_assert_true(
		from_parse(PH_SLICE_LITERAL("From a b@c Sun Nov 22 03:53:52 2026 +0100"), &from));
	g_assert_true(ph_slice_is(from.sender, "a b@c"));
	g_assert_cmpint(from_date(&from).time, ==, time - INT64_C(3600) * 1000000);
	g_assert_cmpint(from_date(&from).zone_minutes, ==, 60);

	from_append(PH_SLICE_LITERAL("anna@example.org"), time, line);
	g_assert_true(from_parse(PH_SLICE(line->str, line->len - 1), &from));
	g_assert_true(ph_slice_is(from.sender, "anna@example.org"));
	g_assert_cmpint(from_date(&from).time, ==, time);
}

static void
from_lines_survive_odd_senders(void)
{
	g_autoptr(GString) line = g_string_new(NULL);
	FromLine from;

	from_append(PH_SLICE_LITERAL("a b\r\nFrom c\0d"), 0, line);
	g_assert_cmpuint(strlen(line->str), ==, line->len);
	g_assert_true(from_parse(PH_SLICE(line->str, line->len - 1), &from));
	g_assert_true(ph_slice_is(from.sender, "a_b__From_c_d"));
}

/* --- fields ---------------------------------------------------------------------------------------- */

static void
fields_are_known(void)
{
	PhSlice value = PH_SLICE_EMPTY;

	g_assert_cmpint(field_of(PH_SLICE_LITERAL("status:RO "), &value), ==, FIELD_STATUS);
	g_assert_true(ph_slice_is(value, "RO"));
	g_assert_cmpint(field_of(PH_SLICE_LITERAL("X-IMAPbase: 1 2"), &value), ==,
	                FIELD_X_IMAPBASE);
	g_assert_cmpint(field_of(PH_SLICE_LITERAL("X-IMAP: 1 2"), &value), ==, FIELD_X_IMAP);
	g_assert_cmpint(field_of(PH_SLICE_LITERAL("X-Statuses: 1"), &value), ==, FIELD_OTHER);
	g_assert_cmpint(field_of(PH_SLICE_LITERAL("Status"), &value), ==, FIELD_OTHER);
	g_assert_cmpint(field_of(PH_SLICE_LITERAL(FIELD_KEPT_PREFIX "Status: R"), &value), ==,
	                FIELD_KEPT);
	g_assert_cmpuint(field_status_flags(PH_SLICE_LITERAL("RO")), ==, PH_FLAG_SEEN);
	g_assert_cmpuint(field_status_flags(PH_SLICE_LITERAL("O")), ==, 0);
	g_assert_cmpuint(field_x_status_flags(PH_SLICE_LITERAL("AFTD")), ==,
	                 PH_FLAG_ANSWERED | PH_FLAG_FLAGGED | PH_FLAG_DRAFT | PH_FLAG_DELETED);
}

static void
bases_are_checked(void)
{
	uint32_t validity = 0;
	uint32_t last = 0;

	g_assert_true(field_base(PH_SLICE_LITERAL("1795319632 0000000042 a b"), &validity, &last));
	g_assert_cmpuint(validity, ==, 1795319632);
	g_assert_cmpuint(last, ==, 42);
	g_assert_false(field_base(PH_SLICE_LITERAL("1795319632"), &validity, &last));
	g_assert_false(field_base(PH_SLICE_LITERAL("0 1"), &validity, &last));
	g_assert_false(field_base(PH_SLICE_LITERAL("99999999999 1"), &validity, &last));
	g_assert_false(field_base(PH_SLICE_LITERAL("x y"), &validity, &last));
}

static void
metadata_fit_into_their_room(void)
{
	const Metadata few = { .uid = 7, .validity = 9, .keywords = "", .base_keywords = "" };
	const Metadata more = {
		.uid = 7,
		.validity = 9,
		.flags = 31,
		.keywords = "one two",
		.base_keywords = "",
	};
	g_autoptr(GString) first = g_string_new(NULL);
	g_autoptr(GString) second = g_string_new(NULL);

	fields_append(&few, 0, first);
	fields_append(&more, first->len, second);
	g_assert_cmpuint(first->len, ==, second->len);
	g_assert_cmpuint(field_keywords_hash(PH_SLICE_LITERAL("one two")), ==,
	                 field_keywords_hash(PH_SLICE_LITERAL(" TWO  one ")));
	g_assert_cmpuint(field_keywords_hash(PH_SLICE_LITERAL("  ")), ==, 0);
}

/* --- reading --------------------------------------------------------------------------------------- */

static void
messages_are_found(void)
{
	assert_read(FROM "Subject: a\n\none\n\n" FROM "Subject: b\n\ntwo\n", VARIANT_AUTO,
	            "Subject: a\r\n\r\none\r\n|Subject: b\r\n\r\ntwo\r\n|");
	assert_read("", VARIANT_AUTO, "");
	assert_read("no mbox at all\n", VARIANT_AUTO, "");
	assert_read("garbage\n" FROM "Subject: a\n\none\n", VARIANT_AUTO,
	            "Subject: a\r\n\r\none\r\n|");
	assert_read(FROM "Subject: a\r\n\r\none\r\n\r\n" FROM "Subject: b\r\n\r\ntwo", VARIANT_AUTO,
	            "Subject: a\r\n\r\none\r\n|Subject: b\r\n\r\ntwo\r\n|");
	assert_read(FROM "Subject: cut in the hea", VARIANT_AUTO, "Subject: cut in the hea\r\n|");
	assert_read(FROM, VARIANT_AUTO, "|");
	assert_read(FROM "Subject: a\n" FROM "Subject: b\n\nx\n", VARIANT_AUTO,
	            "Subject: a\r\n|Subject: b\r\n\r\nx\r\n|");
}

static void
only_one_empty_line_separates(void)
{
	assert_read(FROM "A: b\n\none\n\n\n\n" FROM "A: c\n\n\n\n", VARIANT_AUTO,
	            "A: b\r\n\r\none\r\n\r\n\r\n|A: c\r\n\r\n\r\n|");
}

static void
quoting_is_undone(void)
{
	const char *mbox = FROM "A: b\n\n>From x\n>>From y\n>>>Fromage\n> From z\n\n";

	assert_read(mbox, VARIANT_AUTO,
	            "A: b\r\n\r\nFrom x\r\n>From y\r\n>>>Fromage\r\n> From z\r\n|");
	assert_read(mbox, VARIANT_MBOXO,
	            "A: b\r\n\r\nFrom x\r\n>>From y\r\n>>>Fromage\r\n> From z\r\n|");
	assert_read(FROM "A: b\n\nFrom here on\n\n", VARIANT_AUTO, "A: b\r\n\r\nFrom here on\r\n|");
}

static void
metadata_are_hidden(void)
{
	assert_read(
		FROM
		"Status: RO\nA: b\nX-Keywords: x\n y\nX-UID: 3\nContent-Length: 4\nLines: 1\n\nx\n\n",
		VARIANT_AUTO, "A: b\r\n\r\nx\r\n|");
	assert_read(FROM FIELD_KEPT_PREFIX "Status: R\nStatus: O\n\nx\n\n", VARIANT_AUTO,
	            "Status: R\r\n\r\nx\r\n|");
}

static void
content_length_is_believed_when_it_leads_on(void)
{
	const char *good = FROM "Content-Length: 49\nA: b\n\n" FROM "x\n\n" FROM "A: c\n\ny\n\n";
	const char *bad = FROM "Content-Length: 5\nA: b\n\nlonger than that\n\n" FROM "A: c\n\ny\n";

	assert_read(good, VARIANT_AUTO,
	            "A: b\r\n\r\nFrom anna@example.org Sun Nov 22 03:53:52 2026\r\n"
	            "x\r\n|A: c\r\n\r\ny\r\n|");
	assert_read(good, VARIANT_MBOXRD, "A: b\r\n\r\n|x\r\n\r\n|A: c\r\n\r\ny\r\n|");
	assert_read(bad, VARIANT_AUTO, "A: b\r\n\r\nlonger than that\r\n|A: c\r\n\r\ny\r\n|");
	assert_read(FROM "Content-Length: 7\n\n>From x", VARIANT_AUTO, "\r\nFrom x\r\n|");
	assert_read(FROM "Content-Length: 7\n\n>From x", VARIANT_MBOXCL2, "\r\n>From x\r\n|");
	assert_read(FROM "Content-Length: 99999999999999999999\n\nx\n", VARIANT_MBOXCL,
	            "\r\nx\r\n|");
}

static void
a_pseudo_message_is_none(void)
{
	assert_read(FROM "Subject: DON'T DELETE\nX-IMAP: 1795319632 0000000042\n\ninternal\n\n" FROM
	                 "A: b\n\nx\n\n",
	            VARIANT_AUTO, "A: b\r\n\r\nx\r\n|");
}

static void
scans_tell_flags_and_uids(void)
{
	PhSlice octets = PH_SLICE_LITERAL(
		FROM "X-IMAPbase: 1795319632 0000000042 work\nX-UID: 17\nStatus: RO\n"
		     "X-Status: F\nX-Keywords: work   \nA: b\n\nx\n\n" FROM
		     "A: c\nX-UID: 18\nX-Posthorn: 5\n\ny\n");
	Source source = { read_memory, &octets };
	Scan scan;
	Message message;
	bool found = false;

	scan_init(&scan, &source, VARIANT_AUTO, 0, octets.length);
	g_assert_true(scan_next(&scan, &message, &found, NULL) && found);
	g_assert_cmpuint(scan.base, ==, 1795319632);
	g_assert_cmpuint(scan.base_last, ==, 42);
	g_assert_cmpuint(message.uid, ==, 17);
	g_assert_cmpuint(message.flags, ==, PH_FLAG_SEEN | PH_FLAG_FLAGGED);
	g_assert_cmpstr(message.keywords, ==, "work");
	g_assert_cmpuint(message.marks & MARK_STRAY, ==, 0);
	g_assert_cmpuint(message.metadata, ==, 92);
	g_assert_true(scan_next(&scan, &message, &found, NULL) && found);
	g_assert_cmpuint(message.uid, ==, 18);
	g_assert_cmpuint(message.validity, ==, 5);
	g_assert_cmpuint(message.marks & MARK_STRAY, !=, 0);
	g_assert_true(scan_next(&scan, &message, &found, NULL) && !found);
	scan_clear(&scan);
}

/* --- there and back --------------------------------------------------------------------------------- */

static GString *
encode(PhSlice octets)
{
	Source source = { read_memory, &octets };
	GString *out = g_string_new(NULL);
	Metadata metadata = { .uid = 1, .validity = 2, .keywords = "", .base_keywords = "" };
	Survey survey;

	g_assert_true(encode_survey(&source, octets.length, &survey, NULL));
	metadata.marks = survey.marks;
	from_append(ph_slice(survey.sender), 0, out);
	fields_append(&metadata, 0, out);
	g_assert_true(
		encode_message(&source, octets.length, survey.marks, take_encoded, out, NULL));
	return out;
}

/* The message comes out as it went in, alone and between others, also when it is transcribed. */
static void
assert_comes_back(PhSlice octets)
{
	static const Metadata metadata = { .uid = 3,
		                           .validity = 2,
		                           .keywords = "",
		                           .base_keywords = "" };
	g_autoptr(GString) mbox = encode(octets);
	g_autoptr(GString) third = g_string_new(NULL);
	g_autoptr(GString) wanted = g_string_new(NULL);
	g_autofree char *got = NULL;
	gsize length = mbox->len;
	PhSlice first = PH_SLICE_EMPTY;
	Source source = { read_memory, &first };
	Metadata again = metadata;

	again.marks = strstr(mbox->str, "X-Posthorn: 2 ") != NULL
	                      ? field_marks(PH_SLICE(strstr(mbox->str, "X-Posthorn: 2 ") + 14, 3))
	                      : 0;
	(void) g_string_append_len(mbox, mbox->str, (gssize) length);
	first = PH_SLICE(mbox->str, length);
	g_assert_true(transcribe(&(Span){ &source, 0, length }, &again, take_encoded, third, NULL));
	(void) g_string_append_len(mbox, third->str, (gssize) third->len);
	for (int i = 0; i < 3; i++) {
		(void) g_string_append_len(wanted, octets.data, (gssize) octets.length);
		(void) g_string_append_c(wanted, '|');
	}
	got = read_all(PH_SLICE(mbox->str, mbox->len), VARIANT_AUTO);
	g_assert_cmpmem(got, wanted->len, wanted->str, wanted->len);
}

static void
messages_come_back(void)
{
	static const char *const messages[] = {
		"Subject: a\r\n\r\nbody\r\n",
		"Subject: a\r\n\r\nbody",
		"Subject: a\r\n\r\nbody\r",
		"Subject: a\r\n\r\nbody\n",
		"Subject: a\r\n\r\nbody\r\r\n",
		"Subject: a\r\n\r\n\r\n\r\n",
		"Subject: a\r\n\r\n",
		"Subject: a\r\n",
		"Subject: a",
		"",
		"\r\n",
		"\n",
		"\r",
		"x",
		" begins with a blank\r\n\r\nx\r\n",
		"no field\r\n\r\nx\r\n",
		"Status: RO\r\nX-UID: 99\r\nX-IMAPbase: 5 6\r\nLines: 3\r\nContent-Length: 3\r\n\r\nx\r\n",
		"X-Posthorn: 7 rnh\r\n" FIELD_KEPT_PREFIX "Status: R\r\n\r\nx\r\n",
		"Subject: a\r\n\r\nFrom x\r\n>From y\r\n>>From z\r\nFrom anna Sun Nov 22 03:53:52 2026\r\n",
		"From anna Sun Nov 22 03:53:52 2026\r\nA: b\r\n\r\nx\r\n",
		"Subject: a\nB: c\n\nbare\n\nfeeds\n",
		"Subject: a\r\n\r\n\n\r\n\n\r\n",
		"Subject: a\r\n\r\n\xff\x80 8 bit\r\n",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(messages); i++)
		assert_comes_back(ph_slice(messages[i]));
	assert_comes_back(PH_SLICE_LITERAL("A: b\r\n\r\nNUL \0 in it\r\n"));
}

static void
long_lines_come_back(void)
{
	for (size_t n = LINES_WINDOW - 40; n < LINES_WINDOW + 40; n++) {
		g_autoptr(GString) message = g_string_new("A: b\r\n\r\n");

		while (message->len < n)
			(void) g_string_append_c(message, 'x');
		(void) g_string_append(message, "\r\n>From me\r\r\nFrom you\r\n");
		assert_comes_back(PH_SLICE(message->str, message->len));
	}
}

static void
many_arrows_come_back(void)
{
	for (size_t n = QUOTE_MAX - 2; n < QUOTE_MAX + 3; n++) {
		g_autoptr(GString) message = g_string_new("A: b\r\n\r\n");

		for (size_t i = 0; i < n; i++)
			(void) g_string_append_c(message, '>');
		(void) g_string_append(message, "From me\r\n");
		assert_comes_back(PH_SLICE(message->str, message->len));
	}
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/mbox/from/lines-have-a-date", from_lines_have_a_date);
	g_test_add_func("/mbox/from/lines-keep-sender-and-date", from_lines_keep_sender_and_date);
	g_test_add_func("/mbox/from/lines-survive-odd-senders", from_lines_survive_odd_senders);
	g_test_add_func("/mbox/fields/are-known", fields_are_known);
	g_test_add_func("/mbox/fields/bases-are-checked", bases_are_checked);
	g_test_add_func("/mbox/fields/metadata-fit-into-their-room", metadata_fit_into_their_room);
	g_test_add_func("/mbox/scan/messages-are-found", messages_are_found);
	g_test_add_func("/mbox/scan/only-one-empty-line-separates", only_one_empty_line_separates);
	g_test_add_func("/mbox/scan/quoting-is-undone", quoting_is_undone);
	g_test_add_func("/mbox/scan/metadata-are-hidden", metadata_are_hidden);
	g_test_add_func("/mbox/scan/content-length-is-believed-when-it-leads-on",
	                content_length_is_believed_when_it_leads_on);
	g_test_add_func("/mbox/scan/a-pseudo-message-is-none", a_pseudo_message_is_none);
	g_test_add_func("/mbox/scan/tells-flags-and-uids", scans_tell_flags_and_uids);
	g_test_add_func("/mbox/encode/messages-come-back", messages_come_back);
	g_test_add_func("/mbox/encode/long-lines-come-back", long_lines_come_back);
	g_test_add_func("/mbox/encode/many-arrows-come-back", many_arrows_come_back);
	return g_test_run();
}
