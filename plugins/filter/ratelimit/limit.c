/* limit.c: limits as options describe them, and how much of each is used
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "limit.h"

#include <posthorn/error.h>

enum {
	WORDS = 6,
};

/* --- reading ---------------------------------------------------------------------------------- */

typedef struct {
	const char *word;
	uint64_t value;
} Row;

static const Row units[] = { { "messages", UNIT_MESSAGES },
	                     { "recipients", UNIT_RECIPIENTS },
	                     { "octets", UNIT_OCTETS } };

static const Row whose[] = { { "client", OF_CLIENT },
	                     { "sender", OF_SENDER },
	                     { "user", OF_USER },
	                     { "recipient", OF_RECIPIENT } };

static const Row sizes[] = { { "", 1 },
	                     { "K", UINT64_C(1) << 10 },
	                     { "M", UINT64_C(1) << 20 },
	                     { "G", UINT64_C(1) << 30 } };

static const Row times[] = { { "s", 1000000 },
	                     { "min", UINT64_C(60) * 1000000 },
	                     { "h", UINT64_C(3600) * 1000000 },
	                     { "d", UINT64_C(86400) * 1000000 } };

static bool
find(const Row *rows, size_t n, PhSlice word, uint64_t *value_out)
{
	for (size_t i = 0; i < n; i++)
		if (ph_slice_is(word, rows[i].word)) {
			*value_out = rows[i].value;
			return true;
		}
	return false;
}

/* "10M", "1h": digits and a unit. */
static bool
read_number(PhSlice word, const Row *rows, size_t n_rows, uint64_t *value_out)
{
	const uint64_t most = 1000000000;
	size_t n = 0;
	uint64_t number = 0;
	uint64_t factor = 0;

	while (n < word.length && g_ascii_isdigit(word.data[n]))
		n++;
	if (!ph_slice_to_u64(PH_SLICE(word.data, n), most, &number) || number == 0
	    || !find(rows, n_rows, ph_slice_from(word, n), &factor))
		return false;
	*value_out = number * factor;
	return true;
}

static bool
complain(const char *key, PhSlice word, const char *wanted, GError **error)
{
	g_autofree char *shown = ph_slice_dup(PH_SLICE(word.data, MIN(word.length, (size_t) 80)));

	ph_error_set(error, PH_ERROR_INVALID,
	             "'%s' has '%s' where %s is expected; write such as "
	             "100 messages per 1h of client",
	             key, shown, wanted);
	return false;
}

static bool
read_words(const char *key, const PhSlice *words, Limit *limit, GError **error)
{
	uint64_t unit = 0;
	uint64_t of = 0;

	if (!read_number(words[0], sizes, G_N_ELEMENTS(sizes), &limit->amount))
		return complain(key, words[0], "a number such as 100 or 10M", error);
	if (!find(units, G_N_ELEMENTS(units), words[1], &unit))
		return complain(key, words[1], "messages, recipients or octets", error);
	if (!ph_slice_is(words[2], "per"))
		return complain(key, words[2], "'per'", error);
	if (!read_number(words[3], times, G_N_ELEMENTS(times), &limit->per_us))
		return complain(key, words[3], "a time such as 10min or 1h", error);
	if (!ph_slice_is(words[4], "of"))
		return complain(key, words[4], "'of'", error);
	if (!find(whose, G_N_ELEMENTS(whose), words[5], &of))
		return complain(key, words[5], "client, sender, user or recipient", error);
	limit->unit = (LimitUnit) unit;
	limit->of = (LimitOf) of;
	return true;
}

bool
limit_parse(const char *key, const char *text, Limit *limit_out, GError **error)
{
	PhSlice words[WORDS] = { { NULL, 0 } };
	PhSlice rest = ph_slice_trim(ph_slice(text));
	Limit limit = { 0 };

	for (size_t i = 0; i < WORDS; i++) {
		words[i] = ph_slice_split(&rest, ' ');
		rest = ph_slice_trim(rest);
	}
	if (!read_words(key, words, &limit, error))
		return false;
	if (rest.length > 0)
		return complain(key, rest, "the end", error);
	*limit_out = limit;
	return true;
}

/* --- buckets ---------------------------------------------------------------------------------- */

/* Bucket: what is left for one of somebody. */
typedef struct {
	const Limit *limit;
	char *whose;
	double tokens;
	uint64_t filled_us; /* when that was */
	GList link;         /* in the order of use */
} Bucket;

