/* envelope.c: the ENVELOPE of IMAP
 *
 *	envelope = "(" date SP subject SP from SP sender SP reply-to SP to SP cc SP bcc SP
 *	           in-reply-to SP message-id ")"
 *	address  = "(" name SP adl SP mailbox SP host ")"
 *
 * A group begins with an address without host whose mailbox is the group's name and ends with one
 * without either. An address that lacks a part must not look like that, so the missing part gets
 * a word that shows what happened.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "message/envelope.h"

#include <posthorn/address.h>
#include <posthorn/message.h>

#include "message/lex.h"

typedef struct {
	PhFieldId id;
	size_t start;
	size_t end;
} Piece;

void
ph_envelope_init(PhEnvelope *envelope)
{
	envelope->text = g_string_sized_new(512);
	envelope->scratch = g_string_sized_new(128);
	envelope->pieces = g_array_sized_new(FALSE, FALSE, sizeof(Piece), 12);
	memset(envelope->counts, 0, sizeof envelope->counts);
}

void
ph_envelope_clear(PhEnvelope *envelope)
{
	g_string_free(envelope->text, TRUE);
	g_string_free(envelope->scratch, TRUE);
	g_array_free(envelope->pieces, TRUE);
}

void
ph_envelope_reset(PhEnvelope *envelope)
{
	g_string_truncate(envelope->text, 0);
	g_array_set_size(envelope->pieces, 0);
	memset(envelope->counts, 0, sizeof envelope->counts);
}

static void
append_part(PhSlice text, const char *missing, GString *out)
{
	ph_imap_append_string(text.length > 0 ? text : ph_slice(missing), out);
}

static void
append_optional(PhSlice text, GString *out)
{
	ph_imap_append_nstring(text.length > 0 ? text : PH_SLICE_EMPTY, out);
}

static void
append_address(const PhListed *item, GString *out)
{
	if (item->kind == PH_LISTED_GROUP_END) {
		g_string_append(out, "(NIL NIL NIL NIL)");
		return;
	}
	if (item->kind == PH_LISTED_GROUP_START) {
		g_string_append(out, "(NIL NIL ");
		ph_imap_append_string(item->name, out);
		g_string_append(out, " NIL)");
		return;
	}
	g_string_append_c(out, '(');
	append_optional(item->name, out);
	g_string_append_c(out, ' ');
	append_optional(item->route, out);
	g_string_append_c(out, ' ');
	append_part(item->local, "MISSING_MAILBOX", out);
	g_string_append_c(out, ' ');
	append_part(item->domain, "MISSING_DOMAIN", out);
	g_string_append_c(out, ')');
}

static void
take_addresses(PhEnvelope *envelope, PhFieldId id, PhSlice value)
{
	PhAddressIter iter;
	PhListed item = { .kind = PH_LISTED_MAILBOX };

	ph_address_iter_init(&iter, value, envelope->scratch);
	while (envelope->counts[id] < PH_ADDRESS_LIST_MAX && ph_address_iter_next(&iter, &item)) {
		append_address(&item, envelope->text);
		envelope->counts[id]++;
	}
	if (iter.in_group)
		append_address(&(PhListed){ .kind = PH_LISTED_GROUP_END }, envelope->text);
}

static void
take_string(PhEnvelope *envelope, PhFieldId id, PhSlice value)
{
	GString *scratch = envelope->scratch;

	envelope->counts[id]++;
	g_string_truncate(scratch, 0);
	ph_header_append_unfolded(value, scratch);
	ph_imap_append_string(PH_SLICE(scratch->str, scratch->len), envelope->text);
}

void
ph_envelope_take(PhEnvelope *envelope, PhFieldId id, PhSlice value)
{
	Piece piece = { .id = id, .start = envelope->text->len };

	if (id >= PH_FIELDS_OF_ENVELOPE)
		return;
	if (ph_field_is_address(id))
		take_addresses(envelope, id, value);
	else if (envelope->counts[id] == 0)
		take_string(envelope, id, value);
	piece.end = envelope->text->len;
	if (piece.end > piece.start)
		g_array_append_val(envelope->pieces, piece);
}

static void
append_field(const PhEnvelope *envelope, PhFieldId id, GString *out)
{
	bool list = ph_field_is_address(id);

	if (envelope->counts[id] == 0) {
		g_string_append_len(out, "NIL", 3);
		return;
	}
	if (list)
		g_string_append_c(out, '(');
	for (guint i = 0; i < envelope->pieces->len; i++) {
		const Piece *piece = &g_array_index(envelope->pieces, Piece, i);

		if (piece->id == id)
			g_string_append_len(out, envelope->text->str + piece->start,
			                    (gssize) (piece->end - piece->start));
	}
	if (list)
		g_string_append_c(out, ')');
}

void
ph_envelope_append(const PhEnvelope *envelope, GString *out)
{
	for (PhFieldId id = PH_FIELD_DATE; id < PH_FIELDS_OF_ENVELOPE; id++) {
		bool absent = envelope->counts[id] == 0;
		bool from = absent && (id == PH_FIELD_SENDER || id == PH_FIELD_REPLY_TO);

		g_string_append_c(out, id == PH_FIELD_DATE ? '(' : ' ');
		append_field(envelope, from ? PH_FIELD_FROM : id, out);
	}
	g_string_append_c(out, ')');
}
