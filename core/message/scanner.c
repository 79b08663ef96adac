/* scanner.c: reads a message once, in pieces of any size
 *
 * Header fields are taken whole: straight from the piece when it holds all of one, else gathered
 * in `carry` (at most 1 MB of it). Bodies are only walked from line end to line end; a line that
 * begins with "--" is looked at as far as a boundary can reach, and that much is carried when a
 * piece ends within it. The scan is the same for all ways to cut a message into pieces.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "message/scanner.h"

#include "message/header.h"
#include "message/lex.h"

#define LINE_LOOK (2 + PH_BOUNDARY_MAX + 2) /* "--", boundary, "--" */
#define IDLE_MAX  (64 * 1024)               /* octets that an idle scanner may hold */
#define CARRY_MAX (PH_HEADER_FIELD_MAX + 1) /* one more, to see that it is too long */

static void
scanner_begin(PhScanner *scanner)
{
	PhScan *scan = &scanner->scan;

	scanner->most_parts = MAX(scanner->most_parts, scan->parts->len);
	g_array_set_size(scan->parts, 0);
	g_string_truncate(scan->pool, 0);
	g_string_truncate(scan->fields, 0);
	scan->no_fields = false;
	g_string_truncate(scanner->carry, 0);
	ph_summary_reset(&scan->summary);
	scan->size = 0;
	scan->lines = 0;
	scan->is_cut = false;
	scanner->line_start = true;
	scanner->last_cr = false;
	scanner->line_end = 0;
	scanner->n_open = 0;
	scanner->n_boundaries = 0;
	scanner->offset = 0;
	scanner->header_octets = 0;
	(void) ph_scanner_open_part(scanner, 0);
}

static void
free_scanner(gpointer data)
{
	PhScanner *scanner = data;

	g_array_free(scanner->scan.parts, TRUE);
	g_string_free(scanner->scan.pool, TRUE);
	g_string_free(scanner->scan.blob, TRUE);
	g_string_free(scanner->scan.fields, TRUE);
	g_string_free(scanner->carry, TRUE);
	ph_summary_clear(&scanner->scan.summary);
	ph_envelope_clear(&scanner->envelope);
	ph_part_header_clear(&scanner->header);
	g_free(scanner);
}

/* One scanner that is not in use, for each thread: a delivery needs one for a few microseconds,
 * and its two dozen allocations would take a fifth of them. */
static GPrivate idle_scanner = G_PRIVATE_INIT(free_scanner);

static size_t
kept_octets(const PhScanner *scanner)
{
	return scanner->scan.pool->allocated_len + scanner->scan.blob->allocated_len
	       + scanner->scan.fields->allocated_len + scanner->scan.summary.text->allocated_len
	       + scanner->carry->allocated_len + scanner->envelope.text->allocated_len
	       + scanner->envelope.scratch->allocated_len + scanner->header.text->allocated_len
	       + scanner->header.scratch->allocated_len
	       + MAX(scanner->most_parts, scanner->scan.parts->len) * sizeof(PhScanPart);
}

PhScanner *
ph_structure_scanner_new(void)
{
	PhScanner *scanner = g_private_get(&idle_scanner);

	if (scanner != NULL) {
		g_private_set(&idle_scanner, NULL);
		return scanner;
	}
	scanner = g_new0(PhScanner, 1);
	scanner->scan.parts = g_array_sized_new(FALSE, FALSE, sizeof(PhScanPart), 4);
	scanner->scan.pool = g_string_sized_new(1024);
	scanner->scan.blob = g_string_sized_new(2048);
	scanner->scan.fields = g_string_sized_new(1024);
	scanner->carry = g_string_new(NULL);
	ph_summary_init(&scanner->scan.summary);
	ph_envelope_init(&scanner->envelope);
	ph_part_header_init(&scanner->header);
	scanner_begin(scanner);
	return scanner;
}

void
ph_structure_scanner_free(PhScanner *scanner)
{
	if (scanner == NULL)
		return;
	if (g_private_get(&idle_scanner) != NULL || kept_octets(scanner) > IDLE_MAX) {
		free_scanner(scanner);
		return;
	}
	scanner_begin(scanner);
	g_private_set(&idle_scanner, scanner);
}

