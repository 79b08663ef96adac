/* test-index-tend.c: what an index does in the background comes to an end
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "index-fixture.h"

enum {
	LARGE = 2 * 1024 * 1024, /* a log that is copied back */
	SETTLED_US = 300000,
	FEW = 20,
};

static bool
count_call(void *user_data, PhIndexConnection *connection, PhTime now)
{
	g_atomic_int_inc((gint *) user_data);
	return false;
}

static const PhIndexHooks hooks = { .size = sizeof hooks, .tend = count_call };

static void
append_large(PhIndex *index, Fixture *f)
{
	g_autofree char *octets = g_malloc0(LARGE);
	g_auto(Tx) tx = { 0 };

	tx_init(&tx, f, PH_OP_APPEND);
	tx.op.octets = LARGE;
	tx.op.structure = PH_SLICE(octets, LARGE);
	g_assert_true(run(index, &tx));
}

/* A log stays as long as it is until the next commit begins it anew. */
static void
a_long_log_is_copied_back_once(Fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;
	gint n_calls = 0;
	PhIndexParams params = {
		.size = sizeof params,
		.path = f->path,
		.hooks = &hooks,
		.user_data = &n_calls,
	};
	g_autoptr(PhIndex) index = ph_index_open(&params, &error);
	gint before = 0;

	g_assert_no_error(error);
	append_large(index, f);
	g_usleep(SETTLED_US);
	before = g_atomic_int_get(&n_calls);
	g_assert_cmpint(before, >=, 1);
	g_usleep(SETTLED_US);
	g_assert_cmpint(g_atomic_int_get(&n_calls) - before, <=, FEW);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add("/mailbox/index-tend/a-long-log-is-copied-back-once", Fixture, NULL, set_up,
	           a_long_log_is_copied_back_once, tear_down);
	return g_test_run();
}
