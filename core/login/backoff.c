/* backoff.c: how long a failed login waits for its answer, by address and by user
 *
 * Two bounded tables of counters. When one is full its oldest entry goes: whoever floods it with
 * new names only makes room for forgetting the longest-ago failure. Keys are hashed with a seed.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "login/backoff.h"

#include <posthorn/slice.h>

#include "base/lock.h"

enum {
	MAX_ENTRIES = 20000,
	MAX_DOUBLINGS = 16,
};

typedef struct {
	char *key;
	GList link; /* in the order of the last failure, oldest at the head */
	uint64_t last_us;
	uint32_t failures;
} Entry;

typedef struct {
	GHashTable *entries;
	GQueue order;
} Table;

struct PhBackoff {
	PhLock lock; /* guards both tables */
	Table peers;
	Table users;
	PhDuration first;
	PhDuration longest;
	PhDuration memory;
};

static void
free_entry(void *data)
{
	Entry *entry = data;

	g_free(entry->key);
	g_free(entry);
}

static void
init_table(Table *table)
{
	table->entries = g_hash_table_new_full(ph_str_hash, g_str_equal, NULL, free_entry);
	g_queue_init(&table->order);
}

PhBackoff *
ph_backoff_new(PhDuration first, PhDuration longest, PhDuration memory)
{
	PhBackoff *backoff = g_new0(PhBackoff, 1);

	ph_lock_init(&backoff->lock);
	init_table(&backoff->peers);
	init_table(&backoff->users);
	backoff->first = first;
	backoff->longest = longest;
	backoff->memory = memory;
	return backoff;
}

void
ph_backoff_free(PhBackoff *backoff)
{
	if (backoff == NULL)
		return;
	g_hash_table_unref(backoff->peers.entries);
	g_hash_table_unref(backoff->users.entries);
	ph_lock_clear(&backoff->lock);
	g_free(backoff);
}

static void
forget(Table *table, Entry *entry)
{
	g_queue_unlink(&table->order, &entry->link);
	g_hash_table_remove(table->entries, entry->key);
}

static Entry *
find_or_add(Table *table, const char *key)
{
	Entry *entry = g_hash_table_lookup(table->entries, key);
	if (entry != NULL)
		return entry;

	if (g_hash_table_size(table->entries) >= MAX_ENTRIES)
		forget(table, table->order.head->data);
	entry = g_new0(Entry, 1);
	entry->key = g_strdup(key);
	entry->link.data = entry;
	g_hash_table_insert(table->entries, entry->key, entry);
	g_queue_push_tail_link(&table->order, &entry->link);
	return entry;
}

static uint32_t
count_failure(PhBackoff *backoff, Table *table, const char *key, uint64_t now_us)
{
	Entry *entry = find_or_add(table, key);
	if (entry->failures > 0 && now_us - entry->last_us > backoff->memory.us)
		entry->failures = 0;

	entry->failures++;
	entry->last_us = now_us;
	g_queue_unlink(&table->order, &entry->link);
	g_queue_push_tail_link(&table->order, &entry->link);
	return entry->failures;
}

PhDuration
ph_backoff_failed(PhBackoff *backoff, const char *peer, const char *user, uint64_t now_us)
{
	ph_lock_take(&backoff->lock);
	uint32_t failures = count_failure(backoff, &backoff->peers, peer, now_us);
	if (user != NULL) {
		uint32_t of_user = count_failure(backoff, &backoff->users, user, now_us);
		failures = MAX(failures, of_user);
	}
	ph_lock_drop(&backoff->lock);

	uint64_t delay = backoff->first.us << MIN(failures - 1, (uint32_t) MAX_DOUBLINGS);
	return (PhDuration){ MIN(delay, backoff->longest.us) };
}

void
ph_backoff_succeeded(PhBackoff *backoff, const char *user)
{
	ph_lock_take(&backoff->lock);
	Entry *entry = g_hash_table_lookup(backoff->users.entries, user);
	if (entry != NULL)
		forget(&backoff->users, entry);
	ph_lock_drop(&backoff->lock);
}
