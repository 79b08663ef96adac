/* table.c: what the queue keeps in memory of each mail and recipient
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "queue/table.h"

#include <string.h>

/* 2020-01-01T00:00:00Z in milliseconds since 1970. */
#define EPOCH_MS UINT64_C(1577836800000)

static void
init_rows(PhQueueRows *rows, size_t row_size)
{
	*rows = (PhQueueRows){ .pages = g_ptr_array_new_with_free_func(g_free),
		               .row_size = row_size,
		               .end = 1 };
}

void
ph_table_init(PhQueueTable *table)
{
	init_rows(&table->messages, sizeof(PhQueueMessage));
	init_rows(&table->slots, sizeof(PhQueueSlot));
}

void
ph_table_clear(PhQueueTable *table)
{
	g_clear_pointer(&table->messages.pages, g_ptr_array_unref);
	g_clear_pointer(&table->slots.pages, g_ptr_array_unref);
}

/* A row that was never used. */
static uint32_t
extend(PhQueueRows *rows)
{
	uint32_t number = rows->end++;

	while (rows->pages->len <= number / PH_TABLE_PAGE)
		g_ptr_array_add(rows->pages, g_malloc0(rows->row_size * PH_TABLE_PAGE));
	return number;
}

uint32_t
ph_table_add_message(PhQueueTable *table)
{
	PhQueueRows *rows = &table->messages;
	uint32_t number = rows->free != 0 ? rows->free : extend(rows);
	PhQueueMessage *row = ph_table_message(table, number);

	if (number == rows->free)
		rows->free = row->first;
	*row = (PhQueueMessage){ .place = 0 };
	rows->n_used++;
	return number;
}

uint32_t
ph_table_add_slot(PhQueueTable *table)
{
	PhQueueRows *rows = &table->slots;
	uint32_t number = rows->free != 0 ? rows->free : extend(rows);
	PhQueueSlot *row = ph_table_slot(table, number);

	if (number == rows->free)
		rows->free = row->sibling;
	*row = (PhQueueSlot){ .message = 0 };
	rows->n_used++;
	return number;
}

void
ph_table_remove(PhQueueTable *table, uint32_t message)
{
	PhQueueMessage *row = ph_table_message(table, message);
	uint32_t next = row->first;

	while (next != 0) {
		uint32_t number = next;
		PhQueueSlot *slot = ph_table_slot(table, number);

		next = slot->sibling;
		*slot = (PhQueueSlot){ .sibling = table->slots.free & PH_TABLE_ROWS_MAX };
		table->slots.free = number;
		table->slots.n_used--;
	}
	*row = (PhQueueMessage){ .first = table->messages.free & PH_TABLE_ROWS_MAX };
	table->messages.free = message;
	table->messages.n_used--;
}

size_t
ph_table_octets(const PhQueueTable *table)
{
	return (table->messages.pages->len * table->messages.row_size
	        + table->slots.pages->len * table->slots.row_size)
	       * PH_TABLE_PAGE;
}

uint64_t
ph_queue_ms(PhTime time)
{
	uint64_t ms = time > 0 ? (uint64_t) time / 1000 : 0;

	return ms > EPOCH_MS ? MIN(ms - EPOCH_MS, PH_QUEUE_MS_MAX) : 0;
}

PhTime
ph_queue_time(uint64_t ms)
{
	return (PhTime) ((ms + EPOCH_MS) * 1000);
}
