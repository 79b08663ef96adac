/* isolated-filter-packet.c: the answer of an isolated filter, read from its packet; pure
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "server/isolated-filter-packet.h"

#include <posthorn/error.h>
#include <posthorn/header.h>

#include "server/mail.h"

#include <string.h>

static void
clear_parameter(void *data)
{
	PhMailParameter *row = data;

	g_free(row->name);
	g_free(row->value);
}

void
ph_filter_answer_clear(PhFilterAnswer *answer)
{
	g_clear_error(&answer->error);
	g_clear_pointer(&answer->sender, g_free);
	g_clear_pointer(&answer->parameters, g_array_unref);
	g_clear_pointer(&answer->removed, g_array_unref);
}

static void
copy_text(char *out, size_t size, char *text)
{
	g_strlcpy(out, text != NULL ? text : "", size);
	g_free(text);
}

static void
read_verdict(PhPacketReader *reader, PhVerdict *verdict)
{
	*verdict = (PhVerdict){ .result = (uint32_t) ph_read_number(reader, PH_VERDICT_FAILED) };
	verdict->smtp_code = (uint32_t) ph_read_number(reader, 599);
	copy_text(verdict->status, sizeof verdict->status, ph_read_text(reader));
	copy_text(verdict->text, sizeof verdict->text, ph_read_text(reader));
	verdict->delay.us = ph_read_number(reader, UINT64_MAX);
}

static void
read_parameters(PhPacketReader *reader, GArray *rows)
{
	uint64_t n = ph_read_number(reader, PH_PACKET_LIST_MAX);

	for (uint64_t i = 0; i < n && !reader->bad; i++) {
		PhMailParameter row = { ph_read_text(reader), ph_read_text(reader) };

		reader->bad = reader->bad || row.name == NULL || row.value == NULL;
		g_array_append_val(rows, row);
	}
}

static void
read_removed(PhPacketReader *reader, GArray *rows)
{
	uint64_t n = ph_read_number(reader, PH_PACKET_LIST_MAX);

	for (uint64_t i = 0; i < n && !reader->bad; i++) {
		uint64_t index = ph_read_number(reader, G_MAXUINT32);

		g_array_append_val(rows, index);
	}
}

bool
ph_filter_answer_read(PhPacketReader *reader, uint64_t most, PhFilterAnswer *answer)
{
	answer->parameters = g_array_new(FALSE, FALSE, sizeof(PhMailParameter));
	g_array_set_clear_func(answer->parameters, clear_parameter);
	answer->removed = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	if (ph_read_number(reader, 1) == 0) {
		ph_read_error(reader, &answer->error);
		if (answer->error == NULL)
			ph_error_set(&answer->error, PH_ERROR_TEMPORARY,
			             "it failed and did not say why");
		return ph_read_is_done(reader);
	}
	read_verdict(reader, &answer->verdict);
	answer->sender = ph_read_text(reader);
	read_parameters(reader, answer->parameters);
	read_removed(reader, answer->removed);
	answer->prepended = ph_read_octets(reader, PH_PACKET_MAX);
	answer->header_mark = ph_read_number(reader, PH_HEADER_SUM_MAX + 1);
	answer->body_mark = ph_read_number(reader, most + 1);
	return ph_read_is_done(reader) && (answer->header_mark > 0 || answer->body_mark == 0);
}
