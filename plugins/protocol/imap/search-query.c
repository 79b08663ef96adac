/* search-query.c: the arguments of SEARCH, SORT and THREAD
 *
 * RFC 3501 section 6.4.4, RFC 4731 (RETURN), RFC 5256 (SORT, THREAD).
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "search-query.h"

static bool
parse_return_word(Parser *parser, SearchQuery *query)
{
	static const char *const words[] = { "MIN", "MAX", "ALL", "COUNT" };
	PhSlice word;

	if (!imap_parse_atom(parser, &word))
		return false;
	for (uint32_t i = 0; i < G_N_ELEMENTS(words); i++) {
		if (!ph_slice_is_nocase(word, words[i]))
			continue;
		query->wanted |= 1U << i;
		return true;
	}
	return imap_parse_fail(parser, "Unknown return option");
}

/* " RETURN (MIN MAX)" when it is there; without words it means ALL. */
static bool
parse_return(Parser *parser, SearchQuery *query)
{
	PhSlice rest = PH_SLICE(parser->at, (size_t) (parser->end - parser->at));

	if (!ph_slice_starts_nocase(rest, " RETURN ("))
		return true;
	parser->at += strlen(" RETURN (");
	query->extended = true;
	query->wanted = RETURN_ALL;
	if (imap_parse_skip(parser, ')'))
		return true;
	query->wanted = 0;
	do {
		if (!parse_return_word(parser, query))
			return false;
	} while (imap_parse_skip(parser, ' '));
	return imap_parse_char(parser, ')');
}

static bool
check_charset(Parser *parser, SearchScope *scope)
{
	bool known = false;
	g_autofree char *probe = ph_charset_to_utf8(PH_SLICE_LITERAL("a"), scope->charset, &known);

	if (known)
		return true;
	scope->bad_charset = true;
	return imap_parse_fail(parser, "Unknown charset");
}

static bool
parse_charset(Parser *parser, bool always, SearchScope *scope)
{
	PhSlice rest = PH_SLICE(parser->at, (size_t) (parser->end - parser->at));

	if (!always) {
		if (!ph_slice_starts_nocase(rest, " CHARSET "))
			return true;
		parser->at += strlen(" CHARSET");
	}
	return imap_parse_space(parser) && imap_parse_astring(parser, &scope->charset)
	       && check_charset(parser, scope);
}

static bool
parse_sort_key(Parser *parser, SearchQuery *query)
{
	static const struct {
		const char *name;
		uint32_t field;
	} names[] = {
		{ "ARRIVAL", PH_SORT_ARRIVAL }, { "CC", PH_SORT_CC },
		{ "DATE", PH_SORT_DATE },       { "FROM", PH_SORT_FROM },
		{ "SIZE", PH_SORT_SIZE },       { "SUBJECT", PH_SORT_SUBJECT },
		{ "TO", PH_SORT_TO },
	};

	PhSortKey key = { 0, false };
	PhSlice word;

	if (!imap_parse_atom(parser, &word))
		return false;
	if (ph_slice_is_nocase(word, "REVERSE")) {
		key.reverse = true;
		if (!imap_parse_space(parser) || !imap_parse_atom(parser, &word))
			return false;
	}
	for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
		if (ph_slice_is_nocase(word, names[i].name))
			key.field = names[i].field;
	if (key.field == 0 || query->n_sort_keys == SORT_KEYS_MAX)
		return imap_parse_fail(parser, "Unknown or too many sort keys");
	query->sort_keys[query->n_sort_keys++] = key;
	return true;
}

static bool
parse_sort(Parser *parser, SearchQuery *query)
{
	if (!imap_parse_space(parser) || !imap_parse_char(parser, '('))
		return false;
	do {
		if (!parse_sort_key(parser, query))
			return false;
	} while (imap_parse_skip(parser, ' '));
	return imap_parse_char(parser, ')');
}

static bool
parse_method(Parser *parser, SearchQuery *query)
{
	PhSlice word;

	if (!imap_parse_space(parser) || !imap_parse_atom(parser, &word))
		return false;
	if (ph_slice_is_nocase(word, "REFERENCES"))
		query->method = PH_THREAD_REFERENCES;
	else if (ph_slice_is_nocase(word, "ORDEREDSUBJECT"))
		query->method = PH_THREAD_ORDEREDSUBJECT;
	return query->method != 0 || imap_parse_fail(parser, "Unknown threading method");
}

static bool
parse_first(Parser *parser, SearchKind kind, SearchQuery *query)
{
	if (kind == SEARCH_SORT)
		return parse_sort(parser, query);
	return kind == SEARCH_THREAD ? parse_method(parser, query) : parse_return(parser, query);
}

bool
imap_search_query_parse(Parser *parser, SearchKind kind, SearchScope *scope, SearchQuery *query)
{
	if (!parse_first(parser, kind, query) || !parse_charset(parser, kind != SEARCH_PLAIN, scope)
	    || !imap_parse_space(parser))
		return false;
	query->key = imap_search_parse(parser, scope);
	return query->key != NULL;
}

void
imap_search_query_clear(SearchQuery *query)
{
	g_clear_pointer(&query->key, ph_search_key_free);
}
