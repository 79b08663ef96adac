/* delay.c: the least time between two sessions of one user (RFC 2449, LOGIN-DELAY)
 *
 * Only users that exist get here, so the names are not the peer's choice. What is older than the
 * delay is thrown out when the table has doubled.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "delay.h"

#include <pthread.h>

enum {
	LEAST_ROOM = 1024
};

struct Delay {
	pthread_mutex_t mutex;
	GHashTable *last; /* of gint64 (us, monotonic) by user */
	guint room;       /* when it is full, old ones go */
	int64_t least_us;
};

Delay *
delay_new(int64_t least_us)
{
	Delay *delay = g_new0(Delay, 1);

	(void) pthread_mutex_init(&delay->mutex, NULL);
	delay->last = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	delay->room = LEAST_ROOM;
	delay->least_us = least_us;
	return delay;
}

void
delay_free(Delay *delay)
{
	if (delay == NULL)
		return;
	g_hash_table_unref(delay->last);
	(void) pthread_mutex_destroy(&delay->mutex);
	g_free(delay);
}

typedef struct {
	int64_t now;
	int64_t least_us;
} Age;

static gboolean
is_old(gpointer key, gpointer value, gpointer user_data)
{
	const Age *age = user_data;

	return age->now - *(const int64_t *) value >= age->least_us;
}

static void
make_room(Delay *delay, int64_t now)
{
	Age age = { now, delay->least_us };

	if (g_hash_table_size(delay->last) < delay->room)
		return;
	(void) g_hash_table_foreach_remove(delay->last, is_old, &age);
	delay->room = MAX(LEAST_ROOM, 2 * g_hash_table_size(delay->last));
}

bool
delay_admit(Delay *delay, const char *user, int64_t now)
{
	const int64_t *last = NULL;
	bool is_early = false;

	if (delay->least_us <= 0)
		return true;
	(void) pthread_mutex_lock(&delay->mutex);
	last = g_hash_table_lookup(delay->last, user);
	is_early = last != NULL && now - *last < delay->least_us;
	if (!is_early) {
		make_room(delay, now);
		(void) g_hash_table_insert(delay->last, g_strdup(user),
		                           g_memdup2(&now, sizeof now));
	}
	(void) pthread_mutex_unlock(&delay->mutex);
	return !is_early;
}
