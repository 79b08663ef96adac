/* rates.c: how much one user may send in an hour
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "rates.h"

#include <posthorn/tally.h>

enum {
	USERS_MAX = 100000
};

#define HOUR_US (G_GUINT64_CONSTANT(3600) * G_USEC_PER_SEC)

struct Rates {
	PhTally *tally;               /* shared by all listeners */
	uint64_t cost_us[RATE_KINDS]; /* 0: no limit */
};

Rates *
rates_new(PhSection *section, const int64_t per_hour[RATE_KINDS])
{
	Rates *rates = g_new0(Rates, 1);

	rates->tally = ph_tally_open(section, "submission", USERS_MAX * RATE_KINDS);
	for (size_t i = 0; i < RATE_KINDS; i++)
		rates->cost_us[i] = per_hour[i] > 0 ? HOUR_US / (uint64_t) per_hour[i] : 0;
	return rates;
}

void
rates_free(Rates *rates)
{
	if (rates == NULL)
		return;
	ph_tally_close(rates->tally);
	g_free(rates);
}

bool
rates_take(Rates *rates, const char *user, RateKind kind)
{
	static const char *const words[] = { "messages", "recipients" };
	g_autofree char *key = NULL;
	PhTallyCharge charge = { .per_us = HOUR_US, .cost_us = rates->cost_us[kind] };
	uint64_t wait_us = 0;

	if (charge.cost_us == 0)
		return true;
	key = g_strdup_printf("%s:%s", words[kind], user);
	charge.key = key;
	return ph_tally_charge(rates->tally, &charge, 1, &wait_us) == 1;
}
