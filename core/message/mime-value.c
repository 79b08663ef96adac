/* mime-value.c: Content-Type and Content-Disposition
 *
 *	content   = type "/" subtype *( ";" parameter )
 *	parameter = attribute "=" value
 *	attribute = token [ "*" section ] [ "*" ]
 *	value     = token / quoted-string                (RFC 2045 section 5.1, RFC 2231)
 *
 * A value without quotes reaches to the next ";" or blank, whatever it holds.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "message/mime-value.h"

#include "message/lex.h"

/* One piece of a parameter under RFC 2231. */
typedef struct {
	char *name; /* lower case, without marks */
	GString *value;
	uint32_t section;
	bool marked;   /* had a "*": wins over a plain one of the same name */
	bool extended; /* percent-encoded */
} Piece;

PhSlice
ph_mime_token(PhSlice *rest)
{
	PhSlice token = { NULL, 0 };

	ph_lex_skip_cfws(rest);
	token = PH_SLICE(rest->data, ph_lex_run(*rest, PH_LEX_TOKEN));
	ph_lex_skip(rest, token.length);
	return token;
}

bool
ph_mime_type(PhSlice *rest, PhSlice *type_out, PhSlice *subtype_out)
{
	PhSlice type = ph_mime_token(rest);
	PhSlice subtype = { NULL, 0 };

	ph_lex_skip_cfws(rest);
	if (type.length == 0 || rest->length == 0 || rest->data[0] != '/')
		return false;
	ph_lex_skip(rest, 1);
	subtype = ph_mime_token(rest);
	if (subtype.length == 0)
		return false;
	*type_out = type;
	*subtype_out = subtype;
	return true;
}

static PhSlice
quoted_value(PhSlice *rest, GString *scratch)
{
	PhSlice plain = ph_slice_from(*rest, 1);
	size_t n = 0;

	while (n < plain.length && plain.data[n] != '"' && plain.data[n] != '\\'
	       && plain.data[n] != '\r' && plain.data[n] != '\n')
		n++;
	if (n < plain.length && plain.data[n] == '"') {
		ph_lex_skip(rest, n + 2);
		return PH_SLICE(plain.data, n);
	}
	g_string_truncate(scratch, 0);
	ph_lex_skip(rest, ph_lex_quoted(*rest, scratch));
	return PH_SLICE(scratch->str, scratch->len);
}

static PhSlice
bare_value(PhSlice *rest)
{
	PhSlice value = PH_SLICE(rest->data, 0);

	while (value.length < rest->length && rest->data[value.length] != ';'
	       && !ph_lex_is(rest->data[value.length], PH_LEX_BLANK))
		value.length++;
	ph_lex_skip(rest, value.length);
	return value;
}

static void
skip_to_semicolon(PhSlice *rest)
{
	while (rest->length > 0 && rest->data[0] != ';') {
		size_t n = 1;

		if (rest->data[0] == '(')
			n = ph_lex_comment(*rest);
		else if (rest->data[0] == '"')
			n = ph_lex_quoted(*rest, NULL);
		ph_lex_skip(rest, n);
	}
	ph_lex_skip(rest, rest->length > 0 ? 1 : 0);
}

bool
ph_mime_param_next(PhSlice *rest, GString *scratch, PhMimeParam *param_out)
{
	for (;;) {
		PhSlice name = { NULL, 0 };

		skip_to_semicolon(rest);
		if (rest->length == 0)
			return false;
		name = ph_mime_token(rest);
		ph_lex_skip_cfws(rest);
		if (name.length == 0 || rest->length == 0 || rest->data[0] != '=')
			continue;
		ph_lex_skip(rest, 1);
		ph_lex_skip_cfws(rest);
		param_out->name = name;
		if (rest->length > 0 && rest->data[0] == '"')
			param_out->value = quoted_value(rest, scratch);
		else
			param_out->value = bare_value(rest);
		return true;
	}
}

static void
piece_clear(gpointer data)
{
	Piece *piece = data;

	g_free(piece->name);
	g_string_free(piece->value, TRUE);
}

/* "name*3*" into its parts. */
static void
add_piece(GArray *pieces, const PhMimeParam *param)
{
	PhSlice marks = param->name;
	PhSlice name = ph_slice_split(&marks, '*');
	Piece piece = { .marked = name.length < param->name.length };

	if (piece.marked && (marks.length == 0 || marks.data[marks.length - 1] == '*')) {
		piece.extended = true;
		marks.length -= marks.length > 0 ? 1 : 0;
	}
	if (marks.length > 0 && !ph_slice_to_u32(marks, PH_MIME_PARAMETERS_MAX, &piece.section))
		return;
	piece.name = g_ascii_strdown(name.length > 0 ? name.data : "", (gssize) name.length);
	piece.value = g_string_new_len(param->value.length > 0 ? param->value.data : "",
	                               (gssize) param->value.length);
	g_array_append_val(pieces, piece);
}

