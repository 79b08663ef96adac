/* search-parse.c: the keys of SEARCH, SORT and THREAD
 *
 * Each key is a row: its name, what it takes, and the node it makes. Depth, number of keys and
 * length of texts are bounded. RFC 3501 section 6.4.4, RFC 5032 (WITHIN), RFC 7162 (MODSEQ).
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "search-parse.h"

typedef enum {
	TAKES_NOTHING,
	TAKES_TEXT,
	TAKES_HEADER, /* a name and a text */
	TAKES_DATE,
	TAKES_NUMBER,
	TAKES_SECONDS, /* a number that is not 0 */
	TAKES_KEYWORD,
	TAKES_UIDS,
	TAKES_MODSEQ,
	TAKES_KEY,
	TAKES_TWO_KEYS,
} Takes;

typedef struct {
	const char *name;
	Takes takes;
	uint32_t kind; /* PhSearchKeyKind */
	uint32_t bits;
	const char *header;
	bool negate;
} Row;

static const Row rows[] = {
	{ "ALL", TAKES_NOTHING, PH_SEARCH_ALL, 0, NULL, false },
	{ "ANSWERED", TAKES_NOTHING, PH_SEARCH_FLAGS, PH_FLAG_ANSWERED, NULL, false },
	{ "BCC", TAKES_TEXT, PH_SEARCH_HEADER, 0, "Bcc", false },
	{ "BEFORE", TAKES_DATE, PH_SEARCH_BEFORE, 0, NULL, false },
	{ "BODY", TAKES_TEXT, PH_SEARCH_BODY, 0, NULL, false },
	{ "CC", TAKES_TEXT, PH_SEARCH_HEADER, 0, "Cc", false },
	{ "DELETED", TAKES_NOTHING, PH_SEARCH_FLAGS, PH_FLAG_DELETED, NULL, false },
	{ "DRAFT", TAKES_NOTHING, PH_SEARCH_FLAGS, PH_FLAG_DRAFT, NULL, false },
	{ "FLAGGED", TAKES_NOTHING, PH_SEARCH_FLAGS, PH_FLAG_FLAGGED, NULL, false },
	{ "FROM", TAKES_TEXT, PH_SEARCH_HEADER, 0, "From", false },
	{ "HEADER", TAKES_HEADER, PH_SEARCH_HEADER, 0, NULL, false },
	{ "KEYWORD", TAKES_KEYWORD, PH_SEARCH_KEYWORD, 0, NULL, false },
	{ "LARGER", TAKES_NUMBER, PH_SEARCH_LARGER, 0, NULL, false },
	{ "MODSEQ", TAKES_MODSEQ, PH_SEARCH_MODSEQ, 0, NULL, false },
	{ "NEW", TAKES_NOTHING, PH_SEARCH_RECENT, PH_FLAG_SEEN, NULL, false },
	{ "NOT", TAKES_KEY, PH_SEARCH_NOT, 0, NULL, false },
	{ "OLD", TAKES_NOTHING, PH_SEARCH_RECENT, 0, NULL, true },
	{ "OLDER", TAKES_SECONDS, PH_SEARCH_OLDER, 0, NULL, false },
	{ "ON", TAKES_DATE, PH_SEARCH_ON, 0, NULL, false },
	{ "OR", TAKES_TWO_KEYS, PH_SEARCH_OR, 0, NULL, false },
	{ "RECENT", TAKES_NOTHING, PH_SEARCH_RECENT, 0, NULL, false },
	{ "SEEN", TAKES_NOTHING, PH_SEARCH_FLAGS, PH_FLAG_SEEN, NULL, false },
	{ "SENTBEFORE", TAKES_DATE, PH_SEARCH_SENT_BEFORE, 0, NULL, false },
	{ "SENTON", TAKES_DATE, PH_SEARCH_SENT_ON, 0, NULL, false },
	{ "SENTSINCE", TAKES_DATE, PH_SEARCH_SENT_SINCE, 0, NULL, false },
	{ "SINCE", TAKES_DATE, PH_SEARCH_SINCE, 0, NULL, false },
	{ "SMALLER", TAKES_NUMBER, PH_SEARCH_SMALLER, 0, NULL, false },
	{ "SUBJECT", TAKES_TEXT, PH_SEARCH_HEADER, 0, "Subject", false },
	{ "TEXT", TAKES_TEXT, PH_SEARCH_TEXT, 0, NULL, false },
	{ "TO", TAKES_TEXT, PH_SEARCH_HEADER, 0, "To", false },
	{ "UID", TAKES_UIDS, PH_SEARCH_UIDS, 0, NULL, false },
	{ "UNANSWERED", TAKES_NOTHING, PH_SEARCH_FLAGS, PH_FLAG_ANSWERED, NULL, true },
	{ "UNDELETED", TAKES_NOTHING, PH_SEARCH_FLAGS, PH_FLAG_DELETED, NULL, true },
	{ "UNDRAFT", TAKES_NOTHING, PH_SEARCH_FLAGS, PH_FLAG_DRAFT, NULL, true },
	{ "UNFLAGGED", TAKES_NOTHING, PH_SEARCH_FLAGS, PH_FLAG_FLAGGED, NULL, true },
	{ "UNKEYWORD", TAKES_KEYWORD, PH_SEARCH_KEYWORD, 0, NULL, true },
	{ "UNSEEN", TAKES_NOTHING, PH_SEARCH_FLAGS, PH_FLAG_SEEN, NULL, true },
	{ "YOUNGER", TAKES_SECONDS, PH_SEARCH_YOUNGER, 0, NULL, false },
};

