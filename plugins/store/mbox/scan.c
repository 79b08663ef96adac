/* scan.c: finds the messages of an mbox, one after the other
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "scan.h"

#include <posthorn/slice.h>

#include "fields.h"

enum {
	KEYWORDS_MAX = 4096, /* octets of keywords that are kept */
};

void
scan_init(Scan *scan, const Source *source, Variant variant, uint64_t offset, uint64_t end)
{
	*scan = (Scan){
		.source = source,
		.variant = variant,
		.end = end,
		.first = UINT64_MAX,
		.words = g_string_new(NULL),
	};
	lines_init(&scan->lines, source, offset, end);
}

void
scan_clear(Scan *scan)
{
	lines_clear(&scan->lines);
	if (scan->words != NULL)
		(void) g_string_free(scan->words, TRUE);
	scan->words = NULL;
}

/* --- Content-Length ------------------------------------------------------------------------------ */

static bool
is_from_line(const Line *line, FromLine *from_out)
{
	return line->first && line->last && line->text.length > 5 && line->text.data[0] == 'F'
	       && from_parse(line_body(line), from_out);
}

/* Does a body that ends at @offset end where a message may end? */
static bool
leads_on(Scan *scan, uint64_t offset)
{
	Lines lines;
	Line line;
	FromLine from;
	bool found = false;
	bool good = offset == scan->end;

	if (offset >= scan->end)
		return good;
	lines_init(&lines, scan->source, offset, MIN(scan->end, offset + FROM_MAX + 4));
	if (lines_next(&lines, &line, &found, NULL) && found && line_is_blank(&line)) {
		good = offset + line.text.length == scan->end;
		if (!good && !lines_next(&lines, &line, &found, NULL))
			found = false;
	}
	good = good || (found && is_from_line(&line, &from));
	lines_clear(&lines);
	return good;
}

/* Has the body a From_ line in it? Then nothing is quoted there. */
static bool
has_bare_from(Scan *scan, uint64_t offset, uint64_t end)
{
	Lines lines;
	Line line;
	FromLine from;
	bool found = true;
	bool has = false;

	lines_init(&lines, scan->source, offset, end);
	while (!has && lines_next(&lines, &line, &found, NULL) && found)
		has = is_from_line(&line, &from);
	lines_clear(&lines);
	return has;
}

/* At the end of the header: is its Content-Length to be believed? */
static void
judge_count(Scan *scan, uint64_t body)
{
	Wire *wire = &scan->wire;
	uint64_t length = wire->body_left;

	wire->marks &= ~(uint32_t) MARK_COUNTED;
	if (!wire->has_counted || scan->variant == VARIANT_MBOXO || scan->variant == VARIANT_MBOXRD
	    || length > scan->end - body || !leads_on(scan, body + length))
		return;
	wire->marks |= MARK_COUNTED;
	scan->quiet_until = body + length;
	if (scan->variant == VARIANT_MBOXCL2
	    || (scan->variant == VARIANT_AUTO && has_bare_from(scan, body, body + length)))
		wire->marks |= MARK_VERBATIM;
}

/* --- header ---------------------------------------------------------------------------------------- */

static void
take_base(Scan *scan, Field field, PhSlice value)
{
	uint32_t base = 0;
	uint32_t last = 0;

	if (scan->message.offset != scan->first || !field_base(value, &base, &last))
		return;
	scan->base = base;
	scan->base_last = last;
	if (field == FIELD_X_IMAP)
		scan->is_pseudo = scan->has_pseudo = true;
}

static void
take_metadata(Scan *scan, Field field, PhSlice value)
{
	Message *message = &scan->message;
	uint32_t uid = 0;

	switch (field) {
	case FIELD_STATUS:
		message->flags |= field_status_flags(value);
		break;
	case FIELD_X_STATUS:
		message->flags |= field_x_status_flags(value);
		break;
	case FIELD_X_KEYWORDS:
		if (scan->words->len > 0 || value.length > KEYWORDS_MAX)
			break;
		(void) g_string_append_len(scan->words, value.data, (gssize) value.length);
		message->keywords_hash = field_keywords_hash(value);
		break;
	case FIELD_X_UID:
		if (ph_slice_to_u32(value, UINT32_MAX - 1, &uid))
			message->uid = uid;
		break;
	case FIELD_X_IMAPBASE:
	case FIELD_X_IMAP:
		take_base(scan, field, value);
		break;
	case FIELD_POSTHORN:
		message->validity = field_validity(value);
		break;
	case FIELD_OTHER:
	case FIELD_CONTENT_LENGTH:
	case FIELD_LINES:
	case FIELD_KEPT:
		break;
	}
}

