/* pool.c: the children of one section, as the process that serves clients sees them
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "isolate/pool.h"

#include <posthorn/error.h>
#include <posthorn/plugin.h>

#include "base/clock.h"
#include "base/lock.h"
#include "isolate/carrier.h"

#include <stdatomic.h>
#include <unistd.h>

enum {
	ENDED_MAX = 1024 /* states that a child is told of at once */
};

typedef struct {
	PhPoolLink *link; /* (nullable) */
	uint64_t calls;
	uint64_t starts;
} Place;

struct PhPool {
	PhLock lock; /* guards places and the links in them, but not a packet */
	PhSignal changed;
	PhSection *section;
	uint64_t id;
	uint32_t n;
	uint32_t next; /* where the search for a free one begins */
	Place *places;
	GHashTable *numbers;       /* of Number */
	struct PhCarrier *carrier; /* (owned, nullable) */
};

typedef struct {
	uint64_t value;
	uint64_t at_us;
} Number;

static _Atomic uint64_t last_serial;

PhPool *
ph_pool_new(PhSection *section, uint64_t id, uint32_t n)
{
	PhPool *pool = g_new0(PhPool, 1);

	ph_lock_init(&pool->lock);
	ph_signal_init(&pool->changed);
	pool->section = section;
	pool->id = id;
	pool->n = n;
	pool->places = g_new0(Place, n);
	pool->numbers = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	return pool;
}

static void
free_link(PhPoolLink *link)
{
	if (link->fd >= 0)
		close(link->fd);
	ph_secret_wipe(link->packet.octets, PH_PACKET_MAX);
	g_free(link->packet.octets);
	g_array_unref(link->ended);
	g_free(link);
}

void
ph_pool_free(PhPool *pool)
{
	if (pool == NULL)
		return;
	ph_carrier_free(pool->carrier);
	g_hash_table_unref(pool->numbers);
	for (uint32_t i = 0; i < pool->n; i++)
		if (pool->places[i].link != NULL)
			free_link(pool->places[i].link);
	ph_signal_clear(&pool->changed);
	ph_lock_clear(&pool->lock);
	g_free(pool->places);
	g_free(pool);
}

uint64_t
ph_pool_id(const PhPool *pool)
{
	return pool->id;
}

PhSection *
ph_pool_section(const PhPool *pool)
{
	return pool->section;
}

/* The link leaves its place; who holds it frees it. */
static void
drop(Place *place)
{
	PhPoolLink *link = place->link;

	place->link = NULL;
	if (link == NULL)
		return;
	link->is_gone = true;
	if (!link->is_busy)
		free_link(link);
}

void
ph_pool_add(PhPool *pool, uint32_t index, int64_t pid, int fd)
{
	PhPoolLink *link = NULL;
	PH_LOCKED(&pool->lock);

	if (index >= pool->n) {
		close(fd);
		return;
	}
	drop(&pool->places[index]);
	link = g_new0(PhPoolLink, 1);
	link->serial = atomic_fetch_add(&last_serial, 1) + 1;
	link->index = index;
	link->pid = pid;
	link->fd = fd;
	link->packet.octets = g_malloc(PH_PACKET_MAX);
	link->ended = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	pool->places[index].link = link;
	pool->places[index].starts++;
	ph_signal_all(&pool->changed);
	ph_carrier_freed(pool->carrier);
}

uint32_t
ph_pool_awaited(PhPool *pool)
{
	uint32_t n = 0;
	PH_LOCKED(&pool->lock);

	for (uint32_t i = 0; i < pool->n; i++)
		n += pool->places[i].starts == 0 ? 1 : 0;
	return n;
}

static PhPoolLink *
find_serial(const PhPool *pool, uint64_t serial)
{
	for (uint32_t i = 0; i < pool->n; i++)
		if (pool->places[i].link != NULL && pool->places[i].link->serial == serial)
			return pool->places[i].link;
	return NULL;
}

