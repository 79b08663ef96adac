/* downgrade.c: a message for a host that takes only 7-bit text, nothing binary or no long lines
 *
 * RFC 6152 section 3 and RFC 2045. The structure says where the parts lie; between them everything is
 * copied. A part whose body must change gets another Content-Transfer-Encoding; those around it must
 * not say 8bit or binary any more, and lose theirs. Nothing below a signature is touched.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "downgrade.h"

#include <posthorn/message.h>
#include <posthorn/session.h>
#include <posthorn/slice.h>

#include "encode.h"
#include "fold.h"

static const char unchanged[] = ""; /* the transfer encoding */

typedef struct {
	PhContent *content;
	uint32_t what;
	PhStructure *structure;
	PhSpool *spool;
	uint64_t at; /* everything before it was written */
	Encoder *encoder;
	GString *text;
} Work;

/* --- reading and writing ---------------------------------------------------------------------- */

static bool
scan_piece(PhSlice piece, void *user_data, GError **error)
{
	ph_structure_scanner_feed(user_data, piece);
	return true;
}

static PhStructure *
scan(PhContent *content)
{
	g_autoptr(PhScanner) scanner = ph_structure_scanner_new();

	if (!ph_content_each(content, 0, ph_content_length(content), scan_piece, scanner, NULL))
		return NULL;
	return ph_structure_scanner_finish(scanner);
}

static bool
copy_piece(PhSlice piece, void *user_data, GError **error)
{
	return ph_spool_write(user_data, piece, error);
}

static bool
copy_until(Work *work, uint64_t end)
{
	uint64_t at = work->at;

	if (end <= at)
		return true;
	work->at = end;
	return ph_content_each(work->content, at, end - at, copy_piece, work->spool, NULL);
}

static bool
write_text(Work *work, const GString *text)
{
	return ph_spool_write(work->spool, PH_SLICE(text->str, text->len), NULL);
}

/* --- bodies ----------------------------------------------------------------------------------- */

static bool
add_flaws(PhSlice piece, void *user_data, GError **error)
{
	uint32_t *state = user_data;

	*state = ph_session_scan_flaws(*state, piece, false);
	return true;
}

static bool
encode_piece(PhSlice piece, void *user_data, GError **error)
{
	Work *work = user_data;

	g_string_truncate(work->text, 0);
	encode_feed(work->encoder, piece, work->text);
	return write_text(work, work->text);
}

static bool
write_encoded(Work *work, const PhPart *part, bool is_base64)
{
	Encoder encoder = { .is_base64 = is_base64 };

	work->encoder = &encoder;
	if (!ph_content_each(work->content, part->body_offset, part->body_size, encode_piece, work,
	                     NULL))
		return false;
	g_string_truncate(work->text, 0);
	encode_finish(&encoder, work->text);
	/* The line end before the next boundary belongs to that. */
	if (is_base64 && part->depth > 0 && g_str_has_suffix(work->text->str, "\r\n"))
		g_string_truncate(work->text, work->text->len - 2);
	work->at = part->body_offset + part->body_size;
	return write_text(work, work->text);
}

/* --- headers ---------------------------------------------------------------------------------- */

static bool
gather(PhSlice piece, void *user_data, GError **error)
{
	g_string_append_len(user_data, piece.data, (gssize) piece.length);
	return true;
}

/* @encoding: NULL: none is needed any more. */
static void
append_new_fields(GString *out, const PhPart *part, PhSlice block, const char *encoding)
{
	PhHeaderField field;

	if (encoding == NULL || encoding == unchanged)
		return;
	if (part->depth == 0 && !ph_header_find(block, "MIME-Version", &field))
		g_string_append(out, "MIME-Version: 1.0\r\n");
	if (part->depth == 0 && !ph_header_find(block, "Content-Type", &field))
		g_string_append(out, "Content-Type: text/plain; charset=unknown-8bit\r\n");
	g_string_append_printf(out, "Content-Transfer-Encoding: %s\r\n", encoding);
}

static bool
read_header(PhContent *content, const PhPart *part, GString *block)
{
	return ph_content_each(content, part->header_offset, part->header_size, gather, block,
	                       NULL);
}

static bool
write_header(Work *work, const PhPart *part, const char *encoding)
{
	g_autoptr(GString) block = g_string_new(NULL);
	g_autoptr(GString) out = g_string_new(NULL);
	PhSlice rest = PH_SLICE_EMPTY;
	PhHeaderField field;
	size_t offset = 0;

	if (!copy_until(work, part->header_offset) || !read_header(work->content, part, block))
		return false;
	rest = PH_SLICE(block->str, block->len);
	while (ph_header_next(&rest, &offset, &field)) {
		if (encoding != unchanged
		    && ph_slice_is_nocase(field.name, "Content-Transfer-Encoding"))
			continue;
		if ((work->what & DOWNGRADE_LINES) != 0)
			fold_field(field.whole, out);
		else
			g_string_append_len(out, field.whole.data, (gssize) field.whole.length);
	}
	append_new_fields(out, part, PH_SLICE(block->str, block->len), encoding);
	g_string_append(out, "\r\n");
	work->at = part->header_offset + part->header_size;
	return write_text(work, out);
}

/* --- parts ------------------------------------------------------------------------------------ */

static bool
is_sealed(const PhStructure *structure, uint32_t index)
{
	while (index != PH_PART_NONE) {
		const PhPart *part = ph_structure_part(structure, index);

		if (part->kind == PH_PART_MULTIPART
		    && (ph_slice_is_nocase(part->subtype, "signed")
		        || ph_slice_is_nocase(part->subtype, "encrypted")))
			return true;
		index = part->parent;
	}
	return false;
}

