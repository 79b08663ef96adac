/* search-query.h: the arguments of SEARCH, SORT and THREAD
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef IMAP_SEARCH_QUERY_H
#define IMAP_SEARCH_QUERY_H

#include "search-parse.h"

enum {
	RETURN_MIN = 1U << 0,
	RETURN_MAX = 1U << 1,
	RETURN_ALL = 1U << 2,
	RETURN_COUNT = 1U << 3,
	SORT_KEYS_MAX = 16,
};

/* SearchKind: what comes before the keys. */
typedef enum {
	SEARCH_PLAIN,  /* [RETURN (...)] [CHARSET name] */
	SEARCH_SORT,   /* (criteria) charset */
	SEARCH_THREAD, /* method charset */
} SearchKind;

typedef struct {
	PhSearchKey *key; /* (owned) */
	PhSortKey sort_keys[SORT_KEYS_MAX];
	size_t n_sort_keys;
	uint32_t method; /* PhThreadMethod */
	uint32_t wanted; /* RETURN_* */
	bool extended;   /* ESEARCH */
} SearchQuery;

/* imap_search_query_parse: from the blank behind the command's name to the end. @query: zeroed; to
 * be cleared also after a failure. */
bool imap_search_query_parse(Parser *parser,
                             SearchKind kind,
                             SearchScope *scope,
                             SearchQuery *query);
void imap_search_query_clear(SearchQuery *query);

#endif
