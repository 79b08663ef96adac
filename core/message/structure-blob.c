/* structure-blob.c: a blob becomes a structure, if nothing is wrong with it
 *
 * Blobs come from a store and may be damaged or made up. Every offset is checked against the text,
 * every range of octets against the size of the message, and the tree against the limits of a scan,
 * so that what uses a structure can trust it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>

#include "message/lex.h"
#include "message/structure.h"
#include "message/summary.h"

typedef struct {
	PhSlice numbers;
	PhSlice text;
	bool bad;
} Reader;

/* The three lengths of the text, and where the numbers end; false: the header is wrong. */
typedef struct {
	size_t envelope;
	size_t structure;
	size_t other;
	size_t end;
	size_t fields; /* octets of the fields that follow; only when has_fields */
	bool has_fields;
} Lengths;

static size_t
get_u32(PhSlice blob, size_t at)
{
	uint32_t word = 0;

	memcpy(&word, blob.data + at, sizeof word);
	return GUINT32_FROM_LE(word);
}

/* What follows the numbers. */
static bool
read_end(PhSlice blob, Lengths *lengths)
{
	lengths->end = blob.length;
	lengths->has_fields = blob.data[1] == PH_BLOB_WITH_FIELDS;
	if (!lengths->has_fields)
		return blob.data[1] == PH_BLOB_VERSION;
	if (blob.length < PH_BLOB_HEADER + sizeof(uint32_t))
		return false;
	lengths->end -= sizeof(uint32_t);
	lengths->fields = get_u32(blob, lengths->end);
	if (lengths->fields > PH_BLOB_FIELDS_MAX || lengths->fields > lengths->end - PH_BLOB_HEADER)
		return false;
	lengths->end -= lengths->fields;
	return true;
}

static bool
read_lengths(PhSlice blob, Lengths *lengths)
{
	size_t room = 0;

	if (blob.length < PH_BLOB_HEADER || (unsigned char) blob.data[0] != PH_BLOB_MAGIC
	    || blob.data[2] != 0 || blob.data[3] != 0
	    || get_u32(blob, PH_BLOB_AT_TOTAL) != blob.length || !read_end(blob, lengths))
		return false;
	room = lengths->end - PH_BLOB_HEADER;
	lengths->envelope = get_u32(blob, PH_BLOB_AT_ENVELOPE);
	lengths->structure = get_u32(blob, PH_BLOB_AT_STRUCTURE);
	lengths->other = get_u32(blob, PH_BLOB_AT_OTHER);
	return lengths->envelope <= room && lengths->structure <= room - lengths->envelope
	       && lengths->other <= room - lengths->envelope - lengths->structure;
}

static uint64_t
read_number(Reader *reader)
{
	uint64_t value = 0;

	for (unsigned int shift = 0; shift < 64 && reader->numbers.length > 0; shift += 7) {
		unsigned char octet = (unsigned char) reader->numbers.data[0];

		ph_lex_skip(&reader->numbers, 1);
		if (shift == 63 && octet > 1)
			break;
		value |= (uint64_t) (octet & 0x7f) << shift;
		if (octet < 0x80)
			return value;
	}
	reader->bad = true;
	return 0;
}

static uint64_t
read_below(Reader *reader, uint64_t limit)
{
	uint64_t value = read_number(reader);

	if (value < limit)
		return value;
	reader->bad = true;
	return 0;
}

static int64_t
read_signed(Reader *reader)
{
	uint64_t value = read_number(reader);

	return (int64_t) ((value >> 1) ^ (~(value & 1) + 1));
}

static PhSlice
read_string(Reader *reader)
{
	uint64_t start = read_number(reader);
	uint64_t length = read_number(reader);

	if (start > reader->text.length || length > reader->text.length - start) {
		reader->bad = true;
		return PH_SLICE_EMPTY;
	}
	return length > 0 ? PH_SLICE(reader->text.data + start, length) : PH_SLICE_EMPTY;
}

