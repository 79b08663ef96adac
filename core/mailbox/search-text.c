/* search-text.c: the search keys that look into octets: HEADER, BODY, TEXT
 *
 * Header values are unfolded and decoded (RFC 2047). Bodies: the parts of type text and message,
 * with transfer encoding and charset undone; text in an encoding of ASCII octets is searched where
 * it lies when the needle is ASCII. Memory is bounded by one header block and one piece.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "mailbox/search-eval.h"
#include "message/lex.h"

/* --- what is loaded for a message ----------------------------------------------------------------- */

PhStructure *
ph_subject_structure(PhSubject *subject, GError **error)
{
	if (subject->structure == NULL)
		subject->structure = ph_view_structure(subject->view, subject->record, error);
	return subject->structure;
}

PhContent *
ph_subject_content(PhSubject *subject, GError **error)
{
	if (subject->content == NULL)
		subject->content = ph_view_content(subject->view, subject->record, error);
	return subject->content;
}

static bool
append_piece(PhSlice piece, void *user_data, GError **error)
{
	g_string_append_len(user_data, piece.data, (gssize) piece.length);
	return true;
}

GString *
ph_subject_part_header(PhSubject *subject, const PhPart *part, GError **error)
{
	PhContent *content = ph_subject_content(subject, error);
	if (content == NULL)
		return NULL;

	uint64_t length = MIN(part->header_size, (uint64_t) PH_HEADER_SUM_MAX);
	GString *header = g_string_sized_new(length);
	if (ph_content_each(content, part->header_offset, length, append_piece, header, error))
		return header;
	g_string_free(header, TRUE);
	return NULL;
}

GString *
ph_subject_header(PhSubject *subject, GError **error)
{
	PhStructure *structure = ph_subject_structure(subject, error);
	if (structure == NULL)
		return NULL;

	if (subject->header == NULL)
		subject->header =
			ph_subject_part_header(subject, ph_structure_part(structure, 0), error);
	return subject->header;
}

void
ph_subject_clear(PhSubject *subject)
{
	g_clear_pointer(&subject->structure, ph_structure_unref);
	g_clear_pointer(&subject->content, ph_content_unref);
	if (subject->header != NULL)
		g_string_free(g_steal_pointer(&subject->header), TRUE);
}

/* --- header fields ----------------------------------------------------------------------------------- */

/* Can it be looked for in the octets of a header as they stand? Blanks can be folds, and what stands
 * in encoded words must be decoded; all else decodes to itself where it is ASCII. */
static bool
is_plain(PhSlice octets, const PhNeedle *needle)
{
	return ph_needle_is_ascii(needle) && !ph_needle_has_blank(needle)
	       && !ph_text_has_encoded_word(octets);
}

/* Blanks in a row are often a fold that was indented: they count as one, too. */
static void
close_blanks(GString *text)
{
	size_t n = 0;

	for (size_t i = 0; i < text->len; i++) {
		bool blank = ph_lex_is(text->str[i], PH_LEX_BLANK);

		if (!blank)
			text->str[n++] = text->str[i];
		else if (n > 0 && text->str[n - 1] != ' ')
			text->str[n++] = ' ';
	}
	g_string_truncate(text, n);
}

static bool
value_has(PhSlice value, const PhNeedle *needle)
{
	if (is_plain(value, needle))
		return ph_needle_in(needle, value);

	g_autoptr(GString) text = g_string_sized_new(value.length);
	ph_header_decode(value, text);
	if (ph_needle_in(needle, PH_SLICE(text->str, text->len)))
		return true;
	if (!ph_needle_has_blank(needle))
		return false;
	close_blanks(text);
	return ph_needle_in(needle, PH_SLICE(text->str, text->len));
}

