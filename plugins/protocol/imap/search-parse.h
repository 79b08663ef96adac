/* search-parse.h: the keys of SEARCH, SORT and THREAD
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef IMAP_SEARCH_PARSE_H
#define IMAP_SEARCH_PARSE_H

#include <posthorn/search.h>

#include "parse.h"

enum {
	SEARCH_KEYS_MAX = 1000,
	SEARCH_DEPTH_MAX = 50,
	SEARCH_TEXT_MAX = 1000,
};

/* SearchScope: what the keys mean depends on. */
typedef struct {
	uint32_t count;    /* messages in the mailbox: '*' as a number */
	uint32_t last_uid; /* '*' as a uid */
	PhSlice charset;   /* of strings; empty: UTF-8 */
	bool bad_charset;  /* (out) it is not known */
	bool has_modseq;   /* (out) a MODSEQ key was there */
	uint32_t n_keys;
} SearchScope;

/* imap_search_parse: one or more keys up to the end, all of which must match. (owned) */
PhSearchKey *imap_search_parse(Parser *parser, SearchScope *scope);

#endif
