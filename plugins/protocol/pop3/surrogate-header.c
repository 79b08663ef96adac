/* surrogate-header.c: header fields in ASCII
 *
 * RFC 6858 section 2, RFC 2047 section 5, RFC 2231 sections 3 and 4.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/header.h>
#include <posthorn/slice.h>

#include "surrogate.h"

#include <string.h>

enum {
	COLUMNS = 76,     /* with an encoded word in it */
	WORD_FRAME = 12,  /* =?UTF-8?B??= */
	NAME_COLUMN = 20, /* where the name of an address begins at the latest, mostly */
	PERCENT_MAX = 60, /* of a parameter in one piece, before the encoding */
};

#define NOBODY "<invalid@internationalized-address.invalid>"

static bool
is_any(PhSlice name, const char *const *names)
{
	for (; *names != NULL; names++)
		if (ph_slice_is_nocase(name, *names))
			return true;
	return false;
}

/* --- encoded words ---------------------------------------------------------------------------- */

/* The most of @text that ends between two characters and fits. */
static size_t
cut_length(PhSlice text, size_t most)
{
	size_t length = MIN(text.length, most);

	while (length > 1 && length < text.length && ((uint8_t) text.data[length] & 0xC0) == 0x80)
		length--;
	return length;
}

/* @column: how much stands on the line already. */
static void
append_words(PhSlice text, size_t column, GString *out)
{
	while (text.length > 0) {
		size_t room = COLUMNS - WORD_FRAME > column + 8
		                      ? (COLUMNS - WORD_FRAME - column) / 4 * 3
		                      : 6;
		size_t length = cut_length(text, room);

		g_string_append(out, "=?UTF-8?B?");
		ph_base64_append(PH_SLICE(text.data, length), out);
		g_string_append(out, "?=");
		text = ph_slice_from(text, length);
		if (text.length > 0)
			g_string_append(out, "\r\n ");
		column = 1;
	}
}

static void
append_text(PhSlice value, size_t column, GString *out)
{
	g_autoptr(GString) text = g_string_new(NULL);

	ph_header_decode(value, text);
	append_words(PH_SLICE(text->str, text->len), column, out);
}

/* --- addresses -------------------------------------------------------------------------------- */

/* Place: where in the text of addresses. */
typedef struct {
	unsigned comments; /* open */
	bool is_quoted;
	bool is_angle;
	bool is_literal;
	bool is_escaped;
} Place;

/* Does @c stand outside of everything? */
static bool
step(Place *place, char c)
{
	bool is_outside = !place->is_quoted && place->comments == 0;

	if (place->is_escaped) {
		place->is_escaped = false;
		return false;
	}
	if (c == '\\' && !is_outside)
		place->is_escaped = true;
	else if (c == '"' && place->comments == 0)
		place->is_quoted = !place->is_quoted;
	else if (c == '(' && !place->is_quoted)
		place->comments++;
	else if (c == ')' && place->comments > 0)
		place->comments--;
	else if (is_outside && (c == '[' || c == ']'))
		place->is_literal = c == '[';
	else if (is_outside && c == '>')
		place->is_angle = false;
	else if (is_outside && c == '<')
		place->is_angle = true;
	else
		return is_outside && !place->is_angle && !place->is_literal;
	return is_outside && c == '<';
}

/* A name without its quotes; a comment without its parentheses. */
static void
append_bare(PhSlice text, GString *out)
{
	for (size_t i = 0; i < text.length; i++) {
		if (text.data[i] == '\\' && i + 1 < text.length)
			i++;
		else if (strchr("\"()", text.data[i]) != NULL)
			continue;
		g_string_append_c(out, text.data[i]);
	}
}

static void
append_phrase(PhSlice phrase, GString *out)
{
	g_autoptr(GString) bare = g_string_new(NULL);

	append_bare(ph_slice_trim(phrase), bare);
	append_text(PH_SLICE(bare->str, bare->len), NAME_COLUMN, out);
}

