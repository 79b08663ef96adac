/* test-limit.c: limits are read to the letter and kept
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>

#include "limit.h"

#define SECOND UINT64_C(1000000)

static Limit
read_one(const char *text)
{
	g_autoptr(GError) error = NULL;
	Limit limit;

	g_assert_true(limit_parse("limit-1", text, &limit, &error));
	g_assert_no_error(error);
	return limit;
}

static void
test_read(void)
{
	Limit limit = read_one("10M octets per 2h of user");
	static const char *const bad[] = { "",
		                           "no messages per 1h of client",
		                           "0 messages per 1h of client",
		                           "5 letters per 1h of client",
		                           "5 messages in 1h of client",
		                           "5 messages per 1 of client",
		                           "5 messages per 0h of client",
		                           "5 messages per 1h for client",
		                           "5 messages per 1h of everybody",
		                           "5 messages per 1h of client too",
		                           "99999999999 messages per 1h of client" };

	g_assert_cmpuint(limit.amount, ==, 10 << 20);
	g_assert_cmpuint(limit.per_us, ==, 7200 * SECOND);
	g_assert_cmpint(limit.unit, ==, UNIT_OCTETS);
	g_assert_cmpint(limit.of, ==, OF_USER);
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autoptr(GError) error = NULL;

		g_assert_false(limit_parse("limit-1", bad[i], &limit, &error));
		g_assert_error(error, PH_ERROR, PH_ERROR_INVALID);
	}
}

static void
test_charges(void)
{
	Limit limit = read_one("3 messages per 30s of client");
	Limit octets = read_one("1K octets per 10s of sender");
	g_autofree char *key = limit_key(&limit, "192.0.2.1");
	PhTallyCharge charge;

	g_assert_cmpstr(key, ==, "3 messages/30000000 client:192.0.2.1");
	limit_charge(&limit, key, 1, &charge);
	g_assert_cmpuint(charge.per_us, ==, 30 * SECOND);
	g_assert_cmpuint(charge.cost_us, ==, 10 * SECOND);
	g_assert_cmpuint(charge.least_us, <, 10 * SECOND);
	g_assert_cmpuint(charge.least_us, >, 9 * SECOND);
	limit_charge(&octets, key, 3072, &charge);
	g_assert_cmpuint(charge.cost_us, ==, 30 * SECOND);
	g_assert_cmpuint(charge.least_us, <=, SECOND / 100);
	limit_charge(&octets, key, UINT64_MAX, &charge);
	g_assert_cmpuint(charge.cost_us, <=, (uint64_t) G_MAXINT64 / 2);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/ratelimit/limit/reads-only-what-is-a-limit", test_read);
	g_test_add_func("/ratelimit/limit/uses-are-times", test_charges);
	return g_test_run();
}
