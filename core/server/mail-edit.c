/* mail-edit.c: facts of a mail, and what filters change in it
 *
 * Facts are parameters whose names are in lower case, so that they travel as those do. The header
 * block is read and kept when somebody asks for it or changes it; with the answer to the question
 * the content becomes the block and what stood behind it, without copying a body.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "server/mail-edit.h"

#include <posthorn/error.h>
#include <posthorn/header.h>
#include <posthorn/slice.h>

#include "message/header.h"
#include "server/mail.h"

#include <string.h>

enum {
	WINDOW = 16384,
	NAME_MAX_OCTETS = 998
};

struct PhMailEdit {
	GString *block;   /* the header with its empty line */
	uint64_t body_at; /* in the mail's content */
	PhContent *body;  /* (owned, nullable) instead of what stands there */
	bool is_changed;
	bool is_early; /* the content is still coming */
};

const char *
ph_mail_fact(const PhMail *mail, const char *name)
{
	return ph_mail_parameter(mail, name);
}

void
ph_mail_set_fact(PhMail *mail, const char *name, PhSlice value)
{
	ph_mail_set_parameter(mail, name, value);
}

void
ph_mail_copy_facts(PhMail *to, const PhMail *from)
{
	for (guint i = 0; from->parameters != NULL && i < from->parameters->len; i++) {
		const PhMailParameter *row = &g_array_index(from->parameters, PhMailParameter, i);

		if (g_ascii_islower(row->name[0]) && ph_mail_parameter(to, row->name) == NULL)
			ph_mail_set_parameter(to, row->name, ph_slice(row->value));
	}
}

PhContent *
ph_mail_message(const PhMail *mail)
{
	PhSlice trace = ph_mail_prepended(mail);
	PhContent *parts[2] = { NULL, mail->content };
	PhContent *whole = NULL;

	if (mail->content == NULL)
		return NULL;
	parts[0] = ph_content_new_copy(trace);
	whole = ph_content_new_joined(parts, G_N_ELEMENTS(parts));
	ph_content_unref(parts[0]);
	return whole;
}

/* --- the header block ------------------------------------------------------------------------- */

void
ph_mail_forget_edits(PhMail *mail)
{
	PhMailEdit *edit = g_steal_pointer(&mail->edit);

	if (edit == NULL)
		return;
	if (edit->block != NULL)
		g_string_free(edit->block, TRUE);
	ph_content_unref(edit->body);
	g_free(edit);
}

/* Where the header ends, its empty line included; 0 when that is further on. */
static size_t
find_end(PhSlice octets)
{
	size_t at = 0;

	while (at < octets.length) {
		PhSlice line = ph_slice_from(octets, at);
		const char *eol = memchr(line.data, '\n', line.length);

		if (eol == NULL)
			return 0;
		at = (size_t) (eol - octets.data) + 1;
		if (ph_header_is_end(line))
			return at;
	}
	return 0;
}

/* Reads more of the content. Returns: false with @error. */
static bool
read_more(PhContent *content, GString *block, GError **error)
{
	size_t had = block->len;
	uint64_t left = ph_content_length(content) - had;
	size_t wanted = (size_t) MIN(left, MAX(had, (size_t) WINDOW));
	ssize_t n = 0;

	g_string_set_size(block, had + wanted);
	n = ph_content_read(content, had, block->str + had, wanted, error);
	g_string_set_size(block, had + (n > 0 ? (size_t) n : 0));
	if (n == 0)
		ph_error_set(error, PH_ERROR_CORRUPT, "the message is shorter than it was");
	return n > 0;
}

static bool
read_block(PhContent *content, GString *block, GError **error)
{
	size_t end = 0;

	while (block->len < ph_content_length(content)) {
		if (block->len > PH_HEADER_SUM_MAX) {
			ph_error_set(error, PH_ERROR_TOO_LARGE,
			             "the header of the message is too large to be changed");
			return false;
		}
		if (!read_more(content, block, error))
			return false;
		end = find_end(PH_SLICE(block->str, block->len));
		if (end == 0)
			continue;
		g_string_truncate(block, end);
		return true;
	}
	return true;
}

void
ph_mail_show_header(PhMail *mail, PhSlice block)
{
	if (mail->content != NULL)
		return;
	ph_mail_forget_edits(mail);
	mail->edit = g_new0(PhMailEdit, 1);
	mail->edit->block = g_string_new_len(block.data, (gssize) block.length);
	mail->edit->body_at = block.length;
	mail->edit->is_early = true;
}

