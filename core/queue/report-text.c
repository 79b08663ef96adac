/* report-text.c: hostile texts made fit for a report: cleaned, folded, encoded
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "queue/report-text.h"

#include <posthorn/address.h>
#include <posthorn/slice.h>

#include "base/limits.h"

#include <string.h>

enum {
	FIELD_LINE = 76,
	TEXT_LINE = 72,
	QUOTED_LINE = 76,
	WORD_OCTETS = 900, /* with a field's name and an indent still below 998 */
	ASCII_END = 0x80,
};

/* C0, DEL, C1, and the marks that make a text read otherwise than it is written. */
static bool
is_control(gunichar c)
{
	return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x061c || (c >= 0x200e && c <= 0x200f)
	       || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

/* Octets of the character at @at, its value in @c_out; "?" for one octet that is none. */
static size_t
next_character(const char *at, gunichar *c_out)
{
	gunichar c = (unsigned char) *at;

	if (c < ASCII_END) {
		*c_out = c;
		return 1;
	}
	c = g_utf8_get_char_validated(at, (gssize) strnlen(at, 4));
	if (c == (gunichar) -1 || c == (gunichar) -2) {
		*c_out = '?';
		return 1;
	}
	*c_out = c;
	return (size_t) g_unichar_to_utf8(c, NULL);
}

void
ph_report_clean(const char *text, size_t max, bool ascii, GString *out)
{
	size_t start = out->len;
	bool is_blank = false;

	while (*text != '\0') {
		gunichar c = 0;
		size_t n = next_character(text, &c);

		text += n;
		if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
			is_blank = out->len > start;
			continue;
		}
		if (out->len - start + n + (is_blank ? 1 : 0) > max)
			return;
		if (is_blank)
			g_string_append_c(out, ' ');
		is_blank = false;
		if (is_control(c) || (ascii && c >= ASCII_END))
			g_string_append_c(out, '?');
		else
			g_string_append_unichar(out, c);
	}
}

/* --- lines ------------------------------------------------------------------------------------ */

/* A word that no line could hold goes on in the next one, between two characters. */
static size_t
append_word(PhSlice word, size_t column, const char *break_with, GString *out)
{
	while (word.length > WORD_OCTETS) {
		size_t n = WORD_OCTETS;

		while (n > 1 && ((unsigned char) word.data[n] & 0xc0) == 0x80)
			n--;
		g_string_append_len(out, word.data, (gssize) n);
		g_string_append(out, break_with);
		word = ph_slice_from(word, n);
		column = strlen(break_with) - 2;
	}
	g_string_append_len(out, word.data, (gssize) word.length);
	return column + word.length;
}

/* Appends the words of @text; a line that would pass @width ends before the word. */
static void
append_words(const char *text, size_t column, size_t width, const char *break_with, GString *out)
{
	PhSlice rest = ph_slice(text);
	bool is_first = true;

	while (rest.length > 0) {
		PhSlice word = ph_slice_split(&rest, ' ');

		if (!is_first && column + 1 + word.length > width) {
			g_string_append(out, break_with);
			column = strlen(break_with) - 2;
		} else if (!is_first) {
			g_string_append_c(out, ' ');
			column++;
		}
		column = append_word(word, column, break_with, out);
		is_first = false;
	}
	g_string_append(out, "\r\n");
}

void
ph_report_field(const char *name, const char *value, GString *out)
{
	g_string_append_printf(out, "%s: ", name);
	append_words(value, strlen(name) + 2, FIELD_LINE, "\r\n ", out);
}

void
ph_report_paragraph(const char *text, unsigned n_indent, GString *out)
{
	g_autofree char *indent = g_strnfill(n_indent, ' ');
	g_autofree char *break_with = g_strconcat("\r\n", indent, NULL);

	g_string_append(out, indent);
	append_words(text, n_indent, TEXT_LINE, break_with, out);
}

/* --- quoted-printable ------------------------------------------------------------------------- */

static bool
ends_line(PhSlice octets, size_t at)
{
	return at + 1 < octets.length && octets.data[at] == '\r' && octets.data[at + 1] == '\n';
}

static bool
needs_quoting(PhSlice octets, size_t at)
{
	unsigned char c = (unsigned char) octets.data[at];

	if (c == ' ' || c == '\t')
		return at + 1 == octets.length || ends_line(octets, at + 1);
	return c == '=' || c < 0x21 || c > 0x7e;
}

void
ph_report_quote(PhSlice octets, GString *out)
{
	size_t column = 0;

	for (size_t at = 0; at < octets.length; at++) {
		bool quoted = needs_quoting(octets, at);

		if (ends_line(octets, at)) {
			g_string_append(out, "\r\n");
			column = 0;
			at++;
			continue;
		}
		if (column + (quoted ? 3 : 1) > QUOTED_LINE - 1) {
			g_string_append(out, "=\r\n");
			column = 0;
		}
		if (quoted)
			g_string_append_printf(out, "=%02X", (unsigned char) octets.data[at]);
		else
			g_string_append_c(out, octets.data[at]);
		column += quoted ? 3 : 1;
	}
}

/* --- addresses -------------------------------------------------------------------------------- */

void
ph_report_append_address(const char *address, GString *out)
{
	const char *at = strrchr(address, '@');
	PhAddress parts = { .kind = PH_ADDRESS_MAILBOX, .domain_kind = PH_DOMAIN_NAME };

	if (at == NULL || at - address > PH_LOCAL_PART_MAX || strlen(at + 1) > PH_DOMAIN_MAX) {
		g_string_append(out, address);
		return;
	}
	parts.local_length = (uint16_t) (at - address);
	parts.domain_length = (uint16_t) strlen(at + 1);
	memcpy(parts.local, address, parts.local_length);
	memcpy(parts.domain, at + 1, parts.domain_length);
	ph_address_append(&parts, out);
}

void
ph_report_append_unicode(const char *address, GString *out)
{
	while (*address != '\0') {
		gunichar c = 0;

		address += next_character(address, &c);
		if (c > 0x20 && c < 0x7f && c != '\\' && c != '+' && c != '=')
			g_string_append_c(out, (char) c);
		else
			g_string_append_printf(out, "\\x{%02X}", (unsigned) c);
	}
}

/* --- shape ------------------------------------------------------------------------------------ */

PhReportShape
ph_report_shape(PhSlice octets)
{
	PhReportShape shape = { .is_utf8 = true };
	size_t column = 0;

	for (size_t at = 0; at < octets.length; at++) {
		unsigned char c = (unsigned char) octets.data[at];

		if (ends_line(octets, at)) {
			column = 0;
			at++;
			continue;
		}
		column++;
		if (c >= ASCII_END)
			shape.has_8bit = true;
		if (c == '\0' || c == '\r' || c == '\n' || column > PH_LIMIT_TEXT_LINE)
			shape.is_unfit = true;
	}
	shape.is_utf8 = shape.has_8bit && ph_slice_is_utf8(octets);
	return shape;
}
