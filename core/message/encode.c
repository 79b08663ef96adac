/* encode.c: puts binary and 8-bit parts into base64 or quoted-printable for who takes lines only
 *
 * One pass over the parts: what is fine is copied as it stands, a leaf that is not gets another
 * transfer encoding, and a container that names one that no longer holds names the right one. Octets
 * outside of leaves cannot be encoded: when those are at fault the message is refused.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/header.h>
#include <posthorn/message.h>
#include <posthorn/slice.h>

#include <string.h>

enum {
	LINE_OCTETS = 57,    /* that make a line of 76 in base64 */
	QUOTED_COLUMNS = 75, /* and the "=" of a soft line end */
	LINE_MAX_OCTETS = 998,
};

/* Flaws: what octets are there. */
typedef struct {
	uint64_t column;
	char last;
	bool is_binary; /* NUL, or CR or LF alone */
	bool is_8bit;
	bool is_long;
} Flaws;

/* Writer: the new message, and the encoder of the part under way. */
typedef struct {
	PhContent *from;
	PhSpool *out;
	GString *gathered; /* octets that make no whole line yet, or encoded text */
	size_t n_lines;
	unsigned column;
	char held; /* quoted-printable: a blank or CR that may end the line */
} Writer;

static bool
look(PhSlice piece, void *user_data, GError **error)
{
	Flaws *flaws = user_data;

	for (size_t i = 0; i < piece.length; i++) {
		char octet = piece.data[i];

		flaws->is_binary |= octet == '\0' || (octet == '\n') != (flaws->last == '\r');
		flaws->is_8bit |= (uint8_t) octet > 127;
		flaws->column = octet == '\n' || octet == '\r' ? 0 : flaws->column + 1;
		flaws->is_long |= flaws->column > LINE_MAX_OCTETS;
		flaws->last = octet;
	}
	return true;
}

static bool
find_flaws(PhContent *content, uint64_t offset, uint64_t length, Flaws *flaws, GError **error)
{
	*flaws = (Flaws){ 0 };
	if (!ph_content_each(content, offset, length, look, flaws, error))
		return false;
	flaws->is_binary |= flaws->last == '\r';
	return true;
}

static bool
must_encode(const Flaws *flaws, uint32_t limit)
{
	if (flaws->is_binary)
		return true;
	return limit == PH_LIMIT_7BIT && (flaws->is_8bit || flaws->is_long);
}

/* --- encoders ------------------------------------------------------------------------------- */

static bool
put_line(Writer *writer, PhSlice octets, GError **error)
{
	g_autoptr(GString) line = g_string_sized_new(80);

	if (writer->n_lines++ > 0)
		g_string_append(line, "\r\n");
	ph_base64_append(octets, line);
	return ph_spool_write(writer->out, PH_SLICE(line->str, line->len), error);
}

static bool
feed_base64(PhSlice piece, void *user_data, GError **error)
{
	Writer *writer = user_data;

	while (piece.length > 0) {
		size_t n = MIN(piece.length, LINE_OCTETS - writer->gathered->len);

		g_string_append_len(writer->gathered, piece.data, (gssize) n);
		piece = ph_slice_from(piece, n);
		if (writer->gathered->len < LINE_OCTETS)
			break;
		if (!put_line(writer, PH_SLICE(writer->gathered->str, writer->gathered->len),
		              error))
			return false;
		g_string_truncate(writer->gathered, 0);
	}
	return true;
}

static bool
end_base64(Writer *writer, GError **error)
{
	if (writer->gathered->len == 0)
		return true;
	return put_line(writer, PH_SLICE(writer->gathered->str, writer->gathered->len), error);
}

static void
put_quoted(Writer *writer, char octet, bool is_plain)
{
	unsigned wide = is_plain ? 1 : 3;

	if (writer->column + wide > QUOTED_COLUMNS) {
		g_string_append(writer->gathered, "=\r\n");
		writer->column = 0;
	}
	if (is_plain)
		g_string_append_c(writer->gathered, octet);
	else
		g_string_append_printf(writer->gathered, "=%02X", (unsigned) (uint8_t) octet);
	writer->column += wide;
}

