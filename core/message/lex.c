/* lex.c: the character classes and blanks that every mail grammar shares
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "message/lex.h"

#define ALNUM (PH_LEX_ALNUM | PH_LEX_ATEXT | PH_LEX_TOKEN)
#define BOTH  (PH_LEX_ATEXT | PH_LEX_TOKEN)

const uint8_t ph_lex_class[256] = {
	['0' ... '9'] = ALNUM,
	['A' ... 'Z'] = ALNUM,
	['a' ... 'z'] = ALNUM,
	['!'] = BOTH,
	['#'] = BOTH,
	['$'] = BOTH,
	['%'] = BOTH,
	['&'] = BOTH,
	['\''] = BOTH,
	['*'] = BOTH,
	['+'] = BOTH,
	['-'] = BOTH,
	['^'] = BOTH,
	['_'] = BOTH,
	['`'] = BOTH,
	['{'] = BOTH,
	['|'] = BOTH,
	['}'] = BOTH,
	['~'] = BOTH,
	['/'] = PH_LEX_ATEXT,
	['='] = PH_LEX_ATEXT,
	['?'] = PH_LEX_ATEXT,
	['.'] = PH_LEX_TOKEN,
	[' '] = PH_LEX_BLANK | PH_LEX_LIST,
	['\t'] = PH_LEX_BLANK | PH_LEX_LIST,
	['\r'] = PH_LEX_BLANK | PH_LEX_LIST,
	['\n'] = PH_LEX_BLANK | PH_LEX_LIST,
	['('] = PH_LEX_LIST,
	['<'] = PH_LEX_LIST,
	['>'] = PH_LEX_LIST,
	['@'] = PH_LEX_LIST,
	[','] = PH_LEX_LIST,
	[';'] = PH_LEX_LIST,
	[':'] = PH_LEX_LIST,
	['"'] = PH_LEX_LIST,
	['['] = PH_LEX_LIST,
};

size_t
ph_lex_run(PhSlice text, unsigned int set)
{
	size_t n = 0;

	while (n < text.length && ph_lex_is(text.data[n], set))
		n++;
	return n;
}

size_t
ph_lex_comment(PhSlice text)
{
	size_t depth = 0;

	for (size_t i = 0; i < text.length; i++) {
		if (text.data[i] == '\\')
			i++;
		else if (text.data[i] == '(')
			depth++;
		else if (text.data[i] == ')' && --depth == 0)
			return i + 1;
	}
	return text.length;
}

void
ph_lex_skip_cfws(PhSlice *text)
{
	while (text->length > 0) {
		if (ph_lex_is(text->data[0], PH_LEX_BLANK))
			ph_lex_skip(text, 1);
		else if (text->data[0] == '(')
			ph_lex_skip(text, ph_lex_comment(*text));
		else
			return;
	}
}

size_t
ph_lex_quoted(PhSlice text, GString *out)
{
	size_t i = 1;

	while (i < text.length && text.data[i] != '"') {
		size_t start = i;

		while (i < text.length && text.data[i] != '"' && text.data[i] != '\\'
		       && text.data[i] != '\r' && text.data[i] != '\n')
			i++;
		if (out != NULL && i > start)
			g_string_append_len(out, text.data + start, (gssize) (i - start));
		if (i == text.length || text.data[i] == '"')
			break;
		if (text.data[i] == '\\' && i + 1 < text.length) {
			i++;
			if (out != NULL && text.data[i] != '\r' && text.data[i] != '\n')
				g_string_append_c(out, text.data[i]);
		}
		i++;
	}
	return i < text.length ? i + 1 : text.length;
}

int
ph_lex_hex(char c)
{
	return g_ascii_xdigit_value(c);
}