static PhSearchKey *parse_key(Parser *parser, SearchScope *scope, uint32_t depth);

static bool
parse_text(Parser *parser, SearchScope *scope, char **out)
{
	PhSlice charset = scope->charset.length > 0 ? scope->charset : PH_SLICE_LITERAL("UTF-8");
	bool known = false;
	PhSlice text;
	char *utf8;

	if (!imap_parse_space(parser) || !imap_parse_astring(parser, &text))
		return false;
	if (text.length > SEARCH_TEXT_MAX)
		return imap_parse_fail(parser, "A search text is too long");
	utf8 = ph_charset_to_utf8(text, charset, &known);
	if (utf8 == NULL) {
		scope->bad_charset = !known;
		return imap_parse_fail(parser, "A search text is not in its charset");
	}
	*out = utf8;
	return true;
}

static bool
parse_name(Parser *parser, bool is_keyword, char **out)
{
	PhSlice text;

	if (!imap_parse_space(parser)
	    || !(is_keyword ? imap_parse_atom(parser, &text) : imap_parse_astring(parser, &text)))
		return false;
	if (text.length > SEARCH_TEXT_MAX)
		return imap_parse_fail(parser, "A name is too long");
	*out = ph_slice_dup(text);
	return true;
}

static bool
parse_date(Parser *parser, PhSearchKey *key)
{
	PhDay day;

	if (!imap_parse_space(parser) || !imap_parse_date(parser, &day))
		return false;
	key->year = day.year;
	key->month = day.month;
	key->day = day.day;
	return true;
}

/* MODSEQ ["/flags/\\Seen" all] 1234: the name and type are accepted and not told apart. */
static bool
parse_modseq(Parser *parser, SearchScope *scope, PhSearchKey *key)
{
	PhSlice word;

	scope->has_modseq = true;
	if (!imap_parse_space(parser))
		return false;
	if (imap_parse_peek(parser, '"')
	    && (!imap_parse_string(parser, &word) || !imap_parse_space(parser)
	        || !imap_parse_atom(parser, &word) || !imap_parse_space(parser)))
		return false;
	return imap_parse_number64(parser, &key->number);
}

static bool
add_key(Parser *parser, SearchScope *scope, PhSearchKey *parent, uint32_t depth)
{
	PhSearchKey *child = parse_key(parser, scope, depth + 1);

	if (child == NULL)
		return false;
	ph_search_key_add(parent, child);
	return true;
}

static bool
parse_keys_argument(Parser *parser, SearchScope *scope, PhSearchKey *key, uint32_t depth)
{
	uint32_t n = key->kind == PH_SEARCH_OR ? 2 : 1;

	for (uint32_t i = 0; i < n; i++)
		if (!imap_parse_space(parser) || !add_key(parser, scope, key, depth))
			return false;
	return true;
}

