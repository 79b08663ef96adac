/* rates.h: how much one user may send in an hour
 *
 * One moment is kept for each user and kind: that at which everything sent so far would have been
 * sent at the steady rate. So an hour's worth may come at once, and the rest as time passes.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_SMTP_RATES_H
#define POSTHORN_SMTP_RATES_H

#include <posthorn/types.h>

typedef enum {
	RATE_MESSAGES = 0,
	RATE_RECIPIENTS = 1,
	RATE_KINDS = 2,
} RateKind;

typedef struct Rates Rates;

/* rates_new: @per_hour: for each kind; 0: no limit. Returns: (owned). Thread: any, for all. */
Rates *rates_new(const int64_t per_hour[RATE_KINDS]);
void rates_free(Rates *rates);

/* rates_take: one more for @user at @now_us (monotonic); false: too many. */
bool rates_take(Rates *rates, const char *user, RateKind kind, int64_t now_us);

/* rates_users: how many users are remembered. */
unsigned rates_users(const Rates *rates);

#endif