static int
compare_pieces(gconstpointer a, gconstpointer b)
{
	const Piece *x = a;
	const Piece *y = b;
	int names = strcmp(x->name, y->name);

	if (names != 0)
		return names;
	if (x->marked != y->marked)
		return x->marked ? -1 : 1;
	return x->section < y->section ? -1 : x->section > y->section;
}

static void
append_percent_decoded(PhSlice text, GString *out)
{
	for (size_t i = 0; i < text.length; i++) {
		char c = text.data[i];

		if (c == '%' && text.length - i > 2 && ph_lex_hex(text.data[i + 1]) >= 0
		    && ph_lex_hex(text.data[i + 2]) >= 0) {
			c = (char) (ph_lex_hex(text.data[i + 1]) * 16
			            + ph_lex_hex(text.data[i + 2]));
			i += 2;
		}
		g_string_append_c(out, c);
	}
}

/* Joins the pieces of one name from @first; gives the decoded value (owned). */
static char *
join_pieces(const Piece *first, size_t n)
{
	GString *octets = g_string_new(NULL);
	GString *value = g_string_new(NULL);
	PhSlice text = PH_SLICE(first->value->str, first->value->len);
	PhSlice charset = PH_SLICE_EMPTY;

	if (!first->marked) {
		ph_header_decode(text, value);
		g_string_free(octets, TRUE);
		return g_string_free(value, FALSE);
	}
	for (size_t i = 0; i < n && first[i].marked && first[i].section == i; i++) {
		text = PH_SLICE(first[i].value->str, first[i].value->len);
		if (i == 0 && first->extended) {
			charset = ph_slice_split(&text, '\'');
			(void) ph_slice_split(&text, '\'');
		}
		if (first[i].extended)
			append_percent_decoded(text, octets);
		else
			ph_lex_append(octets, text);
	}
	(void) ph_charset_append(charset, PH_SLICE(octets->str, octets->len), value);
	g_string_free(octets, TRUE);
	return g_string_free(value, FALSE);
}

static void
join_parameters(PhMimeValue *value, GArray *pieces)
{
	const Piece *all = NULL;

	g_array_sort(pieces, compare_pieces);
	all = (const Piece *) (const void *) pieces->data;
	value->parameters = g_new0(PhParameter, pieces->len + 1);
	for (size_t i = 0; i < pieces->len;) {
		size_t n = 1;
		PhParameter *parameter = &value->parameters[value->n_parameters++];

		while (i + n < pieces->len && strcmp(all[i + n].name, all[i].name) == 0)
			n++;
		parameter->name = g_strdup(all[i].name);
		parameter->value = join_pieces(&all[i], n);
		i += n;
	}
}

static char *
lower_dup(PhSlice text)
{
	char *copy = ph_slice_dup(text);

	for (size_t i = 0; i < text.length; i++)
		copy[i] = g_ascii_tolower(copy[i]);
	return copy;
}

PhMimeValue *
ph_mime_value_parse(PhSlice text, bool is_type)
{
	PhMimeValue *value = g_new0(PhMimeValue, 1);
	GArray *pieces = g_array_new(FALSE, FALSE, sizeof(Piece));
	GString *scratch = g_string_new(NULL);
	PhSlice type = ph_slice(is_type ? "text" : "attachment");
	PhSlice subtype = ph_slice(is_type ? "plain" : "");
	PhMimeParam param = { .name = PH_SLICE_EMPTY };
	bool good = true;

	g_array_set_clear_func(pieces, piece_clear);
	if (is_type) {
		good = ph_mime_type(&text, &type, &subtype);
	} else {
		PhSlice token = ph_mime_token(&text);

		type = token.length > 0 ? token : type;
	}
	while (good && pieces->len < PH_MIME_PARAMETERS_MAX
	       && ph_mime_param_next(&text, scratch, &param))
		add_piece(pieces, &param);
	value->type = lower_dup(type);
	value->subtype = lower_dup(subtype);
	join_parameters(value, pieces);
	g_string_free(scratch, TRUE);
	g_array_free(pieces, TRUE);
	return value;
}

void
ph_mime_value_free(PhMimeValue *value)
{
	if (value == NULL)
		return;
	for (size_t i = 0; i < value->n_parameters; i++) {
		g_free(value->parameters[i].name);
		g_free(value->parameters[i].value);
	}
	g_free(value->parameters);
	g_free(value->type);
	g_free(value->subtype);
	g_free(value);
}

const char *
ph_mime_value_get(const PhMimeValue *value, const char *name)
{
	for (size_t i = 0; i < value->n_parameters; i++)
		if (strcmp(value->parameters[i].name, name) == 0)
			return value->parameters[i].value;
	return NULL;
}
