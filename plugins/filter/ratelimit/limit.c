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

static const Row whose_rows[] = { { "client", OF_CLIENT },
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
	if (!find(whose_rows, G_N_ELEMENTS(whose_rows), words[5], &of))
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

/* --- charges ---------------------------------------------------------------------------------- */

/* Rows stand in the order of their values. */
static const char *
word_of(const Row *rows, unsigned value)
{
	return rows[value].word;
}

/* A bucket that lacks a small part of one counts as having it: sums of fractions. */
void
limit_charge(const Limit *limit, const char *key, uint64_t amount, PhTallyCharge *charge_out)
{
	const double almost = 0.999;
	double each = (double) limit->per_us / (double) limit->amount;
	double cost = MIN(each * (double) amount, (double) (G_MAXINT64 / 4));

	*charge_out = (PhTallyCharge){ .key = key,
		                       .per_us = limit->per_us,
		                       .least_us = (uint64_t) MAX(each * almost, 1.0),
		                       .cost_us = (uint64_t) MAX(cost, amount > 0 ? 1.0 : 0.0) };
}

/* "100 messages per 3600000000us of client" whose; the same as long as the limit is. */
char *
limit_key(const Limit *limit, const char *whose)
{
	return g_strdup_printf("%" G_GUINT64_FORMAT " %s/%" G_GUINT64_FORMAT " %s:%s",
	                       limit->amount, word_of(units, limit->unit), limit->per_us,
	                       word_of(whose_rows, limit->of), whose);
}