/* Dots, dashes and "From " at the start of a line mean something to somebody. */
static void
put_octet(Writer *writer, char octet)
{
	bool is_plain = octet > ' ' && octet <= '~' && octet != '=';

	if (writer->column == 0 && strchr("-.F", octet) != NULL)
		is_plain = false;
	put_quoted(writer, octet, is_plain);
}

static void
quote(Writer *writer, char octet)
{
	char held = writer->held;

	writer->held = '\0';
	if (held == '\r' && octet == '\n') {
		g_string_append(writer->gathered, "\r\n");
		writer->column = 0;
		return;
	}
	if (held != '\0')
		put_quoted(writer, held, held != '\r' && octet != '\r');
	if (octet == ' ' || octet == '\t' || octet == '\r')
		writer->held = octet;
	else
		put_octet(writer, octet);
}

static bool
feed_quoted(PhSlice piece, void *user_data, GError **error)
{
	Writer *writer = user_data;
	bool done = false;

	for (size_t i = 0; i < piece.length; i++)
		quote(writer, piece.data[i]);
	done = ph_spool_write(writer->out, PH_SLICE(writer->gathered->str, writer->gathered->len),
	                      error);
	g_string_truncate(writer->gathered, 0);
	return done;
}

static bool
end_quoted(Writer *writer, GError **error)
{
	if (writer->held != '\0')
		put_quoted(writer, writer->held, false);
	return ph_spool_write(writer->out, PH_SLICE(writer->gathered->str, writer->gathered->len),
	                      error);
}

/* --- parts ---------------------------------------------------------------------------------- */

static bool
copy_piece(PhSlice piece, void *user_data, GError **error)
{
	return ph_spool_write(user_data, piece, error);
}

static bool
copy(Writer *writer, uint64_t from, uint64_t to, GError **error)
{
	return to <= from
	       || ph_content_each(writer->from, from, to - from, copy_piece, writer->out, error);
}

static bool
gather(PhSlice piece, void *user_data, GError **error)
{
	g_string_append_len(user_data, piece.data, (gssize) piece.length);
	return true;
}

/* The part's header with another transfer encoding. A message's gets MIME-Version when it lacks it. */
static bool
write_header(Writer *writer,
             const PhPart *part,
             bool is_message,
             const char *encoding,
             GError **error)
{
	static const PhSlice old[] = { PH_SLICE_LITERAL("Content-Transfer-Encoding") };
	g_autoptr(GString) block = g_string_sized_new(part->header_size + 1);
	g_autoptr(GString) out = g_string_sized_new(part->header_size + 64);
	PhHeaderField field;

	if (!ph_content_each(writer->from, part->header_offset, part->header_size, gather, block,
	                     error))
		return false;
	if (is_message && !ph_header_find(PH_SLICE(block->str, block->len), "MIME-Version", &field))
		g_string_append(out, "MIME-Version: 1.0\r\n");
	g_string_append_printf(out, "Content-Transfer-Encoding: %s\r\n", encoding);
	ph_header_append_fields(PH_SLICE(block->str, block->len), old, G_N_ELEMENTS(old), true,
	                        out);
	return ph_spool_write(writer->out, PH_SLICE(out->str, out->len), error);
}

static bool
write_leaf(Writer *writer, const PhPart *part, bool is_quoted, GError **error)
{
	bool done = false;

	writer->gathered = g_string_sized_new(1024);
	writer->n_lines = 0;
	writer->column = 0;
	writer->held = '\0';
	done = ph_content_each(writer->from, part->body_offset, part->body_size,
	                       is_quoted ? feed_quoted : feed_base64, writer, error)
	       && (is_quoted ? end_quoted(writer, error) : end_base64(writer, error));
	g_string_free(g_steal_pointer(&writer->gathered), TRUE);
	if (done && !is_quoted
	    && part->body_offset + part->body_size >= ph_content_length(writer->from))
		done = ph_spool_write(writer->out, PH_SLICE_LITERAL("\r\n"), error);
	return done;
}

