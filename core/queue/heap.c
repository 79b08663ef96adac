/* heap.c: numbers ordered by a time that their owner knows
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "queue/heap.h"

static uint32_t
item_at(const PhHeap *heap, uint32_t place)
{
	return g_array_index(heap->items, uint32_t, place);
}

static void
put(PhHeap *heap, uint32_t place, uint32_t item)
{
	g_array_index(heap->items, uint32_t, place) = item;
	heap->moved(heap->owner, item, place);
}

static void
rise(PhHeap *heap, uint32_t place, uint32_t item)
{
	uint64_t time = heap->time(heap->owner, item);

	while (place > 0) {
		uint32_t above = (place - 1) / 2;

		if (heap->time(heap->owner, item_at(heap, above)) <= time)
			break;
		put(heap, place, item_at(heap, above));
		place = above;
	}
	put(heap, place, item);
}

static void
sink(PhHeap *heap, uint32_t place, uint32_t item)
{
	uint64_t time = heap->time(heap->owner, item);

	for (uint32_t below = 2 * place + 1; below < heap->items->len; below = 2 * place + 1) {
		if (below + 1 < heap->items->len
		    && heap->time(heap->owner, item_at(heap, below + 1))
		               < heap->time(heap->owner, item_at(heap, below)))
			below++;
		if (heap->time(heap->owner, item_at(heap, below)) >= time)
			break;
		put(heap, place, item_at(heap, below));
		place = below;
	}
	put(heap, place, item);
}

void
ph_heap_add(PhHeap *heap, uint32_t item)
{
	g_array_append_val(heap->items, item);
	rise(heap, heap->items->len - 1, item);
}

void
ph_heap_remove(PhHeap *heap, uint32_t place)
{
	uint32_t last = item_at(heap, heap->items->len - 1);
	uint32_t removed = item_at(heap, place);

	g_array_set_size(heap->items, heap->items->len - 1);
	if (last == removed)
		return;
	if (place > 0
	    && heap->time(heap->owner, item_at(heap, (place - 1) / 2))
	               > heap->time(heap->owner, last))
		rise(heap, place, last);
	else
		sink(heap, place, last);
}