/* Splits "local@domain (comment)" into both. */
static void
split_comments(PhSlice text, GString *address, GString *comments)
{
	Place place = { 0 };

	for (size_t i = 0; i < text.length; i++) {
		bool was_inside = place.comments > 0;

		(void) step(&place, text.data[i]);
		if (was_inside || place.comments > 0)
			g_string_append_c(comments, text.data[i]);
		else
			g_string_append_c(address, text.data[i]);
	}
}

static void
append_bare_address(PhSlice text, GString *out)
{
	g_autoptr(GString) address = g_string_new(NULL);
	g_autoptr(GString) comments = g_string_new(NULL);
	PhSlice plain;

	split_comments(text, address, comments);
	plain = ph_slice_trim(PH_SLICE(address->str, address->len));
	if (!ph_slice_is_ascii(plain)) {
		append_phrase(text, out);
		g_string_append(out, "\r\n " NOBODY);
		return;
	}
	append_phrase(PH_SLICE(comments->str, comments->len), out);
	g_string_append_printf(out, "\r\n <%.*s>", (int) plain.length, plain.data);
}

/* "Name <address>", @at: where "<" stands. */
static void
append_named(PhSlice text, size_t at, GString *out)
{
	PhSlice rest = ph_slice_from(text, at + 1);
	PhSlice address = ph_slice_split(&rest, '>');
	size_t whole = MIN(text.length, at + address.length + 2);

	if (ph_slice_is_ascii(address)) {
		append_phrase(PH_SLICE(text.data, at), out);
		g_string_append_printf(out, "\r\n <%.*s>", (int) address.length, address.data);
	} else {
		append_phrase(PH_SLICE(text.data, whole), out);
		g_string_append(out, "\r\n " NOBODY);
	}
}

static void
append_address(PhSlice text, GString *out)
{
	Place place = { 0 };

	for (size_t i = 0; i < text.length; i++)
		if (step(&place, text.data[i]) && text.data[i] == '<') {
			append_named(text, i, out);
			return;
		}
	append_bare_address(text, out);
}

static void
append_one(PhSlice text, char end, GString *out)
{
	text = ph_slice_trim(text);
	if (ph_slice_is_ascii(text))
		g_string_append_len(out, text.data, (gssize) text.length);
	else if (end == ':')
		append_phrase(text, out);
	else
		append_address(text, out);
	if (end != '\0')
		g_string_append_c(out, end);
}

/* Short addresses become much longer ones: stops when there is more than enough. */
static void
append_addresses(PhSlice value, size_t most, GString *out)
{
	g_autoptr(GString) line = g_string_new(NULL);
	Place place = { 0 };
	size_t start = 0;

	ph_header_append_unfolded(value, line);
	for (size_t i = 0; i < line->len && out->len <= most; i++) {
		char c = line->str[i];

		if (!step(&place, c) || (c != ',' && c != ';' && c != ':'))
			continue;
		append_one(PH_SLICE(line->str + start, i - start), c, out);
		g_string_append(out, "\r\n ");
		start = i + 1;
	}
	append_one(PH_SLICE(line->str + start, line->len - start), '\0', out);
}

/* --- parameters ------------------------------------------------------------------------------- */

static bool
is_token(const char *text)
{
	for (const char *at = text; *at != '\0'; at++)
		if (*at <= ' ' || *at > '~' || strchr("()<>@,;:\\\"/[]?=*'%", *at) != NULL)
			return false;
	return text[0] != '\0';
}

static bool
is_printable(const char *text)
{
	for (const char *at = text; *at != '\0'; at++)
		if (*at < ' ' || *at > '~')
			return false;
	return strlen(text) < PERCENT_MAX * 10;
}

static void
append_percent(PhSlice text, GString *out)
{
	for (size_t i = 0; i < text.length; i++)
		if (g_ascii_isalnum(text.data[i]) || strchr("-._~", text.data[i]) != NULL)
			g_string_append_c(out, text.data[i]);
		else
			g_string_append_printf(out, "%%%02X", (uint8_t) text.data[i]);
}

