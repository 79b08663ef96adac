/* schedule.c: which recipient is delivered next
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "queue/schedule.h"

#include <posthorn/slice.h>

#include "queue/heap.h"

#include <string.h>

enum {
	REASON_MAX = 400
};

/* Lane: recipients that are ready, first come first served. */
typedef struct {
	uint32_t priority;
	uint32_t bucket;
	uint32_t head;
	uint32_t tail;
} Lane;

struct PhSchedule {
	PhQueueTable *table;
	PhScheduleParams params;
	GPtrArray *destinations; /* of PhDestination; NULL: free; number 0 is none */
	GArray *free;            /* of uint32_t: numbers */
	GHashTable *known;       /* "route\nkey" to number */
	uint32_t ring;           /* whose turn it is; 0: nobody can be tried */
	uint32_t n_busy;
	PhHeap waiting; /* recipients */
	PhHeap alone;   /* destinations */
};

/* --- life ------------------------------------------------------------------------------------- */

static uint64_t
slot_time(void *owner, uint32_t item)
{
	return ph_table_slot(((PhSchedule *) owner)->table, item)->due_ms;
}

static void
slot_moved(void *owner, uint32_t item, uint32_t place)
{
	ph_table_slot(((PhSchedule *) owner)->table, item)->link = place & PH_TABLE_ROWS_MAX;
}

static uint64_t
destination_time(void *owner, uint32_t item)
{
	return ph_schedule_look(owner, item)->not_before_ms;
}

static void
destination_moved(void *owner, uint32_t item, uint32_t place)
{
	ph_schedule_look(owner, item)->heap = place + 1;
}

static void
free_destination(gpointer data)
{
	PhDestination *destination = data;

	if (destination == NULL)
		return;
	g_clear_pointer(&destination->lanes, g_array_unref);
	g_free(destination->route);
	g_free(destination->key);
	g_free(destination->reason);
	g_free(destination);
}

PhSchedule *
ph_schedule_new(PhQueueTable *table)
{
	PhSchedule *schedule = g_new0(PhSchedule, 1);

	schedule->table = table;
	schedule->destinations = g_ptr_array_new_with_free_func(free_destination);
	g_ptr_array_add(schedule->destinations, NULL);
	schedule->free = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	schedule->known = g_hash_table_new_full(ph_str_hash, g_str_equal, g_free, NULL);
	schedule->waiting = (PhHeap){ g_array_new(FALSE, FALSE, sizeof(uint32_t)), slot_time,
		                      slot_moved, schedule };
	schedule->alone = (PhHeap){ g_array_new(FALSE, FALSE, sizeof(uint32_t)), destination_time,
		                    destination_moved, schedule };
	return schedule;
}

void
ph_schedule_free(PhSchedule *schedule)
{
	if (schedule == NULL)
		return;
	g_hash_table_unref(schedule->known);
	g_ptr_array_unref(schedule->destinations);
	g_array_unref(schedule->free);
	g_array_unref(schedule->waiting.items);
	g_array_unref(schedule->alone.items);
	g_free(schedule);
}

void
ph_schedule_set(PhSchedule *schedule, const PhScheduleParams *params)
{
	schedule->params = *params;
}

/* --- destinations ----------------------------------------------------------------------------- */

PhDestination *
ph_schedule_look(const PhSchedule *schedule, uint32_t number)
{
	return schedule->destinations->pdata[number];
}

uint32_t
ph_schedule_n_destinations(const PhSchedule *schedule)
{
	return schedule->destinations->len;
}

static uint32_t
new_number(PhSchedule *schedule)
{
	uint32_t number = 0;

	if (schedule->free->len > 0) {
		number = g_array_index(schedule->free, uint32_t, schedule->free->len - 1);
		g_array_set_size(schedule->free, schedule->free->len - 1);
		return number;
	}
	if (schedule->destinations->len > PH_QUEUE_DESTINATIONS_MAX)
		return 0;
	g_ptr_array_add(schedule->destinations, NULL);
	return schedule->destinations->len - 1;
}

