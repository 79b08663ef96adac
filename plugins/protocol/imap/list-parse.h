/* list-parse.h: the arguments of LIST and LSUB
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef IMAP_LIST_PARSE_H
#define IMAP_LIST_PARSE_H

#include "parse.h"

/* What to select or to give. */
enum {
	LIST_SUBSCRIBED = 1U << 0,
	LIST_REMOTE = 1U << 1,
	LIST_RECURSIVE = 1U << 2,
	LIST_SPECIAL_USE = 1U << 3,
	LIST_CHILDREN = 1U << 4,
};

typedef struct {
	uint32_t select; /* LIST_* */
	uint32_t give;   /* LIST_* of RETURN */
	uint32_t status; /* items of imap_parse_status */
	bool extended;   /* in the form of RFC 5258 */
	bool root;       /* an empty pattern: asks for the separator */
	bool ends_with_percent;
	GPtrArray *patterns; /* (owned) UTF-8, reference included */
} ListQuery;

/* imap_list_query_parse: @query: zeroed; to be cleared also after a failure. */
bool imap_list_query_parse(Parser *parser, bool may_extend, ListQuery *query);
void imap_list_query_clear(ListQuery *query);

#endif
