/* scanner-parts.c: the tree of parts that a scan builds
 *
 *	delimiter = CRLF "--" boundary;  close-delimiter = delimiter "--"      (RFC 2046 section 5.1)
 *
 * A line that begins with the boundary of any open multipart ends everything inside that one; of
 * several that fit, the longest is meant. The line end before it belongs to the boundary.
 *
 * What cannot be what it says becomes opaque text, so that a client shows it: a multipart without
 * boundary or without parts, and whatever lies too deep.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "message/header.h"
#include "message/lex.h"
#include "message/scanner.h"
#include "message/structure.h"

static PhScanPart *
innermost(const PhScanner *scanner)
{
	return ph_scan_part(&scanner->scan, scanner->open[scanner->n_open - 1]);
}

bool
ph_scanner_open_part(PhScanner *scanner, uint64_t offset)
{
	PhScan *scan = &scanner->scan;
	uint32_t index = scan->parts->len;
	PhScanPart part = {
		.header_offset = offset,
		.parent = PH_PART_NONE,
		.next = PH_PART_NONE,
		.last_child = PH_PART_NONE,
		.depth = scanner->n_open,
		.is_message = true,
	};

	if (index >= PH_PARTS_MAX || scanner->n_open > PH_PART_DEPTH_MAX) {
		scan->is_cut = true;
		return false;
	}
	if (scanner->n_open > 0) {
		PhScanPart *parent = innermost(scanner);

		part.parent = scanner->open[scanner->n_open - 1];
		part.is_message = parent->kind == PH_PART_MESSAGE;
		if (parent->n_children++ > 0)
			ph_scan_part(scan, parent->last_child)->next = index;
		parent->last_child = index;
	}
	g_array_append_val(scan->parts, part);
	scanner->open[scanner->n_open++] = index;
	ph_part_header_reset(&scanner->header);
	if (part.is_message)
		ph_envelope_reset(&scanner->envelope);
	scanner->state = PH_SCAN_HEADER;
	return true;
}

static PhSpan
keep(GString *pool, PhSlice text)
{
	PhSpan span = { pool->len, text.length };

	ph_lex_append(pool, text);
	return span;
}

/* A multipart that has no parts after all. */
static void
make_plain(PhScan *scan, PhScanPart *part)
{
	static const char *const encodings[] = { "7bit", "8bit", "binary" };
	GString *pool = scan->pool;

	part->kind = PH_PART_LEAF;
	part->leaf.start = pool->len;
	g_string_append_printf(
		pool, "\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"%s\"",
		encodings[part->encoding <= PH_ENCODING_BINARY ? part->encoding : 0]);
	part->leaf.length = pool->len - part->leaf.start;
	part->more = keep(pool, PH_SLICE_LITERAL(" NIL NIL NIL NIL"));
	part->type = keep(pool, PH_SLICE_LITERAL("text"));
	part->subtype = keep(pool, PH_SLICE_LITERAL("plain"));
	part->charset = (PhSpan){ 0, 0 };
	part->encoding = part->encoding <= PH_ENCODING_BINARY ? part->encoding : PH_ENCODING_7BIT;
}

static void
close_part(PhScanner *scanner, PhScanPart *part, uint64_t end, bool boundary)
{
	uint64_t body_end = end;

	if (boundary && end >= part->body_offset + scanner->line_end)
		body_end = end - scanner->line_end;
	part->body_size = body_end - part->body_offset;
	part->body_lines = scanner->scan.lines - part->lines_before - (body_end < end ? 1 : 0);
	if (part->kind == PH_PART_MULTIPART && part->n_children == 0)
		make_plain(&scanner->scan, part);
}

void
ph_scanner_close_parts(PhScanner *scanner, uint32_t level, uint64_t end, bool boundary)
{
	while (scanner->n_open > level) {
		close_part(scanner, innermost(scanner), end, boundary);
		scanner->n_open--;
	}
	while (scanner->n_boundaries > 0
	       && scanner->boundaries[scanner->n_boundaries - 1].level >= level)
		scanner->n_boundaries--;
}

/* A field of the message's own header that is kept as it stands. */
static void
keep_field(PhScan *scan, const PhHeaderField *field)
{
	if (scan->no_fields || !ph_structure_keeps_field(field->name))
		return;
	scan->no_fields = field->whole.length > PH_BLOB_FIELDS_MAX - scan->fields->len;
	if (!scan->no_fields)
		ph_lex_append(scan->fields, field->whole);
}

void
ph_scanner_take_field(PhScanner *scanner, PhSlice field)
{
	const PhScanPart *part = innermost(scanner);
	PhHeaderField split = { .offset = 0 };
	PhFieldId id = PH_FIELD_OTHER;

	field.length = MIN(field.length, PH_HEADER_FIELD_MAX + 1);
	scanner->header_octets += field.length;
	if (scanner->header_octets > PH_HEADER_SUM_MAX || field.length > PH_HEADER_FIELD_MAX)
		scanner->scan.is_cut = true;
	if (scanner->header_octets > PH_HEADER_SUM_MAX)
		return;
	field.length = MIN(field.length, PH_HEADER_FIELD_MAX);
	ph_header_split(field, &split);
	if (scanner->n_open == 1)
		keep_field(&scanner->scan, &split);
	id = ph_field_id(split.name);
	if (id == PH_FIELD_OTHER)
		return;
	if (id >= PH_FIELD_CONTENT_TYPE) {
		ph_part_header_take(&scanner->header, id, split.value);
		return;
	}
	if (part->is_message)
		ph_envelope_take(&scanner->envelope, id, split.value);
	if (scanner->n_open == 1)
		ph_summary_take(&scanner->scan.summary, id, split.value);
}

