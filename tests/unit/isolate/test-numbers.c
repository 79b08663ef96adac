/* test-numbers.c: a process that is slow to say its version is left alone
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "people.h"

static uint64_t
version_of(PhSection *section)
{
	const PhDirectory *table = ph_section_table(section);

	return table->version(ph_section_instance(section));
}

static void
test_slow(void)
{
	PhConfig *config = NULL;
	PhSection *section = NULL;
	const PhDirectory *table = NULL;
	g_autoptr(PhIdentity) identity = NULL;
	int64_t began_us = g_get_monotonic_time();
	uint64_t version = 0;

	g_atomic_int_set(&people.kills, 0);
	people.version_ms = 600;
	section = people_section("isolate = 1\ntimeout = 10s\n", &config);
	table = ph_section_table(section);
	g_assert_cmpuint(version_of(section), ==, 0);
	g_assert_cmpint(g_get_monotonic_time() - began_us, <, 600000);
	while (version == 0 && g_get_monotonic_time() - began_us < 10 * G_USEC_PER_SEC) {
		(void) poll(NULL, 0, 10);
		version = version_of(section);
	}
	g_assert_cmpuint(version, ==, (uint64_t) people.pid);
	(void) poll(NULL, 0,
	            300); /* too old to be used without asking, but good while it is late */
	g_assert_cmpuint(version_of(section), ==, version);
	/* The answer that is under way is not taken for another's. */
	g_assert_cmpint(table->lookup(ph_section_instance(section), "anna", &identity, NULL), ==,
	                PH_VERIFY_OK);
	g_assert_cmpint(g_atomic_int_get(&people.kills), ==, 0);
	people.version_ms = 0;
	people_clear(section, config);
}

static void
test_hangs(void)
{
	PhConfig *config = NULL;
	PhSection *section = NULL;

	g_atomic_int_set(&people.kills, 0);
	people.version_ms = 60000;
	section = people_section("isolate = 1\ntimeout = 1s\n", &config);
	g_assert_cmpuint(version_of(section), ==, 0);
	g_assert_cmpint(g_atomic_int_get(&people.kills), ==, 0);
	for (int i = 0; i < 5000 && g_atomic_int_get(&people.kills) == 0; i++)
		(void) poll(NULL, 0, 1);
	g_assert_cmpint(g_atomic_int_get(&people.kills), ==, 1);
	people.version_ms = 0;
	people_clear(section, config);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/isolate/numbers/a-slow-process-is-not-killed", test_slow);
	g_test_add_func("/isolate/numbers/one-that-hangs-is", test_hangs);
	return g_test_run();
}
