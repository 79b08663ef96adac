/* limit.h: limits as options describe them, and how much of each is used
 *
 * A limit is a bucket for each client, sender, user or recipient that holds so many tokens, and is
 * filled evenly over its time. Buckets are kept in bounded memory: when there are too many, the one
 * that was used longest ago is forgotten, which is the one that is fullest.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef RATELIMIT_LIMIT_H
#define RATELIMIT_LIMIT_H

#include <posthorn/slice.h>

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

/* Charge: one use of one limit. */
typedef struct {
	const Limit *limit;
	const char *whose; /* borrowed */
	uint64_t amount;
} Charge;

typedef struct Buckets Buckets;

Buckets *buckets_new(size_t max);
void buckets_free(Buckets *buckets);
size_t buckets_count(const Buckets *buckets);

/* buckets_charge: takes all the charges, or none. A bucket that is not empty can be charged with
 * more than it holds, and is in debt then. @now_us: monotonic. Returns: NULL, or the charge whose
 * bucket is empty, with the time until it is not. Thread: any. */
const Charge *buckets_charge(Buckets *buckets,
                             const Charge *charges,
                             size_t n,
                             uint64_t now_us,
                             uint64_t *wait_us_out);

#endif
