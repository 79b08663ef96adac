/* structure-build.c: what a scan gathered becomes a blob, and that a structure
 *
 *	body      = "(" ( leaf / multipart ) ")"
 *	leaf      = fields SP octets [ SP envelope SP body ] [ SP lines ] more
 *	multipart = 1*body SP subtype more                        (RFC 3501 section 7.4.2)
 *
 * The tree is walked without recursion: the parent and next members lead through it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "message/lex.h"
#include "message/scan.h"
#include "message/structure.h"

/* Where the finished strings of a part lie in the blob's text. */
typedef struct {
	PhSpan leaf;
	PhSpan more;
} Placed;

typedef struct {
	PhScan *scan;
	GString *blob;
	Placed *placed; /* one for each part */
	GString *numbers;
} Build;

static void
append_decimal(GString *out, uint64_t value)
{
	char digits[20];
	size_t at = sizeof digits;

	do {
		digits[--at] = (char) ('0' + value % 10);
		value /= 10;
	} while (value > 0);
	g_string_append_len(out, digits + at, (gssize) (sizeof digits - at));
}

static PhSpan
place(Build *build, PhSpan span)
{
	PhSpan placed = { build->blob->len - PH_BLOB_HEADER, span.length };

	ph_lex_append(build->blob, ph_span_slice(build->scan->pool, span));
	return placed;
}

static void
append_count(Build *build, uint64_t value)
{
	g_string_append_c(build->blob, ' ');
	append_decimal(build->blob, value);
}

/* What stands before a part's children. */
static void
begin_part(Build *build, uint32_t index)
{
	const PhScanPart *part = ph_scan_part(build->scan, index);

	g_string_append_c(build->blob, '(');
	if (part->kind == PH_PART_MULTIPART)
		return;
	build->placed[index].leaf = place(build, part->leaf);
	append_count(build, part->body_size);
	if (part->kind == PH_PART_MESSAGE) {
		g_string_append_c(build->blob, ' ');
		(void) place(build, ph_scan_part(build->scan, index + 1)->envelope);
		g_string_append_c(build->blob, ' ');
	}
}

/* What stands after them. */
static void
end_part(Build *build, uint32_t index)
{
	const PhScanPart *part = ph_scan_part(build->scan, index);

	if (part->kind == PH_PART_MULTIPART) {
		g_string_append_c(build->blob, ' ');
		build->placed[index].leaf = place(build, part->leaf);
	} else if (part->kind == PH_PART_MESSAGE
	           || ph_slice_is_nocase(ph_span_slice(build->scan->pool, part->type), "text")) {
		append_count(build, part->body_lines);
	}
	build->placed[index].more = place(build, part->more);
	g_string_append_c(build->blob, ')');
}

static void
append_bodystructure(Build *build)
{
	uint32_t n = build->scan->parts->len;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t at = i;

		begin_part(build, i);
		if (ph_scan_part(build->scan, i)->n_children > 0)
			continue;
		end_part(build, at);
		while (ph_scan_part(build->scan, at)->next == PH_PART_NONE
		       && ph_scan_part(build->scan, at)->parent != PH_PART_NONE) {
			at = ph_scan_part(build->scan, at)->parent;
			end_part(build, at);
		}
	}
}

static void
append_number(GString *out, uint64_t value)
{
	while (value >= 0x80) {
		g_string_append_c(out, (char) (value | 0x80));
		value >>= 7;
	}
	g_string_append_c(out, (char) value);
}

static void
append_signed(GString *out, int64_t value)
{
	append_number(out, ((uint64_t) value << 1) ^ (uint64_t) (value >> 63));
}

static void
append_span(GString *out, PhSpan span)
{
	append_number(out, span.length > 0 ? span.start : 0);
	append_number(out, span.length);
}

/* A string that may stand in @area of the text already; else it is added to the text. */
static PhSpan
share(Build *build, PhSlice text, PhSpan area)
{
	const char *base = build->blob->str + PH_BLOB_HEADER;
	const char *found = NULL;
	PhSpan span = { 0, text.length };

	if (text.length == 0)
		return span;
	if (area.length >= text.length)
		found = memmem(base + area.start, area.length, text.data, text.length);
	if (found != NULL) {
		span.start = (size_t) (found - base);
		return span;
	}
	span.start = build->blob->len - PH_BLOB_HEADER;
	ph_lex_append(build->blob, text);
	return span;
}