static PhPoolLink *
find_free(PhPool *pool)
{
	for (uint32_t i = 0; i < pool->n; i++) {
		uint32_t index = (pool->next + i) % pool->n;
		PhPoolLink *link = pool->places[index].link;

		if (link == NULL || link->is_busy)
			continue;
		pool->next = index;
		return link;
	}
	return NULL;
}

/* Every request begins with the states that are over. */
static PhPoolLink *
hold(PhPool *pool, PhPoolLink *link)
{
	link->is_busy = true;
	link->packet.length = 0;
	link->packet.bad = false;
	ph_packet_number(&link->packet, link->ended->len);
	for (guint i = 0; i < link->ended->len; i++)
		ph_packet_number(&link->packet, g_array_index(link->ended, uint64_t, i));
	g_array_set_size(link->ended, 0);
	pool->places[link->index].calls++;
	return link;
}

PhPoolLink *
ph_pool_take(PhPool *pool, uint64_t serial, uint64_t deadline_us, GError **error)
{
	PH_LOCKED(&pool->lock);

	for (;;) {
		PhPoolLink *link = serial > 0 ? find_serial(pool, serial) : find_free(pool);

		if (link != NULL && !link->is_busy)
			return hold(pool, link);
		if (serial > 0 && link == NULL)
			break;
		if (!ph_signal_wait_until(&pool->changed, &pool->lock, deadline_us)) {
			ph_error_set(error, PH_ERROR_TEMPORARY,
			             "no process of the isolated plugin was free in time");
			return NULL;
		}
	}
	ph_error_set(error, PH_ERROR_TEMPORARY,
	             "the process of the isolated plugin that had begun is gone");
	return NULL;
}

void
ph_pool_give(PhPool *pool, PhPoolLink *link, bool good)
{
	PH_LOCKED(&pool->lock);

	link->is_busy = false;
	if (link->is_gone)
		free_link(link);
	else if (!good)
		drop(&pool->places[link->index]);
	ph_signal_all(&pool->changed);
	ph_carrier_freed(pool->carrier);
}

PhPoolLink *
ph_pool_try(PhPool *pool, bool is_first)
{
	PhPoolLink *link = NULL;
	PH_LOCKED(&pool->lock);

	link = is_first ? pool->places[0].link : find_free(pool);
	return link != NULL && !link->is_busy ? hold(pool, link) : NULL;
}

void
ph_pool_set_carrier(PhPool *pool, struct PhCarrier *carrier)
{
	pool->carrier = carrier;
}

struct PhCarrier *
ph_pool_carrier(const PhPool *pool)
{
	return pool->carrier;
}

void
ph_pool_keep_number(PhPool *pool, const char *name, uint64_t value)
{
	Number *number = g_new0(Number, 1);
	PH_LOCKED(&pool->lock);

	number->value = value;
	number->at_us = ph_clock_us();
	(void) g_hash_table_insert(pool->numbers, g_strdup(name), number);
}

bool
ph_pool_find_number(PhPool *pool, const char *name, uint64_t age_us, uint64_t *value_out)
{
	const Number *number = NULL;
	PH_LOCKED(&pool->lock);

	number = g_hash_table_lookup(pool->numbers, name);
	if (number == NULL || ph_clock_us() - number->at_us > age_us)
		return false;
	*value_out = number->value;
	return true;
}

void
ph_pool_end_state(PhPool *pool, uint64_t serial, uint64_t state)
{
	PhPoolLink *link = NULL;
	PH_LOCKED(&pool->lock);

	link = find_serial(pool, serial);
	if (link != NULL && link->ended->len < ENDED_MAX)
		g_array_append_val(link->ended, state);
}

bool
ph_pool_child(PhPool *pool, uint32_t index, PhPoolChild *child_out)
{
	const Place *place = NULL;
	PH_LOCKED(&pool->lock);

	if (index >= pool->n)
		return false;
	place = &pool->places[index];
	*child_out = (PhPoolChild){
		.pid = place->link != NULL ? place->link->pid : 0,
		.calls = place->calls,
		.restarts = place->starts > 0 ? place->starts - 1 : 0,
		.is_busy = place->link != NULL && place->link->is_busy,
	};
	return true;
}