static bool
is_unencoded(const PhPart *part)
{
	return part->encoding == PH_ENCODING_7BIT || part->encoding == PH_ENCODING_8BIT
	       || part->encoding == PH_ENCODING_BINARY;
}

/* What the part's transfer encoding must be called; NULL: as it is. @flaws: of its body. */
static const char *
new_encoding(const PhPart *part, const Flaws *flaws, uint32_t limit)
{
	if (part->kind != PH_PART_LEAF) {
		if (part->encoding == PH_ENCODING_BINARY
		    || (limit == PH_LIMIT_7BIT && part->encoding == PH_ENCODING_8BIT))
			return limit == PH_LIMIT_7BIT ? "7bit" : "8bit";
		return NULL;
	}
	if (!is_unencoded(part) || !must_encode(flaws, limit))
		return NULL;
	if (!flaws->is_binary && ph_slice_is_nocase(part->type, "text"))
		return "quoted-printable";
	return "base64";
}

static bool
write_part(Writer *writer,
           const PhStructure *structure,
           uint32_t index,
           uint32_t limit,
           uint64_t *at,
           GError **error)
{
	const PhPart *part = ph_structure_part(structure, index);
	const PhPart *parent =
		part->parent != PH_PART_NONE ? ph_structure_part(structure, part->parent) : NULL;
	bool is_message = parent == NULL || parent->kind == PH_PART_MESSAGE;
	const char *encoding = NULL;
	Flaws flaws = { 0 };

	if (part->kind == PH_PART_LEAF
	    && !find_flaws(writer->from, part->body_offset, part->body_size, &flaws, error))
		return false;
	encoding = new_encoding(part, &flaws, limit);
	if (encoding == NULL)
		return true;
	if (!copy(writer, *at, part->header_offset, error)
	    || !write_header(writer, part, is_message, encoding, error))
		return false;
	*at = part->body_offset;
	if (part->kind != PH_PART_LEAF)
		return true;
	*at += part->body_size;
	return write_leaf(writer, part, encoding[0] == 'q', error);
}

static PhContent *
encode(PhContent *content, const PhStructure *structure, uint32_t limit, GError **error)
{
	const PhMessageInfo *info = ph_structure_info(structure);
	g_autoptr(PhSpool) spool = ph_spool_new();
	Writer writer = { .from = content, .out = spool };
	uint64_t at = 0;

	for (uint32_t i = 0; i < info->n_parts; i++)
		if (!write_part(&writer, structure, i, limit, &at, error))
			return NULL;
	if (!copy(&writer, at, ph_content_length(content), error))
		return NULL;
	return ph_spool_finish(g_steal_pointer(&spool), error);
}

static bool
scan_piece(PhSlice piece, void *user_data, GError **error)
{
	ph_structure_scanner_feed(user_data, piece);
	return true;
}

PhContent *
ph_message_encode(PhContent *content, uint32_t limit, GError **error)
{
	g_autoptr(PhScanner) scanner = NULL;
	g_autoptr(PhStructure) structure = NULL;
	g_autoptr(PhContent) encoded = NULL;
	uint64_t length = ph_content_length(content);
	Flaws flaws;

	if (!find_flaws(content, 0, length, &flaws, error))
		return NULL;
	if (!must_encode(&flaws, limit))
		return ph_content_ref(content);
	scanner = ph_structure_scanner_new();
	if (!ph_content_each(content, 0, length, scan_piece, scanner, error))
		return NULL;
	structure = ph_structure_scanner_finish(scanner);
	encoded = encode(content, structure, limit, error);
	if (encoded == NULL || !find_flaws(encoded, 0, ph_content_length(encoded), &flaws, error))
		return NULL;
	if (!must_encode(&flaws, limit))
		return g_steal_pointer(&encoded);
	ph_error_set(error, PH_ERROR_UNSUPPORTED,
	             "the message has octets outside of its parts that cannot be encoded");
	return NULL;
}
