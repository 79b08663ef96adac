/* test-invent.c: what unknown users are shown stays the same, and nobody else can make it
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "login/invent.h"

#include <glib/gstdio.h>

static void
the_key_stays_over_restarts(void)
{
	g_autofree char *folder = g_dir_make_tmp("posthorn-XXXXXX", NULL);
	g_autofree char *path = g_build_filename(folder, "login.key", NULL);
	uint8_t first[PH_LOGIN_KEY_SIZE];
	uint8_t second[PH_LOGIN_KEY_SIZE];
	GStatBuf status;

	g_assert_true(ph_login_key_load(folder, first, NULL));
	g_assert_true(ph_login_key_load(folder, second, NULL));
	g_assert_cmpmem(first, sizeof first, second, sizeof second);
	g_assert_cmpint(g_stat(path, &status), ==, 0);
	g_assert_cmpuint(status.st_mode & 0777, ==, 0600);
	(void) g_remove(path);
	(void) g_rmdir(folder);
}

static void
without_a_place_for_it_the_key_is_random(void)
{
	g_autoptr(GError) error = NULL;
	uint8_t first[PH_LOGIN_KEY_SIZE] = { 0 };
	uint8_t second[PH_LOGIN_KEY_SIZE] = { 0 };

	g_assert_false(ph_login_key_load("/nonexistent/folder", first, &error));
	g_assert_nonnull(error);
	g_assert_false(ph_login_key_load("/nonexistent/folder", second, NULL));
	g_assert_cmpint(memcmp(first, second, sizeof first), !=, 0);
}

static void
purpose_name_and_key_all_count(void)
{
	const uint8_t key[PH_LOGIN_KEY_SIZE] = { 1 };
	const uint8_t other[PH_LOGIN_KEY_SIZE] = { 2 };
	uint8_t made[5][16];

	ph_invent(key, "salt", PH_SLICE_LITERAL("anna"), made[0], 16);
	ph_invent(key, "salt", PH_SLICE_LITERAL("ben"), made[1], 16);
	ph_invent(key, "key", PH_SLICE_LITERAL("anna"), made[2], 16);
	ph_invent(other, "salt", PH_SLICE_LITERAL("anna"), made[3], 16);
	ph_invent(key, "salta", PH_SLICE_LITERAL("nna"), made[4], 16);
	for (size_t i = 0; i < G_N_ELEMENTS(made); i++)
		for (size_t j = 0; j < i; j++)
			g_assert_cmpint(memcmp(made[i], made[j], 16), !=, 0);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/login/invent/the-key-stays-over-restarts", the_key_stays_over_restarts);
	g_test_add_func("/login/invent/without-a-place-for-it-the-key-is-random",
	                without_a_place_for_it_the_key_is_random);
	g_test_add_func("/login/invent/purpose-name-and-key-all-count",
	                purpose_name_and_key_all_count);
	return g_test_run();
}
