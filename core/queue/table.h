/* table.h: what the queue keeps in memory: 24 octets of each mail and 28 of each recipient
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
	PH_TABLE_ROWS_MAX = (1 << 29) - 1, /* the highest number of a row */
	PH_QUEUE_KEYS_MAX = (1 << 27) - 1,
	PH_QUEUE_REASONS_MAX = (1 << 15) - 1,
};

#define PH_QUEUE_MS_MAX ((UINT64_C(1) << 42) - 1)

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
	PH_QUEUE_HAS_BY = 1U << 0,   /* the sender gave a deadline */
	PH_QUEUE_BY_TELLS = 1U << 1, /* at which it is told that it is late, and tried on */
};

/* PhQueueMessage: one mail. */
typedef struct __attribute__((packed, aligned(4))) {
	uint64_t place; /* number of its file << 32 | offset / 8 */
	uint64_t arrived_ms : 42;
	uint64_t bucket : 4;
	uint64_t priority : 5; /* 0 to 18, 9 is normal */
	uint64_t flags : 2;
	uint64_t key : 27;    /* of its id: some of the bits, others may have the same */
	uint64_t first : 29;  /* recipient; of a free row: the next free one */
	uint64_t n_open : 14; /* recipients that are not done */
} PhQueueMessage;

/* PhQueueSlot: one recipient. */
typedef struct __attribute__((packed, aligned(4))) {
	uint64_t message : 29;
	uint64_t sibling : 29; /* the mail's next recipient; of a free row: the next free one */
	uint64_t link : 29;    /* READY: the next in its lane; WAITING: its place in the heap */
	uint64_t back : 29;    /* READY: the one before it */
	uint64_t due_ms : 42;
	uint64_t state : 3;     /* PhQueueState */
	uint64_t number : 14;   /* in the envelope */
	uint64_t is_warned : 1; /* the sender knows that it is late */
	uint64_t destination : 24;
	uint64_t attempts : 8;    /* so many, or more */
	uint64_t reason : 15;     /* why it was not delivered yet; 0: none */
	uint64_t is_released : 1; /* PhQueueResult */
} PhQueueSlot;

G_STATIC_ASSERT(sizeof(PhQueueMessage) == 24);
G_STATIC_ASSERT(sizeof(PhQueueSlot) == 28);

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
