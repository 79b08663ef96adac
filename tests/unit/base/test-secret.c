/* test-secret.c: secrets are copied, compared whole, random
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/secret.h>
#include <posthorn/slice.h>

static void
test_copy(void)
{
	g_autoptr(PhSecret) secret = ph_secret_new(PH_SLICE("a\0b", 3));
	g_autoptr(PhSecret) empty = ph_secret_new(PH_SLICE_EMPTY);

	g_assert_cmpmem(ph_secret_slice(secret).data, 4, "a\0b\0", 4);
	g_assert_cmpuint(ph_secret_slice(secret).length, ==, 3);
	g_assert_cmpuint(ph_secret_slice(empty).length, ==, 0);
	ph_secret_free(NULL);
}

static void
test_equal(void)
{
	g_assert_true(ph_secret_equal(ph_slice("abc"), ph_slice("abc")));
	g_assert_false(ph_secret_equal(ph_slice("abc"), ph_slice("abd")));
	g_assert_false(ph_secret_equal(ph_slice("abc"), ph_slice("ab")));
	g_assert_false(ph_secret_equal(ph_slice(""), ph_slice("a")));
	g_assert_false(ph_secret_equal(PH_SLICE("a\0b", 3), PH_SLICE("a\0c", 3)));
	g_assert_true(ph_secret_equal(PH_SLICE_EMPTY, PH_SLICE_EMPTY));
}

static void
test_wipe_random(void)
{
	char octets[64];
	char zero[64] = { 0 };

	memset(octets, 0, sizeof octets);
	ph_secret_random(octets, sizeof octets);
	g_assert_cmpint(memcmp(octets, zero, sizeof octets), !=, 0);
	ph_secret_wipe(octets, sizeof octets);
	g_assert_cmpmem(octets, sizeof octets, zero, sizeof zero);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/base/secret/keeps-a-copy-with-nul", test_copy);
	g_test_add_func("/base/secret/compares-all-octets", test_equal);
	g_test_add_func("/base/secret/wipes-and-draws", test_wipe_random);
	return g_test_run();
}