uint32_t
ph_schedule_destination(PhSchedule *schedule, const char *route, const char *key)
{
	g_autofree char *name = g_strconcat(route, "\n", key, NULL);
	uint32_t number = GPOINTER_TO_UINT(g_hash_table_lookup(schedule->known, name));
	PhDestination *made = NULL;

	if (number != 0)
		return number;
	number = new_number(schedule);
	if (number == 0)
		return 0;
	made = g_new0(PhDestination, 1);
	made->route = g_strdup(route);
	made->key = g_strdup(key);
	made->index = number;
	schedule->destinations->pdata[number] = made;
	(void) g_hash_table_insert(schedule->known, g_steal_pointer(&name),
	                           GUINT_TO_POINTER(number));
	return number;
}

/* One that failed last is remembered as long as it is left alone. */
static void
forget(PhSchedule *schedule, PhDestination *destination)
{
	g_autofree char *name = NULL;
	uint32_t number = destination->index;

	if (destination->n_slots > 0 || destination->n_busy > 0 || destination->heap != 0)
		return;
	name = g_strconcat(destination->route, "\n", destination->key, NULL);
	(void) g_hash_table_remove(schedule->known, name);
	free_destination(destination);
	schedule->destinations->pdata[number] = NULL;
	g_array_append_val(schedule->free, number);
}

void
ph_schedule_reserve(PhSchedule *schedule, uint32_t number)
{
	ph_schedule_look(schedule, number)->n_slots++;
}

void
ph_schedule_release(PhSchedule *schedule, uint32_t number)
{
	PhDestination *destination = ph_schedule_look(schedule, number);

	destination->n_slots--;
	forget(schedule, destination);
}

/* --- the ring --------------------------------------------------------------------------------- */

static void
enter_ring(PhSchedule *schedule, PhDestination *destination)
{
	PhDestination *first = NULL;

	if (destination->next != 0)
		return;
	if (schedule->ring == 0) {
		destination->next = destination->previous = destination->index;
		schedule->ring = destination->index;
		return;
	}
	/* behind all others: before the one whose turn it is */
	first = ph_schedule_look(schedule, schedule->ring);
	destination->next = first->index;
	destination->previous = first->previous;
	ph_schedule_look(schedule, first->previous)->next = destination->index;
	first->previous = destination->index;
}

static void
leave_ring(PhSchedule *schedule, PhDestination *destination)
{
	if (destination->next == 0)
		return;
	if (destination->next == destination->index) {
		schedule->ring = 0;
	} else {
		ph_schedule_look(schedule, destination->next)->previous = destination->previous;
		ph_schedule_look(schedule, destination->previous)->next = destination->next;
		if (schedule->ring == destination->index)
			schedule->ring = destination->next;
	}
	destination->next = destination->previous = 0;
}

/* A host that did not answer last time is asked by one delivery alone. */
static uint32_t
room_of(const PhSchedule *schedule, const PhDestination *destination)
{
	bool is_doubtful = destination->n_failures >= MAX(schedule->params.failures, 1);

	return is_doubtful ? 1 : schedule->params.concurrency_each;
}

/* In the ring are exactly those of which a delivery can begin. */
static void
settle(PhSchedule *schedule, PhDestination *destination)
{
	if (destination->n_ready > 0 && destination->heap == 0
	    && destination->n_busy < room_of(schedule, destination))
		enter_ring(schedule, destination);
	else
		leave_ring(schedule, destination);
}

/* --- lanes ------------------------------------------------------------------------------------ */

/* The lane of that priority and bucket; made behind all of its priority. */
static Lane *
find_lane(PhDestination *destination, uint32_t priority, uint32_t bucket)
{
	Lane made = { priority, bucket, 0, 0 };
	guint at = 0;

	if (destination->lanes == NULL)
		destination->lanes = g_array_sized_new(FALSE, FALSE, sizeof(Lane), 1);
	for (; at < destination->lanes->len; at++) {
		Lane *lane = &g_array_index(destination->lanes, Lane, at);

		if (lane->priority < priority)
			break;
		if (lane->priority == priority && lane->bucket == bucket)
			return lane;
	}
	g_array_insert_val(destination->lanes, at, made);
	return &g_array_index(destination->lanes, Lane, at);
}