struct Buckets {
	size_t max;
	GMutex lock; /* guards the rest */
	GHashTable *by_key;
	GQueue order; /* the head was used longest ago */
};

static guint
hash_bucket(gconstpointer pointer)
{
	const Bucket *bucket = pointer;

	return ph_str_hash(bucket->whose) ^ g_direct_hash(bucket->limit);
}

static gboolean
equal_bucket(gconstpointer a, gconstpointer b)
{
	const Bucket *one = a;
	const Bucket *other = b;

	return one->limit == other->limit && strcmp(one->whose, other->whose) == 0;
}

static void
free_bucket(gpointer pointer)
{
	Bucket *bucket = pointer;

	g_free(bucket->whose);
	g_free(bucket);
}

Buckets *
buckets_new(size_t max)
{
	Buckets *buckets = g_new0(Buckets, 1);

	buckets->max = max;
	buckets->by_key = g_hash_table_new_full(hash_bucket, equal_bucket, NULL, free_bucket);
	g_queue_init(&buckets->order);
	g_mutex_init(&buckets->lock);
	return buckets;
}

void
buckets_free(Buckets *buckets)
{
	if (buckets == NULL)
		return;
	g_hash_table_unref(buckets->by_key);
	g_mutex_clear(&buckets->lock);
	g_free(buckets);
}

size_t
buckets_count(const Buckets *buckets)
{
	return g_hash_table_size(buckets->by_key);
}

static void
forget_oldest(Buckets *buckets)
{
	GList *link = g_queue_peek_head_link(&buckets->order);
	Bucket *bucket = link->data;

	g_queue_unlink(&buckets->order, link);
	g_hash_table_remove(buckets->by_key, bucket);
}

static Bucket *
make_bucket(Buckets *buckets, const Charge *charge, uint64_t now_us)
{
	Bucket *bucket = g_new0(Bucket, 1);

	while (g_hash_table_size(buckets->by_key) >= buckets->max)
		forget_oldest(buckets);
	bucket->limit = charge->limit;
	bucket->whose = g_strdup(charge->whose);
	bucket->tokens = (double) charge->limit->amount;
	bucket->filled_us = now_us;
	bucket->link.data = bucket;
	g_hash_table_insert(buckets->by_key, bucket, bucket);
	g_queue_push_tail_link(&buckets->order, &bucket->link);
	return bucket;
}

static double
rate(const Limit *limit)
{
	return (double) limit->amount / (double) limit->per_us;
}

static Bucket *
find_bucket(Buckets *buckets, const Charge *charge, uint64_t now_us)
{
	Bucket key = { .limit = charge->limit, .whose = (char *) (uintptr_t) charge->whose };
	Bucket *bucket = g_hash_table_lookup(buckets->by_key, &key);

	if (bucket == NULL)
		return make_bucket(buckets, charge, now_us);
	g_queue_unlink(&buckets->order, &bucket->link);
	g_queue_push_tail_link(&buckets->order, &bucket->link);
	bucket->tokens += (double) (now_us - bucket->filled_us) * rate(bucket->limit);
	bucket->tokens = MIN(bucket->tokens, (double) bucket->limit->amount);
	bucket->filled_us = now_us;
	return bucket;
}

/* A bucket that lacks a small part of one token counts as having it: sums of fractions. */
static bool
has_some(const Bucket *bucket)
{
	const double almost = 0.999;

	return bucket->tokens >= almost;
}

static const Charge *
find_empty(Buckets *buckets,
           const Charge *charges,
           size_t n,
           uint64_t now_us,
           uint64_t *wait_us_out)
{
	for (size_t i = 0; i < n; i++) {
		const Bucket *bucket = find_bucket(buckets, &charges[i], now_us);

		if (has_some(bucket))
			continue;
		*wait_us_out = (uint64_t) ((1.0 - bucket->tokens) / rate(bucket->limit)) + 1;
		return &charges[i];
	}
	return NULL;
}

const Charge *
buckets_charge(Buckets *buckets,
               const Charge *charges,
               size_t n,
               uint64_t now_us,
               uint64_t *wait_us_out)
{
	const Charge *empty = NULL;

	g_mutex_lock(&buckets->lock);
	empty = find_empty(buckets, charges, n, now_us, wait_us_out);
	for (size_t i = 0; empty == NULL && i < n; i++)
		find_bucket(buckets, &charges[i], now_us)->tokens -= (double) charges[i].amount;
	g_mutex_unlock(&buckets->lock);
	return empty;
}
