/* test-horizon.c: who waits is told once, in time, and with the truth
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "base/horizon.h"

typedef struct {
	PhHorizonWait wait; /* first */
	unsigned n_called;
	bool durable;
} Waiter;

static void
note(PhHorizonWait *wait, bool durable)
{
	Waiter *waiter = (Waiter *) wait;

	waiter->n_called++;
	waiter->durable = durable;
}

static void
wait_for(Waiter *waiter, uint64_t position)
{
	*waiter = (Waiter){ .wait = { .position = position, .func = note } };
	ph_horizon_wait(&waiter->wait);
}

static void
test_advance(void)
{
	Waiter waiters[4];

	ph_horizon_begin(100);
	wait_for(&waiters[0], 100);
	g_assert_cmpuint(waiters[0].n_called, ==, 1);
	g_assert_true(waiters[0].durable);
	wait_for(&waiters[1], 300);
	wait_for(&waiters[2], 200);
	wait_for(&waiters[3], 101);
	ph_horizon_advance(200);
	g_assert_cmpuint(waiters[1].n_called, ==, 0);
	g_assert_cmpuint(waiters[2].n_called, ==, 1);
	g_assert_cmpuint(waiters[3].n_called, ==, 1);
	ph_horizon_advance(150);
	g_assert_true(ph_horizon_reached(200));
	g_assert_false(ph_horizon_reached(201));
	/* the list goes on after its end was taken out */
	wait_for(&waiters[2], 400);
	ph_horizon_advance(400);
	g_assert_cmpuint(waiters[1].n_called, ==, 1);
	g_assert_cmpuint(waiters[2].n_called, ==, 1);
	g_assert_true(waiters[1].durable);
}

static void
test_failure(void)
{
	Waiter early;
	Waiter late;

	ph_horizon_begin(10);
	wait_for(&early, 11);
	ph_horizon_fail();
	g_assert_cmpuint(early.n_called, ==, 1);
	g_assert_false(early.durable);
	wait_for(&late, 12);
	g_assert_cmpuint(late.n_called, ==, 1);
	g_assert_false(late.durable);
	ph_horizon_advance(20);
	g_assert_false(ph_horizon_reached(11));
	wait_for(&late, 10);
	g_assert_true(late.durable);
	ph_horizon_begin(0);
}

static void
test_collect(void)
{
	uint64_t shown = 5;

	g_assert_false(ph_horizon_is_collecting());
	ph_horizon_show(7);
	ph_horizon_collect(&shown);
	g_assert_true(ph_horizon_is_collecting());
	ph_horizon_show(9);
	ph_horizon_show(8);
	ph_horizon_collect(NULL);
	ph_horizon_show(10);
	g_assert_cmpuint(shown, ==, 9);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/base/horizon/calls-when-reached", test_advance);
	g_test_add_func("/base/horizon/failure-is-final", test_failure);
	g_test_add_func("/base/horizon/collects-the-highest", test_collect);
	return g_test_run();
}
