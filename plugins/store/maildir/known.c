/* known.c: which uid has a file's name: a table of 8 octets a message
 *
 * A slot holds 32 bits of the name's hash and the uid; another 32 bits of the hash say where the slot
 * is. The hash is keyed, so that nobody can choose names that collide.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "known.h"

#include <posthorn/secret.h>

#include <string.h>

struct Known {
	uint64_t *slots;
	size_t mask;
	size_t n;
};

static uint64_t
mix(uint64_t a, uint64_t b)
{
	__uint128_t product = (__uint128_t) a * b;

	return (uint64_t) product ^ (uint64_t) (product >> 64);
}

uint64_t
known_hash(PhSlice name)
{
	static gsize once = 0;
	static uint64_t keys[3];
	uint64_t hash = 0;

	if (g_once_init_enter(&once)) {
		ph_secret_random(keys, sizeof keys);
		keys[0] |= 1;
		g_once_init_leave(&once, 1);
	}
	hash = keys[1] ^ name.length;
	for (size_t i = 0; i < name.length; i += sizeof(uint64_t)) {
		uint64_t word = 0;

		memcpy(&word, name.data + i, MIN(sizeof word, name.length - i));
		hash = mix(hash ^ word, keys[0]) + keys[2];
	}
	return mix(hash ^ keys[2], keys[0] ^ keys[1]);
}

Known *
known_new(size_t n)
{
	Known *known = g_new0(Known, 1);
	size_t size = 64;

	while (size < n + n / 2)
		size *= 2;
	known->slots = g_new0(uint64_t, size);
	known->mask = size - 1;
	return known;
}

void
known_free(Known *known)
{
	if (known == NULL)
		return;
	g_free(known->slots);
	g_free(known);
}

static void
insert(Known *known, uint64_t place, uint64_t slot)
{
	size_t i = (size_t) place & known->mask;

	while (known->slots[i] != 0)
		i = (i + 1) & known->mask;
	known->slots[i] = slot;
	known->n++;
}

/* @place: the low half of the hash; a table never has more slots than that can say. */
void
known_add(Known *known, uint64_t hash, uint32_t uid)
{
	insert(known, hash & UINT32_MAX, (hash & ~(uint64_t) UINT32_MAX) | uid);
}

bool
known_is_full(const Known *known)
{
	return known->n * 4 > (known->mask + 1) * 3;
}

uint32_t
known_find(const Known *known, uint64_t hash)
{
	uint64_t check = hash & ~(uint64_t) UINT32_MAX;

	for (size_t i = (size_t) (hash & UINT32_MAX) & known->mask; known->slots[i] != 0;
	     i = (i + 1) & known->mask)
		if ((known->slots[i] & ~(uint64_t) UINT32_MAX) == check)
			return (uint32_t) known->slots[i];
	return 0;
}
