/* test-encoded-word.c: header values as UTF-8
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/header.h>
#include <posthorn/slice.h>

static void
check(const char *value, const char *expected)
{
	g_autoptr(GString) out = g_string_new("<");

	ph_header_decode(ph_slice(value), out);
	g_assert_cmpstr(out->str + 1, ==, expected);
	g_assert_true(ph_slice_is_utf8(PH_SLICE(out->str, out->len)));
}

static void
test_rfc(void)
{
	check("=?US-ASCII?Q?Keith_Moore?= <moore@cs.utk.edu>", "Keith Moore <moore@cs.utk.edu>");
	check("=?ISO-8859-1?Q?Keld_J=F8rn_Simonsen?=", "Keld J\xc3\xb8rn Simonsen");
	check("=?ISO-8859-1?B?SWYgeW91IGNhbiByZWFkIHRoaXMgeW8=?=\r\n"
	      " =?ISO-8859-2?B?dSB1bmRlcnN0YW5kIHRoZSBleGFtcGxlLg==?=",
	      "If you can read this you understand the example.");
	check("(=?ISO-8859-1?Q?a?=)", "(a)");
	check("(=?ISO-8859-1?Q?a?= b)", "(a b)");
	check("(=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=)", "(ab)");
	check("(=?ISO-8859-1?Q?a?=  \r\n  =?ISO-8859-1?Q?b?=)", "(ab)");
	check("(=?ISO-8859-1?Q?a_b?=)", "(a b)");
	check("(=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=)", "(a b)");
	check("=?US-ASCII*EN?Q?Keith_Moore?=", "Keith Moore");
}

static void
test_odd(void)
{
	check("", "");
	check("plain", "plain");
	check("x=?utf-8?q?=C3=A4?=y", "x\xc3\xa4y");
	check("\"=?utf-8?q?=C3=A4?=\"", "\"\xc3\xa4\"");
	check("=?utf-8?b?w6Q?=", "\xc3\xa4");
	check("=?utf-8?B?w6Q==?=", "\xc3\xa4");
	check("=?utf-8?q?a b?=", "a b");
	check("=?utf-8?q?=c3=a4=G1=?=", "\xc3\xa4=G1=");
	check("=?utf-8?q?=C3?= =?utf-8?q?=A4?=", "\xc3\xa4");
	check("=?utf-8?b?w?= =?utf-8?b?6Q=?=", "\xef\xbf\xbd");
	check("=?utf-8?q?=C3?= x", "\xef\xbf\xbd x");
	check("=?utf-8?q?=00?=", "\xef\xbf\xbd");
	check("=?utf-8?q?"
	      "?=",
	      "");
	check("=?utf-8?x?a?=", "=?utf-8?x?a?=");
	check("=?utf-8?q?never ends", "=?utf-8?q?never ends");
	check("=?", "=?");
	check("=?=?=?", "=?=?=?");
	check("=?"
	      "?q?a?=",
	      "=?"
	      "?q?a?=");
	check("=?no-such-charset?q?a=E4?=", "a\xc3\xa4");
	check("=?../../etc/passwd?q?a?=", "=?../../etc/passwd?q?a?=");
	check("gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f");
	check("gr\xfc\xdf", "gr\xc3\xbc\xc3\x9f");
	check("=?koi8-r?b?8NLJ18XU?=", "\xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82");
	check("=?iso-2022-jp?b?GyRCRnxLXBsoQg==?=", "\xe6\x97\xa5\xe6\x9c\xac");
	check("=?gb2312?b?1tDOxA==?=", "\xe4\xb8\xad\xe6\x96\x87");
}

/* The sanitizers look at all of what is searched on each call of memmem(). */
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define LINEAR_OCTETS (32 * 1024)
#else
#define LINEAR_OCTETS (1024 * 1024)
#endif

static void
test_linear(void)
{
	static const char *const units[] = {
		"=?", "=?a?q?", "=?a?q?b?=", "?=", "=?a?b?=?= ", "\xc3"
	};

	for (size_t u = 0; u < G_N_ELEMENTS(units); u++) {
		g_autoptr(GString) value = g_string_new(NULL);
		g_autoptr(GString) out = g_string_new(NULL);
		gint64 start = 0;

		while (value->len < LINEAR_OCTETS)
			g_string_append(value, units[u]);
		start = g_get_monotonic_time();
		ph_header_decode(PH_SLICE(value->str, value->len), out);
		g_assert_cmpint(g_get_monotonic_time() - start, <, 2 * G_USEC_PER_SEC);
		g_assert_true(ph_slice_is_utf8(PH_SLICE(out->str, out->len)));
	}
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/message/encoded-word/examples-of-rfc-2047", test_rfc);
	g_test_add_func("/message/encoded-word/is-lenient-and-always-utf8", test_odd);
	g_test_add_func("/message/encoded-word/costs-linear-time", test_linear);
	return g_test_run();
}
