/* schedule.h: which recipient is delivered next
 *
 * Each destination has lanes of recipients that are ready, one for each priority and bucket of
 * senders; destinations take turns, and so do the lanes of one priority. A destination gets no more
 * deliveries at once than is configured. One that does not answer is left alone for a while, with
 * all that waits for it, and then tried with a single delivery: what waits for a dead host costs the
 * others nothing. What waits for a time stands in a heap.
 *
 * Not safe for threads: the caller has the queue's lock. Knows nothing of disks.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_QUEUE_SCHEDULE_H
#define PH_QUEUE_SCHEDULE_H

#include "queue/table.h"

typedef struct PhSchedule PhSchedule;

/* PhScheduleParams: may change while it is used. */
typedef struct {
	const PhDuration
		*curve; /* (borrowed) before the second attempt, the third, ...; the last repeats */
	size_t n_curve;
	uint32_t concurrency;      /* deliveries at once */
	uint32_t concurrency_each; /* to one destination */
	uint32_t recipients_each;  /* of one mail and destination in one delivery */
	uint32_t failures; /* in turn without any answer until a destination is left alone */
} PhScheduleParams;

/* PhDestination: what is known of one. */
typedef struct {
	char *route;
	char *key;
	GArray *lanes;    /* (nullable) those with somebody in them, by priority */
	uint32_t index;   /* its own */
	uint32_t n_slots; /* recipients that name it */
	uint32_t n_ready;
	uint32_t n_busy;        /* deliveries */
	uint32_t n_failures;    /* in turn */
	uint64_t not_before_ms; /* 0: now */
	char *reason;           /* (nullable) of the last failure */
	uint32_t next;          /* in the ring of those that can be tried; 0: it is not in it */
	uint32_t previous;
	uint32_t heap; /* place among those that are left alone, and 1 */
} PhDestination;

PhSchedule *ph_schedule_new(PhQueueTable *table);
void ph_schedule_free(PhSchedule *schedule);
void ph_schedule_set(PhSchedule *schedule, const PhScheduleParams *params);

/* ph_schedule_destination: its number; 0 when there are too many. ph_schedule_look: by number. */
uint32_t ph_schedule_destination(PhSchedule *schedule, const char *route, const char *key);
PhDestination *ph_schedule_look(const PhSchedule *schedule, uint32_t number);
uint32_t ph_schedule_n_destinations(const PhSchedule *schedule);

/* ph_schedule_reserve, _release: somebody more names the destination, or does no more: when nobody
 * does it is forgotten. */
void ph_schedule_reserve(PhSchedule *schedule, uint32_t destination);
void ph_schedule_release(PhSchedule *schedule, uint32_t destination);

/* ph_schedule_add: the recipient becomes READY, or WAITING until @due_ms. It must be neither.
 * ph_schedule_take: it is neither any more; its state is the caller's to set. */
void ph_schedule_add(PhSchedule *schedule, uint32_t slot, uint64_t due_ms, uint64_t now_ms);
void ph_schedule_take(PhSchedule *schedule, uint32_t slot);

/* ph_schedule_next: recipients of one mail for the next delivery, taken and BUSY. @slots_out: room for
 * recipients_each. Returns: how many; 0 when nothing can be begun now. */
uint32_t ph_schedule_next(PhSchedule *schedule, uint64_t now_ms, uint32_t *slots_out);

/* ph_schedule_finished: a delivery to that destination has ended. @answered: somebody was there, who
 * may have said no. @reason: (nullable). */
void ph_schedule_finished(PhSchedule *schedule,
                          uint32_t destination,
                          bool answered,
                          const char *reason,
                          uint64_t now_ms);

/* ph_schedule_wake: a destination that is left alone is tried now. */
void ph_schedule_wake(PhSchedule *schedule, uint32_t destination);

/* ph_schedule_retry_ms: how long after an attempt the next one is due. */
uint64_t ph_schedule_retry_ms(const PhSchedule *schedule, uint32_t attempts);

/* ph_schedule_next_ms: when something becomes due; G_MAXUINT64: nothing will. */
uint64_t ph_schedule_next_ms(const PhSchedule *schedule);

/* ph_schedule_n_busy: deliveries that were begun and have not ended. */
uint32_t ph_schedule_n_busy(const PhSchedule *schedule);

#endif
