/* test-structure.c: sections of a message, with the example of RFC 3501 section 6.4.5
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/message.h>
#include <posthorn/slice.h>

#define MAIN_HEADER "Subject: main\r\nContent-Type: multipart/mixed; boundary=M\r\n\r\n"
#define HEADER_3    "Subject: three\r\nContent-Type: multipart/mixed; boundary=\"T\"\r\n\r\n"
#define TEXT_3                                                                                   \
	"--T\r\n\r\nthree one\r\n--T\r\nContent-Type: application/octet-stream\r\n\r\nthree two" \
	"\r\n--T--"
#define MIME_41   "Content-Type: image/gif\r\n\r\n"
#define HEADER_42 "Subject: four two\r\nContent-Type: multipart/mixed; boundary=FT\r\n\r\n"
#define MIME_422  "Content-Type: multipart/alternative; boundary=ALT\r\n\r\n"
#define TEXT_422                                                                        \
	"--ALT\r\n\r\nfour two two one\r\n--ALT\r\nContent-Type: text/richtext\r\n\r\n" \
	"four two two two\r\n--ALT--\r\n"
#define TEXT_42 "--FT\r\n\r\nfour two one\r\n--FT\r\n" MIME_422 TEXT_422 "\r\n--FT--"
#define TEXT_4                                                                                   \
	"--F\r\n" MIME_41 "GIF\r\n--F\r\nContent-Type: message/rfc822\r\n\r\n" HEADER_42 TEXT_42 \
	"\r\n--F--"
#define MAIN_TEXT                                                                             \
	"preamble\r\n--M\r\n\r\none\r\n--M\r\nContent-Type: application/octet-stream\r\n\r\n" \
	"two\r\n--M\r\nContent-Type: message/rfc822\r\n\r\n" HEADER_3 TEXT_3 "\r\n"           \
	"--M\r\nContent-Type: multipart/mixed; boundary=F\r\n\r\n" TEXT_4                     \
	"\r\n--M--\r\nepilogue\r\n"

static const char message[] = MAIN_HEADER MAIN_TEXT;

typedef struct {
	const char *section;
	const char *expected; /* NULL: no such part */
} Row;

static const Row rows[] = {
	{ "", message },
	{ "HEADER", MAIN_HEADER },
	{ "text", MAIN_TEXT },
	{ "1", "one" },
	{ "1.MIME", "\r\n" },
	{ "1.HEADER", NULL },
	{ "1.TEXT", NULL },
	{ "1.1", NULL },
	{ "2", "two" },
	{ "2.mime", "Content-Type: application/octet-stream\r\n\r\n" },
	{ "3", HEADER_3 TEXT_3 },
	{ "3.MIME", "Content-Type: message/rfc822\r\n\r\n" },
	{ "3.HEADER", HEADER_3 },
	{ "3.TEXT", TEXT_3 },
	{ "3.1", "three one" },
	{ "3.2", "three two" },
	{ "3.3", NULL },
	{ "4", TEXT_4 },
	{ "4.HEADER", NULL },
	{ "4.1", "GIF" },
	{ "4.1.MIME", MIME_41 },
	{ "4.2", HEADER_42 TEXT_42 },
	{ "4.2.HEADER", HEADER_42 },
	{ "4.2.TEXT", TEXT_42 },
	{ "4.2.1", "four two one" },
	{ "4.2.2", TEXT_422 },
	{ "4.2.2.MIME", MIME_422 },
	{ "4.2.2.1", "four two two one" },
	{ "4.2.2.2", "four two two two" },
	{ "4.2.2.2.1", NULL },
	{ "5", NULL },
	{ "4294967295", NULL },
};

static void
check_rows(const char *text, const Row *table, size_t n)
{
	g_autoptr(PhStructure) structure = ph_structure_scan(ph_slice(text));

	for (size_t i = 0; i < n; i++) {
		PhRange range = { .offset = 12345 };
		PhFind found = ph_structure_find(structure, ph_slice(table[i].section), &range);

		g_test_message("%s", table[i].section);
		g_assert_cmpint(found, ==, table[i].expected != NULL ? PH_FIND_OK : PH_FIND_NONE);
		if (table[i].expected == NULL)
			g_assert_cmpuint(range.offset, ==, 12345);
		else
			g_assert_cmpmem(text + range.offset, range.size, table[i].expected,
			                strlen(table[i].expected));
	}
}

static void
test_rfc(void)
{
	check_rows(message, rows, G_N_ELEMENTS(rows));
}

