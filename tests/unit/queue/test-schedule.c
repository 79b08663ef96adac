/* test-schedule.c: turns of destinations and senders, priorities, dead destinations, times
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "queue/schedule.h"

typedef struct {
	PhQueueTable table;
	PhSchedule *schedule;
} Fixture;

static const PhDuration curve[] = { { 100000 }, { 200000 } };

static void
set_up(Fixture *f, gconstpointer data)
{
	PhScheduleParams params = { .curve = curve,
		                    .n_curve = 2,
		                    .concurrency = 100,
		                    .concurrency_each = 2,
		                    .recipients_each = 3,
		                    .failures = 2 };

	ph_table_init(&f->table);
	f->schedule = ph_schedule_new(&f->table);
	ph_schedule_set(f->schedule, &params);
}

static void
tear_down(Fixture *f, gconstpointer data)
{
	ph_schedule_free(f->schedule);
	ph_table_clear(&f->table);
}

/* A mail with @n recipients of one destination, ready at once. Returns: the first recipient. */
static uint32_t
add(Fixture *f, const char *key, uint32_t n, uint32_t priority, uint32_t bucket)
{
	uint32_t destination = ph_schedule_destination(f->schedule, "out", key);
	uint32_t number = ph_table_add_message(&f->table);
	PhQueueMessage *message = ph_table_message(&f->table, number);
	uint32_t next = 0;

	message->place = 1;
	message->priority = priority & 31;
	message->bucket = bucket & 15;
	message->n_open = n;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t slot = ph_table_add_slot(&f->table);
		PhQueueSlot *row = ph_table_slot(&f->table, slot);

		row->message = number;
		row->sibling = next;
		row->destination = destination & PH_QUEUE_DESTINATIONS_MAX;
		ph_schedule_reserve(f->schedule, destination);
		next = slot;
	}
	message->first = next;
	for (uint32_t slot = next; slot != 0; slot = ph_table_slot(&f->table, slot)->sibling)
		ph_schedule_add(f->schedule, slot, 0, 1);
	return next;
}

/* The mail of the next delivery; 0: none. */
static uint32_t
next_mail(Fixture *f, uint64_t now_ms)
{
	uint32_t slots[3];
	uint32_t n = ph_schedule_next(f->schedule, now_ms, slots);

	return n > 0 ? ph_table_slot(&f->table, slots[0])->message : 0;
}

static uint32_t
mail_of(Fixture *f, uint32_t slot)
{
	return ph_table_slot(&f->table, slot)->message;
}

static void
test_destinations_take_turns(Fixture *f, gconstpointer data)
{
	uint32_t a1 = add(f, "a", 1, 9, 0);
	uint32_t a2 = add(f, "a", 1, 9, 0);
	uint32_t b1 = add(f, "b", 1, 9, 0);

	g_assert_cmpuint(next_mail(f, 1), ==, mail_of(f, a1));
	g_assert_cmpuint(next_mail(f, 1), ==, mail_of(f, b1));
	g_assert_cmpuint(next_mail(f, 1), ==, mail_of(f, a2));
	g_assert_cmpuint(next_mail(f, 1), ==, 0);
}

static void
test_one_destination_gets_no_more_than_its_share(Fixture *f, gconstpointer data)
{
	uint32_t first = add(f, "a", 1, 9, 0);
	uint32_t destination = ph_table_slot(&f->table, first)->destination;

	(void) add(f, "a", 1, 9, 0);
	(void) add(f, "a", 1, 9, 0);
	g_assert_cmpuint(next_mail(f, 1), !=, 0);
	g_assert_cmpuint(next_mail(f, 1), !=, 0);
	g_assert_cmpuint(next_mail(f, 1), ==, 0);
	ph_schedule_finished(f->schedule, destination, true, NULL, 1);
	g_assert_cmpuint(next_mail(f, 1), !=, 0);
}

static void
test_recipients_of_a_mail_go_together_up_to_the_limit(Fixture *f, gconstpointer data)
{
	uint32_t slots[3];

	(void) add(f, "a", 5, 9, 0);
	g_assert_cmpuint(ph_schedule_next(f->schedule, 1, slots), ==, 3);
	g_assert_cmpuint(ph_schedule_next(f->schedule, 1, slots), ==, 2);
	g_assert_cmpuint(ph_schedule_next(f->schedule, 1, slots), ==, 0);
}

static void
test_priority_goes_first_and_senders_take_turns(Fixture *f, gconstpointer data)
{
	uint32_t one = add(f, "a", 1, 9, 1);
	uint32_t two = add(f, "a", 1, 9, 1);
	uint32_t other = add(f, "a", 1, 9, 2);
	uint32_t urgent = add(f, "a", 1, 12, 1);
	uint32_t destination = ph_table_slot(&f->table, one)->destination;
	const uint32_t order[] = { urgent, one, other, two };

	for (size_t i = 0; i < G_N_ELEMENTS(order); i++) {
		g_assert_cmpuint(next_mail(f, 1), ==, mail_of(f, order[i]));
		ph_schedule_finished(f->schedule, destination, true, NULL, 1);
	}
}

