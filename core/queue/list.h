/* list.h: looks at queued mail and changes what becomes of it, for people
 *
 * Thread: any. Blocks: on the disk. The queue goes on meanwhile: it is looked at in small steps, and
 * what comes or goes between two of them may be seen or not.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_QUEUE_LIST_H
#define PH_QUEUE_LIST_H

#include "queue/queue.h"

/* PhQueueFilter: all that is given must fit. Addresses: any case; "*" stands for anything. */
typedef struct {
	const char *id;          /* (nullable) */
	const char *sender;      /* (nullable) "" is the null sender */
	const char *recipient;   /* (nullable) */
	const char *domain;      /* (nullable) of the recipient */
	const char *destination; /* (nullable) */
	uint32_t states;         /* bits 1 << PhQueueState; 0: any */
	uint64_t older_us;       /* 0: any age */
	uint64_t younger_us;
	bool tried; /* not what waits for its first attempt (HOLDFOR, RFC 4865) */
} PhQueueFilter;

/* PhQueueListed: one recipient. */
typedef struct {
	const char *address;
	const char *route;
	const char *destination;
	uint32_t state; /* PhQueueState */
	uint32_t attempts;
	PhTime due;         /* of one that waits; the destination's when that is left alone */
	const char *reason; /* (nullable) why it was not delivered yet */
} PhQueueListed;

/* PhQueueItem: one mail, with the recipients that fit. Borrowed for the call. */
typedef struct {
	const PhEnvelope *envelope; /* NULL: it cannot be read */
	PhTime arrived;
	uint64_t octets;
	PhContent *content; /* (nullable) */
	const PhQueueListed *recipients;
	size_t n_recipients;
} PhQueueItem;

/* PhQueueItemFunc: false stops. */
typedef bool (*PhQueueItemFunc)(const PhQueueItem *item, void *user_data);

void ph_queue_each(PhQueue *queue,
                   const PhQueueFilter *filter,
                   PhQueueItemFunc func,
                   void *user_data);

typedef enum {
	PH_QUEUE_RETRY = 1,   /* try at once what waits */
	PH_QUEUE_TO_HOLD = 2, /* keep until it is released */
	PH_QUEUE_RELEASE = 3, /* what is held goes on */
	PH_QUEUE_DELETE = 4,  /* without telling anybody */
} PhQueueAction;

/* PhQueueActed: what was done. What is being delivered at the moment is left alone. */
typedef struct {
	uint64_t n_changed; /* recipients */
	uint64_t n_busy;
} PhQueueActed;

/* ph_queue_act: durable on return. */
void ph_queue_act(PhQueue *queue,
                  const PhQueueFilter *filter,
                  uint32_t action,
                  PhQueueActed *acted_out);

/* ph_queue_state_name: "waiting". ph_queue_state_of: 0 for none. */
const char *ph_queue_state_name(uint32_t state);
uint32_t ph_queue_state_of(const char *name);

#endif