static void
write_message(Build *build, size_t envelope_length)
{
	const PhScan *scan = build->scan;
	PhSpan envelope = { 0, envelope_length };
	uint64_t flags = 0;

	if (scan->summary.has_date)
		flags |= PH_BLOB_HAS_DATE;
	if (scan->is_cut)
		flags |= PH_BLOB_IS_CUT;
	append_number(build->numbers, scan->size);
	append_number(build->numbers, scan->lines);
	append_number(build->numbers, flags);
	append_signed(build->numbers, scan->summary.has_date ? scan->summary.date.time : 0);
	append_signed(build->numbers, scan->summary.has_date ? scan->summary.date.zone_minutes : 0);
	for (int i = 0; i < PH_SUMMARY_STRINGS; i++)
		append_span(build->numbers,
		            share(build, ph_summary_string(&scan->summary, (PhSummaryString) i),
		                  envelope));
	append_number(build->numbers, scan->parts->len);
}

static void
write_part(Build *build, uint32_t index)
{
	const PhScanPart *part = ph_scan_part(build->scan, index);
	const Placed *placed = &build->placed[index];
	const GString *pool = build->scan->pool;
	GString *numbers = build->numbers;

	append_number(numbers, part->kind);
	append_number(numbers, part->encoding);
	append_number(numbers, part->parent == PH_PART_NONE ? 0 : index - part->parent);
	append_number(numbers, part->header_offset);
	append_number(numbers, part->header_size);
	append_number(numbers, part->body_offset);
	append_number(numbers, part->body_size);
	append_number(numbers, part->body_lines);
	append_span(numbers, placed->more);
	if (part->kind != PH_PART_MULTIPART)
		append_span(numbers, share(build, ph_span_slice(pool, part->type), placed->leaf));
	append_span(numbers, share(build, ph_span_slice(pool, part->subtype), placed->leaf));
	append_span(numbers, share(build, ph_span_slice(pool, part->charset), placed->leaf));
	append_span(numbers, share(build, ph_span_slice(pool, part->disposition), placed->more));
	append_span(numbers, share(build, ph_span_slice(pool, part->filename), placed->more));
}

static void
set_u32(GString *blob, size_t at, size_t value)
{
	uint32_t word = GUINT32_TO_LE((uint32_t) value);

	memcpy(blob->str + at, &word, sizeof word);
}

static void
append_fields(GString *blob, const GString *fields)
{
	size_t n = fields->len;

	blob->str[1] = PH_BLOB_WITH_FIELDS;
	g_string_append_len(blob, fields->str, (gssize) n);
	g_string_set_size(blob, blob->len + sizeof(uint32_t));
	set_u32(blob, blob->len - sizeof(uint32_t), n);
}

PhStructure *
ph_scan_build(PhScan *scan)
{
	GString *blob = scan->blob;
	Build build = { .scan = scan, .blob = blob };
	g_autofree Placed *placed = g_new0(Placed, scan->parts->len);
	size_t envelope_end = 0;
	size_t structure_end = 0;
	size_t text_end = 0;

	build.placed = placed;
	build.numbers = g_string_sized_new(256);
	g_string_set_size(blob, PH_BLOB_HEADER);
	memset(blob->str, 0, PH_BLOB_HEADER);
	(void) place(&build, ph_scan_part(scan, 0)->envelope);
	envelope_end = blob->len;
	append_bodystructure(&build);
	structure_end = blob->len;
	write_message(&build, envelope_end - PH_BLOB_HEADER);
	for (uint32_t i = 0; i < scan->parts->len; i++)
		write_part(&build, i);
	text_end = blob->len;
	g_string_append_len(blob, build.numbers->str, (gssize) build.numbers->len);
	g_string_free(build.numbers, TRUE);
	blob->str[0] = (char) PH_BLOB_MAGIC;
	blob->str[1] = PH_BLOB_VERSION;
	if (!scan->no_fields && !scan->is_cut)
		append_fields(blob, scan->fields);
	set_u32(blob, PH_BLOB_AT_TOTAL, blob->len);
	set_u32(blob, PH_BLOB_AT_ENVELOPE, envelope_end - PH_BLOB_HEADER);
	set_u32(blob, PH_BLOB_AT_STRUCTURE, structure_end - envelope_end);
	set_u32(blob, PH_BLOB_AT_OTHER, text_end - structure_end);
	return ph_structure_from_blob(PH_SLICE(blob->str, blob->len), NULL);
}
