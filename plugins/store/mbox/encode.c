/* encode.c: from a message to its octets in the file (mboxrd)
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "encode.h"

#include <posthorn/slice.h>

#include "fields.h"

static size_t
arrows(PhSlice text)
{
	size_t n = 0;

	while (n < text.length && n <= QUOTE_MAX && text.data[n] == '>')
		n++;
	return n;
}

static bool
is_from(PhSlice text, size_t n)
{
	return text.length - n >= 5 && memcmp(text.data + n, "From ", 5) == 0;
}

/* So many '>' that nobody looks behind them count as a quotation whatever follows. */
size_t
quote_depth(PhSlice text)
{
	size_t n = text.length > 0 && text.data[0] == '>' ? arrows(text) : 0;

	return n > QUOTE_MAX || (n > 0 && is_from(text, n)) ? n : 0;
}

bool
quote_is_needed(PhSlice text)
{
	size_t n = 0;

	if (text.length < 5 || (text.data[0] != '>' && text.data[0] != 'F'))
		return false;
	n = arrows(text);
	return n >= QUOTE_MAX || is_from(text, n);
}

/* --- survey -------------------------------------------------------------------------------------- */

static void
take_sender(PhSlice line, Survey *survey)
{
	PhSlice value = PH_SLICE_EMPTY;

	if (survey->sender[0] != '\0' || !ph_slice_starts_nocase(line, "Return-Path:"))
		return;
	value = ph_slice_trim(ph_slice_from(line, strlen("Return-Path:")));
	if (value.length < 3 || value.data[0] != '<' || value.data[value.length - 1] != '>'
	    || value.length - 2 >= sizeof survey->sender)
		return;
	memcpy(survey->sender, value.data + 1, value.length - 2);
	survey->sender[value.length - 2] = '\0';
}

/* Would CR LF be what comes back for this line's end? */
static bool
has_plain_end(const Line *line)
{
	size_t n = line->text.length;

	if (!line->last || line->text.data[n - 1] != '\n')
		return true;
	return n >= 2 && line->text.data[n - 2] == '\r'
	       && (n < 3 || line->text.data[n - 3] != '\r');
}

bool
encode_survey(const Source *source, uint64_t length, Survey *survey_out, GError **error)
{
	Lines lines;
	Line line;
	bool found = true;
	bool good = true;
	bool in_header = true;
	bool has_end = true;

	*survey_out = (Survey){ .marks = 0 };
	lines_init(&lines, source, 0, length);
	while ((good = lines_next(&lines, &line, &found, error)) && found) {
		if (in_header && line.first)
			take_sender(line_body(&line), survey_out);
		in_header = in_header && !line_is_blank(&line);
		has_end = line.text.data[line.text.length - 1] == '\n';
		if (!has_plain_end(&line))
			survey_out->marks |= MARK_RAW;
	}
	lines_clear(&lines);
	if (in_header)
		survey_out->marks |= MARK_HEADER_ONLY;
	if (!has_end)
		survey_out->marks |= MARK_NO_END;
	return good;
}

/* --- writing ------------------------------------------------------------------------------------ */

typedef struct {
	uint32_t marks;
	bool in_header;
	EncodeFunc func;
	void *user_data;
} Encoder;

/* Also a first line that would go on where the metadata end. */
static bool
needs_prefix(const Line *line, PhSlice text)
{
	bool goes_on = text.length > 0 && (text.data[0] == ' ' || text.data[0] == '\t');

	return (line->offset == 0 && goes_on) || field_needs_prefix(text);
}

static bool
write_line(Encoder *encoder, const Line *line, GError **error)
{
	static const PhSlice prefix = PH_SLICE_LITERAL(FIELD_KEPT_PREFIX);
	static const PhSlice arrow = PH_SLICE_LITERAL(">");
	static const PhSlice feed = PH_SLICE_LITERAL("\n");
	PhSlice text = line_body(line);
	bool ends = text.length < line->text.length;
	bool good = true;

	if (line->first && encoder->in_header && needs_prefix(line, text))
		good = encoder->func(prefix, encoder->user_data, error);
	else if (line->first && quote_is_needed(text))
		good = encoder->func(arrow, encoder->user_data, error);
	if (line_is_blank(line))
		encoder->in_header = false;
	if (good && (encoder->marks & MARK_RAW) != 0)
		return encoder->func(line->text, encoder->user_data, error);
	return good && encoder->func(text, encoder->user_data, error)
	       && (!ends || encoder->func(feed, encoder->user_data, error));
}

bool
encode_message(const Source *source,
               uint64_t length,
               uint32_t marks,
               EncodeFunc func,
               void *user_data,
               GError **error)
{
	static const PhSlice separator = PH_SLICE_LITERAL("\n");
	Encoder encoder = { marks, true, func, user_data };
	PhSlice end = PH_SLICE_EMPTY;
	Lines lines;
	Line line;
	bool found = true;
	bool good = true;

	lines_init(&lines, source, 0, length);
	while (good && (good = lines_next(&lines, &line, &found, error)) && found) {
		/* a CR at the very end would be taken for part of the line end put behind it */
		end = line.text.data[line.text.length - 1] == '\r' ? PH_SLICE_LITERAL("\r\n")
		                                                   : separator;
		good = write_line(&encoder, &line, error);
	}
	lines_clear(&lines);
	if (good && (marks & MARK_NO_END) != 0)
		good = func(end, user_data, error);
	return good && func(separator, user_data, error);
}
