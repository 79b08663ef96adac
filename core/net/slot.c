/* slot.c: the table of slots and the transitions of their state words
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "net/slot.h"

#include <pthread.h>

enum {
	slab_slots = 1024,
	max_slabs = 1024,
	generation_shift = 32,
	park_shift = 20,
	park_mask = 0xfff,
};

static const uint64_t generation_one = 1ULL << generation_shift;
static const uint64_t park_one = 1ULL << park_shift;
static const uint64_t park_bits = (uint64_t) park_mask << park_shift;

static struct {
	pthread_mutex_t lock; /* guards free and n_slabs */
	PhSlot *free;
	uint32_t n_slabs;
	_Atomic(PhSlot *) slabs[max_slabs];
} table = { .lock = PTHREAD_MUTEX_INITIALIZER };

static bool
add_slab(void)
{
	PhSlot *slab = NULL;
	uint32_t base = table.n_slabs * slab_slots;

	if (table.n_slabs == max_slabs)
		return false;
	slab = g_new0(PhSlot, slab_slots);
	for (uint32_t i = slab_slots; i > 0; i--) {
		PhSlot *slot = &slab[i - 1];

		slot->index = base + i - 1;
		atomic_init(&slot->word, generation_one);
		slot->free_next = table.free;
		table.free = slot;
	}
	atomic_store_explicit(&table.slabs[table.n_slabs], slab, memory_order_release);
	table.n_slabs++;
	return true;
}

PhSlot *
ph_slot_new(PhSession *session, PhHome *home, const void *owner)
{
	PhSlot *slot = NULL;

	pthread_mutex_lock(&table.lock);
	if (table.free != NULL || add_slab()) {
		slot = table.free;
		table.free = slot->free_next;
	}
	pthread_mutex_unlock(&table.lock);
	if (slot == NULL)
		return NULL;
	slot->session = session;
	atomic_store_explicit(&slot->home, home, memory_order_relaxed);
	atomic_store_explicit(&slot->due_us, 0, memory_order_relaxed);
	atomic_store_explicit(&slot->owner, owner, memory_order_relaxed);
	atomic_fetch_or_explicit(&slot->word, PH_BIT_RUNNING, memory_order_release);
	return slot;
}

void
ph_slot_free(PhSlot *slot)
{
	uint64_t word = atomic_load_explicit(&slot->word, memory_order_relaxed);

	atomic_store_explicit(&slot->due_us, 0, memory_order_relaxed);
	atomic_store_explicit(&slot->owner, NULL, memory_order_relaxed);
	slot->session = NULL;
	/* Late bits of the old generation vanish with this store or fail on the generation. */
	word = (word & ~(generation_one - 1)) + generation_one;
	if (word == 0)
		word = generation_one;
	atomic_store_explicit(&slot->word, word, memory_order_release);
	pthread_mutex_lock(&table.lock);
	slot->free_next = table.free;
	table.free = slot;
	pthread_mutex_unlock(&table.lock);
}

PhSlot *
ph_slot_at(uint32_t index)
{
	PhSlot *slab = NULL;

	if (index / slab_slots >= max_slabs)
		return NULL;
	slab = atomic_load_explicit(&table.slabs[index / slab_slots], memory_order_acquire);
	return slab != NULL ? &slab[index % slab_slots] : NULL;
}

uint32_t
ph_slot_generation(const PhSlot *slot)
{
	return (uint32_t) (atomic_load_explicit(&slot->word, memory_order_relaxed)
	                   >> generation_shift);
}

/* Adds @bits where the masked part of the word is as expected. Returns the word before, or 0 when
 * it was another generation. */
static uint64_t
add_bits(PhSlot *slot, uint64_t mask, uint64_t expected, uint32_t bits)
{
	uint64_t old = atomic_load_explicit(&slot->word, memory_order_relaxed);

	do {
		if ((old & mask) != expected)
			return 0;
	} while (!atomic_compare_exchange_weak_explicit(
		&slot->word, &old, old | bits | PH_BIT_QUEUED, memory_order_acq_rel,
		memory_order_relaxed));
	return old;
}

static void
call_ready(PhSlot *slot)
{
	PhHome *home = atomic_load_explicit(&slot->home, memory_order_relaxed);

	home->ready(home, &slot->ready);
}

static void
post(PhSlot *slot, uint64_t mask, uint64_t expected, uint32_t bits)
{
	uint64_t old = add_bits(slot, mask, expected, bits);

	if (old != 0 && (old & (PH_BIT_RUNNING | PH_BIT_QUEUED)) == 0)
		call_ready(slot);
}