static void
advance(PhScanner *scanner, PhSlice *piece, size_t n)
{
	scanner->offset += n;
	ph_lex_skip(piece, n);
}

static PhSlice
carried(const PhScanner *scanner)
{
	return PH_SLICE(scanner->carry->str, scanner->carry->len);
}

static void
note_line_end(PhScanner *scanner, bool cr)
{
	scanner->scan.lines++;
	scanner->line_end = cr ? 2 : 1;
	scanner->line_start = true;
	scanner->last_cr = false;
}

/* Counts the line ends of a field that is done with. */
static void
note_lines(PhScanner *scanner, PhSlice text)
{
	for (;;) {
		const char *eol = text.length > 0 ? memchr(text.data, '\n', text.length) : NULL;

		if (eol == NULL)
			return;
		note_line_end(scanner, eol > text.data && eol[-1] == '\r');
		ph_lex_skip(&text, (size_t) (eol - text.data) + 1);
	}
}

/* A boundary line of which @seen is the start. What is not known of it yet follows. */
static void
take_boundary(PhScanner *scanner,
              PhSlice seen,
              uint64_t offset,
              bool closing,
              const PhBoundary *found)
{
	const char *eol = memchr(seen.data, '\n', seen.length);

	ph_scanner_take_boundary(scanner, found, closing, offset);
	scanner->line_start = false;
	scanner->last_cr = seen.data[seen.length - 1] == '\r';
	if (eol == NULL)
		return;
	note_line_end(scanner, eol > seen.data && eol[-1] == '\r');
}

/* After the line end of a boundary line. @offset: of the next octet. */
static void
leave_boundary(PhScanner *scanner, uint64_t offset)
{
	if (scanner->begins_part && ph_scanner_open_part(scanner, offset))
		return;
	if (scanner->begins_part)
		scanner->n_boundaries--;
	scanner->state = PH_SCAN_BODY;
	scanner->line_start = true;
}

static void
feed_delimiter(PhScanner *scanner, PhSlice *piece)
{
	const char *eol = memchr(piece->data, '\n', piece->length);
	size_t n = eol != NULL ? (size_t) (eol - piece->data) + 1 : piece->length;
	bool cr = n > 1 ? piece->data[n - 2] == '\r' : scanner->last_cr;

	scanner->last_cr = piece->data[n - 1] == '\r';
	advance(scanner, piece, n);
	if (eol == NULL)
		return;
	note_line_end(scanner, cr);
	leave_boundary(scanner, scanner->offset);
}

/* A line that is known to be a boundary ends with what was looked at, or goes on. */
static void
enter_boundary(PhScanner *scanner,
               PhSlice seen,
               uint64_t offset,
               bool closing,
               const PhBoundary *found)
{
	take_boundary(scanner, seen, offset, closing, found);
	if (scanner->line_start)
		leave_boundary(scanner, offset + seen.length);
}

static bool
may_be_boundary(const PhScanner *scanner, PhSlice text)
{
	return scanner->n_boundaries > 0 && text.data[0] == '-';
}

/* How much of the line at @text a boundary needs; all of it when it ends before that. */
static PhSlice
look_at_line(PhSlice text, bool *enough_out)
{
	PhSlice look = PH_SLICE(text.data, MIN(text.length, LINE_LOOK));
	const char *eol = memchr(look.data, '\n', look.length);

	if (eol != NULL)
		look.length = (size_t) (eol - look.data) + 1;
	*enough_out = eol != NULL || look.length == LINE_LOOK;
	return look;
}

static void
start_carry(PhScanner *scanner, PhSlice *piece)
{
	scanner->carry_offset = scanner->offset;
	g_string_truncate(scanner->carry, 0);
	g_string_append_len(scanner->carry, piece->data, (gssize) MIN(piece->length, CARRY_MAX));
	scanner->carry_first_line = memchr(piece->data, '\n', piece->length) == NULL;
	scanner->carry_line_ended = piece->data[piece->length - 1] == '\n';
	note_lines(scanner, *piece);
	scanner->last_cr = piece->data[piece->length - 1] == '\r';
	advance(scanner, piece, piece->length);
}

