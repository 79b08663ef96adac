/* search.h: SEARCH, SORT and THREAD over a view
 *
 * A protocol builds a tree of keys; the core evaluates it in slices, cheap keys first (numbers,
 * flags, dates, sizes from records), then cached structure and envelope, then octets. Text matches
 * as RFC 3501 6.4.4 wants: substring, case-insensitive (Unicode simple case folding), after
 * decoding of encoded words, transfer encodings and charsets.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_SEARCH_H
#define POSTHORN_SEARCH_H

#include <posthorn/mailbox.h>

G_BEGIN_DECLS

typedef enum {
	PH_SEARCH_ALL = 1,
	PH_SEARCH_AND = 2,     /* children */
	PH_SEARCH_OR = 3,      /* children */
	PH_SEARCH_NOT = 4,     /* one child */
	PH_SEARCH_NUMBERS = 5, /* set: sequence numbers */
	PH_SEARCH_UIDS = 6,    /* set */
	PH_SEARCH_FLAGS = 7,   /* bits: all of these PH_FLAG_* are set */
	PH_SEARCH_RECENT = 8,
	PH_SEARCH_KEYWORD = 9, /* text */
	PH_SEARCH_BEFORE =
		10, /* internal date; date: 00:00 of that day in the message's own zone */
	PH_SEARCH_ON = 11,
	PH_SEARCH_SINCE = 12,
	PH_SEARCH_SENT_BEFORE = 13, /* the Date: field, its day, zone disregarded */
	PH_SEARCH_SENT_ON = 14,
	PH_SEARCH_SENT_SINCE = 15,
	PH_SEARCH_LARGER = 16, /* number */
	PH_SEARCH_SMALLER = 17,
	PH_SEARCH_MODSEQ = 18,  /* number: change >= it */
	PH_SEARCH_HEADER = 19,  /* name, text; empty text: the field is there */
	PH_SEARCH_BODY = 20,    /* text */
	PH_SEARCH_TEXT = 21,    /* text */
	PH_SEARCH_YOUNGER = 22, /* number: seconds (RFC 5032) */
	PH_SEARCH_OLDER = 23,
} PhSearchKeyKind;

typedef struct PhSearchKey PhSearchKey;

struct PhSearchKey {
	uint32_t kind;
	uint32_t bits;
	uint64_t number;
	int32_t year, month, day; /* dates: calendar day; month 1..12 */
	PhUidSet *set;            /* (owned) */
	char *name;               /* (owned) header field name */
	char *text;               /* (owned) UTF-8 */
	PhSearchKey **children;   /* (owned) */
	uint32_t n_children;
};

/* Limits: depth 50, 1,000 keys, text 1,000 octets each; the builder (the protocol) checks them. */
PH_PUBLIC PhSearchKey *ph_search_key_new(uint32_t kind);
PH_PUBLIC void ph_search_key_add(PhSearchKey *parent, PhSearchKey *child); /* child: (owned) */
PH_PUBLIC void ph_search_key_free(PhSearchKey *key);

/* ph_charset_to_utf8: a search string in the client's charset. NULL: charset unknown (answer NO
 * [BADCHARSET]) when *known_out is false, else malformed. Returns: (owned). */
PH_PUBLIC char *ph_charset_to_utf8(PhSlice text, PhSlice charset, bool *known_out);

/* PhSearch: one run over a view. */
typedef struct PhSearch PhSearch;

/* ph_search_new: @key: (borrowed for the life of the run). */
PH_PUBLIC PhSearch *ph_search_new(PhView *view, const PhSearchKey *key);

/* ph_search_step: goes on until done or ph_session_should_yield(@session). @session: (nullable).
 * Returns: true when done, or failed with @error set (then *failed_out). Blocks: yes. */
PH_PUBLIC bool ph_search_step(PhSearch *search,
                              PhSession *session,
                              bool *failed_out,
                              GError **error);

/* ph_search_result: matching messages as sequence numbers, ascending (borrowed).
 * ph_search_highest_change: over the matches (RFC 7162). */
PH_PUBLIC const PhUidSet *ph_search_result(const PhSearch *search);
PH_PUBLIC uint64_t ph_search_highest_change(const PhSearch *search);
PH_PUBLIC void ph_search_free(PhSearch *search);

/* --- SORT and THREAD (RFC 5256) ------------------------------------------------------------ */

typedef enum {
	PH_SORT_ARRIVAL = 1,
	PH_SORT_CC = 2,
	PH_SORT_DATE = 3,
	PH_SORT_FROM = 4,
	PH_SORT_SIZE = 5,
	PH_SORT_SUBJECT = 6,
	PH_SORT_TO = 7,
	PH_SORT_DISPLAY_FROM = 8, /* RFC 5957 */
	PH_SORT_DISPLAY_TO = 9,
} PhSortField;

typedef struct {
	uint32_t field; /* PhSortField */
	bool reverse;
} PhSortKey;

typedef struct PhSort PhSort;

/* ph_sort_new: sorts the messages of @numbers. Up to 16 keys, copied. Step as with search. */
PH_PUBLIC PhSort *ph_sort_new(PhView *view,
                              const PhUidSet *numbers,
                              const PhSortKey *keys,
                              size_t n);
PH_PUBLIC bool ph_sort_step(PhSort *sort, PhSession *session, bool *failed_out, GError **error);

/* ph_sort_result: sequence numbers in order (borrowed). */
PH_PUBLIC const uint32_t *ph_sort_result(const PhSort *sort, size_t *n_out);
PH_PUBLIC void ph_sort_free(PhSort *sort);

typedef enum {
	PH_THREAD_ORDEREDSUBJECT = 1,
	PH_THREAD_REFERENCES = 2,
} PhThreadMethod;

typedef struct PhThreads PhThreads;

/* ph_threads_new: @numbers: (borrowed) the messages to thread. Work is done by steps.
 * ph_threads_step: goes on for a few milliseconds. Returns: true when it is done or failed. */
PH_PUBLIC PhThreads *ph_threads_new(PhView *view, const PhUidSet *numbers, uint32_t method);
PH_PUBLIC bool ph_threads_step(PhThreads *threads,
                               PhSession *session,
                               bool *failed_out,
                               GError **error);

/* ph_threads_append: the answer's text "(1)(2 3 (4)(5))" to @out; @uids: uids instead of numbers. */
PH_PUBLIC void ph_threads_append(const PhThreads *threads, bool uids, GString *out);
PH_PUBLIC void ph_threads_free(PhThreads *threads);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PhSearchKey, ph_search_key_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PhSearch, ph_search_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PhSort, ph_sort_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PhThreads, ph_threads_free)

G_END_DECLS

#endif
