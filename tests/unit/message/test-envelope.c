/* test-envelope.c: ENVELOPE, exactly as it goes on the wire
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/message.h>
#include <posthorn/slice.h>

static void
check(PhSlice header, const char *expected)
{
	g_autoptr(PhStructure) structure = ph_structure_scan(header);
	PhSlice envelope = ph_structure_envelope(structure);

	g_assert_cmpmem(envelope.data, envelope.length, expected, strlen(expected));
}

static void
test_rfc(void)
{
	check(ph_slice("Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\r\n"
	               "From: Terry Gray <gray@cac.washington.edu>\r\n"
	               "Subject: IMAP4rev1 WG mtg summary and minutes\r\n"
	               "To: imap@cac.washington.edu\r\n"
	               "cc: minutes@CNRI.Reston.VA.US, John Klensin <KLENSIN@MIT.EDU>\r\n"
	               "Message-Id: <B27397-0100000@cac.washington.edu>\r\n"
	               "MIME-Version: 1.0\r\n"
	               "Content-Type: TEXT/PLAIN; CHARSET=US-ASCII\r\n\r\n"),
	      "(\"Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\" \"IMAP4rev1 WG mtg summary and minutes\" "
	      "((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) "
	      "((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) "
	      "((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) "
	      "((NIL NIL \"imap\" \"cac.washington.edu\")) "
	      "((NIL NIL \"minutes\" \"CNRI.Reston.VA.US\")"
	      "(\"John Klensin\" NIL \"KLENSIN\" \"MIT.EDU\")) NIL NIL "
	      "\"<B27397-0100000@cac.washington.edu>\")");
}

static void
test_empty(void)
{
	check(PH_SLICE_EMPTY, "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)");
	check(ph_slice("\r\nSubject: body\r\n"), "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)");
	check(ph_slice("Subject:\r\nTo:\r\nFrom: ,\r\nMessage-ID:  \r\n\r\n"),
	      "(NIL \"\" NIL NIL NIL NIL NIL NIL NIL \"\")");
}

static void
test_strings(void)
{
	check(ph_slice("Subject: a \"b\" \\c\r\n\r\n"),
	      "(NIL \"a \\\"b\\\" \\\\c\" NIL NIL NIL NIL NIL NIL NIL NIL)");
	check(ph_slice("Subject: one\r\n two\r\n\tthree\r\n\r\n"),
	      "(NIL \"one two\tthree\" NIL NIL NIL NIL NIL NIL NIL NIL)");
	check(ph_slice("Subject: gr\xc3\xbc\xc3\x9f\r\n\r\n"),
	      "(NIL {6}\r\ngr\xc3\xbc\xc3\x9f NIL NIL NIL NIL NIL NIL NIL NIL)");
	check(PH_SLICE_LITERAL("Subject: a\0b\r\n\r\n"),
	      "(NIL \"a b\" NIL NIL NIL NIL NIL NIL NIL NIL)");
	check(ph_slice("Subject: =?utf-8?q?=C3=A4?=\r\nSubject: second\r\n\r\n"),
	      "(NIL \"=?utf-8?q?=C3=A4?=\" NIL NIL NIL NIL NIL NIL NIL NIL)");
}

static void
test_addresses(void)
{
	check(ph_slice("From: a@b\r\nSender: c@d\r\nReply-To: \"E, F\" <e@f>\r\n"
	               "To: A Group: x@y, Z <z@z>;\r\nBcc: Undisclosed:;\r\n\r\n"),
	      "(NIL NIL ((NIL NIL \"a\" \"b\")) ((NIL NIL \"c\" \"d\")) ((\"E, F\" NIL \"e\" \"f\")) "
	      "((NIL NIL \"A Group\" NIL)(NIL NIL \"x\" \"y\")(\"Z\" NIL \"z\" \"z\")(NIL NIL NIL NIL)) "
	      "NIL ((NIL NIL \"Undisclosed\" NIL)(NIL NIL NIL NIL)) NIL NIL)");
	check(ph_slice("To: a@b\r\nX: y\r\nTO: c@d\r\nCc: <@r,@s:t@u>\r\n\r\n"),
	      "(NIL NIL NIL NIL NIL ((NIL NIL \"a\" \"b\")(NIL NIL \"c\" \"d\")) "
	      "((NIL \"@r,@s\" \"t\" \"u\")) NIL NIL NIL)");
	check(ph_slice("From: nobody\r\nTo: <@x>\r\n\r\n"),
	      "(NIL NIL ((NIL NIL \"nobody\" \"MISSING_DOMAIN\")) ((NIL NIL \"nobody\" \"MISSING_DOMAIN\")) "
	      "((NIL NIL \"nobody\" \"MISSING_DOMAIN\")) ((NIL NIL \"MISSING_MAILBOX\" \"x\")) "
	      "NIL NIL NIL NIL)");
	check(ph_slice("From: J\xfcrgen \"q\\\"\" <\"a b\"@c>\r\nSender: \r\n\r\n"),
	      "(NIL NIL (({9}\r\nJ\xfcrgen q\" NIL \"a b\" \"c\")) (({9}\r\nJ\xfcrgen q\" NIL \"a b\" \"c\")) "
	      "(({9}\r\nJ\xfcrgen q\" NIL \"a b\" \"c\")) NIL NIL NIL NIL NIL)");
}

static void
test_long(void)
{
	g_autofree char *name = g_strnfill(1001, 'x');
	g_autofree char *header = g_strdup_printf("Subject: %s\r\n\r\n", name);
	g_autofree char *expected =
		g_strdup_printf("(NIL {1001}\r\n%s NIL NIL NIL NIL NIL NIL NIL NIL)", name);

	check(ph_slice(header), expected);
}

/* 100,000 address fields: one of the attacks on other servers (CVE-2024-23184). */
static void
test_many(void)
{
	g_autoptr(GString) header = g_string_new(NULL);
	g_autoptr(PhStructure) structure = NULL;
	gint64 start = 0;

	for (int i = 0; i < 100000; i++)
		g_string_append_printf(header, "To: Somebody <a%d@example.org>\r\n", i);
	start = g_get_monotonic_time();
	structure = ph_structure_scan(PH_SLICE(header->str, header->len));
	g_assert_cmpint(g_get_monotonic_time() - start, <, G_USEC_PER_SEC);
	g_assert_nonnull(g_strstr_len(ph_structure_envelope(structure).data,
	                              (gssize) ph_structure_envelope(structure).length,
	                              "\"a9999\""));
	g_assert_null(g_strstr_len(ph_structure_envelope(structure).data,
	                           (gssize) ph_structure_envelope(structure).length, "\"a10000\""));
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/message/envelope/example-of-rfc-3501", test_rfc);
	g_test_add_func("/message/envelope/nil-for-what-is-not-there", test_empty);
	g_test_add_func("/message/envelope/quotes-or-counts-strings", test_strings);
	g_test_add_func("/message/envelope/addresses-and-groups", test_addresses);
	g_test_add_func("/message/envelope/long-strings-are-literals", test_long);
	g_test_add_func("/message/envelope/bounds-addresses", test_many);
	return g_test_run();
}