static void
test_single(void)
{
	static const Row single[] = {
		{ "", "A: b\r\n\r\nbody\r\n" },
		{ "HEADER", "A: b\r\n\r\n" },
		{ "TEXT", "body\r\n" },
		{ "1", "body\r\n" },
		{ "1.MIME", "A: b\r\n\r\n" },
		{ "1.1", NULL },
		{ "1.TEXT", NULL },
		{ "2", NULL },
	};
	static const Row forwarded[] = {
		{ "1", "Subject: x\r\n\r\nbody" },
		{ "1.MIME", "Content-Type: message/rfc822\r\n\r\n" },
		{ "1.HEADER", "Subject: x\r\n\r\n" },
		{ "1.TEXT", "body" },
		{ "1.1", "body" },
		{ "1.1.MIME", "Subject: x\r\n\r\n" },
		{ "1.1.1", NULL },
		{ "1.2", NULL },
		{ "TEXT", "Subject: x\r\n\r\nbody" },
	};

	check_rows("A: b\r\n\r\nbody\r\n", single, G_N_ELEMENTS(single));
	check_rows("Content-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\nbody", forwarded,
	           G_N_ELEMENTS(forwarded));
}

static void
test_syntax(void)
{
	static const char *const bad[] = {
		"0",          "01",  "1.",       ".1", "1..2",          "MIME", "1.0",        "-1",
		"4294967296", "1.x", "HEADER.1", "1 ", "HEADER.FIELDS", "x",    "1.HEADER.2", "."
	};
	g_autoptr(PhStructure) structure = ph_structure_scan(ph_slice(message));

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		PhRange range;

		g_test_message("%s", bad[i]);
		g_assert_cmpint(ph_structure_find(structure, ph_slice(bad[i]), &range), ==,
		                PH_FIND_SYNTAX);
	}
}

static void
test_info(void)
{
	g_autoptr(PhStructure) structure = ph_structure_scan(
		ph_slice("Date: Fri, 21 Nov 1997 09:55:06 -0600\r\n"
	                 "From: =?utf-8?q?J=C3=BCrgen?= <J@a.b>\r\nTo: g: c@d;\r\nCc: e@f\r\n"
	                 "Subject: Re: =?utf-8?q?gr=C3=BC=C3=9F?=\r\nMessage-ID: <\"x y\"@z>\r\n"
	                 "In-Reply-To: your mail <p@q> <r@s>\r\n\r\n"));
	const PhMessageInfo *info = ph_structure_info(structure);

	g_assert_true(info->has_date);
	g_assert_cmpint(info->date.time, ==, INT64_C(880127706) * G_USEC_PER_SEC);
	g_assert_cmpint(info->date.zone_minutes, ==, -360);
	g_assert_true(ph_slice_is(info->from, "J"));
	g_assert_true(ph_slice_is(info->from_name, "J\xc3\xbcrgen"));
	g_assert_true(ph_slice_is(info->to, "g"));
	g_assert_true(ph_slice_is(info->cc, "e"));
	g_assert_true(ph_slice_is(info->subject, "Re: gr\xc3\xbc\xc3\x9f"));
	g_assert_true(ph_slice_is(info->message_id, "<x y@z>"));
	g_assert_true(ph_slice_is(info->in_reply_to, "<p@q>"));
	g_assert_true(ph_slice_is(info->references, "<p@q>"));
	g_assert_cmpuint(info->lines, ==, 8);
	g_assert_false(info->is_cut);
}

static void
test_references(void)
{
	g_autoptr(GString) text =
		g_string_new("Message-ID: none\r\nIn-Reply-To: <i@x>\r\nReferences:");
	g_autoptr(PhStructure) structure = NULL;
	const PhMessageInfo *info = NULL;

	for (int i = 0; i < 500; i++)
		g_string_append_printf(text, "\r\n <%d@x>", i);
	structure = ph_structure_scan(PH_SLICE(text->str, text->len));
	info = ph_structure_info(structure);
	g_assert_cmpuint(info->message_id.length, ==, 0);
	g_assert_true(ph_slice_starts_nocase(info->references, "<0@x> <401@x> <402@x> "));
	g_assert_true(ph_slice_is(ph_slice_from(info->references, info->references.length - 8),
	                          " <499@x>"));
}

static void
test_shared(void)
{
	PhStructure *structure = ph_structure_scan(ph_slice("A: b\r\n\r\n"));
	PhStructure *second = ph_structure_ref(structure);

	ph_structure_unref(structure);
	g_assert_cmpuint(ph_structure_info(second)->size, ==, 8);
	ph_structure_unref(second);
	ph_structure_unref(NULL);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/message/structure/sections-of-rfc-3501", test_rfc);
	g_test_add_func("/message/structure/sections-of-single-parts", test_single);
	g_test_add_func("/message/structure/refuses-other-sections", test_syntax);
	g_test_add_func("/message/structure/tells-what-sort-compares", test_info);
	g_test_add_func("/message/structure/keeps-first-and-last-references", test_references);
	g_test_add_func("/message/structure/is-counted", test_shared);
	return g_test_run();
}
