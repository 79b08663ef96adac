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

static bool
take(Buckets *buckets, const Limit *limit, const char *whose, uint64_t amount, uint64_t now_s)
{
	Charge charge = { .limit = limit, .whose = whose, .amount = amount };
	uint64_t wait_us = 0;

	return buckets_charge(buckets, &charge, 1, now_s * SECOND, &wait_us) == NULL;
}

static void
test_refill(void)
{
	Limit limit = read_one("3 messages per 30s of client");
	Buckets *buckets = buckets_new(10);

	for (unsigned i = 0; i < 3; i++)
		g_assert_true(take(buckets, &limit, "a", 1, 100));
	g_assert_false(take(buckets, &limit, "a", 1, 100));
	g_assert_true(take(buckets, &limit, "b", 1, 100));
	g_assert_false(take(buckets, &limit, "a", 1, 109));
	g_assert_true(take(buckets, &limit, "a", 1, 110));
	g_assert_false(take(buckets, &limit, "a", 1, 110));
	for (unsigned i = 0; i < 3; i++)
		g_assert_true(take(buckets, &limit, "a", 1, 1000));
	g_assert_false(take(buckets, &limit, "a", 1, 1000));
	buckets_free(buckets);
}

static void
test_debt(void)
{
	Limit limit = read_one("1K octets per 10s of sender");
	Buckets *buckets = buckets_new(10);

	g_assert_true(take(buckets, &limit, "a", 3072, 100));
	g_assert_false(take(buckets, &limit, "a", 1, 119));
	g_assert_true(take(buckets, &limit, "a", 1, 121));
	buckets_free(buckets);
}

static void
test_together(void)
{
	Limit wide = read_one("10 messages per 1h of client");
	Limit narrow = read_one("1 messages per 1h of sender");
	Charge both[] = { { .limit = &wide, .whose = "a", .amount = 1 },
		          { .limit = &narrow, .whose = "a", .amount = 1 } };
	Buckets *buckets = buckets_new(10);
	uint64_t wait_us = 0;

	g_assert_null(buckets_charge(buckets, both, 2, SECOND, &wait_us));
	for (unsigned i = 0; i < 20; i++)
		g_assert_true(buckets_charge(buckets, both, 2, SECOND, &wait_us) == &both[1]);
	g_assert_cmpuint(wait_us, >, 3599 * SECOND);
	for (unsigned i = 0; i < 9; i++)
		g_assert_true(take(buckets, &wide, "a", 1, 1));
	g_assert_false(take(buckets, &wide, "a", 1, 1));
	buckets_free(buckets);
}

static void
test_bounded(void)
{
	Limit limit = read_one("1 messages per 1h of client");
	Buckets *buckets = buckets_new(100);

	for (unsigned i = 0; i < 1000; i++) {
		g_autofree char *whose = g_strdup_printf("c%u", i);

		g_assert_true(take(buckets, &limit, whose, 1, 100));
	}
	g_assert_cmpuint(buckets_count(buckets), ==, 100);
	g_assert_false(take(buckets, &limit, "c999", 1, 100));
	g_assert_true(take(buckets, &limit, "c0", 1, 100));
	buckets_free(buckets);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/ratelimit/limit/reads-only-what-is-a-limit", test_read);
	g_test_add_func("/ratelimit/limit/fills-up-evenly", test_refill);
	g_test_add_func("/ratelimit/limit/large-things-are-paid-off", test_debt);
	g_test_add_func("/ratelimit/limit/charges-all-or-none", test_together);
	g_test_add_func("/ratelimit/limit/keeps-no-more-than-it-may", test_bounded);
	return g_test_run();
}
