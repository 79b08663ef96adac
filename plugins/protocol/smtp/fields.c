/* fields.c: completes the header of a submitted message while it streams by
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "fields.h"

#include <posthorn/address.h>
#include <posthorn/date.h>
#include <posthorn/header.h>
#include <posthorn/slice.h>

/* Found: what a header holds. */
typedef struct {
	unsigned n_from;
	unsigned n_sender;
	unsigned n_authors;
	unsigned n_sender_boxes;
	bool has_date;
	bool has_id;
	bool is_header; /* the first line is a field */
} Found;

/* Where the header ends, with its empty line; looked for from @from on. -1: not yet. */
static gssize
find_end(const GString *head, gsize from)
{
	for (gsize at = from; at < head->len; at++) {
		gsize next = at + 1;

		if (head->str[at] != '\n')
			continue;
		if (at == 0 || (at == 1 && head->str[0] == '\r'))
			return (gssize) next;
		if (next < head->len && head->str[next] == '\r')
			next++;
		if (next < head->len && head->str[next] == '\n')
			return (gssize) next + 1;
	}
	return -1;
}

bool
fields_take(Fields *fields, PhSlice *piece)
{
	gsize before = 0;
	gsize used = 0;
	gssize end = -1;

	if (fields->is_past)
		return true;
	if (fields->head == NULL)
		fields->head = g_string_sized_new(1024);
	before = fields->head->len;
	used = MIN(piece->length, (gsize) FIELDS_MAX + 1 - before);
	g_string_append_len(fields->head, piece->data, (gssize) used);
	end = find_end(fields->head, before > 2 ? before - 2 : 0);
	if (end >= 0) {
		used = (gsize) end - before;
		g_string_truncate(fields->head, (gsize) end);
	}
	fields->is_past = end >= 0 || fields->head->len > FIELDS_MAX;
	*piece = ph_slice_from(*piece, used);
	return fields->is_past;
}

void
fields_clear(Fields *fields)
{
	if (fields->head != NULL)
		g_string_free(fields->head, TRUE);
	*fields = (Fields){ 0 };
}

static unsigned
count_boxes(PhSlice value, GPtrArray *addresses)
{
	g_autoptr(GString) scratch = g_string_new(NULL);
	PhAddressIter iter;
	PhListed item;
	unsigned n = 0;

	ph_address_iter_init(&iter, value, scratch);
	while (ph_address_iter_next(&iter, &item)) {
		if (item.kind != PH_LISTED_MAILBOX || item.local.length == 0)
			continue;
		n++;
		if (addresses != NULL)
			g_ptr_array_add(addresses,
			                g_strdup_printf("%.*s@%.*s", (int) item.local.length,
			                                item.local.data, (int) item.domain.length,
			                                item.domain.data));
	}
	return n;
}

static bool
is_field_name(PhSlice name)
{
	for (size_t i = 0; i < name.length; i++)
		if (name.data[i] <= ' ' || name.data[i] > '~')
			return false;
	return name.length > 0;
}

static void
note(Found *found, const PhHeaderField *field, GPtrArray *authors)
{
	if (ph_slice_is_nocase(field->name, "From")) {
		found->n_from++;
		found->n_authors += count_boxes(field->value, authors);
	} else if (ph_slice_is_nocase(field->name, "Sender")) {
		found->n_sender++;
		found->n_sender_boxes += count_boxes(field->value, NULL);
	} else if (ph_slice_is_nocase(field->name, "Date")) {
		found->has_date = true;
	} else if (ph_slice_is_nocase(field->name, "Message-ID")) {
		found->has_id = true;
	}
}

static bool
is_dropped(PhSlice name)
{
	return ph_slice_is_nocase(name, "Bcc") || ph_slice_is_nocase(name, "Resent-Bcc")
	       || ph_slice_is_nocase(name, "Return-Path");
}

/* Copies what stays to @kept, and looks at it. */
static void
look(PhSlice head, Found *found, GString *kept, GPtrArray *authors)
{
	PhSlice rest = head;
	size_t offset = 0;
	PhHeaderField field;

	while (ph_header_next(&rest, &offset, &field)) {
		if (field.offset == 0)
			found->is_header = is_field_name(field.name);
		if (!found->is_header)
			break;
		note(found, &field, authors);
		if (!is_dropped(field.name))
			g_string_append_len(kept, field.whole.data, (gssize) field.whole.length);
	}
}

static const char *
problem_of(const Found *found, const FieldsFor *whose)
{
	if (found->n_from > 1)
		return "550 5.6.0 the message has more than one From field";
	if (found->n_from == 1 && found->n_authors == 0)
		return "550 5.6.0 the From field holds no address";
	if (found->n_from == 0 && whose->author[0] == '\0')
		return "550 5.6.0 the message has no From field";
	if (found->n_sender > 1 || found->n_sender_boxes != found->n_sender)
		return "550 5.6.0 a message has one Sender field with one address at most";
	return NULL;
}

static void
append_author(GString *out, const char *name, const char *author)
{
	PhAddress address;

	g_string_append(out, name);
	if (ph_address_parse_mailbox(ph_slice(author), PH_ADDRESS_ALLOW_UTF8, &address)
	    == PH_ADDRESS_OK)
		ph_address_append_path(&address, out);
	else
		g_string_append_printf(out, "<%s>", author);
	g_string_append(out, "\r\n");
}

static void
append_missing(const Found *found, const FieldsFor *whose, GString *out)
{
	if (!found->has_date) {
		g_string_append(out, "Date: ");
		ph_date_append_mail(ph_date_local(whose->now), out);
		g_string_append(out, "\r\n");
	}
	if (found->n_from == 0)
		append_author(out, "From: ", whose->author);
	if (found->n_authors > 1 && found->n_sender == 0 && whose->author[0] != '\0')
		append_author(out, "Sender: ", whose->author);
	if (!found->has_id)
		g_string_append_printf(out, "Message-ID: <%s@%s>\r\n", whose->id, whose->hostname);
}

const char *
fields_complete(Fields *fields, const FieldsFor *whose, GString *out, GPtrArray *authors)
{
	PhSlice head = fields->head != NULL ? PH_SLICE(fields->head->str, fields->head->len)
	                                    : PH_SLICE_EMPTY;
	g_autoptr(GString) kept = g_string_sized_new(head.length + 1);
	Found found = { 0 };
	const char *problem = NULL;

	if (head.length > FIELDS_MAX)
		return "552 5.3.4 the header is too large";
	look(head, &found, kept, authors);
	problem = problem_of(&found, whose);
	if (problem != NULL)
		return problem;
	append_missing(&found, whose, out);
	g_string_append_len(out, kept->str, (gssize) kept->len);
	if (kept->len > 0 && kept->str[kept->len - 1] != '\n')
		g_string_append(out, "\r\n");
	g_string_append(out, "\r\n");
	if (!found.is_header && !ph_slice_is(head, "\r\n") && !ph_slice_is(head, "\n"))
		g_string_append_len(out, head.data, (gssize) head.length);
	return NULL;
}