static void
read_message(Reader *reader, PhMessageInfo *info)
{
	PhSlice *const strings[PH_SUMMARY_STRINGS] = {
		[PH_SUMMARY_MESSAGE_ID] = &info->message_id,
		[PH_SUMMARY_IN_REPLY_TO] = &info->in_reply_to,
		[PH_SUMMARY_REFERENCES] = &info->references,
		[PH_SUMMARY_SUBJECT] = &info->subject,
		[PH_SUMMARY_FROM] = &info->from,
		[PH_SUMMARY_TO] = &info->to,
		[PH_SUMMARY_CC] = &info->cc,
		[PH_SUMMARY_FROM_NAME] = &info->from_name,
		[PH_SUMMARY_TO_NAME] = &info->to_name,
	};
	uint64_t flags = 0;
	int64_t zone = 0;

	info->size = read_number(reader);
	info->lines = read_number(reader);
	flags = read_below(reader, (PH_BLOB_HAS_DATE | PH_BLOB_IS_CUT) + 1);
	info->has_date = (flags & PH_BLOB_HAS_DATE) != 0;
	info->is_cut = (flags & PH_BLOB_IS_CUT) != 0;
	info->date.time = read_signed(reader);
	zone = read_signed(reader);
	reader->bad |= zone < -1439 || zone > 1439 || info->lines > info->size;
	info->date.zone_minutes = reader->bad ? 0 : (int32_t) zone;
	for (int i = 0; i < PH_SUMMARY_STRINGS; i++)
		*strings[i] = read_string(reader);
	if (info->references.length == 0)
		info->references = info->in_reply_to;
	info->n_parts = (uint32_t) read_below(reader, PH_PARTS_MAX + 1);
	reader->bad |= info->n_parts == 0;
}

static bool
is_range(uint64_t offset, uint64_t size, uint64_t limit)
{
	return offset <= limit && size <= limit - offset;
}

/* Links a part to its parent and to its elder sibling, which is still in @last. */
static void
link_part(Reader *reader, PhStructure *structure, uint32_t index, uint32_t back, uint32_t *last)
{
	PhPart *part = &structure->parts[index].part;
	PhPart *parent = NULL;

	part->next = PH_PART_NONE;
	part->parent = PH_PART_NONE;
	if (index == 0 || back == 0 || back > index) {
		reader->bad |= index != 0 || back != 0;
		last[0] = 0;
		return;
	}
	part->parent = index - back;
	parent = &structure->parts[part->parent].part;
	part->depth = parent->depth + 1;
	/* the parent must be the part before or hold it: the last part seen on its level */
	if (part->depth > PH_PART_DEPTH_MAX || last[parent->depth] != part->parent
	    || parent->kind == PH_PART_LEAF
	    || (parent->kind == PH_PART_MESSAGE && parent->n_children > 0)) {
		reader->bad = true;
		return;
	}
	if (parent->n_children++ > 0)
		structure->parts[last[part->depth]].part.next = index;
	last[part->depth] = index;
}

static void
read_part(Reader *reader, PhStructure *structure, uint32_t index, uint32_t *last)
{
	PhPartRecord *record = &structure->parts[index];
	PhPart *part = &record->part;
	uint64_t size = structure->info.size;
	uint32_t back = 0;

	part->kind = (uint32_t) read_below(reader, PH_PART_MESSAGE + 1);
	part->encoding = (uint32_t) read_below(reader, PH_ENCODING_OTHER + 1);
	back = (uint32_t) read_below(reader, PH_PARTS_MAX);
	part->header_offset = read_number(reader);
	part->header_size = read_number(reader);
	part->body_offset = read_number(reader);
	part->body_size = read_number(reader);
	part->body_lines = read_number(reader);
	record->more = read_string(reader);
	part->type = part->kind == PH_PART_MULTIPART ? PH_SLICE_LITERAL("multipart")
	                                             : read_string(reader);
	part->subtype = read_string(reader);
	part->charset = read_string(reader);
	part->disposition = read_string(reader);
	part->filename = read_string(reader);
	reader->bad |= !is_range(part->header_offset, part->header_size, size)
	               || !is_range(part->body_offset, part->body_size, size)
	               || part->body_lines > part->body_size;
	if (!reader->bad)
		link_part(reader, structure, index, back, last);
}