/* @name: NULL: any field, its name included. */
static bool
block_has(PhSlice block, const char *name, const PhNeedle *needle)
{
	size_t offset = 0;
	PhHeaderField field;

	if (name == NULL && is_plain(block, needle))
		return ph_needle_in(needle, block);
	while (ph_header_next(&block, &offset, &field)) {
		if (name != NULL && !ph_slice_is_nocase(field.name, name))
			continue;
		if (ph_needle_is_empty(needle) || value_has(field.value, needle))
			return true;
		if (name == NULL && ph_needle_in(needle, field.whole))
			return true;
	}
	return false;
}

/* The fields that the record keeps, when the one that is looked for is among them. */
static bool
kept_fields(const PhSubject *subject, const char *name, PhSlice *fields_out)
{
	return name != NULL && ph_structure_keeps_field(ph_slice(name))
	       && ph_structure_blob_fields(subject->record->structure, fields_out);
}

PhTruth
ph_search_in_header(PhSubject *subject, const char *name, const PhNeedle *needle, GError **error)
{
	PhSlice fields = PH_SLICE_EMPTY;

	if (kept_fields(subject, name, &fields)) {
		/* what is nowhere in the fields is in none of them */
		if (!ph_needle_is_empty(needle) && is_plain(fields, needle)
		    && !ph_needle_in(needle, fields))
			return PH_TRUTH_NO;
		return block_has(fields, name, needle) ? PH_TRUTH_YES : PH_TRUTH_NO;
	}

	GString *header = ph_subject_header(subject, error);
	if (header == NULL)
		return PH_TRUTH_ERROR;

	bool found = block_has(PH_SLICE(header->str, header->len), name, needle);
	return found ? PH_TRUTH_YES : PH_TRUTH_NO;
}

/* --- bodies -------------------------------------------------------------------------------------------- */

bool
ph_part_is_ascii_superset(const PhPart *part)
{
	static const char *const prefixes[] = { "us-ascii", "utf-8", "iso-8859-", "windows-125",
		                                "koi8" };
	PhSlice charset = part->charset;

	if (charset.length == 0)
		return true;
	for (size_t i = 0; i < G_N_ELEMENTS(prefixes); i++)
		if (ph_slice_starts_nocase(charset, prefixes[i]))
			return true;
	return false;
}

/* Does ASCII text stand in this charset as it is, among octets that may look like ASCII too? Then it is
 * in the text only if it is in the octets. */
static bool
is_ascii_or_more(PhSlice charset)
{
	static const char *const prefixes[] = { "gb", "big5", "euc-", "shift_jis", "ks_c_5601" };

	for (size_t i = 0; i < G_N_ELEMENTS(prefixes); i++)
		if (ph_slice_starts_nocase(charset, prefixes[i]))
			return true;
	return false;
}

bool
ph_part_is_identity(const PhPart *part)
{
	uint32_t encoding = part->encoding;

	return encoding == PH_ENCODING_7BIT || encoding == PH_ENCODING_8BIT
	       || encoding == PH_ENCODING_BINARY || encoding == PH_ENCODING_OTHER;
}

/* Scan: one part's text going by. */
typedef struct {
	PhHaystack haystack;
	PhDecoder *decoder; /* (nullable) nothing to undo */
	GString *decoded;
} Scan;

static bool
scan_piece(PhSlice piece, void *user_data, GError **error)
{
	Scan *scan = user_data;

	if (scan->decoder == NULL) {
		(void) ph_haystack_feed(&scan->haystack, piece);
	} else {
		g_string_truncate(scan->decoded, 0);
		ph_decoder_feed(scan->decoder, piece, scan->decoded);
		(void) ph_haystack_feed(&scan->haystack,
		                        PH_SLICE(scan->decoded->str, scan->decoded->len));
	}
	return !scan->haystack.found;
}

static void
scan_end(Scan *scan)
{
	if (scan->decoder == NULL || scan->haystack.found)
		return;
	g_string_truncate(scan->decoded, 0);
	ph_decoder_finish(scan->decoder, scan->decoded);
	(void) ph_haystack_feed(&scan->haystack, PH_SLICE(scan->decoded->str, scan->decoded->len));
}

