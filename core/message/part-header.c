/* part-header.c: the Content-* fields of one part, rendered for BODYSTRUCTURE
 *
 *	body-fields    = param SP id SP description SP encoding SP octets
 *	body-fld-param = "(" string SP string *( SP string SP string ) ")" / nil
 *	body-fld-dsp   = "(" string SP body-fld-param ")" / nil
 *	body-fld-lang  = nstring / "(" string *( SP string ) ")"         (RFC 3501 section 9)
 *
 * Parameters are given as written, with the marks of RFC 2231, but what it divides into pieces is
 * joined (its section 7); the decoded file name is kept beside them. A text part without a charset
 * gets the default of RFC 2046, us-ascii, as clients expect.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "message/part-header.h"

#include <posthorn/message.h>

#include "message/lex.h"
#include "message/mime-join.h"
#include "message/mime-value.h"

#define ASCII_PARAMETERS "(\"charset\" \"us-ascii\")"
#define LANGUAGES_MAX    100

void
ph_part_header_init(PhPartHeader *header)
{
	memset(header, 0, sizeof *header);
	header->text = g_string_sized_new(512);
	header->scratch = g_string_sized_new(128);
}

void
ph_part_header_clear(PhPartHeader *header)
{
	g_string_free(header->text, TRUE);
	g_string_free(header->scratch, TRUE);
}

void
ph_part_header_reset(PhPartHeader *header)
{
	GString *text = header->text;
	GString *scratch = header->scratch;

	memset(header, 0, sizeof *header);
	header->text = text;
	header->scratch = scratch;
	g_string_truncate(text, 0);
}

static PhSpan
span_from(const GString *text, size_t start)
{
	return (PhSpan){ start, text->len - start };
}

/* Appends and returns where. */
static PhSpan
keep(GString *text, PhSlice slice)
{
	PhSpan span = { text->len, slice.length };

	ph_lex_append(text, slice);
	return span;
}

static PhSpan
keep_string(GString *text, PhSlice slice)
{
	size_t start = text->len;

	ph_imap_append_string(slice, text);
	return span_from(text, start);
}

/* What the parameters of a value told besides their rendered form. */
typedef struct {
	bool is_type;
	bool has_charset;
	bool has_marks; /* RFC 2231 is used for a name that matters here */
	bool has_filename;
	bool has_pieces; /* name*0, name*1 */
	uint32_t count;
} Seen;

static void
note_parameter(PhPartHeader *header, const PhMimeParam *param, Seen *seen)
{
	PhSlice marks = param->name;
	PhSlice name = ph_slice_split(&marks, '*');
	bool marked = name.length < param->name.length;
	bool file = ph_slice_is_nocase(name, seen->is_type ? "name" : "filename");
	bool charset = seen->is_type && ph_slice_is_nocase(name, "charset");
	bool boundary = seen->is_type && ph_slice_is_nocase(name, "boundary");

	seen->has_filename |= file;
	seen->has_charset |= charset;
	seen->has_marks |= marked && (charset || boundary);
	seen->has_pieces |= marks.length > 0;
	if (marked)
		return;
	if (charset && header->charset.length == 0)
		header->charset = keep(header->text, param->value);
	if (boundary && header->boundary.length == 0)
		header->boundary = keep(header->text, param->value);
}

/* "(name value ...)" or NIL. Notes go into the text before it is rendered, so there are two passes
 * over the few parameters. */
static PhSpan
keep_parameters(PhPartHeader *header, PhSlice rest, Seen *seen)
{
	GString *text = header->text;
	PhMimeParam param = { .name = PH_SLICE_EMPTY };
	PhSlice again = rest;
	size_t start = 0;

	while (seen->count < PH_MIME_PARAMETERS_MAX
	       && ph_mime_param_next(&rest, header->scratch, &param)) {
		note_parameter(header, &param, seen);
		seen->count++;
	}
	start = text->len;
	if (seen->has_pieces) {
		g_string_append_c(text, '(');
		ph_mime_join(again, seen->count, header->scratch, text);
		g_string_append_c(text, ')');
		return span_from(text, start);
	}
	for (uint32_t i = 0; i < seen->count && ph_mime_param_next(&again, header->scratch, &param);
	     i++) {
		g_string_append_c(text, i == 0 ? '(' : ' ');
		ph_imap_append_string(param.name, text);
		g_string_append_c(text, ' ');
		ph_imap_append_string(param.value, text);
	}
	if (seen->count > 0)
		g_string_append_c(text, ')');
	else
		g_string_append_len(text, "NIL", 3);
	return span_from(text, start);
}

