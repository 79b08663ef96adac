/* test-part-header.c: BODY and BODYSTRUCTURE, exactly as they go on the wire
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/message.h>
#include <posthorn/slice.h>

#define NO_ENVELOPE "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"
#define ASCII       "(\"charset\" \"us-ascii\")"

static void
check(const char *message, const char *bodystructure, const char *body)
{
	g_autoptr(PhStructure) structure = ph_structure_scan(ph_slice(message));
	PhSlice full = ph_structure_bodystructure(structure);
	g_autoptr(GString) out = g_string_new(NULL);
	g_autofree char *text = ph_slice_dup(full);

	ph_structure_append_body(structure, out);
	g_assert_cmpstr(text, ==, bodystructure);
	g_assert_cmpstr(out->str, ==, body);
}

static void
test_plain(void)
{
	check("Subject: x\r\n\r\none\r\ntwo\r\n",
	      "(\"text\" \"plain\" " ASCII " NIL NIL \"7bit\" 10 2 NIL NIL NIL NIL)",
	      "(\"text\" \"plain\" " ASCII " NIL NIL \"7bit\" 10 2)");
	check("", "(\"text\" \"plain\" " ASCII " NIL NIL \"7bit\" 0 0 NIL NIL NIL NIL)",
	      "(\"text\" \"plain\" " ASCII " NIL NIL \"7bit\" 0 0)");
	check("Content-Type: TEXT/PLAIN; CHARSET=US-ASCII; format=flowed\r\n"
	      "Content-Transfer-Encoding: 8BIT\r\n\r\nno line end",
	      "(\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\" \"format\" \"flowed\") NIL NIL \"8BIT\" 11 0 "
	      "NIL NIL NIL NIL)",
	      "(\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\" \"format\" \"flowed\") NIL NIL \"8BIT\" 11 0)");
	check("Content-Type: text/html; format=flowed\r\n\r\n",
	      "(\"text\" \"html\" (\"format\" \"flowed\" \"charset\" \"us-ascii\") NIL NIL \"7bit\" 0 0 "
	      "NIL NIL NIL NIL)",
	      "(\"text\" \"html\" (\"format\" \"flowed\" \"charset\" \"us-ascii\") NIL NIL \"7bit\" 0 0)");
}

static void
test_fields(void)
{
	check("Content-Type: application/pdf; name*0*=utf-8''%C3; name*1*=%A4.pdf\r\n"
	      "Content-ID: <a@b>\r\nContent-Description: some\r\n \"thing\"\r\n"
	      "Content-Transfer-Encoding: base64\r\nContent-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==\r\n"
	      "Content-Disposition: attachment; filename=\"a b.pdf\"; size=3\r\n"
	      "Content-Language: de, en-GB\r\nContent-Location: http://x/y\r\n\r\nAAAA\r\n",
	      "(\"application\" \"pdf\" (\"name*\" \"utf-8''%C3%A4.pdf\") \"<a@b>\" "
	      "\"some \\\"thing\\\"\" \"base64\" 6 \"Q2hlY2sgSW50ZWdyaXR5IQ==\" "
	      "(\"attachment\" (\"filename\" \"a b.pdf\" \"size\" \"3\")) (\"de\" \"en-GB\") \"http://x/y\")",
	      "(\"application\" \"pdf\" (\"name*\" \"utf-8''%C3%A4.pdf\") \"<a@b>\" "
	      "\"some \\\"thing\\\"\" \"base64\" 6)");
	check("Content-Type: a/b; n*1=y; x=1; n*0=\"x \"; m*0*=utf-8'de'%41; m*1=\"b c\";\r\n"
	      " o*1=lost; p*0=%; p*1*=%20; q*=''r; s*0*; t*9=u\r\n\r\n",
	      "(\"a\" \"b\" (\"n\" \"x y\" \"x\" \"1\" \"m*\" \"utf-8'de'%41b%20c\" \"o*1\" \"lost\" "
	      "\"p*\" \"''%25%20\" \"q*\" \"''r\" \"t*9\" \"u\") NIL NIL \"7bit\" 0 NIL NIL NIL NIL)",
	      "(\"a\" \"b\" (\"n\" \"x y\" \"x\" \"1\" \"m*\" \"utf-8'de'%41b%20c\" \"o*1\" \"lost\" "
	      "\"p*\" \"''%25%20\" \"q*\" \"''r\" \"t*9\" \"u\") NIL NIL \"7bit\" 0)");
	/* one piece that comes first is after a gap */
	check("Content-Type: a/b; n*3=c; n*0=a; N*1=b; n*3=d\r\n\r\n",
	      "(\"a\" \"b\" (\"n\" \"ab\" \"n*3\" \"c\" \"n*3\" \"d\") NIL NIL \"7bit\" 0 NIL NIL NIL NIL)",
	      "(\"a\" \"b\" (\"n\" \"ab\" \"n*3\" \"c\" \"n*3\" \"d\") NIL NIL \"7bit\" 0)");
	check("Content-Type: image/gif\r\nContent-Disposition: inline\r\n\r\n",
	      "(\"image\" \"gif\" NIL NIL NIL \"7bit\" 0 NIL (\"inline\" NIL) NIL NIL)",
	      "(\"image\" \"gif\" NIL NIL NIL \"7bit\" 0)");
	check("Content-Type: image/gif; name=\"gr\xfc\xdf\"\r\n\r\n",
	      "(\"image\" \"gif\" (\"name\" {4}\r\ngr\xfc\xdf) NIL NIL \"7bit\" 0 NIL NIL NIL NIL)",
	      "(\"image\" \"gif\" (\"name\" {4}\r\ngr\xfc\xdf) NIL NIL \"7bit\" 0)");
}

