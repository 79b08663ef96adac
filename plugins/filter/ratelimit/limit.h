/* limit.h: limits as options describe them, and how much of each is used
 *
 * A limit is a bucket for each client, sender, user or recipient that holds so many tokens, and is
 * filled evenly over its time; tally.h keeps them.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef RATELIMIT_LIMIT_H
#define RATELIMIT_LIMIT_H

#include <posthorn/slice.h>
#include <posthorn/tally.h>

/* LimitUnit: what is counted. */
typedef enum {
	UNIT_MESSAGES = 0,
	UNIT_RECIPIENTS = 1,
	UNIT_OCTETS = 2,
} LimitUnit;

/* LimitOf: of whom. */
typedef enum {
	OF_CLIENT = 0, /* its address; the /64 for IPv6 */
	OF_SENDER = 1,
	OF_USER = 2,
	OF_RECIPIENT = 3,
} LimitOf;

typedef struct {
	LimitUnit unit;
	LimitOf of;
	uint64_t amount;
	uint64_t per_us;
} Limit;

/* limit_parse: "100 messages per 1h of client". @key: for the error. Errors: INVALID. */
bool limit_parse(const char *key, const char *text, Limit *limit_out, GError **error);

/* limit_charge: one use of @amount. @key: borrowed by the charge. */
void limit_charge(const Limit *limit, const char *key, uint64_t amount, PhTallyCharge *charge_out);

/* limit_key: whom the use counts for. Returns: (owned). */
char *limit_key(const Limit *limit, const char *whose);

#endif
