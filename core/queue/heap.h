/* heap.h: numbers ordered by a time that their owner knows
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_QUEUE_HEAP_H
#define PH_QUEUE_HEAP_H

#include <posthorn/types.h>

/* PhHeap: the owner tells the time of an item and keeps its place, with which it can be removed. */
typedef struct {
	GArray *items; /* of uint32_t */
	uint64_t (*time)(void *owner, uint32_t item);
	void (*moved)(void *owner, uint32_t item, uint32_t place);
	void *owner;
} PhHeap;

void ph_heap_add(PhHeap *heap, uint32_t item);
void ph_heap_remove(PhHeap *heap, uint32_t place);

/* ph_heap_first: 0 when it is empty. */
static inline uint32_t
ph_heap_first(const PhHeap *heap)
{
	return heap->items->len > 0 ? g_array_index(heap->items, uint32_t, 0) : 0;
}

#endif