static void
end_header(PhScanner *scanner, bool cr)
{
	note_line_end(scanner, cr);
	ph_scanner_end_header(scanner, scanner->offset);
}

/* The piece begins at the start of a header line. */
static void
feed_header(PhScanner *scanner, PhSlice *piece)
{
	bool complete = false;
	bool closing = false;
	const PhBoundary *found = NULL;
	size_t n = 0;

	if (ph_header_is_end(*piece)) {
		bool cr = piece->data[0] == '\r';

		advance(scanner, piece, cr ? 2 : 1);
		end_header(scanner, cr);
		return;
	}
	if (may_be_boundary(scanner, *piece)) {
		PhSlice look = look_at_line(*piece, &complete);

		found = complete ? ph_scanner_find_boundary(scanner, look, &closing) : NULL;
		if (found != NULL) {
			uint64_t offset = scanner->offset;

			advance(scanner, piece, look.length);
			enter_boundary(scanner, look, offset, closing, found);
			return;
		}
	}
	n = ph_header_field_length(*piece, &complete);
	if (!complete) {
		start_carry(scanner, piece);
		return;
	}
	ph_scanner_take_field(scanner, PH_SLICE(piece->data, n));
	note_lines(scanner, PH_SLICE(piece->data, n));
	advance(scanner, piece, n);
}

/* The carried field or line is done with. */
static void
drop_carry(PhScanner *scanner)
{
	g_string_truncate(scanner->carry, 0);
}

/* Appends to the carry up to the end of the line; what passes the limit is not kept.
 * Returns whether the line ends with CR LF, if it ends. */
static bool
extend_carry(PhScanner *scanner, PhSlice *piece)
{
	const char *eol = memchr(piece->data, '\n', piece->length);
	size_t n = eol != NULL ? (size_t) (eol - piece->data) + 1 : piece->length;
	size_t room = CARRY_MAX - MIN(scanner->carry->len, CARRY_MAX);
	bool cr = n > 1 ? piece->data[n - 2] == '\r' : scanner->last_cr;

	g_string_append_len(scanner->carry, piece->data, (gssize) MIN(n, room));
	scanner->carry_line_ended = eol != NULL;
	scanner->last_cr = piece->data[n - 1] == '\r';
	advance(scanner, piece, n);
	return cr;
}

/* The first line of a carried field is complete: is it one at all? */
static void
judge_carried_line(PhScanner *scanner, bool cr)
{
	bool closing = false;
	const PhBoundary *found = NULL;
	PhSlice line = carried(scanner);

	scanner->carry_first_line = false;
	if (ph_header_is_end(line)) {
		drop_carry(scanner);
		end_header(scanner, cr);
		return;
	}
	line.length = MIN(line.length, LINE_LOOK);
	found = ph_scanner_find_boundary(scanner, line, &closing);
	if (found != NULL)
		ph_scanner_take_boundary(scanner, found, closing, scanner->carry_offset);
	note_line_end(scanner, cr);
	if (found != NULL) {
		drop_carry(scanner);
		leave_boundary(scanner, scanner->offset);
	}
}

/* A field that began in an earlier piece. */
static void
feed_carried_header(PhScanner *scanner, PhSlice *piece)
{
	bool cr = false;

	if (scanner->carry_line_ended && piece->data[0] != ' ' && piece->data[0] != '\t') {
		ph_scanner_take_field(scanner, carried(scanner));
		drop_carry(scanner);
		return;
	}
	cr = extend_carry(scanner, piece);
	if (!scanner->carry_line_ended)
		return;
	if (scanner->carry_first_line)
		judge_carried_line(scanner, cr);
	else
		note_line_end(scanner, cr);
}

/* To the end of the line. */
static void
feed_line(PhScanner *scanner, PhSlice *piece)
{
	const char *eol = memchr(piece->data, '\n', piece->length);
	size_t n = eol != NULL ? (size_t) (eol - piece->data) + 1 : piece->length;
	bool cr = n > 1 ? piece->data[n - 2] == '\r' : scanner->last_cr;

	scanner->line_start = false;
	scanner->last_cr = piece->data[n - 1] == '\r';
	if (eol != NULL)
		note_line_end(scanner, cr);
	advance(scanner, piece, n);
}

