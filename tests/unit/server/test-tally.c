/* test-tally.c: what is used is paid off evenly, all or none is taken, a restart forgets nothing
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "server/tally.h"

#include <string.h>
#include <unistd.h>

#define SECOND ((PhTime) G_USEC_PER_SEC)

/* Three in thirty seconds. */
static bool
take(PhTally *tally, const char *key, PhTime now_s)
{
	const PhTallyCharge charge = { .key = key, .per_us = 30 * SECOND, .cost_us = 10 * SECOND };
	uint64_t wait_us = 0;
	bool good = ph_tally_charge_at(tally, &charge, 1, now_s * SECOND, &wait_us) == 1;

	g_assert_true(good || (wait_us > 0 && wait_us <= 10 * (uint64_t) SECOND));
	return good;
}

static void
remove_folder(const char *folder)
{
	static const char *const names[] = { "x", "~lock" };

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autofree char *path = g_build_filename(folder, names[i], NULL);

		g_assert_cmpint(unlink(path), ==, 0);
	}
	g_assert_cmpint(rmdir(folder), ==, 0);
}

static void
test_refill(void)
{
	PhTally *tally = ph_tally_new(NULL, "x", 10, 0);

	for (unsigned i = 0; i < 3; i++)
		g_assert_true(take(tally, "a", 100));
	g_assert_false(take(tally, "a", 100));
	g_assert_true(take(tally, "b", 100));
	g_assert_false(take(tally, "a", 109));
	g_assert_true(take(tally, "a", 110));
	g_assert_false(take(tally, "a", 110));
	for (unsigned i = 0; i < 3; i++)
		g_assert_true(take(tally, "a", 1000));
	g_assert_false(take(tally, "a", 1000));
	ph_tally_free(tally);
}

static void
test_debt(void)
{
	const PhTallyCharge much = { "a", 10 * SECOND, 1, 30 * SECOND };
	const PhTallyCharge little = { "a", 10 * SECOND, 1, 1 };
	const PhTallyCharge never = { "b", 10, 11, 1 };
	PhTally *tally = ph_tally_new(NULL, "x", 10, 0);
	uint64_t wait_us = 0;

	g_assert_cmpuint(ph_tally_charge_at(tally, &much, 1, 100 * SECOND, &wait_us), ==, 1);
	g_assert_cmpuint(ph_tally_charge_at(tally, &little, 1, 119 * SECOND, &wait_us), ==, 0);
	g_assert_cmpuint(ph_tally_charge_at(tally, &little, 1, 121 * SECOND, &wait_us), ==, 1);
	g_assert_cmpuint(ph_tally_charge_at(tally, &never, 1, 121 * SECOND, &wait_us), ==, 0);
	ph_tally_free(tally);
}

static void
test_together(void)
{
	const PhTallyCharge both[] = { { "wide", 100 * SECOND, 0, 10 * SECOND },
		                       { "narrow", 100 * SECOND, 0, 100 * SECOND } };
	PhTally *tally = ph_tally_new(NULL, "x", 10, 0);
	uint64_t wait_us = 0;

	g_assert_cmpuint(ph_tally_charge_at(tally, both, 2, SECOND, &wait_us), ==, 2);
	for (unsigned i = 0; i < 20; i++)
		g_assert_cmpuint(ph_tally_charge_at(tally, both, 2, SECOND, &wait_us), ==, 1);
	g_assert_cmpuint(wait_us, >, 99 * SECOND);
	for (unsigned i = 0; i < 9; i++)
		g_assert_cmpuint(ph_tally_charge_at(tally, both, 1, SECOND, &wait_us), ==, 1);
	g_assert_cmpuint(ph_tally_charge_at(tally, both, 1, SECOND, &wait_us), ==, 0);
	ph_tally_free(tally);
}

static void
test_bounded(void)
{
	PhTally *tally = ph_tally_new(NULL, "x", 100, 0);

	for (unsigned i = 0; i < 1000; i++) {
		g_autofree char *key = g_strdup_printf("c%u", i);

		for (unsigned n = 0; n < 3; n++)
			g_assert_true(take(tally, key, 100));
	}
	g_assert_cmpuint(ph_tally_count(tally), ==, 100);
	g_assert_false(take(tally, "c999", 100));
	g_assert_true(take(tally, "c0", 100));
	ph_tally_free(tally);
}

/* A clock that is set back keeps nobody out for longer than the debt can be. */
static void
test_clock(void)
{
	PhTally *tally = ph_tally_new(NULL, "x", 10, 0);

	for (unsigned i = 0; i < 3; i++)
		g_assert_true(take(tally, "a", 1000000));
	g_assert_false(ph_tally_charge_at(tally,
	                                  &(PhTallyCharge){ "a", 30 * SECOND, 0, 10 * SECOND }, 1,
	                                  SECOND, &(uint64_t){ 0 })
	               == 1);
	g_assert_true(take(tally, "a", 1 + 30 * 16));
	ph_tally_free(tally);
}