bool
ph_mail_end_early(PhMail *mail, const PhContent *content)
{
	if (mail->edit == NULL || !mail->edit->is_early
	    || ph_content_length(content) < mail->edit->body_at)
		return false;
	mail->edit->is_early = false;
	return true;
}

PhSlice
ph_mail_early_header(const PhMail *mail)
{
	if (mail->edit == NULL || !mail->edit->is_early)
		return PH_SLICE_EMPTY;
	return PH_SLICE(mail->edit->block->str, mail->edit->block->len);
}

/* The block, read at first. */
static PhMailEdit *
open_edit(PhMail *mail, GError **error)
{
	g_autoptr(GString) block = NULL;

	if (mail->edit != NULL)
		return mail->edit;
	if (mail->content == NULL) {
		ph_error_set(error, PH_ERROR_INVALID, "the message is not there yet");
		return NULL;
	}
	block = g_string_new(NULL);
	if (!read_block(mail->content, block, error))
		return NULL;
	mail->edit = g_new0(PhMailEdit, 1);
	mail->edit->body_at = block->len;
	mail->edit->block = g_steal_pointer(&block);
	return mail->edit;
}

bool
ph_mail_header(PhMail *mail, PhSlice *block_out, GError **error)
{
	const PhMailEdit *edit = open_edit(mail, error);

	if (edit == NULL)
		return false;
	*block_out = PH_SLICE(edit->block->str, edit->block->len);
	return true;
}

/* A header that is not ended by an empty line gets one before a body stands behind it. */
static void
end_block(GString *block)
{
	PhSlice rest = PH_SLICE(block->str, block->len);
	PhHeaderField field;
	size_t offset = 0;

	while (ph_header_next(&rest, &offset, &field))
		;
	if (rest.length > 0)
		return;
	if (block->len > 0 && block->str[block->len - 1] != '\n')
		g_string_append(block, "\r\n");
	g_string_append(block, "\r\n");
}

void
ph_mail_apply_edits(PhMail *mail)
{
	PhMailEdit *edit = mail->edit;
	PhContent *parts[2] = { NULL, NULL };
	PhContent *whole = NULL;

	if (edit == NULL || !edit->is_changed || edit->is_early)
		return;
	end_block(edit->block);
	parts[0] = ph_content_new_copy(PH_SLICE(edit->block->str, edit->block->len));
	parts[1] = edit->body != NULL
	                   ? ph_content_ref(edit->body)
	                   : ph_content_new_range(mail->content, edit->body_at,
	                                          ph_content_length(mail->content) - edit->body_at);
	whole = ph_content_new_joined(parts, G_N_ELEMENTS(parts));
	ph_content_unref(parts[0]);
	ph_content_unref(parts[1]);
	ph_mail_set_content(mail, whole);
	ph_content_unref(whole);
}

/* --- changing it ------------------------------------------------------------------------------ */

/* RFC 5322 section 2.2: printable US-ASCII but for the colon. */
static bool
is_name(const char *name)
{
	size_t length = strlen(name);

	for (size_t i = 0; i < length; i++)
		if (!g_ascii_isgraph(name[i]) || name[i] == ':')
			return false;
	return length > 0 && length <= NAME_MAX_OCTETS;
}

/* "name: value" CRLF; what the value holds cannot begin another field or the body: a line end is
 * always followed by a blank, and lines of blanks alone are left out. */
static GString *
make_field(const char *name, PhSlice value, GError **error)
{
	GString *field = NULL;
	PhSlice rest = value;
	bool is_first = true;

	if (!is_name(name) || value.length > PH_HEADER_FIELD_MAX
	    || (value.length > 0 && memchr(value.data, '\0', value.length) != NULL)) {
		ph_error_set(error, PH_ERROR_INVALID, "no such header field can be written");
		return NULL;
	}
	field = g_string_sized_new(strlen(name) + value.length + 8);
	g_string_append(field, name);
	g_string_append_c(field, ':');
	while (rest.length > 0 || is_first) {
		PhSlice line = ph_slice_split(&rest, '\n');

		while (line.length > 0 && line.data[line.length - 1] == '\r')
			line.length--;
		if (ph_slice_trim(line).length == 0 && !is_first)
			continue;
		if (!is_first)
			g_string_append(field, "\r\n");
		if (line.length == 0 || (line.data[0] != ' ' && line.data[0] != '\t'))
			g_string_append_c(field, is_first ? ' ' : '\t');
		for (size_t i = 0; i < line.length; i++)
			g_string_append_c(field, line.data[i] != '\r' ? line.data[i] : ' ');
		is_first = false;
	}
	g_string_append(field, "\r\n");
	return field;
}