static void
test_a_dead_destination_is_left_alone_and_then_tried_once(Fixture *f, gconstpointer data)
{
	uint32_t first = add(f, "a", 1, 9, 0);
	uint32_t destination = ph_table_slot(&f->table, first)->destination;

	for (unsigned i = 0; i < 5; i++)
		(void) add(f, "a", 1, 9, 0);
	for (unsigned i = 0; i < 2; i++) {
		g_assert_cmpuint(next_mail(f, 10), !=, 0);
		ph_schedule_finished(f->schedule, destination, false, "nobody is there", 10);
	}
	g_assert_cmpuint(next_mail(f, 109), ==, 0);
	g_assert_cmpuint(ph_schedule_next_ms(f->schedule), ==, 110);
	g_assert_cmpuint(next_mail(f, 110), !=, 0);
	g_assert_cmpuint(next_mail(f, 110), ==, 0);
	ph_schedule_finished(f->schedule, destination, false, "nobody is there", 110);
	g_assert_cmpuint(next_mail(f, 309), ==, 0);
	g_assert_cmpuint(next_mail(f, 310), !=, 0);
	ph_schedule_finished(f->schedule, destination, true, NULL, 310);
	g_assert_cmpuint(next_mail(f, 310), !=, 0);
	g_assert_cmpuint(next_mail(f, 310), !=, 0);
}

static void
test_what_waits_comes_at_its_time_in_order(Fixture *f, gconstpointer data)
{
	enum {
		N = 200
	};

	uint32_t slots[N];

	for (uint32_t i = 0; i < N; i++) {
		g_autofree char *key = g_strdup_printf("host%u", i);

		slots[i] = add(f, key, 1, 9, 0);
		ph_schedule_take(f->schedule, slots[i]);
		ph_schedule_add(f->schedule, slots[i], 1000 + (i * 7919) % N, 1);
	}
	ph_schedule_take(f->schedule, slots[3]);
	ph_table_slot(&f->table, slots[3])->state = PH_QUEUE_HELD;
	for (uint32_t i = 0; i < N; i++) {
		bool is_held = i == (3 * 7919) % N;

		g_assert_cmpuint(next_mail(f, 1000 + i) == 0, ==, is_held);
		if (!is_held)
			g_assert_cmpuint(next_mail(f, 1000 + i), ==, 0);
		ph_schedule_set(f->schedule, &(PhScheduleParams){ .curve = curve,
		                                                  .n_curve = 2,
		                                                  .concurrency = N,
		                                                  .concurrency_each = 2,
		                                                  .recipients_each = 3,
		                                                  .failures = 2 });
	}
	g_assert_cmpuint(ph_schedule_next_ms(f->schedule), ==, G_MAXUINT64);
}

static void
test_the_curve_ends_with_its_last_value(Fixture *f, gconstpointer data)
{
	g_assert_cmpuint(ph_schedule_retry_ms(f->schedule, 1), ==, 100);
	g_assert_cmpuint(ph_schedule_retry_ms(f->schedule, 2), ==, 200);
	g_assert_cmpuint(ph_schedule_retry_ms(f->schedule, 77), ==, 200);
}

static void
test_a_destination_that_nobody_names_is_forgotten(Fixture *f, gconstpointer data)
{
	uint32_t first = ph_schedule_destination(f->schedule, "out", "a");

	ph_schedule_reserve(f->schedule, first);
	ph_schedule_release(f->schedule, first);
	g_assert_null(ph_schedule_look(f->schedule, first));
	g_assert_cmpuint(ph_schedule_destination(f->schedule, "out", "b"), ==, first);
}

#define ADD(name, test) g_test_add(name, Fixture, NULL, set_up, test, tear_down)

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("/queue/schedule/destinations-take-turns", test_destinations_take_turns);
	ADD("/queue/schedule/one-destination-gets-no-more-than-its-share",
	    test_one_destination_gets_no_more_than_its_share);
	ADD("/queue/schedule/recipients-of-a-mail-go-together-up-to-the-limit",
	    test_recipients_of_a_mail_go_together_up_to_the_limit);
	ADD("/queue/schedule/priority-goes-first-and-senders-take-turns",
	    test_priority_goes_first_and_senders_take_turns);
	ADD("/queue/schedule/a-dead-destination-is-left-alone-and-then-tried-once",
	    test_a_dead_destination_is_left_alone_and_then_tried_once);
	ADD("/queue/schedule/what-waits-comes-at-its-time-in-order",
	    test_what_waits_comes_at_its_time_in_order);
	ADD("/queue/schedule/the-curve-ends-with-its-last-value",
	    test_the_curve_ends_with_its_last_value);
	ADD("/queue/schedule/a-destination-that-nobody-names-is-forgotten",
	    test_a_destination_that_nobody_names_is_forgotten);
	return g_test_run();
}