static void
drop_lane(PhDestination *destination, const Lane *lane)
{
	guint at = (guint) (lane - (const Lane *) (const void *) destination->lanes->data);

	g_array_remove_index(destination->lanes, at);
	if (destination->lanes->len == 0)
		g_clear_pointer(&destination->lanes, g_array_unref);
}

static void
append_ready(PhSchedule *schedule, uint32_t slot)
{
	PhQueueSlot *row = ph_table_slot(schedule->table, slot);
	const PhQueueMessage *message = ph_table_message(schedule->table, row->message);
	PhDestination *destination = ph_schedule_look(schedule, row->destination);
	Lane *lane =
		find_lane(destination, (uint32_t) message->priority, (uint32_t) message->bucket);

	row->state = PH_QUEUE_READY;
	row->link = 0;
	row->back = lane->tail & PH_TABLE_ROWS_MAX;
	if (lane->tail != 0)
		ph_table_slot(schedule->table, lane->tail)->link = slot & PH_TABLE_ROWS_MAX;
	else
		lane->head = slot;
	lane->tail = slot;
	destination->n_ready++;
	settle(schedule, destination);
}

static void
remove_ready(PhSchedule *schedule, uint32_t slot)
{
	PhQueueSlot *row = ph_table_slot(schedule->table, slot);
	const PhQueueMessage *message = ph_table_message(schedule->table, row->message);
	PhDestination *destination = ph_schedule_look(schedule, row->destination);
	Lane *lane =
		find_lane(destination, (uint32_t) message->priority, (uint32_t) message->bucket);

	if (row->back != 0)
		ph_table_slot(schedule->table, row->back)->link = row->link;
	else
		lane->head = row->link;
	if (row->link != 0)
		ph_table_slot(schedule->table, row->link)->back = row->back;
	else
		lane->tail = row->back;
	if (lane->head == 0)
		drop_lane(destination, lane);
	row->link = row->back = 0;
	destination->n_ready--;
	settle(schedule, destination);
}

void
ph_schedule_add(PhSchedule *schedule, uint32_t slot, uint64_t due_ms, uint64_t now_ms)
{
	PhQueueSlot *row = ph_table_slot(schedule->table, slot);

	row->due_ms = due_ms & PH_QUEUE_MS_MAX;
	if (due_ms <= now_ms) {
		append_ready(schedule, slot);
		return;
	}
	row->state = PH_QUEUE_WAITING;
	ph_heap_add(&schedule->waiting, slot);
}

void
ph_schedule_take(PhSchedule *schedule, uint32_t slot)
{
	const PhQueueSlot *row = ph_table_slot(schedule->table, slot);

	if (row->state == PH_QUEUE_READY)
		remove_ready(schedule, slot);
	else if (row->state == PH_QUEUE_WAITING)
		ph_heap_remove(&schedule->waiting, row->link);
}

/* --- choosing --------------------------------------------------------------------------------- */

/* What has become due, at most so many at a time that the lock is not held for long. */
static void
ripen(PhSchedule *schedule, uint64_t now_ms)
{
	uint32_t first = 0;

	while ((first = ph_heap_first(&schedule->alone)) != 0
	       && ph_schedule_look(schedule, first)->not_before_ms <= now_ms)
		ph_schedule_wake(schedule, first);
	while ((first = ph_heap_first(&schedule->waiting)) != 0
	       && ph_table_slot(schedule->table, first)->due_ms <= now_ms) {
		ph_heap_remove(&schedule->waiting, ph_table_slot(schedule->table, first)->link);
		append_ready(schedule, first);
	}
}

/* The lanes of one priority take turns. */
static uint32_t
first_ready(PhDestination *destination)
{
	Lane lane = g_array_index(destination->lanes, Lane, 0);
	guint at = 1;

	while (at < destination->lanes->len
	       && g_array_index(destination->lanes, Lane, at).priority == lane.priority)
		at++;
	if (at > 1) {
		g_array_insert_val(destination->lanes, at, lane);
		g_array_remove_index(destination->lanes, 0);
	}
	return lane.head;
}

