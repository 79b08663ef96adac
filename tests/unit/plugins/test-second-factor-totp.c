/* test-second-factor-totp.c: one-time codes by the vectors of the RFCs
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "totp.h"

#include <string.h>

static const uint8_t rfc_key[] = "12345678901234567890";

enum {
	RFC_KEY_LENGTH = sizeof rfc_key - 1,
};

/* RFC 6238 appendix B. */
static void
codes_are_those_of_the_rfc(void)
{
	static const struct {
		uint64_t time;
		uint32_t code;
	} cases[] = {
		{ 59, 94287082 },         { 1111111109, 7081804 },
		{ 1111111111, 14050471 }, { 1234567890, 89005924 },
		{ 2000000000, 69279037 }, { UINT64_C(20000000000), 65353130 },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
		g_assert_cmpuint(
			totp_code(rfc_key, RFC_KEY_LENGTH, cases[i].time / TOTP_SECONDS, 8), ==,
			cases[i].code);
}

static void
a_key_is_read_from_base32(void)
{
	uint8_t key[TOTP_KEY_MAX];

	g_assert_cmpuint(totp_key("GEZD GNBV gy3tqojqGEZDGNBVGY3TQOJQ==", key), ==, RFC_KEY_LENGTH);
	g_assert_cmpint(memcmp(key, rfc_key, RFC_KEY_LENGTH), ==, 0);
	g_assert_cmpuint(totp_key("GEZDGNBV", key), ==, 0);
	g_assert_cmpuint(totp_key("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJ1", key), ==, 0);
	g_autofree char *large = g_strnfill(200, 'A');
	g_assert_cmpuint(totp_key(large, key), ==, 0);
}

static void
a_code_is_found_within_the_window_alone(void)
{
	uint64_t now = 1234567890;
	uint64_t step = now / TOTP_SECONDS;
	uint32_t before = totp_code(rfc_key, RFC_KEY_LENGTH, step - 1, TOTP_DIGITS);
	uint32_t earlier = totp_code(rfc_key, RFC_KEY_LENGTH, step - 2, TOTP_DIGITS);

	g_assert_cmpuint(totp_find(rfc_key, RFC_KEY_LENGTH, before, now, 1), ==, step - 1);
	g_assert_cmpuint(totp_find(rfc_key, RFC_KEY_LENGTH, before, now, 0), ==, 0);
	g_assert_cmpuint(totp_find(rfc_key, RFC_KEY_LENGTH, earlier, now, 1), ==, 0);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/second-factor-totp/codes-are-those-of-the-rfc",
	                codes_are_those_of_the_rfc);
	g_test_add_func("/second-factor-totp/a-key-is-read-from-base32", a_key_is_read_from_base32);
	g_test_add_func("/second-factor-totp/a-code-is-found-within-the-window-alone",
	                a_code_is_found_within_the_window_alone);
	return g_test_run();
}
