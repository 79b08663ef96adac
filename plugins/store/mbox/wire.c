/* wire.c: from the octets of a message in the file to those that clients see
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "wire.h"

#include <posthorn/slice.h>

#include "encode.h"
#include "fields.h"

static const PhSlice crlf = { "\r\n", 2 };
static const PhSlice feed = { "\n", 1 };

void
wire_init(Wire *wire, uint32_t marks, WireFunc put, void *user_data)
{
	*wire = (Wire){
		.put = put,
		.user_data = user_data,
		.marks = marks,
		.in_from = true,
		.in_header = true,
		.digest = UINT64_C(14695981039346656037),
	};
}

static void
put(Wire *wire, PhSlice octets)
{
	wire->octets += octets.length;
	if (wire->in_header)
		for (size_t i = 0; i < octets.length; i++)
			wire->digest = (wire->digest ^ (unsigned char) octets.data[i])
			               * UINT64_C(1099511628211);
	if (wire->put != NULL && octets.length > 0)
		wire->put(octets, wire->user_data);
}

/* --- line ends that wait ----------------------------------------------------------------------- */

static void
release(Wire *wire, unsigned keep)
{
	while (wire->n_held > keep) {
		put(wire, wire->held[0]);
		wire->held[0] = wire->held[1];
		wire->n_held--;
	}
}

static void
hold(Wire *wire, PhSlice end)
{
	release(wire, (wire->marks & MARK_NO_END) != 0 ? 1 : 0);
	wire->held[wire->n_held++] = end;
}

/* The line end as clients see it; one that is missing is put there. */
static PhSlice
line_end(const Wire *wire, const Line *line)
{
	size_t length = line->text.length;

	if ((wire->marks & MARK_RAW) == 0)
		return crlf;
	return length > 1 && line->text.data[length - 2] == '\r' ? crlf : feed;
}

static void
put_line(Wire *wire, const Line *line, PhSlice text)
{
	release(wire, 0);
	put(wire, text);
	if (!line->last)
		return;
	if ((wire->marks & MARK_NO_END) != 0)
		hold(wire, line_end(wire, line));
	else
		put(wire, line_end(wire, line));
}

/* --- quoting ----------------------------------------------------------------------------------- */

/* Whether a body is verbatim is known only when its header has been read: it says nothing of that. */
static PhSlice
unquote(const Wire *wire, const Line *line, PhSlice text)
{
	size_t depth = line->first ? quote_depth(text) : 0;
	bool once = (wire->marks & MARK_QUOTED_ONCE) != 0;
	bool verbatim = (wire->marks & MARK_VERBATIM) != 0 && !wire->in_header;

	if (depth == 0 || verbatim || (once && depth > 1))
		return text;
	return ph_slice_from(text, 1);
}

/* --- header and body ----------------------------------------------------------------------------- */

static void
end_header(Wire *wire, const Line *line)
{
	if ((wire->marks & MARK_HEADER_ONLY) != 0) {
		hold(wire, line_end(wire, line));
	} else {
		put_line(wire, line, PH_SLICE_EMPTY);
	}
	wire->in_header = false;
	if (!wire->has_counted)
		wire->marks &= ~(uint32_t) MARK_COUNTED;
}

static void
header_line(Wire *wire, const Line *line)
{
	PhSlice text = line_body(line);
	PhSlice value = PH_SLICE_EMPTY;
	bool goes_on =
		!line->first || (text.length > 0 && (text.data[0] == ' ' || text.data[0] == '\t'));

	if (line_is_blank(line)) {
		end_header(wire, line);
		return;
	}
	if (!goes_on) {
		Field field = field_of(text, &value);

		wire->is_hidden = field_is_hidden(field);
		if (field == FIELD_CONTENT_LENGTH && !wire->has_counted)
			wire->has_counted = ph_slice_to_u64(value, INT64_MAX, &wire->body_left);
		if (field == FIELD_POSTHORN)
			wire->marks |= field_marks(value);
		if (field == FIELD_KEPT)
			text = ph_slice_from(text, strlen(FIELD_KEPT_PREFIX));
	}
	if (!wire->is_hidden)
		put_line(wire, line, unquote(wire, line, text));
}

/* A body of known length: nothing behind it belongs to the message. */
static void
counted_line(Wire *wire, const Line *line)
{
	Line cut = *line;

	if (wire->body_left == 0)
		return;
	if (cut.text.length >= wire->body_left) {
		cut.text.length = (size_t) wire->body_left;
		cut.last = true;
	}
	wire->body_left -= cut.text.length;
	put_line(wire, &cut, unquote(wire, &cut, line_body(&cut)));
}

static void
body_line(Wire *wire, const Line *line)
{
	if ((wire->marks & MARK_COUNTED) != 0)
		counted_line(wire, line);
	else if (line_is_blank(line))
		hold(wire, line_end(wire, line));
	else
		put_line(wire, line, unquote(wire, line, line_body(line)));
}

void
wire_line(Wire *wire, const Line *line)
{
	if (wire->in_from)
		wire->in_from = !line->last;
	else if (wire->in_header)
		header_line(wire, line);
	else
		body_line(wire, line);
}

void
wire_finish(Wire *wire)
{
	wire->n_held = 0;
}
