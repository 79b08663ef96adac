/* table.h: what the queue keeps in memory of each mail and recipient: 32 octets for each
 *
 * Rows lie in pages that never move and are known by number; 0 is none. Everything else (who, from
 * whom, which octets) is read from the disk when it is needed. The caller has the queue's lock.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_QUEUE_TABLE_H
#define PH_QUEUE_TABLE_H

#include <posthorn/types.h>

enum {
	PH_TABLE_PAGE = 4096,  /* rows */
	PH_QUEUE_BUCKETS = 16, /* of senders */
	PH_QUEUE_ATTEMPTS_MAX = 255,
	PH_QUEUE_DESTINATIONS_MAX = (1 << 24) - 1,
};

/* PhQueueState: of a recipient. */
typedef enum {
	PH_QUEUE_FREE = 0,
	PH_QUEUE_READY = 1,   /* to be delivered as soon as its destination has room */
	PH_QUEUE_WAITING = 2, /* for its time */
	PH_QUEUE_BUSY = 3,    /* being delivered */
	PH_QUEUE_HELD = 4,    /* until somebody releases it */
	PH_QUEUE_DONE = 5,    /* delivered, or its sender was told */
} PhQueueState;

enum {
	PH_QUEUE_HAS_BY = 1U << 1,   /* the sender gave a deadline */
	PH_QUEUE_BY_TELLS = 1U << 2, /* at which it is told that it is late, and tried on */
};

/* PhQueueMessage: one mail. */
typedef struct {
	uint64_t place; /* number of its file << 32 | offset / 8 */
	uint64_t key;   /* of its id */
	uint64_t arrived_ms : 42;
	uint64_t bucket : 4;
	uint64_t priority : 5; /* 0 to 18, 9 is normal */
	uint64_t flags : 5;
	uint32_t first;  /* recipient; of a free row: the next free one */
	uint32_t n_open; /* recipients that are not done */
} PhQueueMessage;

/* PhQueueSlot: one recipient. */
typedef struct {
	uint32_t message;
	uint32_t sibling; /* the mail's next recipient; of a free row: the next free one */
	uint32_t link;    /* READY: the next in its lane; WAITING: its place in the heap */
	uint32_t back;    /* READY: the one before it */
	uint64_t due_ms : 42;
	uint64_t state : 3;     /* PhQueueState */
	uint64_t number : 14;   /* in the envelope */
	uint64_t is_warned : 1; /* the sender knows that it is late */
	uint32_t destination : 24;
	uint32_t attempts : 8; /* so many, or more */
	uint32_t reason;       /* why it was not delivered yet; 0: none */
} PhQueueSlot;

G_STATIC_ASSERT(sizeof(PhQueueMessage) == 32);
G_STATIC_ASSERT(sizeof(PhQueueSlot) == 32);

typedef struct {
	GPtrArray *pages;
	size_t row_size;
	uint32_t end;  /* rows that were ever used, and row 0 */
	uint32_t free; /* the first free row */
	uint32_t n_used;
} PhQueueRows;

typedef struct {
	PhQueueRows messages;
	PhQueueRows slots;
} PhQueueTable;

void ph_table_init(PhQueueTable *table);
void ph_table_clear(PhQueueTable *table);

static inline PhQueueMessage *
ph_table_message(const PhQueueTable *table, uint32_t number)
{
	PhQueueMessage *page = table->messages.pages->pdata[number / PH_TABLE_PAGE];

	return &page[number % PH_TABLE_PAGE];
}

static inline PhQueueSlot *
ph_table_slot(const PhQueueTable *table, uint32_t number)
{
	PhQueueSlot *page = table->slots.pages->pdata[number / PH_TABLE_PAGE];

	return &page[number % PH_TABLE_PAGE];
}

/* A new row, zeroed. The number of one that is free is 0 in `place` or PH_QUEUE_FREE. */
uint32_t ph_table_add_message(PhQueueTable *table);
uint32_t ph_table_add_slot(PhQueueTable *table);

/* ph_table_remove: the mail and all its recipients. */
void ph_table_remove(PhQueueTable *table, uint32_t message);

/* ph_table_octets: memory that the pages take. */
size_t ph_table_octets(const PhQueueTable *table);

/* Milliseconds since 2020: what fits into a row. */
uint64_t ph_queue_ms(PhTime time);
PhTime ph_queue_time(uint64_t ms);

#endif