/* A multipart has parts, a message part one, and extension data lies in the body structure. */
static bool
is_whole(const PhStructure *structure)
{
	const char *from = structure->blob + PH_BLOB_HEADER + structure->envelope_length;
	const char *to = from + structure->structure_length;

	for (uint32_t i = 0; i < structure->info.n_parts; i++) {
		const PhPartRecord *record = &structure->parts[i];

		if (record->part.kind != PH_PART_LEAF && record->part.n_children == 0)
			return false;
		if (record->more.length > 0
		    && (record->more.data < from || record->more.data > to
		        || record->more.length > (size_t) (to - record->more.data)))
			return false;
	}
	return true;
}

static PhStructure *
allocate(PhSlice blob, const Lengths *lengths, uint32_t n_parts)
{
	size_t records = sizeof(PhStructure) + (size_t) n_parts * sizeof(PhPartRecord);
	PhStructure *structure = g_malloc(records + blob.length);

	memset(structure, 0, records);
	structure->references = 1;
	structure->envelope_length = (uint32_t) lengths->envelope;
	structure->structure_length = (uint32_t) lengths->structure;
	structure->blob = (char *) structure + records;
	structure->blob_length = blob.length;
	memcpy(structure->blob, blob.data, blob.length);
	return structure;
}

static Reader
start_reader(const char *blob, const Lengths *lengths)
{
	size_t text = lengths->envelope + lengths->structure + lengths->other;
	Reader reader = { .text = PH_SLICE(blob + PH_BLOB_HEADER, text) };

	reader.numbers =
		PH_SLICE(blob + PH_BLOB_HEADER + text, lengths->end - PH_BLOB_HEADER - text);
	return reader;
}

PhStructure *
ph_structure_from_blob(PhSlice blob, GError **error)
{
	Lengths lengths = { .end = 0 };
	g_autoptr(PhStructure) structure = NULL;
	PhMessageInfo info = { .size = 0 };
	Reader reader = { .bad = !read_lengths(blob, &lengths) };
	uint32_t last[PH_PART_DEPTH_MAX + 1] = { 0 };

	if (!reader.bad) {
		reader = start_reader(blob.data, &lengths);
		read_message(&reader, &info);
		reader.bad |= info.n_parts > reader.numbers.length;
	}
	if (!reader.bad) {
		structure = allocate(blob, &lengths, info.n_parts);
		reader = start_reader(structure->blob, &lengths);
		read_message(&reader, &structure->info);
		for (uint32_t i = 0; i < info.n_parts && !reader.bad; i++)
			read_part(&reader, structure, i, last);
	}
	if (reader.bad || reader.numbers.length > 0 || !is_whole(structure)) {
		g_set_error_literal(error, PH_ERROR, PH_ERROR_CORRUPT,
		                    "the cached structure of a message is damaged");
		return NULL;
	}
	return g_steal_pointer(&structure);
}

bool
ph_structure_blob_info(PhSlice blob, PhMessageInfo *info_out)
{
	Lengths lengths = { .end = 0 };
	Reader reader = { .bad = !read_lengths(blob, &lengths) };

	if (reader.bad)
		return false;
	reader = start_reader(blob.data, &lengths);
	*info_out = (PhMessageInfo){ .size = 0 };
	read_message(&reader, info_out);
	return !reader.bad;
}

PhSlice
ph_structure_blob_envelope(PhSlice blob)
{
	Lengths lengths = { .end = 0 };

	if (!read_lengths(blob, &lengths))
		return PH_SLICE_EMPTY;
	return PH_SLICE(blob.data + PH_BLOB_HEADER, lengths.envelope);
}

PhSlice
ph_structure_blob_bodystructure(PhSlice blob)
{
	Lengths lengths = { .end = 0 };

	if (!read_lengths(blob, &lengths))
		return PH_SLICE_EMPTY;
	return PH_SLICE(blob.data + PH_BLOB_HEADER + lengths.envelope, lengths.structure);
}

bool
ph_structure_blob_fields(PhSlice blob, PhSlice *fields_out)
{
	Lengths lengths = { .end = 0 };

	if (!read_lengths(blob, &lengths) || !lengths.has_fields)
		return false;
	*fields_out = PH_SLICE(blob.data + lengths.end, lengths.fields);
	return true;
}
