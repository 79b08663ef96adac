/* parse.h: the small grammar of IMAP: atoms, strings, numbers, sets
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef IMAP_PARSE_H
#define IMAP_PARSE_H

#include <posthorn/date.h>
#include <posthorn/slice.h>
#include <posthorn/uidset.h>

/* Parser: a whole command, literals in their place as "{n}" CR LF and n octets. A failed function
 * leaves `error` set to a sentence; slices given out live as long as text and parser. */
typedef struct {
	const char *at;
	const char *end;
	const char *error;  /* static */
	GPtrArray *strings; /* quoted strings that had to be unescaped; NULL while there are none */
} Parser;

enum {
	IMAP_SET_RANGES_MAX = 20000, /* a command line of 64 KiB holds no more that make sense */
	IMAP_FLAGS_MAX = 100,
	IMAP_KEYWORD_MAX = 100, /* octets */
};

/* FlagList: what STORE and APPEND name. */
typedef struct {
	uint32_t flags;      /* PH_FLAG_* */
	GPtrArray *keywords; /* (owned) NULL-terminated when finished */
} FlagList;

void imap_parser_init(Parser *parser, PhSlice text);
void imap_parser_clear(Parser *parser);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Parser, imap_parser_clear)

bool imap_parse_fail(Parser *parser, const char *error); /* always false */
bool imap_parse_at_end(const Parser *parser);
bool imap_parse_end(Parser *parser);
bool imap_parse_space(Parser *parser);
bool imap_parse_char(Parser *parser, char c);

/* imap_parse_peek: is @c next? imap_parse_skip: is it, and then step over it. No error is set. */
bool imap_parse_peek(const Parser *parser, char c);
bool imap_parse_skip(Parser *parser, char c);

bool imap_parse_tag(Parser *parser, PhSlice *out);
bool imap_parse_atom(Parser *parser, PhSlice *out);
bool imap_parse_string(Parser *parser, PhSlice *out);
bool imap_parse_astring(Parser *parser, PhSlice *out);
bool imap_parse_nstring(Parser *parser, PhSlice *out); /* NIL: data NULL */
bool imap_parse_list_mailbox(Parser *parser, PhSlice *out);
bool imap_parse_word(Parser *parser, PhSlice *out); /* letters, digits, '.', '-' */

bool imap_parse_number(Parser *parser, uint32_t *out);
bool imap_parse_number64(Parser *parser, uint64_t *out); /* below 2^63 */
bool imap_parse_date(Parser *parser, PhDay *out);        /* quoted or not */

/* imap_parse_set: @star: what '*' means; 0: it is an error. */
PhUidSet *imap_parse_set(Parser *parser, uint32_t star);

/* imap_parse_flags: "(\Seen Keyword)" and, when @bare, also the list without parentheses. */
bool imap_parse_flags(Parser *parser, bool bare, FlagList *out);
void imap_flags_clear(FlagList *list);

/* imap_literal_at_end: does the line announce a literal? */
typedef enum {
	IMAP_LITERAL_NONE,
	IMAP_LITERAL_OK,
	IMAP_LITERAL_BAD, /* a number that no server takes */
} ImapLiteral;

ImapLiteral imap_literal_at_end(PhSlice line, uint64_t *size_out, bool *wait_out);

#endif
