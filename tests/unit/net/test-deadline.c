/* test-deadline.c: slots are reported when they are due, not before, and after they moved
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "net/deadline.h"

typedef struct {
	PhHome home; /* first */
	unsigned n_ready;
} Counter;

static void
count_ready(PhHome *home, PhReady *ready)
{
	((Counter *) home)->n_ready++;
}

static PhSlot *
make_slot(Counter *counter)
{
	PhSlot *slot = ph_slot_new(NULL, &counter->home, counter);

	g_assert_true(ph_slot_finish(slot));
	return slot;
}

static void
set_due(PhWheel *wheel, PhSlot *slot, int64_t due_us)
{
	atomic_store(&slot->due_us, due_us);
	(void) ph_wheel_add(wheel, slot, due_us);
}

/* @turns: how long the wheel turns, in steps of 10 ms, before the slot is posted. */
static int64_t
turn_until_ready(PhWheel *wheel, Counter *counter, int64_t now_us, int64_t end_us)
{
	unsigned before = counter->n_ready;

	for (; now_us < end_us; now_us += 10000) {
		ph_wheel_visit(wheel, now_us);
		if (counter->n_ready > before)
			return now_us;
	}
	return -1;
}

static void
test_times(void)
{
	static const int64_t times[] = { 1,        1000,      31000,        32000,
		                         33000,    1000000,   32 * 1024000, 33000000,
		                         40000000, 300000000, 1800000000 };
	const int64_t start = 123456789;

	for (size_t i = 0; i < G_N_ELEMENTS(times); i++) {
		Counter counter = { .home.ready = count_ready };
		PhWheel *wheel = ph_wheel_new(start);
		PhSlot *slot = make_slot(&counter);
		int64_t at = 0;

		set_due(wheel, slot, start + times[i]);
		at = turn_until_ready(wheel, &counter, start, start + times[i] + 1000000);
		g_assert_cmpint(at, >=, start + times[i]);
		g_assert_cmpint(at, <=, start + times[i] + 100000);
		g_assert_cmpint(ph_wheel_next(wheel), ==, INT64_MAX);
		(void) ph_slot_begin(slot);
		ph_slot_free(slot);
		ph_wheel_free(wheel);
	}
}

static void
test_moves(void)
{
	Counter counter = { .home.ready = count_ready };
	PhWheel *wheel = ph_wheel_new(0);
	PhSlot *slot = make_slot(&counter);

	/* Moved on without telling the wheel: looked at, and put further on. */
	set_due(wheel, slot, 1000000);
	atomic_store(&slot->due_us, 5000000);
	g_assert_cmpint(turn_until_ready(wheel, &counter, 0, 4900000), ==, -1);
	/* Moved nearer: the wheel is told. */
	set_due(wheel, slot, 4950000);
	g_assert_cmpint(turn_until_ready(wheel, &counter, 4900000, 5100000), <, 5050000);
	g_assert_cmpuint(ph_slot_begin(slot), ==, PH_BIT_DUE);
	g_assert_true(ph_slot_finish(slot));
	/* Taken away. */
	set_due(wheel, slot, 6000000);
	atomic_store(&slot->due_us, 0);
	g_assert_cmpint(turn_until_ready(wheel, &counter, 5100000, 7000000), ==, -1);
	(void) ph_slot_begin(slot);
	ph_slot_free(slot);
	ph_wheel_free(wheel);
}

static void
test_next(void)
{
	Counter counter = { .home.ready = count_ready };
	PhWheel *wheel = ph_wheel_new(0);
	PhSlot *far = make_slot(&counter);
	PhSlot *near = make_slot(&counter);

	g_assert_cmpint(ph_wheel_next(wheel), ==, INT64_MAX);
	atomic_store(&far->due_us, 20000000);
	g_assert_true(ph_wheel_add(wheel, far, 20000000));
	g_assert_cmpint(ph_wheel_next(wheel), >=, 20000000);
	g_assert_cmpint(ph_wheel_next(wheel), <=, 20000000 + 64000);
	g_assert_true(ph_wheel_add(wheel, near, 500000));
	g_assert_cmpint(ph_wheel_next(wheel), <=, 600000);
	g_assert_false(ph_wheel_add(wheel, near, 900000));
	ph_slot_free(near);
	ph_slot_free(far);
	ph_wheel_free(wheel);
}

/* The state word: bits become one turn, old generations and old parks are not heard. */
static void
test_word(void)
{
	Counter counter = { .home.ready = count_ready };
	PhSlot *slot = make_slot(&counter);
	uint32_t generation = ph_slot_generation(slot);
	uint32_t bits = 0;
	uint32_t park = 0;

	ph_slot_post(slot, generation, PH_BIT_NOTIFY);
	ph_slot_post(slot, generation, PH_BIT_DRAIN);
	g_assert_cmpuint(counter.n_ready, ==, 1);
	g_assert_false(ph_slot_claim(slot, generation, PH_BIT_IN, &bits));
	g_assert_cmpuint(ph_slot_begin(slot), ==, PH_BIT_NOTIFY | PH_BIT_DRAIN | PH_BIT_IN);
	park = ph_slot_park(slot);
	ph_slot_wake(slot, generation, park - 1);
	g_assert_cmpuint(ph_slot_take(slot), ==, 0);
	ph_slot_wake(slot, generation, park);
	g_assert_false(ph_slot_finish(slot));
	g_assert_cmpuint(ph_slot_take(slot), ==, PH_BIT_WAKE);
	g_assert_true(ph_slot_finish(slot));
	g_assert_cmpuint(counter.n_ready, ==, 1);
	g_assert_true(ph_slot_claim(slot, generation, PH_BIT_IN, &bits));
	g_assert_cmpuint(bits, ==, PH_BIT_IN);
	ph_slot_free(slot);
	ph_slot_post(slot, generation, PH_BIT_NOTIFY);
	ph_slot_wake(slot, generation, park);
	g_assert_false(ph_slot_claim(slot, generation, PH_BIT_IN, &bits));
	g_assert_cmpuint(ph_slot_peek(slot), ==, 0);
	g_assert_cmpuint(counter.n_ready, ==, 1);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/net/deadline/slots-are-due-in-time", test_times);
	g_test_add_func("/net/deadline/due-times-move", test_moves);
	g_test_add_func("/net/deadline/the-next-visit-is-known", test_next);
	g_test_add_func("/net/deadline/bits-become-one-turn", test_word);
	return g_test_run();
}
