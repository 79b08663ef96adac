/* list-parse.c: the arguments of LIST and LSUB
 *
 * RFC 3501 section 6.3.8 and the extended form of RFC 5258 with the options of RFC 5819 and 6154.
 * A pattern that is not valid modified UTF-7 cannot match a name: it is kept as one that matches
 * none.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "list-parse.h"

#include "imap.h"
#include "utf7.h"

enum {
	PATTERNS_MAX = 50,
	PATTERN_OCTETS_MAX = 1000,
};

typedef struct {
	const char *name;
	uint32_t bit;
} Word;

static const Word select_words[] = {
	{ "SUBSCRIBED", LIST_SUBSCRIBED },
	{ "REMOTE", LIST_REMOTE },
	{ "RECURSIVEMATCH", LIST_RECURSIVE },
	{ "SPECIAL-USE", LIST_SPECIAL_USE },
	{ NULL, 0 },
};

static const Word return_words[] = {
	{ "SUBSCRIBED", LIST_SUBSCRIBED },
	{ "CHILDREN", LIST_CHILDREN },
	{ "SPECIAL-USE", LIST_SPECIAL_USE },
	{ NULL, 0 },
};

static bool
parse_option(Parser *parser, const Word *words, uint32_t *bits, uint32_t *status)
{
	PhSlice word;

	if (!imap_parse_atom(parser, &word))
		return false;
	if (status != NULL && ph_slice_is_nocase(word, "STATUS"))
		return imap_parse_space(parser) && imap_parse_status(parser, status);
	for (; words->name != NULL; words++) {
		if (!ph_slice_is_nocase(word, words->name))
			continue;
		*bits |= words->bit;
		return true;
	}
	return imap_parse_fail(parser, "Unknown option of LIST");
}

/* Behind the opening parenthesis, to the closing one. */
static bool
parse_options(Parser *parser, const Word *words, uint32_t *bits, uint32_t *status)
{
	if (imap_parse_skip(parser, ')'))
		return true;
	do {
		if (!parse_option(parser, words, bits, status))
			return false;
	} while (imap_parse_skip(parser, ' '));
	return imap_parse_char(parser, ')');
}

static bool
parse_pattern(Parser *parser, const char *reference, ListQuery *query)
{
	g_autoptr(GString) pattern = g_string_new(reference);
	PhSlice text;

	if (!imap_parse_list_mailbox(parser, &text))
		return false;
	if (query->patterns->len >= PATTERNS_MAX || text.length > PATTERN_OCTETS_MAX)
		return imap_parse_fail(parser, "Too many or too long patterns");
	query->root = text.length == 0;
	if (!imap_utf7_decode(text, pattern))
		return true;
	query->ends_with_percent = pattern->len > 0 && pattern->str[pattern->len - 1] == '%';
	g_ptr_array_add(query->patterns, g_string_free(g_steal_pointer(&pattern), FALSE));
	return true;
}

static bool
parse_patterns(Parser *parser, const char *reference, ListQuery *query)
{
	if (!query->extended && !imap_parse_peek(parser, '('))
		return parse_pattern(parser, reference, query);
	if (!imap_parse_skip(parser, '('))
		return parse_pattern(parser, reference, query);
	query->extended = true;
	do {
		if (!parse_pattern(parser, reference, query))
			return false;
		query->root = false;
	} while (imap_parse_skip(parser, ' '));
	return imap_parse_char(parser, ')');
}

static bool
parse_return(Parser *parser, ListQuery *query)
{
	PhSlice word;

	if (imap_parse_at_end(parser))
		return true;
	query->extended = true;
	query->root = false;
	if (!imap_parse_space(parser) || !imap_parse_atom(parser, &word))
		return false;
	if (!ph_slice_is_nocase(word, "RETURN"))
		return imap_parse_fail(parser, "Only RETURN may follow");
	return imap_parse_space(parser) && imap_parse_char(parser, '(')
	       && parse_options(parser, return_words, &query->give, &query->status)
	       && imap_parse_end(parser);
}

static bool
parse_select(Parser *parser, ListQuery *query)
{
	if (!imap_parse_skip(parser, '('))
		return true;
	query->extended = true;
	if (!parse_options(parser, select_words, &query->select, NULL) || !imap_parse_space(parser))
		return false;
	if ((query->select & LIST_RECURSIVE) != 0 && (query->select & LIST_SUBSCRIBED) == 0)
		return imap_parse_fail(parser, "RECURSIVEMATCH needs another option");
	return true;
}

bool
imap_list_query_parse(Parser *parser, bool may_extend, ListQuery *query)
{
	g_autoptr(GString) reference = g_string_new(NULL);
	PhSlice text;

	query->patterns = g_ptr_array_new_with_free_func(g_free);
	if (!imap_parse_space(parser) || (may_extend && !parse_select(parser, query))
	    || !imap_parse_astring(parser, &text) || !imap_parse_space(parser))
		return false;
	if (text.length > PATTERN_OCTETS_MAX || !imap_utf7_decode(text, reference))
		return imap_parse_fail(parser, "The reference is not a mailbox name");
	if (!may_extend)
		return parse_pattern(parser, reference->str, query) && imap_parse_end(parser);
	return parse_patterns(parser, reference->str, query) && parse_return(parser, query);
}

void
imap_list_query_clear(ListQuery *query)
{
	g_clear_pointer(&query->patterns, g_ptr_array_unref);
}
