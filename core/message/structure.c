/* structure.c: what a structure tells, and the sections of IMAP
 *
 *	section      = [ section-text / ( number *( "." number ) [ "." section-part ] ) ]
 *	section-text = "HEADER" / "TEXT";  section-part = section-text / "MIME"   (RFC 3501 6.4.5)
 *
 * A number leads into a multipart's parts; into those of the message that a message part holds; and
 * "1" from a message that is no multipart to its body.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "message/structure.h"

#include "message/lex.h"

PhStructure *
ph_structure_ref(PhStructure *structure)
{
	g_atomic_int_inc(&structure->references);
	return structure;
}

void
ph_structure_unref(PhStructure *structure)
{
	if (structure != NULL && g_atomic_int_dec_and_test(&structure->references))
		g_free(structure);
}

PhSlice
ph_structure_envelope(const PhStructure *structure)
{
	return PH_SLICE(structure->blob + PH_BLOB_HEADER, structure->envelope_length);
}

PhSlice
ph_structure_bodystructure(const PhStructure *structure)
{
	return PH_SLICE(structure->blob + PH_BLOB_HEADER + structure->envelope_length,
	                structure->structure_length);
}

PhSlice
ph_structure_blob(const PhStructure *structure)
{
	return PH_SLICE(structure->blob, structure->blob_length);
}

const PhMessageInfo *
ph_structure_info(const PhStructure *structure)
{
	return &structure->info;
}

const PhPart *
ph_structure_part(const PhStructure *structure, uint32_t index)
{
	g_return_val_if_fail(index < structure->info.n_parts, NULL);
	return &structure->parts[index].part;
}

/* Copies up to the extension data of a part, and steps over that. */
static void
copy_to_more(const PhStructure *structure, uint32_t index, PhSlice *rest, GString *out)
{
	PhSlice more = structure->parts[index].more;
	size_t n = 0;

	if (rest->data == NULL || more.data < rest->data || more.data > rest->data + rest->length)
		return;
	n = (size_t) (more.data - rest->data);
	ph_lex_append(out, PH_SLICE(rest->data, n));
	*rest = ph_slice_from(*rest, n + more.length);
}

void
ph_structure_append_body(const PhStructure *structure, GString *out)
{
	PhSlice rest = ph_structure_bodystructure(structure);

	for (uint32_t i = 0; i < structure->info.n_parts; i++) {
		uint32_t at = i;

		if (structure->parts[i].part.n_children > 0)
			continue;
		copy_to_more(structure, at, &rest, out);
		while (structure->parts[at].part.next == PH_PART_NONE
		       && structure->parts[at].part.parent != PH_PART_NONE) {
			at = structure->parts[at].part.parent;
			copy_to_more(structure, at, &rest, out);
		}
	}
	ph_lex_append(out, rest);
}

/* Where the numbers of a section have led so far. */
typedef struct {
	uint32_t part;
	bool is_content; /* at a part that a number named; false: at a message as a whole */
} Place;

/* One number further; false: there is no such part. */
static bool
step(const PhStructure *structure, Place *place, uint32_t number)
{
	const PhPart *part = &structure->parts[place->part].part;
	uint32_t child = place->part + 1;

	if (place->is_content && part->kind == PH_PART_MESSAGE) {
		place->part = child;
		place->is_content = false;
		part = &structure->parts[child].part;
		child++;
	}
	if (part->kind != PH_PART_MULTIPART) {
		bool body = !place->is_content && number == 1;

		place->is_content = true;
		return body;
	}
	if (number > part->n_children)
		return false;
	while (--number > 0)
		child = structure->parts[child].part.next;
	place->part = child;
	place->is_content = true;
	return true;
}

static void
set_range(const PhStructure *structure, uint32_t index, bool header, PhRange *range)
{
	const PhPart *part = &structure->parts[index].part;

	range->part = index;
	range->is_header = header;
	range->offset = header ? part->header_offset : part->body_offset;
	range->size = header ? part->header_size : part->body_size;
}

/* The word after the numbers. */
static PhFind
find_word(const PhStructure *structure, Place place, PhSlice word, PhRange *range_out)
{
	bool header = ph_slice_is_nocase(word, "HEADER");

	if (ph_slice_is_nocase(word, "MIME")) {
		if (!place.is_content)
			return PH_FIND_SYNTAX;
		set_range(structure, place.part, true, range_out);
		return PH_FIND_OK;
	}
	if (!header && !ph_slice_is_nocase(word, "TEXT"))
		return PH_FIND_SYNTAX;
	if (place.is_content) {
		if (structure->parts[place.part].part.kind != PH_PART_MESSAGE)
			return PH_FIND_NONE;
		place.part++;
	}
	set_range(structure, place.part, header, range_out);
	return PH_FIND_OK;
}

static bool
is_word(PhSlice text)
{
	return text.length > 0 && g_ascii_isalpha(text.data[0]);
}

/* Takes one number and the dot after it. False: it is not a number. */
static bool
take_number(PhSlice *rest, uint32_t *number_out)
{
	bool dot = ph_slice_find(*rest, '.') >= 0;
	PhSlice digits = ph_slice_split(rest, '.');

	if (!ph_slice_to_u32(digits, UINT32_MAX, number_out) || digits.data[0] == '0')
		return false;
	return !dot || rest->length > 0;
}

PhFind
ph_structure_find(const PhStructure *structure, PhSlice section, PhRange *range_out)
{
	PhSlice rest = section;
	Place place = { 0, false };
	bool found = true;
	PhRange range = { .offset = 0 };
	PhFind result = PH_FIND_OK;

	while (rest.length > 0 && !is_word(rest)) {
		uint32_t number = 0;

		if (!take_number(&rest, &number))
			return PH_FIND_SYNTAX;
		found = found && step(structure, &place, number);
	}
	if (rest.length > 0) {
		result = find_word(structure, place, rest, &range);
	} else if (section.length == 0) {
		range.size = structure->info.size;
	} else {
		set_range(structure, place.part, false, &range);
	}
	if (result == PH_FIND_SYNTAX)
		return result;
	if (!found)
		return PH_FIND_NONE;
	if (result == PH_FIND_OK)
		*range_out = range;
	return result;
}