/* The place behind the last field, which then ends in a line end. */
static size_t
find_last(GString *block)
{
	PhSlice rest = PH_SLICE(block->str, block->len);
	PhHeaderField field;
	size_t offset = 0;

	while (ph_header_next(&rest, &offset, &field))
		;
	if (rest.length == 0 && offset > 0 && block->str[offset - 1] != '\n') {
		g_string_append(block, "\r\n");
		offset = block->len;
	}
	return offset;
}

static bool
find_nth(const GString *block, const char *name, uint32_t nth, PhHeaderField *field_out)
{
	PhSlice rest = PH_SLICE(block->str, block->len);
	PhSlice wanted = ph_slice(name);
	size_t offset = 0;
	uint32_t n = 0;

	while (ph_header_next(&rest, &offset, field_out))
		if (ph_slice_equal_nocase(field_out->name, wanted) && ++n == MAX(nth, 1))
			return true;
	return false;
}

static void
splice(PhMailEdit *edit, size_t at, size_t length, const GString *field)
{
	g_string_erase(edit->block, (gssize) at, (gssize) length);
	if (field != NULL)
		g_string_insert_len(edit->block, (gssize) at, field->str, (gssize) field->len);
	edit->is_changed = true;
}

static bool
would_fit(const PhMailEdit *edit, const GString *field, GError **error)
{
	if (edit->block->len + field->len <= PH_HEADER_SUM_MAX)
		return true;
	ph_error_set(error, PH_ERROR_TOO_LARGE, "the header of the message becomes too large");
	return false;
}

bool
ph_mail_header_insert(PhMail *mail, size_t index, const char *name, PhSlice value, GError **error)
{
	g_autoptr(GString) text = make_field(name, value, error);
	PhMailEdit *edit = text != NULL ? open_edit(mail, error) : NULL;
	PhHeaderField field;
	PhSlice rest;
	size_t offset = 0;

	if (edit == NULL || !would_fit(edit, text, error))
		return false;
	rest = PH_SLICE(edit->block->str, edit->block->len);
	for (size_t i = 0; i < index; i++)
		if (!ph_header_next(&rest, &offset, &field)) {
			offset = find_last(edit->block);
			break;
		}
	if (offset == edit->block->len)
		offset = find_last(edit->block);
	splice(edit, offset, 0, text);
	return true;
}

bool
ph_mail_header_add(PhMail *mail, const char *name, PhSlice value, GError **error)
{
	return ph_mail_header_insert(mail, SIZE_MAX, name, value, error);
}

bool
ph_mail_header_replace(PhMail *mail, const char *name, uint32_t nth, PhSlice value, GError **error)
{
	g_autoptr(GString) text = make_field(name, value, error);
	PhMailEdit *edit = text != NULL ? open_edit(mail, error) : NULL;
	PhHeaderField field;

	if (edit == NULL || !would_fit(edit, text, error))
		return false;
	if (find_nth(edit->block, name, nth, &field))
		splice(edit, field.offset, field.whole.length, text);
	else
		splice(edit, find_last(edit->block), 0, text);
	return true;
}

bool
ph_mail_header_delete(PhMail *mail, const char *name, uint32_t nth, GError **error)
{
	PhMailEdit *edit = open_edit(mail, error);
	PhHeaderField field;

	if (edit == NULL)
		return false;
	if (find_nth(edit->block, name, nth, &field))
		splice(edit, field.offset, field.whole.length, NULL);
	return true;
}

bool
ph_mail_replace_body(PhMail *mail, PhContent *body, GError **error)
{
	PhMailEdit *edit = open_edit(mail, error);

	if (edit == NULL)
		return false;
	ph_content_ref(body);
	ph_content_unref(edit->body);
	edit->body = body;
	edit->is_changed = true;
	return true;
}

