/* test-srs.c: senders of forwarded mail rewritten and read back
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "server/srs.h"

#include <string.h>

#define DAY (INT64_C(86400) * G_USEC_PER_SEC)

static const PhTime now = INT64_C(1700000000) * G_USEC_PER_SEC;

static void
test_round_trip(void)
{
	PhSrs *srs = ph_srs_new(PH_SLICE_LITERAL("secret"), 21);
	g_autofree char *made = ph_srs_forward(srs, "Ann=x@example.org", "our.example", now);
	g_autofree char *upper = g_ascii_strup(made, -1);
	g_autofree char *back = ph_srs_reverse(srs, made, now + 3 * DAY);
	g_autofree char *shouted = ph_srs_reverse(srs, upper, now);

	g_assert_true(g_str_has_prefix(made, "SRS0="));
	g_assert_true(g_str_has_suffix(made, "=example.org=Ann=x@our.example"));
	g_assert_true(ph_srs_is(made));
	g_assert_cmpstr(back, ==, "Ann=x@example.org");
	g_assert_cmpstr(shouted, ==, "ANN=X@EXAMPLE.ORG");
	ph_srs_free(srs);
}

static void
test_expiry(void)
{
	PhSrs *srs = ph_srs_new(PH_SLICE_LITERAL("secret"), 21);
	g_autofree char *made = ph_srs_forward(srs, "ann@example.org", "our.example", now);

	for (int day = -1; day <= 30; day++) {
		g_autofree char *back = ph_srs_reverse(srs, made, now + day * DAY);

		g_assert_cmpint(back != NULL, ==, day <= 21);
	}
	g_assert_null(ph_srs_reverse(srs, made, now - 2 * DAY));
	ph_srs_free(srs);
}

static void
test_forged(void)
{
	static const char *const bad[] = { "SRS0=AAAAAA=AA=example.org=ann@our.example",
		                           "SRS0=@our.example",
		                           "SRS0==@our.example",
		                           "SRS0====@our.example",
		                           "SRS1=AAAAAA=x.example==a@our.example",
		                           "SRS1==@our.example",
		                           "SRS2=AAAAAA=x@our.example",
		                           "ann@our.example",
		                           "SRS0",
		                           "" };
	PhSrs *srs = ph_srs_new(PH_SLICE_LITERAL("secret"), 21);
	PhSrs *other = ph_srs_new(PH_SLICE_LITERAL("another"), 21);
	g_autofree char *made = ph_srs_forward(srs, "ann@example.org", "our.example", now);

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		g_assert_null(ph_srs_reverse(srs, bad[i], now));
	g_assert_null(ph_srs_reverse(other, made, now));
	for (char *c = made + 5; *c != '@'; c++) {
		char was = *c;

		*c = was == 'z' ? 'y' : 'z';
		g_assert_null(ph_srs_reverse(srs, made, now));
		*c = was;
	}
	ph_srs_free(srs);
	ph_srs_free(other);
}

/* A second and a third server on the way: the bounce goes to the first, then to the sender. */
static void
test_again(void)
{
	PhSrs *first = ph_srs_new(PH_SLICE_LITERAL("first"), 21);
	PhSrs *second = ph_srs_new(PH_SLICE_LITERAL("second"), 21);
	PhSrs *third = ph_srs_new(PH_SLICE_LITERAL("third"), 21);
	g_autofree char *a = ph_srs_forward(first, "a@b.example", "one.example", now);
	g_autofree char *b = ph_srs_forward(second, a, "two.example", now);
	g_autofree char *c = ph_srs_forward(third, b, "three.example", now);
	g_autofree char *from_b = ph_srs_reverse(second, b, now);
	g_autofree char *from_c = ph_srs_reverse(third, c, now);

	g_assert_true(g_str_has_prefix(b, "SRS1="));
	g_assert_cmpstr(from_b, ==, a);
	g_assert_cmpstr(from_c, ==, a);
	ph_srs_free(first);
	ph_srs_free(second);
	ph_srs_free(third);
}

static void
test_too_long(void)
{
	PhSrs *srs = ph_srs_new(PH_SLICE_LITERAL("secret"), 21);
	g_autofree char *local = g_strnfill(40, 'a');
	g_autofree char *sender = g_strconcat(local, "@example.org", NULL);

	g_assert_null(ph_srs_forward(srs, sender, "our.example", now));
	g_assert_null(ph_srs_forward(srs, "nobody", "our.example", now));
	g_assert_null(ph_srs_forward(srs, "a@[x:b=c]", "our.example", now));
	ph_srs_free(srs);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/server/srs/gives-the-sender-back", test_round_trip);
	g_test_add_func("/server/srs/expires", test_expiry);
	g_test_add_func("/server/srs/takes-nothing-forged", test_forged);
	g_test_add_func("/server/srs/shortens-what-others-rewrote", test_again);
	g_test_add_func("/server/srs/leaves-what-does-not-fit", test_too_long);
	return g_test_run();
}