/* Lines that cannot be boundaries; stops at the start of one that may be. */
static void
feed_lines(PhScanner *scanner, PhSlice *piece)
{
	do
		feed_line(scanner, piece);
	while (piece->length > 0 && !(scanner->line_start && may_be_boundary(scanner, *piece)));
}

static void
feed_body(PhScanner *scanner, PhSlice *piece)
{
	bool enough = false;
	bool closing = false;
	const PhBoundary *found = NULL;
	PhSlice look = { NULL, 0 };
	uint64_t offset = scanner->offset;

	if (!scanner->line_start || !may_be_boundary(scanner, *piece)) {
		feed_lines(scanner, piece);
		return;
	}
	look = look_at_line(*piece, &enough);
	if (!enough) {
		start_carry(scanner, piece);
		return;
	}
	found = ph_scanner_find_boundary(scanner, look, &closing);
	if (found == NULL) {
		feed_lines(scanner, piece);
		return;
	}
	advance(scanner, piece, look.length);
	enter_boundary(scanner, look, offset, closing, found);
}

/* A body line that began with '-' in an earlier piece. */
static void
feed_carried_line(PhScanner *scanner, PhSlice *piece)
{
	size_t before = scanner->carry->len;
	size_t room = LINE_LOOK - before;
	PhSlice some = PH_SLICE(piece->data, MIN(piece->length, room));
	bool enough = false;
	bool closing = false;
	const PhBoundary *found = NULL;
	PhSlice look = { NULL, 0 };

	g_string_append_len(scanner->carry, some.data, (gssize) some.length);
	look = look_at_line(carried(scanner), &enough);
	if (!enough) {
		scanner->last_cr = some.data[some.length - 1] == '\r';
		advance(scanner, piece, some.length);
		return;
	}
	found = ph_scanner_find_boundary(scanner, look, &closing);
	if (found == NULL) {
		drop_carry(scanner);
		scanner->line_start = false;
		feed_line(scanner, piece);
		return;
	}
	advance(scanner, piece, look.length - before);
	enter_boundary(scanner, look, scanner->carry_offset, closing, found);
	drop_carry(scanner);
}

void
ph_structure_scanner_feed(PhScanner *scanner, PhSlice piece)
{
	while (piece.length > 0) {
		if (scanner->state == PH_SCAN_DELIMITER)
			feed_delimiter(scanner, &piece);
		else if (scanner->state == PH_SCAN_HEADER && scanner->carry->len > 0)
			feed_carried_header(scanner, &piece);
		else if (scanner->state == PH_SCAN_HEADER)
			feed_header(scanner, &piece);
		else if (scanner->carry->len > 0)
			feed_carried_line(scanner, &piece);
		else
			feed_body(scanner, &piece);
	}
}

/* The message ended within a carried field or line. */
static void
finish_carry(PhScanner *scanner)
{
	bool closing = false;
	PhSlice look = carried(scanner);
	const PhBoundary *found = NULL;

	if (look.length == 0)
		return;
	look.length = MIN(look.length, LINE_LOOK);
	if (scanner->state == PH_SCAN_BODY || scanner->carry_first_line)
		found = ph_scanner_find_boundary(scanner, look, &closing);
	if (found != NULL)
		enter_boundary(scanner, look, scanner->carry_offset, closing, found);
	else if (scanner->state == PH_SCAN_HEADER)
		ph_scanner_take_field(scanner, carried(scanner));
	drop_carry(scanner);
}

PhStructure *
ph_structure_scanner_finish(PhScanner *scanner)
{
	PhStructure *structure = NULL;

	finish_carry(scanner);
	while (scanner->state == PH_SCAN_HEADER)
		ph_scanner_end_header(scanner, scanner->offset);
	ph_scanner_close_parts(scanner, 0, scanner->offset, false);
	scanner->scan.size = scanner->offset;
	structure = ph_scan_build(&scanner->scan);
	scanner_begin(scanner);
	return structure;
}

PhStructure *
ph_structure_scan(PhSlice message)
{
	g_autoptr(PhScanner) scanner = ph_structure_scanner_new();

	ph_structure_scanner_feed(scanner, message);
	return ph_structure_scanner_finish(scanner);
}
