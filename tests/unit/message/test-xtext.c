/* test-xtext.c: the encoding of ESMTP parameter values
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/address.h>
#include <posthorn/slice.h>

static void
test_encode(void)
{
	g_autoptr(GString) out = g_string_new(NULL);

	ph_xtext_encode(PH_SLICE("a+b=c d\0\xff~!", 11), out);
	g_assert_cmpstr(out->str, ==, "a+2Bb+3Dc+20d+00+FF~!");
}

static void
test_decode(void)
{
	static const char *const bad[] = { "+",   "+2",  "+2b",   "+G0",
		                           "a=b", "a b", "a\x7f", "\xc3\xa4" };
	g_autoptr(GString) out = g_string_new("x");

	g_assert_true(ph_xtext_decode(ph_slice("a+2Bb+00"), out));
	g_assert_cmpmem(out->str, out->len, "xa+b\0", 5);
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		g_assert_false(ph_xtext_decode(ph_slice(bad[i]), out));
	g_assert_cmpmem(out->str, out->len, "xa+b\0", 5);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/message/xtext/encodes-all-octets", test_encode);
	g_test_add_func("/message/xtext/decodes-only-xtext", test_decode);
	return g_test_run();
}
