/* search-gather.c: all text of a message in which a search could find a string
 *
 * What search-text.c looks at, put together: header blocks as they stand and decoded, and bodies of
 * text without their transfer encoding, as octets and in UTF-8. More than it looks at does no
 * harm; less would hide messages.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "mailbox/search-eval.h"

/* Gather: text on its way out, up to its limit. */
typedef struct {
	GString *out;
	size_t most;
	PhDecoder *decoder; /* (nullable) */
	bool cut;
} Gather;

static void
take(Gather *gather, PhSlice text)
{
	size_t room = gather->most - MIN(gather->most, gather->out->len);

	gather->cut = gather->cut || text.length > room;
	g_string_append_len(gather->out, text.data, (gssize) MIN(room, text.length));
}

/* Ends what came before, so that no string reaches over. */
static void
separate(Gather *gather)
{
	take(gather, PH_SLICE_LITERAL("\n"));
}

/* --- headers ------------------------------------------------------------------------------------ */

static void
take_decoded(Gather *gather, PhSlice value)
{
	g_autoptr(GString) text = g_string_sized_new(value.length);

	ph_header_decode(value, text);
	if (ph_slice_equal(value, PH_SLICE(text->str, text->len)))
		return;
	take(gather, PH_SLICE(text->str, text->len));
	separate(gather);
}

static bool
take_header(Gather *gather, PhSubject *subject, const PhPart *part, GError **error)
{
	GString *header = ph_subject_part_header(subject, part, error);
	PhHeaderField field;
	size_t offset = 0;
	PhSlice block;

	if (header == NULL)
		return false;
	block = PH_SLICE(header->str, header->len);
	take(gather, block);
	separate(gather);
	while (!gather->cut && ph_header_next(&block, &offset, &field))
		take_decoded(gather, field.value);
	g_string_free(header, TRUE);
	return true;
}

/* --- bodies ------------------------------------------------------------------------------------- */

static bool
take_piece(PhSlice piece, void *user_data, GError **error)
{
	Gather *gather = user_data;
	g_autoptr(GString) decoded = NULL;

	if (gather->decoder == NULL) {
		take(gather, piece);
	} else {
		decoded = g_string_sized_new(piece.length);
		ph_decoder_feed(gather->decoder, piece, decoded);
		take(gather, PH_SLICE(decoded->str, decoded->len));
	}
	return !gather->cut;
}

/* @decoder: (owned, nullable) */
static bool
take_body(Gather *gather,
          PhContent *content,
          const PhPart *part,
          PhDecoder *decoder,
          GError **error)
{
	g_autoptr(PhDecoder) own = decoder;
	g_autoptr(GString) rest = g_string_new(NULL);
	g_autoptr(GError) failure = NULL;

	gather->decoder = decoder;
	(void) ph_content_each(content, part->body_offset, part->body_size, take_piece, gather,
	                       &failure);
	if (failure != NULL) {
		g_propagate_error(error, g_steal_pointer(&failure));
		return false;
	}
	if (decoder != NULL) {
		ph_decoder_finish(decoder, rest);
		take(gather, PH_SLICE(rest->str, rest->len));
	}
	separate(gather);
	return true;
}

/* As octets, and in UTF-8 where that may be something else. */
static bool
take_text(Gather *gather, PhSubject *subject, const PhPart *part, GError **error)
{
	PhContent *content = ph_subject_content(subject, error);
	PhDecoder *decoder = NULL;
	size_t before = gather->out->len;

	if (content == NULL)
		return false;
	if (!ph_part_is_identity(part))
		decoder = ph_decoder_new(part->encoding, NULL);
	if (!take_body(gather, content, part, decoder, error))
		return false;
	if (ph_part_is_ascii_superset(part)
	    && ph_slice_is_ascii(PH_SLICE(gather->out->str + before, gather->out->len - before)))
		return true;
	return take_body(gather, content, part, ph_decoder_new(part->encoding, &part->charset),
	                 error);
}

bool
ph_search_gather(PhSubject *subject, size_t most, GString *out, bool *is_whole_out, GError **error)
{
	Gather gather = { .out = out, .most = most };
	PhStructure *structure = ph_subject_structure(subject, error);
	uint32_t n_parts = structure != NULL ? ph_structure_info(structure)->n_parts : 0;

	if (structure == NULL)
		return false;
	for (uint32_t i = 0; i < n_parts && !gather.cut; i++) {
		const PhPart *part = ph_structure_part(structure, i);

		if (!take_header(&gather, subject, part, error))
			return false;
		if (ph_part_is_searchable(part) && !take_text(&gather, subject, part, error))
			return false;
	}
	*is_whole_out = !gather.cut;
	return true;
}
