/* fetch-parse.c: what FETCH asks for
 *
 * RFC 3501 section 6.4.5 and the grammar of fetch-att and section, RFC 7162 (CHANGEDSINCE).
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "fetch-parse.h"

#include <posthorn/message.h>

static const struct {
	const char *name;
	uint32_t items;
} simple[] = {
	{ "FLAGS", FETCH_FLAGS },
	{ "UID", FETCH_UID },
	{ "INTERNALDATE", FETCH_INTERNALDATE },
	{ "RFC822.SIZE", FETCH_SIZE },
	{ "ENVELOPE", FETCH_ENVELOPE },
	{ "BODY", FETCH_BODY },
	{ "BODYSTRUCTURE", FETCH_BODYSTRUCTURE },
	{ "MODSEQ", FETCH_MODSEQ },
};

static const struct {
	const char *name;
	uint32_t items;
} macros[] = {
	{ "FAST", FETCH_FLAGS | FETCH_INTERNALDATE | FETCH_SIZE },
	{ "ALL", FETCH_FLAGS | FETCH_INTERNALDATE | FETCH_SIZE | FETCH_ENVELOPE },
	{ "FULL", FETCH_FLAGS | FETCH_INTERNALDATE | FETCH_SIZE | FETCH_ENVELOPE | FETCH_BODY },
};

static const struct {
	const char *name;
	const char *find;
	bool sets_seen;
} old_forms[] = {
	{ "RFC822", "", true },
	{ "RFC822.HEADER", "HEADER", false },
	{ "RFC822.TEXT", "TEXT", true },
};

static void
free_section(gpointer data)
{
	FetchSection *section = data;

	g_free(section->label);
	g_free(section->find);
	g_clear_pointer(&section->names, g_ptr_array_unref);
	g_clear_pointer(&section->slices, g_array_unref);
	if (section->fields != NULL)
		g_string_free(section->fields, TRUE);
	g_free(section);
}

/* Octets of "1.2." in front of a section's word, or of "1.2" alone. Parts have no number 0. */
static bool
skip_part_numbers(PhSlice spec, size_t *used_out)
{
	size_t at = 0;

	while (at < spec.length && g_ascii_isdigit(spec.data[at])) {
		size_t start = at;
		uint32_t number;

		while (at < spec.length && g_ascii_isdigit(spec.data[at]))
			at++;
		if (!ph_slice_to_u32(PH_SLICE(spec.data + start, at - start), UINT32_MAX, &number)
		    || number == 0)
			return false;
		if (at == spec.length)
			break;
		if (spec.data[at++] != '.' || at == spec.length)
			return false;
	}
	*used_out = at;
	return true;
}

typedef enum {
	SPEC_BAD,
	SPEC_PLAIN,
	SPEC_FIELDS,
	SPEC_FIELDS_NOT,
} Spec;

static Spec
judge_spec(PhSlice spec, size_t *n_numbers_out)
{
	size_t used;
	PhSlice word;

	if (!skip_part_numbers(spec, &used))
		return SPEC_BAD;
	*n_numbers_out = used;
	word = ph_slice_from(spec, used);
	if (ph_slice_is_nocase(word, "HEADER.FIELDS"))
		return SPEC_FIELDS;
	if (ph_slice_is_nocase(word, "HEADER.FIELDS.NOT"))
		return SPEC_FIELDS_NOT;
	if (word.length == 0 || ph_slice_is_nocase(word, "HEADER")
	    || ph_slice_is_nocase(word, "TEXT"))
		return SPEC_PLAIN;
	return used > 0 && ph_slice_is_nocase(word, "MIME") ? SPEC_PLAIN : SPEC_BAD;
}

static bool
is_atom(PhSlice text)
{
	Parser parser;
	PhSlice atom;

	imap_parser_init(&parser, text);
	return imap_parse_atom(&parser, &atom) && atom.length == text.length;
}

static bool
parse_names(Parser *parser, FetchSection *section, GString *label)
{
	section->names = g_ptr_array_new_with_free_func(g_free);
	section->slices = g_array_new(FALSE, FALSE, sizeof(PhSlice));
	section->fields = g_string_new(NULL);
	section->is_kept = !section->except && g_str_equal(section->find, "HEADER");
	g_string_append(label, " (");
	if (!imap_parse_space(parser) || !imap_parse_char(parser, '('))
		return false;
	do {
		PhSlice name;

		if (!imap_parse_astring(parser, &name))
			return false;
		if (section->names->len >= FETCH_NAMES_MAX)
			return imap_parse_fail(parser, "Too many field names");
		if (section->names->len > 0)
			g_string_append_c(label, ' ');
		if (is_atom(name))
			g_string_append_len(label, name.data, (gssize) name.length);
		else
			ph_imap_append_string(name, label);
		section->is_kept = section->is_kept && ph_structure_keeps_field(name);
		g_ptr_array_add(section->names, ph_slice_dup(name));
		name = ph_slice(g_ptr_array_index(section->names, section->names->len - 1));
		g_array_append_val(section->slices, name);
	} while (imap_parse_skip(parser, ' '));
	g_string_append_c(label, ')');
	return imap_parse_char(parser, ')');
}

