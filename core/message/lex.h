/* message/lex.h: the character classes and blanks that every mail grammar shares
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef MESSAGE_LEX_H
#define MESSAGE_LEX_H

#include <posthorn/slice.h>

/* Classes of an octet; a set of bits. */
enum {
	PH_LEX_ALNUM = 1 << 0, /* Let-dig of RFC 5321 */
	PH_LEX_ATEXT = 1 << 1, /* RFC 5322 section 3.2.3 */
	PH_LEX_TOKEN = 1 << 2, /* RFC 2045 section 5.1 */
	PH_LEX_BLANK = 1 << 3, /* space, tab, CR, LF: what folding white space is made of */
	PH_LEX_LIST = 1 << 4,  /* special in an address list */
};

extern const uint8_t ph_lex_class[256];

static inline bool
ph_lex_is(char c, unsigned int set)
{
	return (ph_lex_class[(unsigned char) c] & set) != 0;
}

static inline bool
ph_lex_is_8bit(char c)
{
	return (unsigned char) c >= 0x80;
}

static inline void
ph_lex_skip(PhSlice *text, size_t n)
{
	if (n == 0) /* the text may have no data at all */
		return;
	text->data += n;
	text->length -= n;
}

/* ph_lex_run: octets at the start of @text that are in @set. */
size_t ph_lex_run(PhSlice text, unsigned int set);

/* ph_lex_comment: octets of the comment that begins at @text, which begins with '('; all of @text
 * when it is not closed. Nesting is counted, not followed. */
size_t ph_lex_comment(PhSlice text);

/* ph_lex_skip_cfws: past blanks and comments. */
void ph_lex_skip_cfws(PhSlice *text);

/* ph_lex_quoted: octets of the quoted string at the start of @text, which begins with '"'; its
 * content goes to @out (nullable) without quotes, escapes and line ends. */
size_t ph_lex_quoted(PhSlice text, GString *out);

/* ph_lex_hex: value of a hex digit, -1 for others. */
int ph_lex_hex(char c);

static inline void
ph_lex_append(GString *out, PhSlice text)
{
	if (text.length > 0)
		g_string_append_len(out, text.data, (gssize) text.length);
}

#endif