static void
append_extended(const PhParameter *parameter, GString *out)
{
	PhSlice rest = ph_slice(parameter->value);
	bool is_whole = rest.length <= PERCENT_MAX;

	for (unsigned part = 0; rest.length > 0; part++) {
		size_t length = MIN(rest.length, (size_t) PERCENT_MAX);

		g_string_append_printf(out, ";\r\n %s*", parameter->name);
		if (!is_whole)
			g_string_append_printf(out, "%u*", part);
		g_string_append(out, part == 0 ? "=UTF-8''" : "=");
		append_percent(PH_SLICE(rest.data, length), out);
		rest = ph_slice_from(rest, length);
	}
}

static void
append_parameter(const PhParameter *parameter, GString *out)
{
	if (!is_token(parameter->name))
		return;
	if (!is_printable(parameter->value)) {
		append_extended(parameter, out);
		return;
	}
	g_string_append_printf(out, ";\r\n %s=", parameter->name);
	if (is_token(parameter->value)) {
		g_string_append(out, parameter->value);
		return;
	}
	g_string_append_c(out, '"');
	for (const char *at = parameter->value; *at != '\0'; at++) {
		if (*at == '"' || *at == '\\')
			g_string_append_c(out, '\\');
		g_string_append_c(out, *at);
	}
	g_string_append_c(out, '"');
}

static void
append_mime(PhSlice value, bool is_type, GString *out)
{
	g_autoptr(PhMimeValue) mime = ph_mime_value_parse(value, is_type);

	g_string_append(out, is_token(mime->type) ? mime->type : "application");
	if (is_type)
		g_string_append_printf(out, "/%s",
		                       is_token(mime->type) && is_token(mime->subtype)
		                               ? mime->subtype
		                               : "octet-stream");
	for (size_t i = 0; i < mime->n_parameters; i++)
		append_parameter(&mime->parameters[i], out);
}

/* --- fields ----------------------------------------------------------------------------------- */

static void
append_field(const PhHeaderField *field, size_t most, GString *out)
{
	static const char *const addresses[] = {
		"From",      "Sender",    "Reply-To",    "To",
		"Cc",        "Bcc",       "Resent-From", "Resent-Sender",
		"Resent-To", "Resent-Cc", "Resent-Bcc",  "Resent-Reply-To",
		NULL
	};
	static const char *const left_out[] = { "Received",
		                                "Message-ID",
		                                "References",
		                                "In-Reply-To",
		                                "Date",
		                                "Resent-Date",
		                                "Resent-Message-ID",
		                                "Content-ID",
		                                "Content-Transfer-Encoding",
		                                "MIME-Version",
		                                "DKIM-Signature",
		                                "Received-SPF",
		                                "Authentication-Results",
		                                NULL };
	bool is_type = ph_slice_is_nocase(field->name, "Content-Type");

	if (field->name.length == 0 || !ph_slice_is_ascii(field->name)
	    || is_any(field->name, left_out) || ph_slice_starts_nocase(field->name, "ARC-"))
		return;
	g_string_append_printf(out, "%.*s: ", (int) field->name.length, field->name.data);
	if (is_type || ph_slice_is_nocase(field->name, "Content-Disposition"))
		append_mime(field->value, is_type, out);
	else if (ph_slice_is_nocase(field->name, "Return-Path"))
		/* A path has no place for a name (RFC 5321 section 4.1.2). */
		g_string_append(out, NOBODY);
	else if (is_any(field->name, addresses))
		append_addresses(field->value, most, out);
	else
		append_text(field->value, field->name.length + 2, out);
	g_string_append(out, "\r\n");
}

bool
surrogate_header(PhSlice block, size_t most, GString *out)
{
	PhSlice rest = block;
	PhHeaderField field;
	size_t offset = 0;
	size_t end = 0;

	while (out->len <= most && ph_header_next(&rest, &offset, &field)) {
		end = field.offset + field.whole.length;
		if (ph_slice_is_ascii(field.whole))
			g_string_append_len(out, field.whole.data, (gssize) field.whole.length);
		else
			append_field(&field, most, out);
	}
	/* The empty line, when there is one. */
	if (end < block.length)
		g_string_append(out, "\r\n");
	return out->len <= most;
}
