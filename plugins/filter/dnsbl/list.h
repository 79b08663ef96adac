/* list.h: one list of the DNS, as an option describes it
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef DNSBL_LIST_H
#define DNSBL_LIST_H

#include <posthorn/slice.h>

enum {
	LIST_RANGES_MAX = 16,
	LIST_WEIGHT_MAX = 1000,
};

/* ListOf: what is looked up. */
typedef enum {
	LIST_OF_CLIENT = 0, /* the client's address, reversed */
	LIST_OF_HELO = 1,   /* the name it gives itself */
	LIST_OF_SENDER = 2, /* the sender's domain */
} ListOf;

typedef struct {
	uint32_t first; /* in host order, both included */
	uint32_t last;
} Range;

typedef struct {
	char *zone;
	int weight;
	ListOf of;
	Range ranges[LIST_RANGES_MAX]; /* answers that count; none: those that lists use */
	size_t n_ranges;
} List;

/* list_parse: "ZONE [of client|helo|sender] [weight N] [for 127.0.0.2 127.0.0.4-127.0.0.7 ...]".
 * @key: for the error. Returns: (owned); INVALID. */
List *list_parse(const char *key, const char *text, GError **error);
void list_free(List *list);

/* list_counts: does an answer of this address mean that it is listed? */
bool list_counts(const List *list, PhSlice address);

#endif