/* Must this body change? */
static bool
must_change(const Work *work, const PhPart *part, uint32_t flaws)
{
	const uint32_t not_text = PH_FLAW_NUL | PH_FLAW_BARE_CR | PH_FLAW_BARE_LF;

	if ((work->what & DOWNGRADE_8BIT) != 0 && (flaws & PH_FLAW_8BIT) != 0)
		return true;
	return (work->what & DOWNGRADE_BINARY) != 0
	       && (part->encoding == PH_ENCODING_BINARY || (flaws & not_text) != 0);
}

/* A part whose body stays: is its header too long? */
static Downgraded
keep_body(Work *work, const PhPart *part)
{
	uint32_t flaws = 0;

	if ((work->what & DOWNGRADE_LINES) == 0 || is_sealed(work->structure, part->parent))
		return DOWNGRADED;
	if (!ph_content_each(work->content, part->header_offset, part->header_size, add_flaws,
	                     &flaws, NULL))
		return DOWNGRADE_FAILED;
	if ((flaws & PH_FLAW_LONG_LINE) == 0)
		return DOWNGRADED;
	return write_header(work, part, unchanged) ? DOWNGRADED : DOWNGRADE_FAILED;
}

/* Could lines be made shorter? What tells of messages must stay readable without decoding. */
static bool
is_too_long(const Work *work, const PhPart *part, uint32_t flaws)
{
	return (work->what & DOWNGRADE_LINES) != 0 && (flaws & PH_FLAW_LONG_LINE) != 0
	       && !ph_slice_is_nocase(part->type, "message");
}

static Downgraded
do_leaf(Work *work, uint32_t index)
{
	const PhPart *part = ph_structure_part(work->structure, index);
	uint32_t flaws = 0;
	bool is_text = ph_slice_is_nocase(part->type, "text");
	bool is_base64 = false;
	bool is_fixed = is_sealed(work->structure, index)
	                || part->encoding >= PH_ENCODING_QUOTED_PRINTABLE
	                || ph_slice_is_nocase(part->subtype, "partial");
	bool must = false;

	if (!ph_content_each(work->content, part->body_offset, part->body_size, add_flaws, &flaws,
	                     NULL))
		return DOWNGRADE_FAILED;
	must = must_change(work, part, flaws);
	if (!must && (is_fixed || !is_too_long(work, part, flaws)))
		return keep_body(work, part);
	if (is_fixed)
		return DOWNGRADE_IMPOSSIBLE;
	is_base64 = !is_text || (flaws & (PH_FLAW_NUL | PH_FLAW_BARE_CR | PH_FLAW_BARE_LF)) != 0;
	return write_header(work, part, is_base64 ? "base64" : "quoted-printable")
	                       && write_encoded(work, part, is_base64)
	               ? DOWNGRADED
	               : DOWNGRADE_FAILED;
}

static Downgraded
do_part(Work *work, uint32_t index)
{
	const PhPart *part = ph_structure_part(work->structure, index);

	if (part->kind == PH_PART_LEAF)
		return do_leaf(work, index);
	if (part->encoding == PH_ENCODING_7BIT
	    || ((work->what & DOWNGRADE_8BIT) == 0 && part->encoding == PH_ENCODING_8BIT)
	    || (work->what & (DOWNGRADE_8BIT | DOWNGRADE_BINARY)) == 0)
		return keep_body(work, part);
	if (is_sealed(work->structure, part->parent))
		return DOWNGRADE_IMPOSSIBLE;
	return write_header(work, part, NULL) ? DOWNGRADED : DOWNGRADE_FAILED;
}

static Downgraded
do_all(Work *work)
{
	uint32_t n = ph_structure_info(work->structure)->n_parts;

	for (uint32_t i = 0; i < n; i++) {
		Downgraded result = do_part(work, i);

		if (result != DOWNGRADED)
			return result;
	}
	return copy_until(work, ph_content_length(work->content)) ? DOWNGRADED : DOWNGRADE_FAILED;
}

/* Is the message signed by its header? */
static bool
has_signature(PhContent *content, const PhStructure *structure)
{
	static const char *const names[] = { "DKIM-Signature", "ARC-Message-Signature" };
	g_autoptr(GString) block = g_string_new(NULL);
	PhHeaderField field;

	if (!read_header(content, ph_structure_part(structure, 0), block))
		return false;
	for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
		if (ph_header_find(PH_SLICE(block->str, block->len), names[i], &field))
			return true;
	return false;
}

Downgraded
downgrade_message(PhContent *content, uint32_t what, PhContent **content_out)
{
	g_autoptr(PhStructure) structure = scan(content);
	g_autoptr(GString) text = g_string_new(NULL);
	Work work = { .content = content, .what = what, .structure = structure, .text = text };
	Downgraded result = DOWNGRADE_FAILED;
	PhContent *made = NULL;

	if (structure == NULL)
		return DOWNGRADE_FAILED;
	if ((what & DOWNGRADE_LINES) != 0 && has_signature(content, structure))
		work.what &= ~(uint32_t) DOWNGRADE_LINES;
	if (work.what == 0) {
		*content_out = ph_content_ref(content);
		return DOWNGRADED;
	}
	work.spool = ph_spool_new();
	result = do_all(&work);
	if (result == DOWNGRADED)
		made = ph_spool_finish(work.spool, NULL);
	else
		ph_spool_free(work.spool);
	if (made == NULL)
		return result == DOWNGRADED ? DOWNGRADE_FAILED : result;
	*content_out = made;
	return DOWNGRADED;
}
