/* header.c: steps through header blocks
 *
 *	field = name ":" value CRLF *( (SP / TAB) value CRLF )               (RFC 5322 section 2.2)
 *
 * A bare LF ends a line too. A line without a colon is kept as a field without a name, so that
 * what follows it is still found.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "message/header.h"

#include "message/lex.h"

size_t
ph_header_field_length(PhSlice text, bool *complete_out)
{
	size_t at = 0;

	for (;;) {
		const char *eol = memchr(text.data + at, '\n', text.length - at);

		if (eol == NULL) {
			*complete_out = false;
			return text.length;
		}
		at = (size_t) (eol - text.data) + 1;
		if (at == text.length) {
			*complete_out = false;
			return at;
		}
		if (text.data[at] != ' ' && text.data[at] != '\t') {
			*complete_out = true;
			return at;
		}
	}
}

bool
ph_header_is_end(PhSlice line)
{
	return line.length > 0
	       && (line.data[0] == '\n'
	           || (line.data[0] == '\r' && line.length > 1 && line.data[1] == '\n'));
}

void
ph_header_split(PhSlice whole, PhHeaderField *field_out)
{
	PhSlice line = whole;
	ssize_t colon = -1;
	size_t start = 0;

	if (line.length > 0 && line.data[line.length - 1] == '\n')
		line.length--;
	if (line.length > 0 && line.data[line.length - 1] == '\r')
		line.length--;
	colon = ph_slice_find(line, ':');
	field_out->whole = whole;
	field_out->name = PH_SLICE_EMPTY;
	field_out->value = line;
	if (colon < 0)
		return;
	field_out->name = ph_slice_trim(PH_SLICE(line.data, (size_t) colon));
	if (memchr(line.data, '\n', (size_t) colon) != NULL)
		field_out->name = PH_SLICE_EMPTY;
	start = (size_t) colon + 1;
	while (start < line.length && (line.data[start] == ' ' || line.data[start] == '\t'))
		start++;
	field_out->value = ph_slice_from(line, start);
}

bool
ph_header_next(PhSlice *rest, size_t *offset, PhHeaderField *field_out)
{
	bool complete = false;
	size_t n = 0;

	if (rest->length == 0 || ph_header_is_end(*rest))
		return false;
	n = ph_header_field_length(*rest, &complete);
	ph_header_split(PH_SLICE(rest->data, n), field_out);
	field_out->offset = *offset;
	*offset += n;
	*rest = ph_slice_from(*rest, n);
	return true;
}

bool
ph_header_find(PhSlice block, const char *name, PhHeaderField *field_out)
{
	PhSlice wanted = ph_slice(name);
	PhHeaderField field = { .offset = 0 };
	size_t offset = 0;

	while (ph_header_next(&block, &offset, &field)) {
		if (ph_slice_equal_nocase(field.name, wanted)) {
			*field_out = field;
			return true;
		}
	}
	return false;
}

static bool
is_listed(PhSlice name, const PhSlice *names, size_t n_names)
{
	/* lengths and first letters tell most names apart */
	for (size_t i = 0; i < n_names; i++)
		if (name.length == names[i].length
		    && (name.length == 0 || ((name.data[0] ^ names[i].data[0]) & ~0x20) == 0)
		    && ph_slice_equal_nocase(name, names[i]))
			return true;
	return false;
}

void
ph_header_append_fields(PhSlice block,
                        const PhSlice *names,
                        size_t n_names,
                        bool except,
                        GString *out)
{
	PhHeaderField field = { .offset = 0 };
	size_t offset = 0;

	while (ph_header_next(&block, &offset, &field)) {
		bool ended = field.whole.data[field.whole.length - 1] == '\n';

		if (is_listed(field.name, names, n_names) == except)
			continue;
		ph_lex_append(out, field.whole);
		if (!ended)
			g_string_append_len(out, "\r\n", 2);
	}
	g_string_append_len(out, "\r\n", 2);
}

static bool
is_stray(char c)
{
	return c == '\r' || c == '\n' || c == '\0';
}

/* At @at stands a CR, LF or NUL: appends what it means and returns its octets. */
static size_t
append_stray(PhSlice value, size_t at, GString *out)
{
	size_t n = 1;

	if (value.data[at] == '\r' && at + 1 < value.length && value.data[at + 1] == '\n')
		n = 2;
	if (value.data[at + n - 1] == '\n' && at + n < value.length
	    && (value.data[at + n] == ' ' || value.data[at + n] == '\t'))
		return n;
	if (at + n < value.length)
		g_string_append_c(out, ' ');
	return n;
}

void
ph_header_append_unfolded(PhSlice value, GString *out)
{
	gsize before = out->len;

	while (value.length > 0 && ph_lex_is(value.data[0], PH_LEX_BLANK))
		ph_lex_skip(&value, 1);
	while (value.length > 0 && ph_lex_is(value.data[value.length - 1], PH_LEX_BLANK))
		value.length--;
	for (size_t i = 0; i < value.length;) {
		size_t start = i;

		while (i < value.length && !is_stray(value.data[i]))
			i++;
		g_string_append_len(out, value.data + start, (gssize) (i - start));
		if (i < value.length)
			i += append_stray(value, i, out);
	}
	while (out->len > before && out->str[out->len - 1] == ' ')
		g_string_truncate(out, out->len - 1);
}
