/* rates.c: how much one user may send in an hour
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "rates.h"

#include <posthorn/slice.h>

enum {
	USERS_MAX = 100000, /* then those whose time has passed are forgotten */
};

#define HOUR_US (G_GINT64_CONSTANT(3600) * G_USEC_PER_SEC)

typedef struct {
	int64_t until_us[RATE_KINDS];
} User;

struct Rates {
	GMutex mutex;
	GHashTable *users;           /* name to User */
	int64_t cost_us[RATE_KINDS]; /* 0: no limit */
};

Rates *
rates_new(const int64_t per_hour[RATE_KINDS])
{
	Rates *rates = g_new0(Rates, 1);

	g_mutex_init(&rates->mutex);
	rates->users = g_hash_table_new_full(ph_str_hash, g_str_equal, g_free, g_free);
	for (size_t i = 0; i < RATE_KINDS; i++)
		rates->cost_us[i] = per_hour[i] > 0 ? HOUR_US / per_hour[i] : 0;
	return rates;
}

void
rates_free(Rates *rates)
{
	if (rates == NULL)
		return;
	g_hash_table_unref(rates->users);
	g_mutex_clear(&rates->mutex);
	g_free(rates);
}

unsigned
rates_users(const Rates *rates)
{
	return g_hash_table_size(rates->users);
}

static gboolean
has_passed(gpointer name, gpointer value, gpointer user_data)
{
	const User *user = value;
	const int64_t *now_us = user_data;

	for (size_t i = 0; i < RATE_KINDS; i++)
		if (user->until_us[i] > *now_us)
			return FALSE;
	return TRUE;
}

static User *
find_user(Rates *rates, const char *name, int64_t now_us)
{
	User *user = g_hash_table_lookup(rates->users, name);

	if (user != NULL)
		return user;
	if (g_hash_table_size(rates->users) >= USERS_MAX)
		g_hash_table_foreach_remove(rates->users, has_passed, &now_us);
	user = g_new0(User, 1);
	g_hash_table_insert(rates->users, g_strdup(name), user);
	return user;
}

bool
rates_take(Rates *rates, const char *name, RateKind kind, int64_t now_us)
{
	int64_t cost_us = rates->cost_us[kind];
	int64_t *until_us = NULL;
	bool may = false;

	if (cost_us == 0)
		return true;
	g_mutex_lock(&rates->mutex);
	until_us = &find_user(rates, name, now_us)->until_us[kind];
	*until_us = MAX(*until_us, now_us);
	may = *until_us + cost_us - now_us <= HOUR_US;
	if (may)
		*until_us += cost_us;
	g_mutex_unlock(&rates->mutex);
	return may;
}
