/* compose.c: makes what a program wrote a message that can be sent
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "cli/compose.h"

#include <posthorn/address.h>
#include <posthorn/date.h>
#include <posthorn/header.h>
#include <posthorn/secret.h>
#include <posthorn/slice.h>

#include <string.h>

/* The next line without its end, which may be CRLF, LF or CR. */
static bool
next_line(PhSlice *rest, PhSlice *line_out)
{
	size_t n = 0;
	size_t end = 0;

	if (rest->length == 0)
		return false;
	while (n < rest->length && rest->data[n] != '\n' && rest->data[n] != '\r')
		n++;
	end = n;
	if (end < rest->length)
		end += rest->data[n] == '\r' && n + 1 < rest->length && rest->data[n + 1] == '\n'
		               ? 2
		               : 1;
	*line_out = PH_SLICE(rest->data, n);
	*rest = ph_slice_from(*rest, end);
	return true;
}

static void
make_lines(PhSlice input, bool dot_ends, GString *out)
{
	PhSlice line;

	while (next_line(&input, &line)) {
		if (dot_ends && ph_slice_is(line, "."))
			return;
		g_string_append_len(out, line.data, (gssize) line.length);
		g_string_append(out, "\r\n");
	}
}

/* Does the text begin with a header field (and not with the body)? */
static bool
begins_with_field(PhSlice text)
{
	PhSlice rest = text;
	size_t offset = 0;
	PhHeaderField field;

	return ph_header_next(&rest, &offset, &field) && field.name.length > 0
	       && ph_slice_find(field.name, ' ') < 0;
}

static void
take_addresses(PhSlice value, GPtrArray *recipients)
{
	g_autoptr(GString) scratch = g_string_new(NULL);
	PhAddressIter iter;
	PhListed item;

	ph_address_iter_init(&iter, value, scratch);
	while (ph_address_iter_next(&iter, &item)) {
		g_autofree char *local = NULL;
		g_autofree char *domain = NULL;

		if (item.kind != PH_LISTED_MAILBOX || item.local.length == 0)
			continue;
		local = ph_slice_dup(item.local);
		domain = ph_slice_dup(item.domain);
		g_ptr_array_add(recipients, domain[0] != '\0'
		                                    ? g_strconcat(local, "@", domain, NULL)
		                                    : g_strdup(local));
	}
}

static void
add_missing(PhSlice header, const PhCompose *how, GString *out)
{
	PhHeaderField field;

	if (!ph_header_find(header, "From", &field)) {
		g_string_append(out, "From: ");
		if (how->full_name != NULL && how->full_name[0] != '\0')
			g_string_append_printf(out, "\"%s\" <%s>\r\n", how->full_name, how->sender);
		else
			g_string_append_printf(out, "%s\r\n", how->sender);
	}
	if (!ph_header_find(header, "Date", &field)) {
		g_string_append(out, "Date: ");
		ph_date_append_mail(ph_date_local(g_get_real_time()), out);
		g_string_append(out, "\r\n");
	}
	if (!ph_header_find(header, "Message-ID", &field)) {
		uint64_t noise = 0;

		ph_secret_random(&noise, sizeof noise);
		g_string_append_printf(out,
		                       "Message-ID: <%" G_GINT64_MODIFIER "x.%016" G_GINT64_MODIFIER
		                       "x@%s>\r\n",
		                       (guint64) g_get_real_time(), (guint64) noise, how->hostname);
	}
}

/* Copies the message without its Bcc fields. @recipients: (nullable) who is named in it. */
static void
copy_without_blind(PhSlice text, GString *out, GPtrArray *recipients)
{
	PhSlice rest = text;
	size_t offset = 0;
	PhHeaderField field;

	while (ph_header_next(&rest, &offset, &field)) {
		bool is_blind = ph_slice_is_nocase(field.name, "Bcc");

		if (recipients != NULL
		    && (is_blind || ph_slice_is_nocase(field.name, "To")
		        || ph_slice_is_nocase(field.name, "Cc")))
			take_addresses(field.value, recipients);
		if (!is_blind)
			g_string_append_len(out, field.whole.data, (gssize) field.whole.length);
	}
	g_string_append_len(out, text.data + offset, (gssize) (text.length - offset));
}

void
ph_compose(PhSlice input, const PhCompose *how, GString *message, GPtrArray *recipients)
{
	g_autoptr(GString) lines = g_string_sized_new(input.length + input.length / 32 + 16);
	PhSlice text;
	PhSlice first;
	PhSlice rest = input;

	/* The separator of an mbox is not part of the message. */
	if (ph_slice_starts_nocase(input, "From ") && next_line(&rest, &first))
		input = rest;
	make_lines(input, how->dot_ends, lines);
	text = PH_SLICE(lines->str, lines->len);
	add_missing(begins_with_field(text) ? text : PH_SLICE_EMPTY, how, message);
	if (!begins_with_field(text) && !g_str_has_prefix(lines->str, "\r\n"))
		g_string_append(message, "\r\n");
	if (begins_with_field(text))
		copy_without_blind(text, message, how->take_recipients ? recipients : NULL);
	else
		g_string_append_len(message, text.data, (gssize) text.length);
}