static void
test_text(void)
{
	PhTally *tally = ph_tally_new(NULL, "x", 10, 0);
	PhTally *other = ph_tally_new(NULL, "x", 10, 0);
	g_autoptr(GString) text = NULL;

	for (unsigned i = 0; i < 3; i++)
		g_assert_true(take(tally, "a b\n\xc3\xa4", 100));
	g_assert_true(take(tally, "passed", 50));
	text = ph_tally_text(tally, 100 * SECOND);
	g_assert_cmpstr(text->str, ==, "posthorn tally 1\n130000000 a%20b%0A%C3%A4\n");
	ph_tally_parse(other, PH_SLICE(text->str, text->len), 100 * SECOND);
	g_assert_false(take(other, "a b\n\xc3\xa4", 100));
	g_assert_true(take(other, "passed", 100));
	ph_tally_free(tally);
	ph_tally_free(other);
}

static void
test_nonsense(void)
{
	static const char *const texts[] = { "", "posthorn tally 2\n900000000000 a\n",
		                             "posthorn tally 1\nx a\n12\n\n -1 a\n",
		                             "posthorn tally 1\n99999999999999999999999 a\n",
		                             "posthorn tally 1\n900000000000 %0\n" };
	PhTally *tally = ph_tally_new(NULL, "x", 10, 0);

	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
		ph_tally_parse(tally, ph_slice(texts[i]), SECOND);
	g_assert_cmpuint(ph_tally_count(tally), ==, 0);
	ph_tally_free(tally);
}

/* Two processes with a table each: nobody's writing undoes the other's. */
static void
test_shared_file(void)
{
	g_autofree char *folder = g_dir_make_tmp("posthorn-tally-XXXXXX", NULL);
	g_autofree char *inner = g_build_filename(folder, "tally", NULL);
	PhTally *old = ph_tally_new(inner, "x", 10, 100 * SECOND);
	PhTally *new = ph_tally_new(inner, "x", 10, 100 * SECOND);
	PhTally *next = NULL;

	for (unsigned i = 0; i < 3; i++)
		g_assert_true(take(old, "a", 100) && take(new, "b", 100));
	g_assert_true(take(old, "both", 100));
	for (unsigned i = 0; i < 2; i++)
		g_assert_true(take(new, "both", 100));
	ph_tally_save(old, 100 * SECOND);
	ph_tally_save(new, 100 * SECOND);
	g_assert_false(take(new, "a", 100)); /* it has caught up */
	ph_tally_save(old, 100 * SECOND);
	next = ph_tally_new(inner, "x", 10, 100 * SECOND);
	g_assert_false(take(next, "a", 100));
	g_assert_false(take(next, "b", 100));
	g_assert_true(take(next, "both", 100));
	g_assert_false(take(next, "both", 100));
	ph_tally_free(old);
	ph_tally_free(new);
	ph_tally_free(next);
	remove_folder(inner);
	g_assert_cmpint(rmdir(folder), ==, 0);
}

/* What was cut because the clock was set back does not come back from the file; nor do others drive out
 * what is used here. */
static void
test_taken_in(void)
{
	g_autofree char *folder = g_dir_make_tmp("posthorn-tally-XXXXXX", NULL);
	g_autofree char *inner = g_build_filename(folder, "tally", NULL);
	PhTally *old = ph_tally_new(inner, "x", 10, SECOND);
	PhTally *new = ph_tally_new(inner, "x", 1, SECOND);
	PhTally *next = NULL;

	for (unsigned i = 0; i < 3; i++)
		g_assert_true(take(old, "a", 1000000) && take(old, "b", 1000000)
		              && take(new, "a", 1000000));
	ph_tally_save(old, SECOND);
	g_assert_cmpint(ph_tally_charge_at(new, &(PhTallyCharge){ "a", 30 * SECOND, 0, SECOND }, 1,
	                                   SECOND, &(uint64_t){ 0 }),
	                ==, 0);
	ph_tally_save(new, SECOND);
	g_assert_cmpuint(ph_tally_count(new), ==, 1);
	g_assert_true(take(new, "a", 1 + 30 * 16));
	next = ph_tally_new(inner, "x", 10, SECOND);
	g_assert_true(take(next, "a", 1 + 30 * 16));
	ph_tally_free(old);
	ph_tally_free(new);
	ph_tally_free(next);
	remove_folder(inner);
	g_assert_cmpint(rmdir(folder), ==, 0);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/server/tally/fills-up-evenly", test_refill);
	g_test_add_func("/server/tally/large-things-are-paid-off", test_debt);
	g_test_add_func("/server/tally/charges-all-or-none", test_together);
	g_test_add_func("/server/tally/keeps-no-more-than-it-may", test_bounded);
	g_test_add_func("/server/tally/a-clock-that-goes-back-keeps-nobody-out", test_clock);
	g_test_add_func("/server/tally/is-read-as-it-was-written", test_text);
	g_test_add_func("/server/tally/nonsense-is-left-out", test_nonsense);
	g_test_add_func("/server/tally/two-processes-share-a-file", test_shared_file);
	g_test_add_func("/server/tally/what-is-taken-in-stays-in-bounds", test_taken_in);
	return g_test_run();
}