static void
keep_filename(PhPartHeader *header, const PhMimeValue *value, const char *name)
{
	const char *filename = ph_mime_value_get(value, name);

	if (filename != NULL && filename[0] != '\0')
		header->filename = keep(header->text, ph_slice(filename));
}

static void
keep_decoded(PhPartHeader *header, const PhMimeValue *value)
{
	const char *charset = ph_mime_value_get(value, "charset");
	const char *boundary = ph_mime_value_get(value, "boundary");

	if (charset != NULL && header->charset.length == 0)
		header->charset = keep(header->text, ph_slice(charset));
	if (boundary != NULL && header->boundary.length == 0)
		header->boundary = keep(header->text, ph_slice(boundary));
}

static void
set_type(PhPartHeader *header, PhSlice type, PhSlice subtype)
{
	header->type_rendered = keep_string(header->text, type);
	header->subtype_rendered = keep_string(header->text, subtype);
	header->type = keep(header->text, type);
	header->subtype = keep(header->text, subtype);
}

/* A text part says its charset, if need be the default. */
static void
add_default_charset(PhPartHeader *header, const Seen *seen)
{
	GString *text = header->text;
	size_t start = text->len;

	if (seen->count == 0) {
		header->parameters = keep(text, ph_slice(ASCII_PARAMETERS));
		return;
	}
	g_string_append_len(text, text->str + header->parameters.start,
	                    (gssize) header->parameters.length - 1);
	g_string_append(text, " \"charset\" \"us-ascii\")");
	header->parameters = span_from(text, start);
}

static void
take_type(PhPartHeader *header, PhSlice value)
{
	PhSlice rest = value;
	PhSlice type = PH_SLICE_EMPTY;
	PhSlice subtype = PH_SLICE_EMPTY;
	Seen seen = { .is_type = true };

	if (!ph_mime_type(&rest, &type, &subtype))
		return;
	set_type(header, type, subtype);
	header->parameters = keep_parameters(header, rest, &seen);
	if (seen.has_marks || (seen.has_filename && !header->has_name)) {
		g_autoptr(PhMimeValue) parsed = ph_mime_value_parse(value, true);

		keep_decoded(header, parsed);
		if (!header->has_name)
			keep_filename(header, parsed, "name");
	}
	if (ph_slice_is_nocase(type, "text") && !seen.has_charset)
		add_default_charset(header, &seen);
}

static void
take_disposition(PhPartHeader *header, PhSlice value)
{
	PhSlice rest = value;
	PhSlice token = ph_mime_token(&rest);
	Seen seen = { .is_type = false };
	PhSpan parameters = { 0, 0 };
	size_t start = 0;

	if (token.length == 0)
		return;
	header->disposition = keep(header->text, token);
	parameters = keep_parameters(header, rest, &seen);
	start = header->text->len;
	g_string_append_c(header->text, '(');
	ph_imap_append_string(token, header->text);
	g_string_append_c(header->text, ' ');
	g_string_append_len(header->text, header->text->str + parameters.start,
	                    (gssize) parameters.length);
	g_string_append_c(header->text, ')');
	header->fields[PH_FIELD_CONTENT_DISPOSITION] = span_from(header->text, start);
	if (seen.has_filename) {
		g_autoptr(PhMimeValue) parsed = ph_mime_value_parse(value, false);

		keep_filename(header, parsed, "filename");
		header->has_name = header->filename.length > 0;
	}
}

/* Tags divided by commas (RFC 3282); always given as a list. */
static void
take_language(PhPartHeader *header, PhSlice value)
{
	GString *text = header->text;
	size_t start = text->len;
	uint32_t count = 0;

	for (;;) {
		PhSlice tag = ph_mime_token(&value);

		if (tag.length > 0) {
			g_string_append_c(text, count == 0 ? '(' : ' ');
			ph_imap_append_string(tag, text);
			count++;
		}
		ph_lex_skip_cfws(&value);
		if (value.length == 0 || count == LANGUAGES_MAX)
			break;
		if (tag.length == 0)
			ph_lex_skip(&value, 1);
	}
	if (count > 0)
		g_string_append_c(text, ')');
	header->fields[PH_FIELD_CONTENT_LANGUAGE] = span_from(text, start);
}

