/* test-index-tend.c: what an index does in the background comes to an end
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "index-fixture.h"
#include "mailbox/index.h"

enum {
	LARGE = 6 * 1024 * 1024, /* a log that is copied back */
	SETTLED_US = 300000,
	FEW = 20,
	GRACE_US = 400000,
	GATHER_US = 50000,
	PATIENCE_US = 10000000,
	LOOK_US = 10000,
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

/* --- grace ---------------------------------------------------------------------------------------- */

static bool
add_blob(void *user_data,
         PhIndexConnection *connection,
         const PhOp *op,
         PhBlobId *blob_out,
         GError **error)
{
	blob_out->length = 1;
	return true;
}

static bool
count_removed(void *user_data, PhIndexConnection *connection, const PhBlobId *blob, GError **error)
{
	g_atomic_int_inc((gint *) user_data);
	return true;
}

static const PhIndexHooks removing = {
	.size = sizeof removing,
	.add = add_blob,
	.remove = count_removed,
};

/* The fixture has it instead of its own. */
static PhIndex *
open_removing(Fixture *f, gint *n_removed)
{
	g_autoptr(GError) error = NULL;
	PhIndexParams params = {
		.size = sizeof params,
		.path = f->path,
		.hooks = &removing,
		.user_data = n_removed,
		.grace_us = GRACE_US,
	};

	ph_index_unref(f->index);
	f->index = ph_index_open(&params, &error);
	g_assert_no_error(error);
	f->index->gather_us = GATHER_US;
	return f->index;
}

static void
wait_removed(gint *n_removed, gint n)
{
	int64_t end_us = g_get_monotonic_time() + PATIENCE_US;

	while (g_atomic_int_get(n_removed) < n && g_get_monotonic_time() < end_us)
		g_usleep(LOOK_US);
	g_assert_cmpint(g_atomic_int_get(n_removed), >=, n);
}

/* Nothing else happens to the account; a second one is due after the first. */
static void
records_go_when_their_grace_is_over(Fixture *f, const void *data)
{
	gint n_removed = 0;
	int64_t started_us = 0;

	(void) open_removing(f, &n_removed);
	(void) append(f, 0, 10);
	(void) append(f, 0, 10);
	started_us = g_get_monotonic_time();
	(void) expunge(f, 1, 1);
	g_usleep(GRACE_US / 2);
	(void) expunge(f, 2, 2);
	wait_removed(&n_removed, 1);
	g_assert_cmpint(g_get_monotonic_time() - started_us, >=, GRACE_US);
	wait_removed(&n_removed, 2);
	g_clear_pointer(&f->index, ph_index_unref);
	f->index = open_index(f, 0);
}

/* An index that was closed in time is not kept open for it: the next opening goes on. */
static void
closing_waits_for_no_grace(Fixture *f, const void *data)
{
	gint n_removed = 0;

	(void) open_removing(f, &n_removed);
	(void) append(f, 0, 10);
	(void) expunge(f, 1, 1);
	g_assert_cmpint(g_atomic_int_get(&f->index->n_refs), ==, 1);
	(void) open_removing(f, &n_removed);
	g_usleep(GRACE_US * 2);
	g_assert_cmpint(g_atomic_int_get(&n_removed), ==, 0);
	(void) append(f, 0, 10);
	wait_removed(&n_removed, 1);
	g_clear_pointer(&f->index, ph_index_unref);
	f->index = open_index(f, 0);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add("/mailbox/index-tend/a-long-log-is-copied-back-once", Fixture, NULL, set_up,
	           a_long_log_is_copied_back_once, tear_down);
	g_test_add("/mailbox/index-tend/records-go-when-their-grace-is-over", Fixture, NULL, set_up,
	           records_go_when_their_grace_is_over, tear_down);
	g_test_add("/mailbox/index-tend/closing-waits-for-no-grace", Fixture, NULL, set_up,
	           closing_waits_for_no_grace, tear_down);
	return g_test_run();
}