bool
ph_mail_edits(const PhMail *mail, PhSlice *header_out, PhContent **body_out)
{
	const PhMailEdit *edit = mail->edit;

	if (edit == NULL || !edit->is_changed)
		return false;
	*header_out = PH_SLICE(edit->block->str, edit->block->len);
	*body_out = edit->body;
	return true;
}

bool
ph_mail_replace_header(PhMail *mail, PhSlice block, GError **error)
{
	PhMailEdit *edit = open_edit(mail, error);

	if (edit == NULL)
		return false;
	if (block.length > PH_HEADER_SUM_MAX) {
		ph_error_set(error, PH_ERROR_TOO_LARGE,
		             "the header of the message becomes too large");
		return false;
	}
	g_string_truncate(edit->block, 0);
	g_string_append_len(edit->block, block.data, (gssize) block.length);
	edit->is_changed = true;
	return true;
}

/* --- recipients ------------------------------------------------------------------------------- */

/* Takes out the targets that no recipient stands for any more. */
static void
prune_targets(PhMail *mail)
{
	g_autofree uint32_t *places = g_new0(uint32_t, mail->targets->len); /* 0: unwanted */
	guint n = mail->targets->len;
	uint32_t n_kept = 0;

	for (guint i = 0; i < mail->recipients->len; i++) {
		const PhRecipient *recipient = &g_array_index(mail->recipients, PhRecipient, i);

		for (uint32_t t = 0; t < recipient->n_targets; t++)
			places[recipient->targets[t]] = 1;
	}
	for (guint i = 0; i < n; i++)
		if (places[i] != 0)
			places[i] = ++n_kept;
	for (guint i = n; i > 0; i--)
		if (places[i - 1] == 0)
			g_array_remove_index(mail->targets, i - 1);
	for (guint i = 0; i < mail->recipients->len; i++) {
		const PhRecipient *recipient = &g_array_index(mail->recipients, PhRecipient, i);

		for (uint32_t t = 0; t < recipient->n_targets; t++)
			recipient->targets[t] = places[recipient->targets[t]] - 1;
	}
	g_clear_pointer(&mail->known, g_hash_table_unref);
}

/* The first recipient that led to a target gives it its parameters. */
static void
assign_targets(PhMail *mail)
{
	for (guint i = mail->recipients->len; i > 0; i--) {
		const PhRecipient *recipient = &g_array_index(mail->recipients, PhRecipient, i - 1);

		for (uint32_t t = 0; t < recipient->n_targets; t++)
			ph_mail_target(mail, recipient->targets[t])->recipient = i - 1;
	}
}

void
ph_mail_remove_recipient(PhMail *mail, size_t index)
{
	PhRecipient *recipient = NULL;

	g_return_if_fail(index < mail->recipients->len);
	recipient = &g_array_index(mail->recipients, PhRecipient, index);
	g_clear_pointer(&recipient->targets, g_free);
	recipient->n_targets = 0;
	recipient->flags |= PH_RECIPIENT_REMOVED;
	prune_targets(mail);
	assign_targets(mail);
}

void
ph_mail_drop_recipient(PhMail *mail, size_t index)
{
	ph_mail_remove_recipient(mail, index);
	g_array_remove_index(mail->recipients, (guint) index);
	assign_targets(mail);
}

/* The local part decides by its case, the domain does not. */
static bool
is_same_address(const char *a, PhSlice b)
{
	const char *at = strrchr(a, '@');
	size_t local = at != NULL ? (size_t) (at - a) : 0;

	return strlen(a) == b.length && memcmp(a, b.data, local) == 0
	       && ph_slice_equal_nocase(ph_slice(a + local), ph_slice_from(b, local));
}

ssize_t
ph_mail_find_recipient(const PhMail *mail, PhSlice address)
{
	for (guint i = 0; i < mail->recipients->len; i++) {
		const PhRecipient *recipient = &g_array_index(mail->recipients, PhRecipient, i);

		if ((recipient->flags & PH_RECIPIENT_REMOVED) == 0
		    && is_same_address(recipient->address, address))
			return (ssize_t) i;
	}
	return -1;
}

uint32_t
ph_mail_recipient_flags(const PhMail *mail, size_t index)
{
	g_return_val_if_fail(index < mail->recipients->len, 0);
	return g_array_index(mail->recipients, PhRecipient, index).flags;
}
