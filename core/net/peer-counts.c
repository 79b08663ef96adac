/* peer-counts.c: how many sessions each address has
 *
 * An IPv4 address counts by itself, an IPv6 address by its first 64 bits, because one customer has
 * at least that many. An address without sessions takes no memory.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "net/listener.h"

#include <pthread.h>
#include <string.h>

enum {
	network_octets = 8,
};

typedef struct {
	uint8_t is_v6;
	uint8_t octets[network_octets];
	uint32_t n;
} Count;

struct PhPeerCounts {
	pthread_mutex_t lock; /* guards counts */
	GHashTable *counts;   /* Count -> itself */
};

static guint
hash_count(gconstpointer key)
{
	const Count *count = key;

	return ph_slice_hash(PH_SLICE((const char *) count, offsetof(Count, n)));
}

static gboolean
is_same_count(gconstpointer a, gconstpointer b)
{
	return memcmp(a, b, offsetof(Count, n)) == 0;
}

static Count
key_of(const PhPeer *peer)
{
	Count key = { .is_v6 = peer->is_v6 };

	memcpy(key.octets, peer->octets, peer->is_v6 ? network_octets : 4);
	return key;
}

PhPeerCounts *
ph_peer_counts_new(void)
{
	PhPeerCounts *counts = g_new0(PhPeerCounts, 1);

	pthread_mutex_init(&counts->lock, NULL);
	counts->counts = g_hash_table_new_full(hash_count, is_same_count, g_free, NULL);
	return counts;
}

void
ph_peer_counts_free(PhPeerCounts *counts)
{
	if (counts == NULL)
		return;
	g_hash_table_unref(counts->counts);
	pthread_mutex_destroy(&counts->lock);
	g_free(counts);
}

bool
ph_peer_counts_enter(PhPeerCounts *counts, const PhPeer *peer, uint32_t limit)
{
	Count key = key_of(peer);
	Count *count = NULL;
	bool enters = false;

	pthread_mutex_lock(&counts->lock);
	count = g_hash_table_lookup(counts->counts, &key);
	if (count == NULL && limit > 0) {
		count = g_memdup2(&key, sizeof key);
		g_hash_table_add(counts->counts, count);
	}
	enters = count != NULL && count->n < limit;
	if (enters)
		count->n++;
	pthread_mutex_unlock(&counts->lock);
	return enters;
}

void
ph_peer_counts_leave(PhPeerCounts *counts, const PhPeer *peer)
{
	Count key = key_of(peer);
	Count *count = NULL;

	pthread_mutex_lock(&counts->lock);
	count = g_hash_table_lookup(counts->counts, &key);
	if (count != NULL && --count->n == 0)
		g_hash_table_remove(counts->counts, &key);
	pthread_mutex_unlock(&counts->lock);
}

size_t
ph_peer_counts_size(PhPeerCounts *counts)
{
	size_t n = 0;

	pthread_mutex_lock(&counts->lock);
	n = g_hash_table_size(counts->counts);
	pthread_mutex_unlock(&counts->lock);
	return n;
}