static uint32_t
take_siblings(PhSchedule *schedule, uint32_t first, uint32_t *slots_out)
{
	const PhQueueSlot *row = ph_table_slot(schedule->table, first);
	const PhQueueMessage *message = ph_table_message(schedule->table, row->message);
	uint32_t destination = row->destination;
	uint32_t n = 1;

	slots_out[0] = first;
	for (uint32_t at = message->first; at != 0 && n < schedule->params.recipients_each;
	     at = ph_table_slot(schedule->table, at)->sibling) {
		row = ph_table_slot(schedule->table, at);
		if (at != first && row->destination == destination && row->state == PH_QUEUE_READY)
			slots_out[n++] = at;
	}
	return n;
}

uint32_t
ph_schedule_next(PhSchedule *schedule, uint64_t now_ms, uint32_t *slots_out)
{
	PhDestination *destination = NULL;
	uint32_t n = 0;

	ripen(schedule, now_ms);
	if (schedule->ring == 0 || schedule->n_busy >= schedule->params.concurrency)
		return 0;
	destination = ph_schedule_look(schedule, schedule->ring);
	schedule->ring = destination->next;
	n = take_siblings(schedule, first_ready(destination), slots_out);
	destination->n_busy++;
	schedule->n_busy++;
	for (uint32_t i = 0; i < n; i++) {
		remove_ready(schedule, slots_out[i]);
		ph_table_slot(schedule->table, slots_out[i])->state = PH_QUEUE_BUSY;
	}
	return n;
}

uint64_t
ph_schedule_retry_ms(const PhSchedule *schedule, uint32_t attempts)
{
	size_t at = attempts > 0 ? attempts - 1 : 0;

	if (schedule->params.n_curve == 0)
		return 0;
	return schedule->params.curve[MIN(at, schedule->params.n_curve - 1)].us / 1000;
}

/* The first time it is left alone as long as a recipient would be, and longer each time. */
static void
leave_alone(PhSchedule *schedule, PhDestination *destination, uint64_t now_ms)
{
	uint32_t limit = MAX(schedule->params.failures, 1);

	if (destination->heap != 0)
		ph_heap_remove(&schedule->alone, destination->heap - 1);
	destination->not_before_ms =
		now_ms + ph_schedule_retry_ms(schedule, destination->n_failures - limit + 1);
	ph_heap_add(&schedule->alone, destination->index);
}

static void
return_from_alone(PhSchedule *schedule, PhDestination *destination)
{
	if (destination->heap != 0)
		ph_heap_remove(&schedule->alone, destination->heap - 1);
	destination->heap = 0;
	destination->not_before_ms = 0;
	settle(schedule, destination);
}

void
ph_schedule_finished(PhSchedule *schedule,
                     uint32_t number,
                     bool answered,
                     const char *reason,
                     uint64_t now_ms)
{
	PhDestination *destination = ph_schedule_look(schedule, number);

	destination->n_busy--;
	schedule->n_busy--;
	g_clear_pointer(&destination->reason, g_free);
	if (answered) {
		destination->n_failures = 0;
		return_from_alone(schedule, destination);
	} else {
		destination->reason = reason != NULL ? g_strndup(reason, REASON_MAX) : NULL;
		destination->n_failures += destination->heap == 0;
		if (destination->n_failures >= MAX(schedule->params.failures, 1)
		    && destination->heap == 0)
			leave_alone(schedule, destination, now_ms);
	}
	settle(schedule, destination);
	forget(schedule, destination);
}

void
ph_schedule_wake(PhSchedule *schedule, uint32_t number)
{
	PhDestination *destination = ph_schedule_look(schedule, number);

	return_from_alone(schedule, destination);
	forget(schedule, destination);
}

uint64_t
ph_schedule_next_ms(const PhSchedule *schedule)
{
	uint32_t slot = ph_heap_first(&schedule->waiting);
	uint32_t destination = ph_heap_first(&schedule->alone);
	uint64_t next = G_MAXUINT64;

	if (slot != 0)
		next = ph_table_slot(schedule->table, slot)->due_ms;
	if (destination != 0)
		next = MIN(next, ph_schedule_look(schedule, destination)->not_before_ms);
	return next;
}

uint32_t
ph_schedule_n_busy(const PhSchedule *schedule)
{
	return schedule->n_busy;
}
