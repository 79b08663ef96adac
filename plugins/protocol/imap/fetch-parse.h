/* fetch-parse.h: what FETCH asks for
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef IMAP_FETCH_PARSE_H
#define IMAP_FETCH_PARSE_H

#include "parse.h"

/* Items without arguments. */
enum {
	FETCH_FLAGS = 1U << 0,
	FETCH_UID = 1U << 1,
	FETCH_INTERNALDATE = 1U << 2,
	FETCH_SIZE = 1U << 3,
	FETCH_ENVELOPE = 1U << 4,
	FETCH_BODY = 1U << 5, /* the structure without extension data */
	FETCH_BODYSTRUCTURE = 1U << 6,
	FETCH_MODSEQ = 1U << 7,
};

enum {
	FETCH_SECTIONS_MAX = 100,
	FETCH_NAMES_MAX = 500, /* header field names of one section */
};

/* FetchSection: BODY[...] and the RFC822 forms. */
typedef struct {
	char *label;      /* as it stands in the answer: "BODY[1.HEADER.FIELDS (To)]<0>" */
	char *find;       /* for ph_structure_find: "1.HEADER" */
	GPtrArray *names; /* header field names; NULL: the whole section */
	GArray *slices;   /* of PhSlice: the same */
	GString *fields;  /* those of one small header: room that is used again */
	bool except;      /* HEADER.FIELDS.NOT */
	bool is_kept;     /* fields of the message's header that records keep */
	bool partial;
	uint64_t offset;
	uint64_t length;
} FetchSection;

typedef struct {
	uint32_t items;      /* FETCH_* */
	GPtrArray *sections; /* FetchSection, owned */
	bool sets_seen;
	bool has_changed_since;
	uint64_t changed_since;
} FetchQuery;

/* imap_fetch_parse: from the blank behind the set to the end. @query: zeroed; to be cleared also
 * after a failure. */
bool imap_fetch_parse(Parser *parser, FetchQuery *query);
void imap_fetch_query_clear(FetchQuery *query);

#endif
