/* imap-string.c: octets as IMAP strings
 *
 *	string  = quoted / literal
 *	quoted  = DQUOTE *( TEXT-CHAR / "\" ( DQUOTE / "\" ) ) DQUOTE     ; 7-bit, no CR, LF, NUL
 *	literal = "{" number "}" CRLF *CHAR8                             ; no NUL   (RFC 3501 9)
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/message.h>

#include "message/lex.h"

#define QUOTED_MAX 1000 /* longer ones go as literals: clients have line buffers */
#define NUL_OCTET  ((char) 0x80)

static void
append_literal(PhSlice text, GString *out)
{
	gsize start = 0;

	g_string_append_printf(out, "{%" G_GSIZE_FORMAT "}\r\n", text.length);
	start = out->len;
	ph_lex_append(out, text);
	for (gsize i = start; i < out->len; i++)
		if (out->str[i] == '\0')
			out->str[i] = NUL_OCTET;
}

/* How many octets at the start need neither escape nor literal. */
static size_t
plain_run(PhSlice text)
{
	size_t n = 0;

	while (n < text.length && text.data[n] != '"' && text.data[n] != '\\'
	       && text.data[n] != '\r' && text.data[n] != '\n' && text.data[n] != '\0'
	       && !ph_lex_is_8bit(text.data[n]))
		n++;
	return n;
}

void
ph_imap_append_string(PhSlice text, GString *out)
{
	PhSlice rest = text;
	gsize before = out->len;

	if (text.length > QUOTED_MAX) {
		append_literal(text, out);
		return;
	}
	g_string_append_c(out, '"');
	for (;;) {
		size_t n = plain_run(rest);

		ph_lex_append(out, PH_SLICE(rest.data, n));
		ph_lex_skip(&rest, n);
		if (rest.length == 0)
			break;
		if (rest.data[0] != '"' && rest.data[0] != '\\') {
			g_string_truncate(out, before);
			append_literal(text, out);
			return;
		}
		g_string_append_c(out, '\\');
		g_string_append_c(out, rest.data[0]);
		ph_lex_skip(&rest, 1);
	}
	g_string_append_c(out, '"');
}

void
ph_imap_append_nstring(PhSlice text, GString *out)
{
	if (text.data == NULL)
		g_string_append_len(out, "NIL", 3);
	else
		ph_imap_append_string(text, out);
}