static bool
parse_partial(Parser *parser, FetchSection *section, GString *label)
{
	if (!imap_parse_skip(parser, '<'))
		return true;
	section->partial = true;
	if (!imap_parse_number64(parser, &section->offset) || !imap_parse_char(parser, '.')
	    || !imap_parse_number64(parser, &section->length) || !imap_parse_char(parser, '>'))
		return false;
	g_string_append_printf(label, "<%" G_GUINT64_FORMAT ">", section->offset);
	return section->length > 0 || imap_parse_fail(parser, "The part asked for is empty");
}

/* Behind "BODY[". */
static bool
parse_section(Parser *parser, FetchSection *section)
{
	g_autoptr(GString) label = g_string_new("BODY[");
	g_autofree char *upper = NULL;
	PhSlice spec = PH_SLICE_EMPTY;
	size_t n_numbers = 0;
	Spec kind;

	if (!imap_parse_peek(parser, ']') && !imap_parse_word(parser, &spec))
		return false;
	kind = judge_spec(spec, &n_numbers);
	if (kind == SPEC_BAD)
		return imap_parse_fail(parser, "There is no such section");
	upper = g_ascii_strup(spec.data != NULL ? spec.data : "", (gssize) spec.length);
	g_string_append(label, upper);
	section->except = kind == SPEC_FIELDS_NOT;
	section->find = kind == SPEC_PLAIN ? g_steal_pointer(&upper)
	                                   : g_strdup_printf("%.*sHEADER", (int) n_numbers, upper);
	if (kind != SPEC_PLAIN && !parse_names(parser, section, label))
		return false;
	if (!imap_parse_char(parser, ']'))
		return false;
	g_string_append_c(label, ']');
	if (!parse_partial(parser, section, label))
		return false;
	section->label = g_string_free(g_steal_pointer(&label), FALSE);
	return true;
}

static FetchSection *
add_section(Parser *parser, FetchQuery *query)
{
	FetchSection *section;

	if (query->sections->len >= FETCH_SECTIONS_MAX) {
		(void) imap_parse_fail(parser, "Too many sections");
		return NULL;
	}
	section = g_new0(FetchSection, 1);
	g_ptr_array_add(query->sections, section);
	return section;
}

static bool
parse_body(Parser *parser, FetchQuery *query, bool peek)
{
	FetchSection *section = add_section(parser, query);

	query->sets_seen = query->sets_seen || !peek;
	return section != NULL && imap_parse_char(parser, '[') && parse_section(parser, section);
}

static bool
add_old_form(Parser *parser, FetchQuery *query, PhSlice word)
{
	for (size_t i = 0; i < G_N_ELEMENTS(old_forms); i++) {
		FetchSection *section;

		if (!ph_slice_is_nocase(word, old_forms[i].name))
			continue;
		section = add_section(parser, query);
		if (section == NULL)
			return false;
		section->label = g_strdup(old_forms[i].name);
		section->find = g_strdup(old_forms[i].find);
		query->sets_seen = query->sets_seen || old_forms[i].sets_seen;
		return true;
	}
	return imap_parse_fail(parser, "Unknown item of FETCH");
}

static bool
parse_item(Parser *parser, FetchQuery *query)
{
	PhSlice word;

	if (!imap_parse_word(parser, &word))
		return false;
	if (ph_slice_is_nocase(word, "BODY.PEEK")
	    || (ph_slice_is_nocase(word, "BODY") && imap_parse_peek(parser, '[')))
		return parse_body(parser, query, word.length > 4);
	for (size_t i = 0; i < G_N_ELEMENTS(simple); i++) {
		if (!ph_slice_is_nocase(word, simple[i].name))
			continue;
		query->items |= simple[i].items;
		return true;
	}
	return add_old_form(parser, query, word);
}

static bool
parse_macro(Parser *parser, FetchQuery *query)
{
	const char *start = parser->at;
	PhSlice word;

	for (size_t i = 0; i < G_N_ELEMENTS(macros); i++) {
		parser->at = start;
		if (!imap_parse_word(parser, &word) || !ph_slice_is_nocase(word, macros[i].name))
			continue;
		query->items |= macros[i].items;
		return true;
	}
	parser->at = start;
	return parse_item(parser, query);
}

static bool
parse_items(Parser *parser, FetchQuery *query)
{
	if (!imap_parse_skip(parser, '('))
		return parse_macro(parser, query);
	do {
		if (!parse_item(parser, query))
			return false;
	} while (imap_parse_skip(parser, ' '));
	return imap_parse_char(parser, ')');
}

static bool
parse_modifiers(Parser *parser, FetchQuery *query)
{
	PhSlice word;

	if (imap_parse_at_end(parser))
		return true;
	if (!imap_parse_space(parser) || !imap_parse_char(parser, '(')
	    || !imap_parse_atom(parser, &word) || !imap_parse_space(parser))
		return false;
	if (!ph_slice_is_nocase(word, "CHANGEDSINCE"))
		return imap_parse_fail(parser, "Unknown modifier of FETCH");
	query->has_changed_since = true;
	query->items |= FETCH_MODSEQ;
	return imap_parse_number64(parser, &query->changed_since) && imap_parse_char(parser, ')')
	       && imap_parse_end(parser);
}

bool
imap_fetch_parse(Parser *parser, FetchQuery *query)
{
	query->sections = g_ptr_array_new_with_free_func(free_section);
	return imap_parse_space(parser) && parse_items(parser, query)
	       && parse_modifiers(parser, query);
}

void
imap_fetch_query_clear(FetchQuery *query)
{
	g_clear_pointer(&query->sections, g_ptr_array_unref);
}