static void
header_line(Scan *scan, const Line *line)
{
	PhSlice text = line_body(line);
	PhSlice value = PH_SLICE_EMPTY;
	Field field = FIELD_OTHER;

	if (line_is_blank(line)) {
		scan->in_header = false;
		judge_count(scan, line->offset + line->text.length);
		return;
	}
	if (line->first && text.length > 0 && text.data[0] != ' ' && text.data[0] != '\t') {
		field = field_of(text, &value);
		scan->in_metadata = scan->in_metadata && field_is_metadata(field);
		if (field_is_metadata(field) && !scan->in_metadata)
			scan->message.marks |= MARK_STRAY;
		take_metadata(scan, field, value);
	}
	if (scan->in_metadata && scan->message.metadata < INT32_MAX)
		scan->message.metadata += (uint32_t) line->text.length;
}

/* --- messages ------------------------------------------------------------------------------------ */

static void
begin_message(Scan *scan, const Line *line, const FromLine *from)
{
	uint32_t marks = scan->variant == VARIANT_MBOXO ? MARK_QUOTED_ONCE : 0;

	scan->message = (Message){
		.offset = line->offset,
		.from = (uint32_t) line->text.length,
		.date = from_date(from),
	};
	scan->first = MIN(scan->first, line->offset);
	scan->in_message = true;
	scan->in_header = true;
	scan->in_metadata = true;
	scan->is_pseudo = false;
	(void) g_string_truncate(scan->words, 0);
	wire_init(&scan->wire, marks, NULL, NULL);
	wire_line(&scan->wire, line);
}

static void
end_message(Scan *scan, uint64_t end)
{
	wire_finish(&scan->wire);
	scan->in_message = false;
	scan->message.length = end - scan->message.offset;
	scan->message.octets = scan->wire.octets;
	scan->message.digest = scan->wire.digest;
	scan->message.marks |= scan->wire.marks;
	for (gsize i = 0; i < scan->words->len; i++)
		if (scan->words->str[i] == '\0' || g_ascii_isspace(scan->words->str[i]))
			scan->words->str[i] = ' ';
	scan->message.keywords = scan->words->str;
}

/* Takes one line. Returns: a message has ended before it. */
static bool
take_line(Scan *scan, const Line *line)
{
	FromLine from;
	bool begins = line->offset >= scan->quiet_until && is_from_line(line, &from);

	if (begins && scan->in_message) {
		end_message(scan, line->offset);
		scan->has_next = true;
		scan->next = from;
		scan->next_line = *line;
		return true;
	}
	if (begins) {
		begin_message(scan, line, &from);
	} else if (scan->in_message) {
		if (scan->in_header)
			header_line(scan, line);
		wire_line(&scan->wire, line);
	}
	return false;
}

/* Reads up to the end of one message. */
static bool
read_message(Scan *scan, bool *found_out, GError **error)
{
	Line line;
	bool found = true;

	*found_out = false;
	if (scan->has_next)
		begin_message(scan, &scan->next_line, &scan->next);
	scan->has_next = false;
	while (lines_next(&scan->lines, &line, &found, error)) {
		if (!found) {
			*found_out = scan->in_message;
			if (scan->in_message)
				end_message(scan, scan->lines.offset);
			scan->ended = true;
			return true;
		}
		if (take_line(scan, &line)) {
			*found_out = true;
			return true;
		}
	}
	return false;
}

bool
scan_next(Scan *scan, Message *message_out, bool *found_out, GError **error)
{
	bool found = false;

	do {
		if (scan->ended) {
			*found_out = false;
			return true;
		}
		if (!read_message(scan, &found, error))
			return false;
	} while (found && scan->is_pseudo);
	*found_out = found;
	if (found)
		*message_out = scan->message;
	return true;
}
