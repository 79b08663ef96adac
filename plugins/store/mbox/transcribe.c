/* transcribe.c: a message of an mbox once more, with other metadata
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "transcribe.h"

#include <posthorn/slice.h>

enum {
	HEADER_MAX = 256 * 1024, /* longer headers are not rewritten for the sake of flags */
};

typedef struct {
	EncodeFunc func;
	void *user_data;
	bool in_header;
	bool skips;  /* the field that goes on is left out */
	char end[2]; /* the last two octets written */
} Out;

static bool
put(Out *out, PhSlice octets, GError **error)
{
	if (octets.length == 0)
		return true;
	out->end[0] = octets.length > 1 ? octets.data[octets.length - 2] : out->end[1];
	out->end[1] = octets.data[octets.length - 1];
	return out->func(octets, out->user_data, error);
}

/* Is this line of a header one of the metadata, or does it go on with one? */
static bool
is_left_out(const Line *line, bool before)
{
	PhSlice text = line_body(line);
	PhSlice value = PH_SLICE_EMPTY;

	if (!line->first || (text.length > 0 && (text.data[0] == ' ' || text.data[0] == '\t')))
		return before;
	return field_is_metadata(field_of(text, &value));
}

static bool
put_line(Out *out, const Line *line, GError **error)
{
	if (out->in_header && line_is_blank(line))
		out->in_header = out->skips = false;
	if (out->in_header)
		out->skips = is_left_out(line, out->skips);
	return out->skips || put(out, line->text, error);
}

static bool
put_metadata(Out *out, const Metadata *metadata, GError **error)
{
	g_autoptr(GString) text = g_string_new(NULL);

	fields_append(metadata, 0, text);
	out->in_header = true;
	return put(out, PH_SLICE(text->str, text->len), error);
}

static bool
put_end(Out *out, GError **error)
{
	static const char feeds[] = "\n\n";
	size_t n = 2;

	if (out->end[1] == '\n')
		n = out->end[0] == '\n' ? 0 : 1;
	return put(out, PH_SLICE(feeds, n), error);
}

bool
transcribe(const Span *span,
           const Metadata *metadata,
           EncodeFunc func,
           void *user_data,
           GError **error)
{
	Out out = { .func = func, .user_data = user_data };
	bool in_from = true;
	Lines lines;
	Line line;
	bool found = true;
	bool good = true;

	lines_init(&lines, span->source, span->offset, span->end);
	while (good && (good = lines_next(&lines, &line, &found, error)) && found) {
		good = in_from ? put(&out, line.text, error) : put_line(&out, &line, error);
		if (good && in_from && line.last) {
			in_from = false;
			good = put_metadata(&out, metadata, error);
		}
	}
	lines_clear(&lines);
	return good && put_end(&out, error);
}

bool
transcribe_header(const Span *span,
                  const Metadata *metadata,
                  GString *out,
                  uint64_t *header_out,
                  GError **error)
{
	bool skips = false;
	bool good = true;
	bool found = true;
	Lines lines;
	Line line;

	fields_append(metadata, 0, out);
	*header_out = span->offset;
	lines_init(&lines, span->source, span->offset, span->end);
	while ((good = lines_next(&lines, &line, &found, error)) && found) {
		if (line_is_blank(&line))
			break;
		skips = is_left_out(&line, skips);
		if (!skips)
			(void) g_string_append_len(out, line.text.data, (gssize) line.text.length);
		*header_out = line.offset + line.text.length;
		good = *header_out - span->offset <= HEADER_MAX;
		if (!good)
			break;
	}
	lines_clear(&lines);
	return good;
}
