/* parse.c: the small grammar of IMAP: atoms, strings, numbers, sets
 *
 * Pure functions over the octets of one command, each linear. Octets above 127 are taken in quoted
 * strings and literals (mail programs send them in searches) and nowhere else; NUL never.
 * RFC 3501 section 9.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "parse.h"

#include <posthorn/store.h>

enum {
	CLASS_ATOM = 1,
	CLASS_ASTRING = 2,
	CLASS_LIST = 4,
	CLASS_TAG = 8,
	CLASS_SET = 16,
	CLASS_WORD = 32,
};

#define ALL (CLASS_ATOM | CLASS_ASTRING | CLASS_LIST | CLASS_TAG)

static const uint8_t classes[256] = {
	['!'] = ALL,
	['#' ... '$'] = ALL,
	['%'] = CLASS_LIST,
	['&' ... '\''] = ALL,
	['*'] = CLASS_LIST | CLASS_SET,
	['+'] = CLASS_ATOM | CLASS_ASTRING | CLASS_LIST,
	[','] = ALL | CLASS_SET,
	['-'] = ALL | CLASS_WORD,
	['.'] = ALL | CLASS_WORD,
	['/'] = ALL,
	['0' ... '9'] = ALL | CLASS_SET | CLASS_WORD,
	[':'] = ALL | CLASS_SET,
	[';' ... '@'] = ALL,
	['A' ... 'Z'] = ALL | CLASS_WORD,
	['['] = ALL,
	[']'] = CLASS_ASTRING | CLASS_LIST | CLASS_TAG,
	['^' ... '`'] = ALL,
	['a' ... 'z'] = ALL | CLASS_WORD,
	['|'] = ALL,
	['}' ... '~'] = ALL,
};

void
imap_parser_init(Parser *parser, PhSlice text)
{
	parser->at = text.data;
	parser->end = text.data + text.length;
	parser->error = NULL;
	parser->strings = NULL;
}

void
imap_parser_clear(Parser *parser)
{
	g_clear_pointer(&parser->strings, g_ptr_array_unref);
}

bool
imap_parse_fail(Parser *parser, const char *error)
{
	if (parser->error == NULL)
		parser->error = error;
	return false;
}

bool
imap_parse_at_end(const Parser *parser)
{
	return parser->at == parser->end;
}

bool
imap_parse_end(Parser *parser)
{
	return imap_parse_at_end(parser) || imap_parse_fail(parser, "Too many arguments");
}

bool
imap_parse_peek(const Parser *parser, char c)
{
	return parser->at < parser->end && *parser->at == c;
}

bool
imap_parse_skip(Parser *parser, char c)
{
	if (!imap_parse_peek(parser, c))
		return false;
	parser->at++;
	return true;
}

bool
imap_parse_space(Parser *parser)
{
	if (imap_parse_skip(parser, ' '))
		return true;
	return imap_parse_fail(parser, imap_parse_at_end(parser) ? "Missing argument"
	                                                         : "A space is missing");
}

bool
imap_parse_char(Parser *parser, char c)
{
	if (imap_parse_skip(parser, c))
		return true;
	return imap_parse_fail(parser,
	                       c == '(' || c == ')' ? "A parenthesis is missing" : "Syntax error");
}

static bool
parse_class(Parser *parser, uint8_t class, PhSlice *out)
{
	const char *start = parser->at;

	while (parser->at < parser->end && (classes[(uint8_t) *parser->at] & class) != 0)
		parser->at++;
	if (parser->at == start)
		return imap_parse_fail(parser, imap_parse_at_end(parser) ? "Missing argument"
		                                                         : "Unexpected character");
	*out = PH_SLICE(start, (size_t) (parser->at - start));
	return true;
}

bool
imap_parse_tag(Parser *parser, PhSlice *out)
{
	return parse_class(parser, CLASS_TAG, out);
}

bool
imap_parse_atom(Parser *parser, PhSlice *out)
{
	return parse_class(parser, CLASS_ATOM, out);
}

bool
imap_parse_word(Parser *parser, PhSlice *out)
{
	return parse_class(parser, CLASS_WORD, out);
}

static void
unescape(Parser *parser, const char *start, const char *end, PhSlice *out)
{
	char *copy = g_malloc((size_t) (end - start));
	size_t n = 0;

	for (const char *p = start; p < end; p++) {
		if (*p == '\\')
			p++;
		copy[n++] = *p;
	}
	if (parser->strings == NULL)
		parser->strings = g_ptr_array_new_with_free_func(g_free);
	g_ptr_array_add(parser->strings, copy);
	*out = PH_SLICE(copy, n);
}

static bool
parse_quoted(Parser *parser, PhSlice *out)
{
	const char *start = ++parser->at;
	bool escaped = false;

	for (; parser->at < parser->end && *parser->at != '"'; parser->at++) {
		if (*parser->at == '\r' || *parser->at == '\n' || *parser->at == '\0')
			return imap_parse_fail(parser,
			                       "A quoted string cannot hold that character");
		if (*parser->at != '\\')
			continue;
		parser->at++;
		if (parser->at == parser->end || (*parser->at != '"' && *parser->at != '\\'))
			return imap_parse_fail(
				parser, "Only a quote or a backslash may follow a backslash");
		escaped = true;
	}
	if (imap_parse_at_end(parser))
		return imap_parse_fail(parser, "A quote is missing");
	*out = PH_SLICE(start, (size_t) (parser->at - start));
	if (escaped)
		unescape(parser, start, parser->at, out);
	parser->at++;
	return true;
}

static bool
parse_literal(Parser *parser, PhSlice *out)
{
	const char *eol = memchr(parser->at, '\r', (size_t) (parser->end - parser->at));
	uint64_t size;
	bool wait;

	if (eol == NULL || parser->end - eol < 2 || eol[1] != '\n'
	    || imap_literal_at_end(PH_SLICE(parser->at, (size_t) (eol - parser->at)), &size, &wait)
	               != IMAP_LITERAL_OK
	    || memchr(parser->at + 1, '{', (size_t) (eol - parser->at - 1)) != NULL
	    || (uint64_t) (parser->end - eol - 2) < size)
		return imap_parse_fail(parser, "Not a literal");
	if (memchr(eol + 2, '\0', size) != NULL)
		return imap_parse_fail(parser, "A literal cannot hold a NUL");
	*out = PH_SLICE(eol + 2, size);
	parser->at = eol + 2 + size;
	return true;
}

bool
imap_parse_string(Parser *parser, PhSlice *out)
{
	if (imap_parse_peek(parser, '"'))
		return parse_quoted(parser, out);
	if (imap_parse_peek(parser, '{'))
		return parse_literal(parser, out);
	return imap_parse_fail(parser, imap_parse_at_end(parser) ? "Missing argument"
	                                                         : "A string is missing");
}

static bool
at_string(const Parser *parser)
{
	return imap_parse_peek(parser, '"') || imap_parse_peek(parser, '{');
}

bool
imap_parse_astring(Parser *parser, PhSlice *out)
{
	return at_string(parser) ? imap_parse_string(parser, out)
	                         : parse_class(parser, CLASS_ASTRING, out);
}

bool
imap_parse_nstring(Parser *parser, PhSlice *out)
{
	PhSlice word;

	if (at_string(parser))
		return imap_parse_string(parser, out);
	if (!imap_parse_atom(parser, &word) || !ph_slice_is_nocase(word, "NIL"))
		return imap_parse_fail(parser, "A string or NIL is missing");
	*out = PH_SLICE_EMPTY;
	return true;
}

bool
imap_parse_list_mailbox(Parser *parser, PhSlice *out)
{
	return at_string(parser) ? imap_parse_string(parser, out)
	                         : parse_class(parser, CLASS_LIST, out);
}

static PhSlice
digits(Parser *parser)
{
	const char *start = parser->at;

	while (parser->at < parser->end && g_ascii_isdigit(*parser->at))
		parser->at++;
	return PH_SLICE(start, (size_t) (parser->at - start));
}

bool
imap_parse_number(Parser *parser, uint32_t *out)
{
	return ph_slice_to_u32(digits(parser), UINT32_MAX, out)
	       || imap_parse_fail(parser, "A number is missing or too large");
}

bool
imap_parse_number64(Parser *parser, uint64_t *out)
{
	return ph_slice_to_u64(digits(parser), INT64_MAX, out)
	       || imap_parse_fail(parser, "A number is missing or too large");
}

bool
imap_parse_date(Parser *parser, PhDay *out)
{
	PhSlice text;

	if (!imap_parse_astring(parser, &text))
		return false;
	return ph_date_parse_imap_day(text, out)
	       || imap_parse_fail(parser, "There is no such date");
}

PhUidSet *
imap_parse_set(Parser *parser, uint32_t star)
{
	PhSlice text;
	PhUidSet *set;

	if (!parse_class(parser, CLASS_SET, &text))
		return NULL;
	set = ph_uid_set_parse(text, star, IMAP_SET_RANGES_MAX);
	if (set == NULL)
		(void) imap_parse_fail(parser, "Not a valid set of numbers");
	return set;
}

static bool
add_system_flag(Parser *parser, PhSlice name, FlagList *out)
{
	static const struct {
		const char *name;
		uint32_t flag;
	} rows[] = {
		{ "Seen", PH_FLAG_SEEN },       { "Answered", PH_FLAG_ANSWERED },
		{ "Flagged", PH_FLAG_FLAGGED }, { "Deleted", PH_FLAG_DELETED },
		{ "Draft", PH_FLAG_DRAFT },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		if (!ph_slice_is_nocase(name, rows[i].name))
			continue;
		out->flags |= rows[i].flag;
		return true;
	}
	return imap_parse_fail(parser, "There is no such system flag to be set");
}

static bool
parse_flag(Parser *parser, FlagList *out)
{
	bool system = imap_parse_skip(parser, '\\');
	PhSlice name;

	if (!imap_parse_atom(parser, &name))
		return false;
	if (system)
		return add_system_flag(parser, name, out);
	if (name.length > IMAP_KEYWORD_MAX || out->keywords->len >= IMAP_FLAGS_MAX)
		return imap_parse_fail(parser, "Too many or too long keywords");
	g_ptr_array_add(out->keywords, ph_slice_dup(name));
	return true;
}

static bool
parse_flag_list(Parser *parser, bool bare, FlagList *out)
{
	bool open = imap_parse_skip(parser, '(');

	if (!open && !bare)
		return imap_parse_fail(parser, "A list of flags is missing");
	if (open && imap_parse_skip(parser, ')'))
		return true;
	do {
		if (!parse_flag(parser, out))
			return false;
	} while (imap_parse_skip(parser, ' '));
	return !open || imap_parse_char(parser, ')');
}

bool
imap_parse_flags(Parser *parser, bool bare, FlagList *out)
{
	FlagList list = { 0, g_ptr_array_new_with_free_func(g_free) };

	if (!parse_flag_list(parser, bare, &list)) {
		imap_flags_clear(&list);
		return false;
	}
	g_ptr_array_add(list.keywords, NULL);
	*out = list;
	return true;
}

void
imap_flags_clear(FlagList *list)
{
	g_clear_pointer(&list->keywords, g_ptr_array_unref);
	list->flags = 0;
}

ImapLiteral
imap_literal_at_end(PhSlice line, uint64_t *size_out, bool *wait_out)
{
	size_t end = line.length;
	size_t start;
	bool plus;

	if (end < 3 || line.data[end - 1] != '}')
		return IMAP_LITERAL_NONE;
	plus = line.data[end - 2] == '+';
	end -= plus ? 2 : 1;
	start = end;
	while (start > 0 && g_ascii_isdigit(line.data[start - 1]))
		start--;
	if (start == end || start == 0 || line.data[start - 1] != '{')
		return IMAP_LITERAL_NONE;
	*wait_out = !plus;
	return ph_slice_to_u64(PH_SLICE(line.data + start, end - start), INT64_MAX, size_out)
	               ? IMAP_LITERAL_OK
	               : IMAP_LITERAL_BAD;
}