/* What the header says about the part; limits may overrule it. */
static PhPartKind
decide_kind(const PhScanner *scanner)
{
	const PhPartHeader *header = &scanner->header;
	PhSlice type = ph_span_slice(header->text, header->type);
	PhSlice subtype = ph_span_slice(header->text, header->subtype);

	if (ph_slice_is_nocase(type, "multipart"))
		return PH_PART_MULTIPART;
	if (ph_slice_is_nocase(type, "message") && ph_slice_is_nocase(subtype, "rfc822"))
		return PH_PART_MESSAGE;
	return PH_PART_LEAF;
}

static bool
is_possible(PhScanner *scanner, PhPartKind kind)
{
	bool room = scanner->n_open <= PH_PART_DEPTH_MAX && scanner->scan.parts->len < PH_PARTS_MAX;

	if (kind == PH_PART_LEAF)
		return true;
	scanner->scan.is_cut |= !room;
	if (kind == PH_PART_MULTIPART
	    && (scanner->header.boundary.length == 0
	        || scanner->header.boundary.length > PH_BOUNDARY_MAX))
		return false;
	return room;
}

/* Moves what the header said into the part. */
static void
keep_header(PhScanner *scanner, PhScanPart *part)
{
	const PhPartHeader *header = &scanner->header;
	GString *pool = scanner->scan.pool;
	bool multipart = part->kind == PH_PART_MULTIPART;

	part->encoding = header->encoding;
	part->type = keep(pool, ph_span_slice(header->text, header->type));
	part->subtype = keep(pool, ph_span_slice(header->text, header->subtype));
	part->charset = keep(pool, ph_span_slice(header->text, header->charset));
	part->disposition = keep(pool, ph_span_slice(header->text, header->disposition));
	part->filename = keep(pool, ph_span_slice(header->text, header->filename));
	part->leaf.start = pool->len;
	if (multipart)
		ph_lex_append(pool, ph_span_slice(header->text, header->subtype_rendered));
	else
		ph_part_header_append_leaf(header, pool);
	part->leaf.length = pool->len - part->leaf.start;
	part->more.start = pool->len;
	if (multipart)
		ph_part_header_append_multipart_more(header, pool);
	else
		ph_part_header_append_leaf_more(header, pool);
	part->more.length = pool->len - part->more.start;
	if (part->is_message) {
		part->envelope.start = pool->len;
		ph_envelope_append(&scanner->envelope, pool);
		part->envelope.length = pool->len - part->envelope.start;
	}
}

static void
add_boundary(PhScanner *scanner)
{
	PhBoundary *boundary = &scanner->boundaries[scanner->n_boundaries++];

	boundary->level = scanner->n_open - 1;
	boundary->text = keep(scanner->scan.pool,
	                      ph_span_slice(scanner->header.text, scanner->header.boundary));
}

void
ph_scanner_end_header(PhScanner *scanner, uint64_t body)
{
	PhScan *scan = &scanner->scan;
	PhScanPart *part = innermost(scanner);
	bool digest = part->parent != PH_PART_NONE && ph_scan_part(scan, part->parent)->is_digest;

	ph_part_header_finish(&scanner->header, digest);
	part->kind = decide_kind(scanner);
	if (!is_possible(scanner, part->kind)) {
		part->kind = PH_PART_LEAF;
		ph_part_header_plain(&scanner->header);
	}
	keep_header(scanner, part);
	part->header_size = body - part->header_offset;
	part->body_offset = body;
	part->lines_before = scan->lines;
	scanner->state = PH_SCAN_BODY;
	scanner->line_start = true;
	if (part->kind == PH_PART_MULTIPART) {
		part->is_digest =
			ph_slice_is_nocase(ph_span_slice(scan->pool, part->subtype), "digest");
		add_boundary(scanner);
	} else if (part->kind == PH_PART_MESSAGE) {
		(void) ph_scanner_open_part(scanner, body);
	}
}

const PhBoundary *
ph_scanner_find_boundary(const PhScanner *scanner, PhSlice line, bool *closing_out)
{
	const PhBoundary *best = NULL;
	PhSlice rest = ph_slice_from(line, 2);

	if (line.length < 3 || line.data[0] != '-' || line.data[1] != '-')
		return NULL;
	for (uint32_t i = scanner->n_boundaries; i > 0; i--) {
		const PhBoundary *boundary = &scanner->boundaries[i - 1];
		PhSlice text = ph_span_slice(scanner->scan.pool, boundary->text);

		if (text.length <= rest.length && memcmp(text.data, rest.data, text.length) == 0
		    && (best == NULL || text.length > best->text.length))
			best = boundary;
	}
	if (best != NULL) {
		rest = ph_slice_from(rest, best->text.length);
		*closing_out = rest.length >= 2 && rest.data[0] == '-' && rest.data[1] == '-';
	}
	return best;
}

void
ph_scanner_take_boundary(PhScanner *scanner, const PhBoundary *found, bool closing, uint64_t offset)
{
	uint32_t level = found->level;

	while (scanner->state == PH_SCAN_HEADER)
		ph_scanner_end_header(scanner, offset);
	ph_scanner_close_parts(scanner, level + 1, offset, true);
	if (closing)
		scanner->n_boundaries--;
	scanner->begins_part = !closing;
	scanner->state = PH_SCAN_DELIMITER;
}
