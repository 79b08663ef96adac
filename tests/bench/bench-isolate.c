/* bench-isolate.c: a call into an isolated directory beside the same call in process
 *
 *	bench-isolate [calls]
 *
 * Prints microseconds a call: the mean, the median and the 99th percentile. Not run by the test
 * suite.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "people.h"

#include <stdio.h>

static int
compare(const void *a, const void *b)
{
	const double left = *(const double *) a;
	const double right = *(const double *) b;

	return left < right ? -1 : left > right;
}

static void
measure(const char *title, const char *keys, size_t n)
{
	PhConfig *config = NULL;
	PhSection *section = people_section(keys, &config);
	const PhDirectory *table = ph_section_table(section);
	g_autoptr(PhSecret) secret = ph_secret_new(ph_slice("secret"));
	g_autofree double *took = g_new0(double, n);
	double sum = 0;

	for (size_t i = 0; i < n; i++) {
		g_autoptr(PhIdentity) identity = NULL;
		gint64 started = g_get_monotonic_time();

		g_assert_cmpint(table->verify(ph_section_instance(section), "anna", secret,
		                              &identity, NULL),
		                ==, PH_VERIFY_OK);
		took[i] = (double) (g_get_monotonic_time() - started);
		sum += took[i];
	}
	qsort(took, n, sizeof *took, compare);
	printf("%-12s mean %.1f us, median %.0f us, p99 %.0f us\n", title, sum / (double) n,
	       took[n / 2], took[n * 99 / 100]);
	people_clear(section, config);
}

int
main(int argc, char **argv)
{
	guint64 n = argc > 1 ? g_ascii_strtoull(argv[1], NULL, 10) : 20000;

	measure("in process", "", n);
	measure("isolated", "isolate = 1\n", n);
	return 0;
}