static PhTruth
scan_part(PhContent *content,
          const PhPart *part,
          PhDecoder *decoder,
          const PhNeedle *needle,
          GError **error)
{
	g_autoptr(GString) decoded = g_string_new(NULL);
	Scan scan = { .decoder = decoder, .decoded = decoded };
	g_autoptr(GError) failure = NULL;
	ph_haystack_init(&scan.haystack, needle);
	(void) ph_content_each(content, part->body_offset, part->body_size, scan_piece, &scan,
	                       &failure);
	if (failure == NULL)
		scan_end(&scan);
	bool found = scan.haystack.found;
	ph_haystack_clear(&scan.haystack);

	if (found)
		return PH_TRUTH_YES;
	if (failure == NULL)
		return PH_TRUTH_NO;
	g_propagate_error(error, g_steal_pointer(&failure));
	return PH_TRUTH_ERROR;
}

/* Looks for ASCII without asking what the other octets mean. */
static PhTruth
scan_octets(PhContent *content, const PhPart *part, const PhNeedle *needle, GError **error)
{
	g_autoptr(PhDecoder) decoder = NULL;

	if (!ph_part_is_identity(part))
		decoder = ph_decoder_new(part->encoding, NULL);
	return scan_part(content, part, decoder, needle, error);
}

static PhTruth
part_has(PhContent *content, const PhPart *part, const PhNeedle *needle, GError **error)
{
	bool is_ascii = ph_needle_is_ascii(needle);

	if (is_ascii && ph_part_is_ascii_superset(part))
		return scan_octets(content, part, needle, error);
	if (is_ascii && is_ascii_or_more(part->charset)) {
		PhTruth in_octets = scan_octets(content, part, needle, error);
		if (in_octets != PH_TRUTH_YES)
			return in_octets;
	}
	g_autoptr(PhDecoder) decoder = ph_decoder_new(part->encoding, &part->charset);
	return scan_part(content, part, decoder, needle, error);
}

/* The header of a part inside the message: of an attached message, or MIME fields. */
static PhTruth
part_header_has(PhSubject *subject, const PhPart *part, const PhNeedle *needle, GError **error)
{
	GString *header = ph_subject_part_header(subject, part, error);
	if (header == NULL)
		return PH_TRUTH_ERROR;

	bool found = block_has(PH_SLICE(header->str, header->len), NULL, needle);
	g_string_free(header, TRUE);
	return found ? PH_TRUTH_YES : PH_TRUTH_NO;
}

bool
ph_part_is_searchable(const PhPart *part)
{
	return part->kind == PH_PART_LEAF
	       && (ph_slice_is_nocase(part->type, "text")
	           || ph_slice_is_nocase(part->type, "message"));
}

PhTruth
ph_search_in_body(PhSubject *subject, const PhNeedle *needle, GError **error)
{
	PhStructure *structure = ph_subject_structure(subject, error);
	PhContent *content = structure != NULL ? ph_subject_content(subject, error) : NULL;
	if (content == NULL)
		return PH_TRUTH_ERROR;

	PhTruth result = ph_needle_is_empty(needle) ? PH_TRUTH_YES : PH_TRUTH_NO;
	uint32_t n_parts = ph_structure_info(structure)->n_parts;
	for (uint32_t i = 0; i < n_parts && result == PH_TRUTH_NO; i++) {
		const PhPart *part = ph_structure_part(structure, i);
		if (i > 0)
			result = part_header_has(subject, part, needle, error);
		if (result == PH_TRUTH_NO && ph_part_is_searchable(part))
			result = part_has(content, part, needle, error);
	}
	return result;
}

PhTruth
ph_search_in_text(PhSubject *subject, const PhNeedle *needle, GError **error)
{
	PhTruth in_header = ph_search_in_header(subject, NULL, needle, error);
	if (in_header != PH_TRUTH_NO)
		return in_header;
	return ph_search_in_body(subject, needle, error);
}
