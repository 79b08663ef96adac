/* fields.c: the header fields that belong to the mbox and not to the message
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "fields.h"

#include <posthorn/record.h>
#include <posthorn/slice.h>

enum {
	KEYWORD_ROOM = 40, /* blanks kept free for keywords that come later */
};

static const struct {
	const char *name;
	Field field;
} names[] = {
	{ "Status", FIELD_STATUS },         { "X-Status", FIELD_X_STATUS },
	{ "X-Keywords", FIELD_X_KEYWORDS }, { "X-UID", FIELD_X_UID },
	{ "X-IMAPbase", FIELD_X_IMAPBASE }, { "X-IMAP", FIELD_X_IMAP },
	{ "X-Posthorn", FIELD_POSTHORN },   { "Content-Length", FIELD_CONTENT_LENGTH },
	{ "Lines", FIELD_LINES },
};

static const struct {
	char letter;
	uint32_t flag;
} x_status[] = {
	{ 'A', PH_FLAG_ANSWERED },
	{ 'F', PH_FLAG_FLAGGED },
	{ 'T', PH_FLAG_DRAFT },
	{ 'D', PH_FLAG_DELETED },
};

static const struct {
	char letter;
	uint32_t mark;
} mark_letters[] = {
	{ 'r', MARK_RAW },
	{ 'n', MARK_NO_END },
	{ 'h', MARK_HEADER_ONLY },
};

Field
field_of(PhSlice line, PhSlice *value_out)
{
	PhSlice rest = line;
	PhSlice name = PH_SLICE_EMPTY;

	if (line.length == 0)
		return FIELD_OTHER;
	switch (line.data[0]) {
	case 'S':
	case 's':
	case 'X':
	case 'x':
	case 'C':
	case 'c':
	case 'L':
	case 'l':
		break;
	default:
		return FIELD_OTHER;
	}
	if (ph_slice_starts_nocase(line, FIELD_KEPT_PREFIX))
		return FIELD_KEPT;
	if (ph_slice_find(line, ':') < 0)
		return FIELD_OTHER;
	name = ph_slice_trim(ph_slice_split(&rest, ':'));
	while (rest.length > 0 && strchr("\r\n \t", rest.data[rest.length - 1]) != NULL
	       && rest.data[rest.length - 1] != '\0')
		rest.length--;
	*value_out = ph_slice_trim(rest);
	for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
		if (ph_slice_is_nocase(name, names[i].name))
			return names[i].field;
	return FIELD_OTHER;
}

bool
field_is_hidden(Field field)
{
	return field != FIELD_OTHER && field != FIELD_KEPT;
}

bool
field_is_metadata(Field field)
{
	return field >= FIELD_STATUS && field <= FIELD_POSTHORN;
}

bool
field_needs_prefix(PhSlice line)
{
	PhSlice value = PH_SLICE_EMPTY;

	return field_of(line, &value) != FIELD_OTHER;
}

uint32_t
field_status_flags(PhSlice value)
{
	return ph_slice_find(value, 'R') >= 0 ? PH_FLAG_SEEN : 0;
}

uint32_t
field_x_status_flags(PhSlice value)
{
	uint32_t flags = 0;

	for (size_t i = 0; i < G_N_ELEMENTS(x_status); i++)
		if (ph_slice_find(value, x_status[i].letter) >= 0)
			flags |= x_status[i].flag;
	return flags;
}

uint32_t
field_marks(PhSlice value)
{
	uint32_t marks = 0;

	for (size_t i = 0; i < G_N_ELEMENTS(mark_letters); i++)
		if (ph_slice_find(value, mark_letters[i].letter) >= 0)
			marks |= mark_letters[i].mark;
	return marks;
}

bool
field_base(PhSlice value, uint32_t *validity_out, uint32_t *last_out)
{
	PhSlice validity = ph_slice_split(&value, ' ');
	PhSlice rest = ph_slice_trim(value);
	PhSlice last = ph_slice_split(&rest, ' ');

	return ph_slice_to_u32(validity, UINT32_MAX, validity_out) && *validity_out > 0
	       && ph_slice_to_u32(last, UINT32_MAX - 1, last_out);
}

uint32_t
field_validity(PhSlice value)
{
	uint32_t validity = 0;

	return ph_slice_to_u32(ph_slice_split(&value, ' '), UINT32_MAX, &validity) ? validity : 0;
}

uint32_t
field_keywords_hash(PhSlice value)
{
	uint32_t sum = 0;

	while (value.length > 0) {
		PhSlice word = ph_slice_split(&value, ' ');
		uint32_t hash = 2166136261U;

		for (size_t i = 0; i < word.length; i++)
			hash = (hash ^ (uint32_t) g_ascii_tolower(word.data[i])) * 16777619U;
		sum += word.length > 0 ? hash | 1U : 0; /* the order does not matter */
	}
	return sum;
}

static void
append_letters(const Metadata *metadata, GString *out)
{
	g_string_append_printf(
		out, "Status: %sO\nX-Status: ", (metadata->flags & PH_FLAG_SEEN) != 0 ? "R" : "");
	for (size_t i = 0; i < G_N_ELEMENTS(x_status); i++)
		if ((metadata->flags & x_status[i].flag) != 0)
			(void) g_string_append_c(out, x_status[i].letter);
	(void) g_string_append_c(out, '\n');
}

static void
append_marks(uint32_t marks, GString *out)
{
	if ((marks & (MARK_RAW | MARK_NO_END | MARK_HEADER_ONLY)) == 0)
		return;
	(void) g_string_append_c(out, ' ');
	for (size_t i = 0; i < G_N_ELEMENTS(mark_letters); i++)
		if ((marks & mark_letters[i].mark) != 0)
			(void) g_string_append_c(out, mark_letters[i].letter);
}

/* X-Keywords comes last: its value is followed by the blanks that are free for later. Without
 * @length there is room for every flag and some keywords. */
void
fields_append(const Metadata *metadata, size_t length, GString *out)
{
	size_t start = out->len;
	size_t room = 0;

	if (metadata->base != 0)
		g_string_append_printf(
			out, "X-IMAPbase: %u %010u%s%s\n", metadata->base, metadata->base_last,
			metadata->base_keywords[0] != '\0' ? " " : "", metadata->base_keywords);
	g_string_append_printf(out, "X-UID: %u\nX-Posthorn: %u", metadata->uid, metadata->validity);
	append_marks(metadata->marks, out);
	(void) g_string_append_c(out, '\n');
	append_letters(metadata, out);
	g_string_append_printf(out, "X-Keywords: %s", metadata->keywords);
	room = length > out->len - start ? length - (out->len - start) - 1 : KEYWORD_ROOM;
	while (room-- > 0)
		(void) g_string_append_c(out, ' ');
	(void) g_string_append_c(out, '\n');
}