static void
test_multipart(void)
{
	check("Content-Type: multipart/mixed; boundary=\"x\"\r\nContent-Language: en\r\n\r\n"
	      "--x\r\n\r\none\r\n--x\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>\r\n\r\n--x--\r\n",
	      "((\"text\" \"plain\" " ASCII " NIL NIL \"7bit\" 3 0 NIL NIL NIL NIL)"
	      "(\"text\" \"html\" (\"charset\" \"utf-8\") NIL NIL \"7bit\" 5 1 NIL NIL NIL NIL) "
	      "\"mixed\" (\"boundary\" \"x\") NIL (\"en\") NIL)",
	      "((\"text\" \"plain\" " ASCII " NIL NIL \"7bit\" 3 0)"
	      "(\"text\" \"html\" (\"charset\" \"utf-8\") NIL NIL \"7bit\" 5 1) \"mixed\")");
	check("Content-Type: multipart/digest; boundary=x\r\n\r\n"
	      "--x\r\n\r\nSubject: a\r\n\r\nb\r\n--x\r\nContent-Type: text/plain\r\n\r\nc\r\n--x--\r\n",
	      "((\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 15 "
	      "(NIL \"a\" NIL NIL NIL NIL NIL NIL NIL NIL) "
	      "(\"text\" \"plain\" " ASCII
	      " NIL NIL \"7bit\" 1 0 NIL NIL NIL NIL) 2 NIL NIL NIL NIL)"
	      "(\"text\" \"plain\" " ASCII " NIL NIL \"7bit\" 1 0 NIL NIL NIL NIL) "
	      "\"digest\" (\"boundary\" \"x\") NIL NIL NIL)",
	      "((\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 15 "
	      "(NIL \"a\" NIL NIL NIL NIL NIL NIL NIL NIL) "
	      "(\"text\" \"plain\" " ASCII " NIL NIL \"7bit\" 1 0) 2)"
	      "(\"text\" \"plain\" " ASCII " NIL NIL \"7bit\" 1 0) \"digest\")");
}

static void
test_broken(void)
{
	/* no boundary, no parts, no type at all: text that a client shows */
	check("Content-Type: multipart/mixed\r\nContent-Transfer-Encoding: 8bit\r\n\r\nhello\r\n",
	      "(\"text\" \"plain\" " ASCII " NIL NIL \"8bit\" 7 1 NIL NIL NIL NIL)",
	      "(\"text\" \"plain\" " ASCII " NIL NIL \"8bit\" 7 1)");
	check("Content-Type: multipart/mixed; boundary=x\r\n\r\nhello\r\n",
	      "(\"text\" \"plain\" " ASCII " NIL NIL \"7bit\" 7 1 NIL NIL NIL NIL)",
	      "(\"text\" \"plain\" " ASCII " NIL NIL \"7bit\" 7 1)");
	check("Content-Type: html\r\n\r\nhello\r\n",
	      "(\"text\" \"plain\" " ASCII " NIL NIL \"7bit\" 7 1 NIL NIL NIL NIL)",
	      "(\"text\" \"plain\" " ASCII " NIL NIL \"7bit\" 7 1)");
	check("Content-Type: message/rfc822\r\n",
	      "(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 0 " NO_ENVELOPE
	      " (\"text\" \"plain\" " ASCII
	      " NIL NIL \"7bit\" 0 0 NIL NIL NIL NIL) 0 NIL NIL NIL NIL)",
	      "(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 0 " NO_ENVELOPE
	      " (\"text\" \"plain\" " ASCII " NIL NIL \"7bit\" 0 0) 0)");
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/message/part-header/plain-text", test_plain);
	g_test_add_func("/message/part-header/all-fields", test_fields);
	g_test_add_func("/message/part-header/multiparts", test_multipart);
	g_test_add_func("/message/part-header/broken-mime-is-text", test_broken);
	return g_test_run();
}