static bool
parse_argument(Parser *parser, SearchScope *scope, const Row *row, PhSearchKey *key, uint32_t depth)
{
	switch (row->takes) {
	case TAKES_TEXT:
		key->name = g_strdup(row->header);
		return parse_text(parser, scope, &key->text);
	case TAKES_HEADER:
		return parse_name(parser, false, &key->name)
		       && parse_text(parser, scope, &key->text);
	case TAKES_DATE:
		return parse_date(parser, key);
	case TAKES_NUMBER:
		return imap_parse_space(parser) && imap_parse_number64(parser, &key->number);
	case TAKES_SECONDS:
		return imap_parse_space(parser) && imap_parse_number64(parser, &key->number)
		       && (key->number > 0 || imap_parse_fail(parser, "The interval is 0"));
	case TAKES_KEYWORD:
		return parse_name(parser, true, &key->text);
	case TAKES_UIDS:
		return imap_parse_space(parser)
		       && (key->set = imap_parse_set(parser, MAX(scope->last_uid, 1))) != NULL;
	case TAKES_MODSEQ:
		return parse_modseq(parser, scope, key);
	case TAKES_KEY:
	case TAKES_TWO_KEYS:
		return parse_keys_argument(parser, scope, key, depth);
	case TAKES_NOTHING:
	default:
		return true;
	}
}

static PhSearchKey *
negated(PhSearchKey *key)
{
	PhSearchKey *not = ph_search_key_new(PH_SEARCH_NOT);

	ph_search_key_add(not, key);
	return not ;
}

/* NEW is RECENT and not \Seen: the row's bits say what else must not be set. */
static PhSearchKey *
finish_row(const Row *row, PhSearchKey *key)
{
	PhSearchKey *both;
	PhSearchKey *seen;

	if (row->kind == PH_SEARCH_FLAGS || row->bits == 0)
		return row->negate ? negated(key) : key;
	both = ph_search_key_new(PH_SEARCH_AND);
	seen = ph_search_key_new(PH_SEARCH_FLAGS);
	seen->bits = row->bits;
	ph_search_key_add(both, key);
	ph_search_key_add(both, negated(seen));
	return both;
}

static PhSearchKey *
parse_named(Parser *parser, SearchScope *scope, uint32_t depth)
{
	g_autoptr(PhSearchKey) key = NULL;
	const Row *row = NULL;
	PhSlice word;

	if (!imap_parse_atom(parser, &word))
		return NULL;
	for (size_t i = 0; i < G_N_ELEMENTS(rows) && row == NULL; i++)
		if (ph_slice_is_nocase(word, rows[i].name))
			row = &rows[i];
	if (row == NULL) {
		(void) imap_parse_fail(parser, "Unknown search key");
		return NULL;
	}
	key = ph_search_key_new(row->kind);
	if (row->kind == PH_SEARCH_FLAGS)
		key->bits = row->bits;
	if (!parse_argument(parser, scope, row, key, depth))
		return NULL;
	return finish_row(row, g_steal_pointer(&key));
}

static PhSearchKey *
parse_group(Parser *parser, SearchScope *scope, uint32_t depth)
{
	g_autoptr(PhSearchKey) group = ph_search_key_new(PH_SEARCH_AND);

	do {
		if (!add_key(parser, scope, group, depth))
			return NULL;
	} while (imap_parse_skip(parser, ' '));
	return g_steal_pointer(&group);
}

static PhSearchKey *
parse_numbers(Parser *parser, const SearchScope *scope)
{
	PhUidSet *set = imap_parse_set(parser, MAX(scope->count, 1));
	PhSearchKey *key;

	if (set == NULL)
		return NULL;
	key = ph_search_key_new(PH_SEARCH_NUMBERS);
	key->set = set;
	return key;
}

static PhSearchKey *
parse_key(Parser *parser, SearchScope *scope, uint32_t depth)
{
	g_autoptr(PhSearchKey) group = NULL;

	if (depth > SEARCH_DEPTH_MAX || ++scope->n_keys > SEARCH_KEYS_MAX) {
		(void) imap_parse_fail(parser, "Too many search keys or too deep");
		return NULL;
	}
	if (parser->at < parser->end && (g_ascii_isdigit(*parser->at) || *parser->at == '*'))
		return parse_numbers(parser, scope);
	if (!imap_parse_skip(parser, '('))
		return parse_named(parser, scope, depth);
	group = parse_group(parser, scope, depth);
	if (group == NULL || !imap_parse_char(parser, ')'))
		return NULL;
	return g_steal_pointer(&group);
}

PhSearchKey *
imap_search_parse(Parser *parser, SearchScope *scope)
{
	g_autoptr(PhSearchKey) all = parse_group(parser, scope, 0);

	if (all == NULL || !imap_parse_end(parser))
		return NULL;
	return g_steal_pointer(&all);
}