void
ph_slot_post(PhSlot *slot, uint32_t generation, uint32_t bits)
{
	uint64_t expected = (uint64_t) generation << generation_shift;

	post(slot, ~(generation_one - 1), expected, bits);
}

void
ph_slot_wake(PhSlot *slot, uint32_t generation, uint32_t park)
{
	uint64_t expected =
		(uint64_t) generation << generation_shift | (uint64_t) park << park_shift;

	post(slot, ~(generation_one - 1) | park_bits, expected, PH_BIT_WAKE);
}

bool
ph_slot_claim(PhSlot *slot, uint32_t generation, uint32_t bits, uint32_t *bits_out)
{
	uint64_t old = atomic_load_explicit(&slot->word, memory_order_relaxed);
	uint64_t wanted = 0;
	bool mine = false;

	do {
		if (old >> generation_shift != generation)
			return false;
		mine = (old & (PH_BIT_RUNNING | PH_BIT_QUEUED)) == 0;
		wanted = old | bits | PH_BIT_QUEUED;
		if (mine)
			wanted = (old & ~(uint64_t) PH_BITS_MASK) | PH_BIT_RUNNING;
	} while (!atomic_compare_exchange_weak_explicit(
		&slot->word, &old, wanted, memory_order_acq_rel, memory_order_relaxed));
	if (mine)
		*bits_out = ((uint32_t) old & PH_BITS_MASK) | bits;
	return mine;
}

uint32_t
ph_slot_begin(PhSlot *slot)
{
	uint64_t old = atomic_load_explicit(&slot->word, memory_order_relaxed);

	while (!atomic_compare_exchange_weak_explicit(
		&slot->word, &old, (old & ~(uint64_t) PH_BITS_MASK) | PH_BIT_RUNNING,
		memory_order_acq_rel, memory_order_relaxed))
		continue;
	return (uint32_t) old & PH_BITS_MASK & ~(uint32_t) (PH_BIT_QUEUED | PH_BIT_RUNNING);
}

uint32_t
ph_slot_take(PhSlot *slot)
{
	if ((ph_slot_peek(slot) & ~(uint32_t) PH_BIT_RUNNING) == 0)
		return 0;
	return ph_slot_begin(slot);
}

bool
ph_slot_finish(PhSlot *slot)
{
	uint64_t old = atomic_load_explicit(&slot->word, memory_order_relaxed);

	do {
		if ((old & PH_BIT_QUEUED) != 0)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(
		&slot->word, &old, old & ~(uint64_t) PH_BIT_RUNNING, memory_order_acq_rel,
		memory_order_relaxed));
	return true;
}

uint32_t
ph_slot_park(PhSlot *slot)
{
	uint64_t old = atomic_load_explicit(&slot->word, memory_order_relaxed);
	uint64_t wanted = 0;

	do {
		wanted = (old & ~park_bits) | ((old + park_one) & park_bits);
		wanted &= ~(uint64_t) PH_BIT_WAKE;
	} while (!atomic_compare_exchange_weak_explicit(
		&slot->word, &old, wanted, memory_order_acq_rel, memory_order_relaxed));
	return (uint32_t) (wanted >> park_shift) & park_mask;
}

void
ph_slot_requeue(PhSlot *slot, uint32_t bits)
{
	uint64_t old = atomic_load_explicit(&slot->word, memory_order_relaxed);
	uint64_t wanted = 0;

	do {
		wanted = (old | bits | PH_BIT_QUEUED) & ~(uint64_t) PH_BIT_RUNNING;
	} while (!atomic_compare_exchange_weak_explicit(
		&slot->word, &old, wanted, memory_order_acq_rel, memory_order_relaxed));
	call_ready(slot);
}

uint32_t
ph_slot_peek(const PhSlot *slot)
{
	return (uint32_t) atomic_load_explicit(&slot->word, memory_order_relaxed) & PH_BITS_MASK;
}

void
ph_slot_post_all(const PhHome *home, const void *owner, uint32_t bits)
{
	for (uint32_t i = 0; i < max_slabs * slab_slots; i++) {
		PhSlot *slot = ph_slot_at(i);
		uint32_t generation = 0;
		const void *its = NULL;

		if (slot == NULL)
			return;
		generation = ph_slot_generation(slot);
		its = atomic_load_explicit(&slot->owner, memory_order_relaxed);
		if (its == NULL || (owner != NULL && its != owner))
			continue;
		if (atomic_load_explicit(&slot->home, memory_order_relaxed) == home)
			ph_slot_post(slot, generation, bits);
	}
}
