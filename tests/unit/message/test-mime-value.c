/* test-mime-value.c: Content-Type and Content-Disposition
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/header.h>
#include <posthorn/slice.h>

/* "type/subtype name=value name=value", sorted by name. */
static void
check(const char *value, bool is_type, const char *expected)
{
	g_autoptr(PhMimeValue) parsed = ph_mime_value_parse(ph_slice(value), is_type);
	g_autoptr(GString) out = g_string_new(parsed->type);

	g_string_append_printf(out, "/%s", parsed->subtype);
	for (size_t i = 0; i < parsed->n_parameters; i++)
		g_string_append_printf(out, " %s=%s", parsed->parameters[i].name,
		                       parsed->parameters[i].value);
	g_assert_cmpstr(out->str, ==, expected);
}

static void
test_types(void)
{
	check("text/plain; charset=us-ascii (Plain text)", true, "text/plain charset=us-ascii");
	check("Text/HTML;Charset=\"UTF-8\";Format=Flowed", true,
	      "text/html charset=UTF-8 format=Flowed");
	check("multipart/mixed; boundary=\"----=_Part \\\"x\\\"\"", true,
	      "multipart/mixed boundary=----=_Part \"x\"");
	check("multipart/mixed; boundary=----=_Part/x?", true,
	      "multipart/mixed boundary=----=_Part/x?");
	check("text", true, "text/plain");
	check("", true, "text/plain");
	check("text/", true, "text/plain");
	check("/plain; a=b", true, "text/plain");
	check("text / plain ; a = b", true, "text/plain a=b");
	check("(c) text (d) / (e) plain (f); (g) a (h) = (i) b (j); c=d", true,
	      "text/plain a=b c=d");
	check("text/plain; ; a; =b; c=; d=e", true, "text/plain c= d=e");
	check("text/plain\r\n\t;\r\n a=\"b\r\n c\"", true, "text/plain a=b c");
	check("text/plain; a=\"never closed; b=c", true, "text/plain a=never closed; b=c");
	check("text/plain; name=\"=?utf-8?q?=C3=A4.txt?=\"", true, "text/plain name=\xc3\xa4.txt");
	check("text/plain; name=\"a;b\"; x=y", true, "text/plain name=a;b x=y");
}

static void
test_rfc2231(void)
{
	check("message/external-body; access-type=URL;\r\n URL*0=\"ftp://\";\r\n"
	      " URL*1=\"cs.utk.edu/pub/moore/bulk-mailer/bulk-mailer.tar\"",
	      true,
	      "message/external-body access-type=URL "
	      "url=ftp://cs.utk.edu/pub/moore/bulk-mailer/bulk-mailer.tar");
	check("application/x-stuff;\r\n title*=us-ascii'en-us'This%20is%20%2A%2A%2Afun%2A%2A%2A",
	      true, "application/x-stuff title=This is ***fun***");
	check("application/x-stuff\r\n title*1*=us-ascii'en'This%20is%20even%20more%20", true,
	      "application/x-stuff");
	check("application/x-stuff; title*0*=us-ascii'en'This%20is%20even%20more%20;\r\n"
	      " title*1*=%2A%2A%2Afun%2A%2A%2A%20; title*2=\"isn't it!\"",
	      true, "application/x-stuff title=This is even more ***fun*** isn't it!");
	check("attachment; filename*=iso-8859-1''gr%FC%DF.txt; filename=gruss.txt", false,
	      "attachment/ filename=gr\xc3\xbc\xc3\x9f.txt");
	check("attachment; filename*1=b; filename*0=a", false, "attachment/ filename=ab");
	check("attachment; filename*0=a; filename*2=c", false, "attachment/ filename=a");
	check("attachment; filename*=x%zz%4", false, "attachment/ filename=");
	check("attachment; filename*99999999999=a; x=y", false, "attachment/ x=y");
	check("attachment; filename*0*=utf-8''%C3; filename*1*=%A4", false,
	      "attachment/ filename=\xc3\xa4");
}

static void
test_dispositions(void)
{
	check("INLINE", false, "inline/");
	check("", false, "attachment/");
	check("; filename=x", false, "attachment/ filename=x");
}

static void
test_limit(void)
{
	g_autoptr(GString) text = g_string_new("text/plain");
	g_autoptr(PhMimeValue) parsed = NULL;

	for (int i = 0; i < 100000; i++)
		g_string_append_printf(text, "; a%d*%d=x", i % 7, i % 90);
	parsed = ph_mime_value_parse(PH_SLICE(text->str, text->len), true);
	g_assert_cmpuint(parsed->n_parameters, <=, 100);
	g_assert_null(ph_mime_value_get(parsed, "b"));
	g_assert_nonnull(ph_mime_value_get(parsed, "a0"));
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/message/mime-value/reads-types", test_types);
	g_test_add_func("/message/mime-value/joins-rfc-2231-pieces", test_rfc2231);
	g_test_add_func("/message/mime-value/reads-dispositions", test_dispositions);
	g_test_add_func("/message/mime-value/bounds-parameters", test_limit);
	return g_test_run();
}
