/* rates.h: how much one user may send in an hour, over all listeners
 *
 * An hour's worth may come at once, and the rest as time passes. A listener with a smaller limit lets
 * less through of what all of them count.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_SMTP_RATES_H
#define POSTHORN_SMTP_RATES_H

#include <posthorn/plugin.h>

typedef enum {
	RATE_MESSAGES = 0,
	RATE_RECIPIENTS = 1,
	RATE_KINDS = 2,
} RateKind;

typedef struct Rates Rates;

/* rates_new: @per_hour: for each kind; 0: no limit. Returns: (owned). Thread: load. */
Rates *rates_new(PhSection *section, const int64_t per_hour[RATE_KINDS]);
void rates_free(Rates *rates);

/* rates_take: one more for @user; false: too many. Thread: any. */
bool rates_take(Rates *rates, const char *user, RateKind kind);

#endif
