/* deadline.c: one timer wheel for all due times of slots
 *
 * 1,024 places of 32 ms: a turn takes 33 s. A slot due later waits at the last place and is put on
 * again. The lock guards the lists only; due times are atomic fields of the slots.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "net/deadline.h"

#include <pthread.h>

enum {
	n_places = 1024,
	place_us = 32 * 1000,
	bits_a_word = 64,
};

struct PhWheel {
	pthread_mutex_t lock; /* guards all below, and the slots' links */
	int64_t tick;         /* the place that is visited next, counted from the clock's zero */
	int64_t announced_us; /* what ph_wheel_next() said last */
	uint64_t used[n_places / bits_a_word];
	PhSlot *places[n_places];
};

PhWheel *
ph_wheel_new(int64_t now_us)
{
	PhWheel *wheel = g_new0(PhWheel, 1);

	pthread_mutex_init(&wheel->lock, NULL);
	wheel->tick = now_us / place_us;
	wheel->announced_us = INT64_MAX;
	return wheel;
}

void
ph_wheel_free(PhWheel *wheel)
{
	if (wheel == NULL)
		return;
	for (size_t i = 0; i < n_places; i++)
		while (wheel->places[i] != NULL) {
			PhSlot *slot = wheel->places[i];

			wheel->places[i] = slot->wheel_next;
			slot->wheel_link = NULL;
			slot->wheel_next = NULL;
			atomic_store_explicit(&slot->wheel_us, 0, memory_order_relaxed);
		}
	pthread_mutex_destroy(&wheel->lock);
	g_free(wheel);
}

static void
unlink_slot(PhSlot *slot)
{
	if (slot->wheel_link == NULL)
		return;
	*slot->wheel_link = slot->wheel_next;
	if (slot->wheel_next != NULL)
		slot->wheel_next->wheel_link = slot->wheel_link;
	slot->wheel_link = NULL;
	slot->wheel_next = NULL;
	atomic_store_explicit(&slot->wheel_us, 0, memory_order_relaxed);
}

/* A place is visited when it lies wholly in the past, so that what it holds is due. */
static int64_t
link_slot(PhWheel *wheel, PhSlot *slot, int64_t due_us)
{
	int64_t tick = CLAMP(due_us / place_us, wheel->tick, wheel->tick + n_places - 1);
	size_t place = (size_t) (tick % n_places);
	int64_t visit_us = (tick + 1) * place_us;

	slot->wheel_next = wheel->places[place];
	slot->wheel_link = &wheel->places[place];
	if (slot->wheel_next != NULL)
		slot->wheel_next->wheel_link = &slot->wheel_next;
	wheel->places[place] = slot;
	wheel->used[place / bits_a_word] |= 1ULL << (place % bits_a_word);
	atomic_store_explicit(&slot->wheel_us, visit_us, memory_order_relaxed);
	return visit_us;
}

bool
ph_wheel_add(PhWheel *wheel, PhSlot *slot, int64_t due_us)
{
	int64_t at = atomic_load_explicit(&slot->wheel_us, memory_order_relaxed);
	bool earlier = false;

	if (at != 0 && at <= due_us + place_us)
		return false;
	pthread_mutex_lock(&wheel->lock);
	unlink_slot(slot);
	earlier = link_slot(wheel, slot, due_us) < wheel->announced_us;
	pthread_mutex_unlock(&wheel->lock);
	return earlier;
}

static void
look_at(PhWheel *wheel, PhSlot *slot, int64_t now_us)
{
	int64_t due = 0;

	unlink_slot(slot);
	due = atomic_load_explicit(&slot->due_us, memory_order_relaxed);
	if (due == 0)
		return;
	if (due > now_us) {
		(void) link_slot(wheel, slot, due);
		return;
	}
	ph_slot_post(slot, ph_slot_generation(slot), PH_BIT_DUE);
}

void
ph_wheel_visit(PhWheel *wheel, int64_t now_us)
{
	pthread_mutex_lock(&wheel->lock);
	while ((wheel->tick + 1) * place_us <= now_us) {
		size_t place = (size_t) (wheel->tick % n_places);
		PhSlot *slot = wheel->places[place];

		wheel->places[place] = NULL;
		wheel->used[place / bits_a_word] &= ~(1ULL << (place % bits_a_word));
		wheel->tick++;
		if (slot != NULL)
			slot->wheel_link = &slot;
		while (slot != NULL)
			look_at(wheel, slot, now_us);
	}
	pthread_mutex_unlock(&wheel->lock);
}

int64_t
ph_wheel_next(PhWheel *wheel)
{
	int64_t next = INT64_MAX;

	pthread_mutex_lock(&wheel->lock);
	for (int64_t tick = wheel->tick; tick < wheel->tick + n_places; tick++) {
		size_t place = (size_t) (tick % n_places);

		if (wheel->used[place / bits_a_word] == 0 && tick % bits_a_word == 0) {
			tick += bits_a_word - 1;
			continue;
		}
		if (wheel->places[place] != NULL) {
			next = (tick + 1) * place_us;
			break;
		}
	}
	wheel->announced_us = next;
	pthread_mutex_unlock(&wheel->lock);
	return next;
}
