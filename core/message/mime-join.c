/* mime-join.c: the pieces of a long parameter as one (RFC 2231 sections 3, 4.1 and 7)
 *
 *	name*0=a; name*1=b               -> name=ab
 *	name*0*=utf-8''%C3; name*1=b     -> name*=utf-8''%C3b
 *
 * What begins without its first piece, or comes after a missing one, is left as it is written.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "message/mime-join.h"

#include <posthorn/message.h>

#include "message/lex.h"

typedef struct {
	char *name; /* as written */
	GString *value;
	uint32_t n_base; /* octets of the name before its marks */
	uint32_t section;
	bool is_piece;
	bool is_extended;
	bool is_taken;
} Piece;

static void
piece_clear(gpointer data)
{
	Piece *piece = data;

	g_free(piece->name);
	g_string_free(piece->value, TRUE);
}

static void
add_piece(GArray *pieces, const PhMimeParam *param)
{
	PhSlice marks = param->name;
	PhSlice base = ph_slice_split(&marks, '*');
	Piece piece = { .n_base = (uint32_t) base.length, .name = ph_slice_dup(param->name) };

	if (marks.length > 1 && marks.data[marks.length - 1] == '*') {
		piece.is_extended = true;
		marks.length--;
	}
	piece.is_piece =
		marks.length > 0 && ph_slice_to_u32(marks, PH_MIME_PARAMETERS_MAX, &piece.section);
	piece.value = g_string_new_len(param->value.length > 0 ? param->value.data : "",
	                               (gssize) param->value.length);
	g_array_append_val(pieces, piece);
}

static Piece *
find_piece(const GArray *pieces, const Piece *like, uint32_t section)
{
	for (guint i = 0; i < pieces->len; i++) {
		Piece *piece = &g_array_index(pieces, Piece, i);

		if (piece->is_piece && !piece->is_taken && piece->section == section
		    && piece->n_base == like->n_base
		    && g_ascii_strncasecmp(piece->name, like->name, like->n_base) == 0)
			return piece;
	}
	return NULL;
}

/* A piece that was not encoded, among some that were. */
static void
append_encoded(const GString *value, GString *out)
{
	for (size_t i = 0; i < value->len; i++) {
		char c = value->str[i];

		if (ph_lex_is(c, PH_LEX_TOKEN) && strchr("*'%", c) == NULL)
			g_string_append_c(out, c);
		else
			g_string_append_printf(out, "%%%02X", (unsigned int) (unsigned char) c);
	}
}

/* All pieces of @like's name in their order, from 0 to the first that is missing. */
static void
append_joined(const GArray *pieces, const Piece *like, GString *out)
{
	g_autoptr(GPtrArray) chain = g_ptr_array_new();
	g_autoptr(GString) name = g_string_new_len(like->name, (gssize) like->n_base);
	g_autoptr(GString) value = g_string_new(NULL);
	bool is_extended = false;
	Piece *piece = NULL;

	while ((piece = find_piece(pieces, like, chain->len)) != NULL) {
		is_extended |= piece->is_extended;
		piece->is_taken = true;
		g_ptr_array_add(chain, piece);
	}
	piece = chain->pdata[0];
	if (is_extended)
		g_string_append_c(name, '*');
	if (is_extended && !piece->is_extended)
		g_string_append(value, "''"); /* no charset, no language */
	for (guint i = 0; i < chain->len; i++) {
		piece = chain->pdata[i];
		if (is_extended && !piece->is_extended)
			append_encoded(piece->value, value);
		else
			g_string_append_len(value, piece->value->str, (gssize) piece->value->len);
	}
	ph_imap_append_string(PH_SLICE(name->str, name->len), out);
	g_string_append_c(out, ' ');
	ph_imap_append_string(PH_SLICE(value->str, value->len), out);
}

void
ph_mime_join(PhSlice rest, uint32_t count, GString *scratch, GString *out)
{
	g_autoptr(GArray) pieces = g_array_new(FALSE, FALSE, sizeof(Piece));
	PhMimeParam param = { .name = PH_SLICE_EMPTY };
	const char *separator = "";

	g_array_set_clear_func(pieces, piece_clear);
	while (pieces->len < count && ph_mime_param_next(&rest, scratch, &param))
		add_piece(pieces, &param);
	for (guint i = 0; i < pieces->len; i++) {
		Piece *piece = &g_array_index(pieces, Piece, i);

		if (piece->is_taken)
			continue;
		g_string_append(out, separator);
		separator = " ";
		if (piece->is_piece && find_piece(pieces, piece, 0) != NULL) {
			append_joined(pieces, piece, out);
			if (piece->is_taken)
				continue;
			g_string_append_c(out, ' ');
		}
		ph_imap_append_string(ph_slice(piece->name), out);
		g_string_append_c(out, ' ');
		ph_imap_append_string(PH_SLICE(piece->value->str, piece->value->len), out);
	}
}
