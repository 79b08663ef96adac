/* fetch-body.c: the octets of message sections
 *
 * Short ranges are read into the answer; long ones are handed to the session as content, which is
 * read when the socket has room. Filtered header fields are the only thing that is built.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "fetch-body.h"

#include <posthorn/error.h>

/* Up to this size a copy is cheaper than a reference in the output queue. */
#define COPY_LIMIT ((uint64_t) 32768)

void
imap_fetch_message_clear(FetchMessage *message)
{
	g_clear_pointer(&message->content, ph_content_unref);
	g_clear_pointer(&message->structure, ph_structure_unref);
}

void
imap_fetch_begin(FetchMessage *message, const char *name)
{
	if (message->any)
		imap_put(message->out, " ", 1);
	message->any = true;
	imap_put(message->out, name, strlen(name));
}

static PhContent *
content_of(FetchMessage *message, GError **error)
{
	if (message->content == NULL)
		message->content = ph_view_content(message->view, message->record, error);
	return message->content;
}

PhStructure *
imap_fetch_structure(FetchMessage *message, GError **error)
{
	if (message->structure == NULL)
		message->structure = ph_view_structure(message->view, message->record, error);
	return message->structure;
}

/* The asked part of @size octets: what is beyond the end is empty. */
static void
clip(const FetchSection *section, uint64_t *offset, uint64_t *size)
{
	uint64_t skip;

	if (!section->partial)
		return;
	skip = MIN(section->offset, *size);
	*offset += skip;
	*size = MIN(*size - skip, section->length);
}

static void
append_label(FetchMessage *message, const FetchSection *section, uint64_t size)
{
	imap_fetch_begin(message, section->label);
	g_string_append_printf(message->out, " {%" G_GUINT64_FORMAT "}\r\n", size);
}

/* Reads a range to the end of @out; leaves it as it was on failure. */
static bool
append_range(PhContent *content, uint64_t offset, uint64_t size, GString *out, GError **error)
{
	gsize before = out->len;
	gsize have = 0;

	g_string_set_size(out, before + size);
	while (have < size) {
		ssize_t n = ph_content_read(content, offset + have, out->str + before + have,
		                            size - have, error);

		if (n <= 0) {
			g_string_truncate(out, before);
			if (n == 0)
				g_set_error(error, PH_ERROR, PH_ERROR_CORRUPT,
				            "the message is shorter than it was");
			return false;
		}
		have += (gsize) n;
	}
	return true;
}

static bool
write_range(FetchMessage *message,
            const FetchSection *section,
            uint64_t offset,
            uint64_t size,
            GError **error)
{
	PhContent *content = content_of(message, error);

	if (content == NULL)
		return false;
	clip(section, &offset, &size);
	append_label(message, section, size);
	if (size <= COPY_LIMIT)
		return append_range(content, offset, size, message->out, error);
	ph_session_write(message->session, PH_SLICE(message->out->str, message->out->len));
	g_string_truncate(message->out, 0);
	message->begun = true;
	ph_session_write_content(message->session, content, offset, size);
	return true;
}

static void
append_fields(FetchMessage *message, const FetchSection *section, PhSlice block)
{
	g_autoptr(GString) large = block.length > COPY_LIMIT ? g_string_new(NULL) : NULL;
	GString *fields = large != NULL ? large : section->fields;
	uint64_t offset = 0;
	uint64_t size;

	g_string_truncate(fields, 0);
	ph_header_append_fields(block, (const PhSlice *) (void *) section->slices->data,
	                        section->slices->len, section->except, fields);
	size = fields->len;
	clip(section, &offset, &size);
	append_label(message, section, size);
	imap_put(message->out, fields->str + offset, size);
}

static bool
write_fields(FetchMessage *message,
             const FetchSection *section,
             const PhRange *range,
             GError **error)
{
	PhContent *content = content_of(message, error);
	g_autoptr(GString) header = NULL;

	if (content == NULL)
		return false;
	header = g_string_sized_new(range->size + 1);
	if (!append_range(content, range->offset, range->size, header, error))
		return false;
	append_fields(message, section, PH_SLICE(header->str, header->len));
	return true;
}

static bool
write_fields_charged(FetchMessage *message,
                     const FetchSection *section,
                     const PhRange *range,
                     GError **error)
{
	/* The header and what is picked from it. */
	size_t memory = 2 * range->size;
	bool ok;

	if (!ph_session_charge(message->session, memory)) {
		g_set_error(error, PH_ERROR, PH_ERROR_LIMIT,
		            "the header is too large for the session");
		return false;
	}
	ok = write_fields(message, section, range, error);
	ph_session_refund(message->session, memory);
	return ok;
}

bool
imap_fetch_section(FetchMessage *message, const FetchSection *section, GError **error)
{
	PhRange range = { 0, 0, 0, false };
	PhSlice fields;
	PhStructure *structure;

	if (section->find[0] == '\0') {
		PhContent *content = content_of(message, error);

		return content != NULL
		       && write_range(message, section, 0, ph_content_length(content), error);
	}
	if (section->is_kept && ph_structure_blob_fields(message->record->structure, &fields)) {
		append_fields(message, section, fields);
		return true;
	}
	if (section->names != NULL && g_str_equal(section->find, "HEADER")) {
		PhContent *content = content_of(message, error);
		PhSlice whole;

		if (content == NULL)
			return false;
		/* The fields end at the first empty line: where that is need not be known. */
		if (ph_content_peek(content, &whole)) {
			append_fields(message, section, whole);
			return true;
		}
	}
	structure = imap_fetch_structure(message, error);
	if (structure == NULL)
		return false;
	if (ph_structure_find(structure, ph_slice(section->find), &range) != PH_FIND_OK) {
		imap_fetch_begin(message, section->label);
		g_string_append(message->out, " NIL");
		return true;
	}
	if (section->names != NULL)
		return write_fields_charged(message, section, &range, error);
	return write_range(message, section, range.offset, range.size, error);
}