static void
take_string(PhPartHeader *header, PhFieldId id, PhSlice value)
{
	GString *scratch = header->scratch;

	g_string_truncate(scratch, 0);
	ph_header_append_unfolded(value, scratch);
	if (scratch->len > 0)
		header->fields[id] =
			keep_string(header->text, PH_SLICE(scratch->str, scratch->len));
}

static void
take_encoding(PhPartHeader *header, PhSlice value)
{
	PhSlice token = ph_mime_token(&value);

	header->encoding = ph_encoding_parse(token);
	if (token.length > 0)
		header->fields[PH_FIELD_CONTENT_TRANSFER_ENCODING] =
			keep_string(header->text, token);
}

void
ph_part_header_take(PhPartHeader *header, PhFieldId id, PhSlice value)
{
	if (id < PH_FIELD_CONTENT_TYPE || id >= PH_FIELD_OTHER || (header->seen & (1U << id)) != 0)
		return;
	header->seen |= 1U << id;
	if (id == PH_FIELD_CONTENT_TYPE)
		take_type(header, value);
	else if (id == PH_FIELD_CONTENT_DISPOSITION)
		take_disposition(header, value);
	else if (id == PH_FIELD_CONTENT_LANGUAGE)
		take_language(header, value);
	else if (id == PH_FIELD_CONTENT_TRANSFER_ENCODING)
		take_encoding(header, value);
	else
		take_string(header, id, value);
}

void
ph_part_header_finish(PhPartHeader *header, bool digest)
{
	if (header->type.length > 0)
		return;
	if (digest) {
		set_type(header, ph_slice("message"), ph_slice("rfc822"));
		header->parameters = keep(header->text, ph_slice("NIL"));
		return;
	}
	set_type(header, ph_slice("text"), ph_slice("plain"));
	header->parameters = keep(header->text, ph_slice(ASCII_PARAMETERS));
}

void
ph_part_header_plain(PhPartHeader *header)
{
	set_type(header, ph_slice("text"), ph_slice("plain"));
	header->parameters = keep(header->text, ph_slice(ASCII_PARAMETERS));
	header->charset = (PhSpan){ 0, 0 };
	header->boundary = (PhSpan){ 0, 0 };
}

static void
append_span(const PhPartHeader *header, PhSpan span, const char *absent, GString *out)
{
	g_string_append_c(out, ' ');
	if (span.length > 0)
		ph_lex_append(out, ph_span_slice(header->text, span));
	else
		g_string_append(out, absent);
}

void
ph_part_header_append_leaf(const PhPartHeader *header, GString *out)
{
	const PhSpan *fields = header->fields;

	ph_lex_append(out, ph_span_slice(header->text, header->type_rendered));
	append_span(header, header->subtype_rendered, "NIL", out);
	append_span(header, header->parameters, "NIL", out);
	append_span(header, fields[PH_FIELD_CONTENT_ID], "NIL", out);
	append_span(header, fields[PH_FIELD_CONTENT_DESCRIPTION], "NIL", out);
	append_span(header, fields[PH_FIELD_CONTENT_TRANSFER_ENCODING], "\"7bit\"", out);
}

static void
append_more(const PhPartHeader *header, PhSpan first, GString *out)
{
	const PhSpan *fields = header->fields;

	append_span(header, first, "NIL", out);
	append_span(header, fields[PH_FIELD_CONTENT_DISPOSITION], "NIL", out);
	append_span(header, fields[PH_FIELD_CONTENT_LANGUAGE], "NIL", out);
	append_span(header, fields[PH_FIELD_CONTENT_LOCATION], "NIL", out);
}

void
ph_part_header_append_leaf_more(const PhPartHeader *header, GString *out)
{
	append_more(header, header->fields[PH_FIELD_CONTENT_MD5], out);
}

void
ph_part_header_append_multipart_more(const PhPartHeader *header, GString *out)
{
	append_more(header, header->parameters, out);
}
