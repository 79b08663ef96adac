/* packet.c: the milter protocol as octets
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "packet.h"

#include <string.h>

enum {
	NUMBER = 4,
	OPTIONS_OCTETS = 13, /* with the command */
	CODE_DIGITS = 3,
	CODE_LOWEST = 400,
	CODE_HIGHEST = 599,
	OCTET_BITS = 8
};

static bool
take_number(PhSlice *rest, uint32_t *out)
{
	const uint8_t *octets = (const uint8_t *) rest->data;

	if (rest->length < NUMBER)
		return false;
	*out = 0;
	for (unsigned i = 0; i < NUMBER; i++)
		*out = (*out << OCTET_BITS) | octets[i];
	*rest = ph_slice_from(*rest, NUMBER);
	return true;
}

static bool
take_text(PhSlice *rest, PhSlice *out)
{
	const char *end = rest->length > 0 ? memchr(rest->data, '\0', rest->length) : NULL;

	if (end == NULL)
		return false;
	*out = PH_SLICE(rest->data, (size_t) (end - rest->data));
	*rest = ph_slice_from(*rest, out->length + 1);
	return true;
}

size_t
packet_length(PhSlice octets)
{
	uint32_t length = 0;

	if (!take_number(&octets, &length) || octets.length > 0 || length > MILTER_PACKET)
		return 0;
	return length;
}

/* Behind the numbers may stand names of macros for each stage. */
static bool
take_macros(PhSlice rest, uint32_t actions, PhSlice macros_out[MILTER_STAGES])
{
	for (size_t i = 0; i < MILTER_STAGES; i++)
		macros_out[i] = PH_SLICE_EMPTY;
	while (rest.length > 0) {
		uint32_t stage = 0;
		PhSlice names;

		if (!take_number(&rest, &stage) || !take_text(&rest, &names)
		    || stage >= MILTER_STAGES)
			return false;
		if ((actions & MAY_NAME_MACROS) != 0)
			macros_out[stage] = names;
	}
	return true;
}

bool
packet_options(PhSlice packet, Options *out, PhSlice macros_out[MILTER_STAGES])
{
	PhSlice rest = ph_slice_from(packet, 1);

	if (packet.length < OPTIONS_OCTETS || packet.data[0] != SAY_OPTIONS
	    || !take_number(&rest, &out->version) || !take_number(&rest, &out->actions)
	    || !take_number(&rest, &out->protocol))
		return false;
	return out->version >= MILTER_OLDEST && out->version <= MILTER_VERSION
	       && (out->actions & ~(uint32_t) MAY_ALL) == 0
	       && (out->protocol & ~(uint32_t) PROTOCOL_ALL) == 0
	       && take_macros(rest, out->actions, macros_out);
}

/* What must have been negotiated; 0: nothing. */
static uint32_t
action_of(char kind)
{
	switch (kind) {
	case REPLY_ADD_HEADER:
	case REPLY_INSERT_HEADER:
		return MAY_ADD_HEADERS;
	case REPLY_CHANGE_HEADER:
		return MAY_CHANGE_HEADERS;
	case REPLY_ADD_RECIPIENT:
		return MAY_ADD_RECIPIENTS;
	case REPLY_ADD_RECIPIENT_PARAMETERS:
		return MAY_ADD_RECIPIENTS_WITH_PARAMETERS;
	case REPLY_DELETE_RECIPIENT:
		return MAY_DELETE_RECIPIENTS;
	case REPLY_BODY:
		return MAY_CHANGE_BODY;
	case REPLY_QUARANTINE:
		return MAY_QUARANTINE;
	case REPLY_SENDER:
		return MAY_CHANGE_SENDER;
	default:
		return 0;
	}
}

static bool
take_operands(PhSlice *rest, Reply *out)
{
	switch (out->kind) {
	case REPLY_INSERT_HEADER:
	case REPLY_CHANGE_HEADER:
		return take_number(rest, &out->index) && take_text(rest, &out->first)
		       && take_text(rest, &out->second);
	case REPLY_ADD_HEADER:
		return take_text(rest, &out->first) && take_text(rest, &out->second);
	case REPLY_SENDER:
	case REPLY_ADD_RECIPIENT_PARAMETERS:
		return take_text(rest, &out->first)
		       && (rest->length == 0 || take_text(rest, &out->second));
	case REPLY_ADD_RECIPIENT:
	case REPLY_DELETE_RECIPIENT:
	case REPLY_QUARANTINE:
	case REPLY_CODE:
		return take_text(rest, &out->first);
	case REPLY_BODY:
		out->first = *rest;
		*rest = PH_SLICE_EMPTY;
		return true;
	case REPLY_SHUTDOWN:
	case REPLY_ACCEPT:
	case REPLY_CONTINUE:
	case REPLY_DISCARD:
	case REPLY_CONNECTION_FAILED:
	case REPLY_PROGRESS:
	case REPLY_REJECT:
	case REPLY_SKIP:
	case REPLY_TEMPORARY:
		return true;
	default:
		return false;
	}
}

bool
packet_reply(PhSlice packet, uint32_t actions, Reply *out)
{
	PhSlice rest = ph_slice_from(packet, 1);
	uint32_t needed = 0;

	if (packet.length == 0)
		return false;
	*out = (Reply){ .kind = packet.data[0] };
	needed = action_of(out->kind);
	return (actions & needed) == needed && take_operands(&rest, out) && rest.length == 0;
}

/* --- "550 5.7.1 text" ------------------------------------------------------------------------- */

static bool
take_code(PhSlice *line, uint32_t *code_out, char *mark_out)
{
	if (line->length < CODE_DIGITS
	    || !ph_slice_to_u32(PH_SLICE(line->data, CODE_DIGITS), CODE_HIGHEST, code_out)
	    || *code_out < CODE_LOWEST)
		return false;
	*mark_out = line->length > CODE_DIGITS ? line->data[CODE_DIGITS] : ' ';
	*line = ph_slice_from(*line, CODE_DIGITS + 1);
	return *mark_out == ' ' || *mark_out == '-';
}

static void
take_status(PhSlice *line, char status_out[16])
{
	PhSlice rest = *line;
	PhSlice word = ph_slice_split(&rest, ' ');
	size_t n_dots = 0;

	for (size_t i = 0; i < word.length; i++) {
		n_dots += word.data[i] == '.' ? 1 : 0;
		if (!g_ascii_isdigit(word.data[i]) && word.data[i] != '.')
			return;
	}
	if (n_dots != 2 || word.length >= 16)
		return;
	memcpy(status_out, word.data, word.length);
	status_out[word.length] = '\0';
	*line = rest;
}

bool
packet_code(PhSlice reply, uint32_t *code_out, char status_out[16], GString *text_out)
{
	bool is_first = true;
	char mark = '-';

	status_out[0] = '\0';
	while (reply.length > 0) {
		PhSlice line = ph_slice_split(&reply, '\n');
		uint32_t code = 0;

		if (line.length > 0 && line.data[line.length - 1] == '\r')
			line.length--;
		if (mark != '-' || !take_code(&line, &code, &mark)
		    || (!is_first && code != *code_out))
			return false;
		*code_out = code;
		take_status(&line, status_out);
		if (!is_first)
			g_string_append_c(text_out, '\n');
		g_string_append_len(text_out, line.data != NULL ? line.data : "",
		                    (gssize) line.length);
		is_first = false;
	}
	return !is_first && mark == ' ';
}

/* --- writing ---------------------------------------------------------------------------------- */

void
packet_number(GString *out, uint32_t number)
{
	for (unsigned i = 0; i < NUMBER; i++)
		g_string_append_c(out, (char) (number >> (OCTET_BITS * (NUMBER - 1 - i))));
}

size_t
packet_begin(GString *out, char command)
{
	size_t begun = out->len;

	packet_number(out, 0);
	g_string_append_c(out, command);
	return begun;
}

void
packet_end(GString *out, size_t begun)
{
	uint32_t length = (uint32_t) (out->len - begun - NUMBER);

	for (unsigned i = 0; i < NUMBER; i++)
		out->str[begun + i] = (char) (length >> (OCTET_BITS * (NUMBER - 1 - i)));
}

void
packet_plain(GString *out, char command)
{
	packet_end(out, packet_begin(out, command));
}

void
packet_text(GString *out, PhSlice text)
{
	while (text.length > 0) {
		PhSlice part = ph_slice_split(&text, '\0');

		g_string_append_len(out, part.data, (gssize) part.length);
	}
	g_string_append_c(out, '\0');
}

/* Octets but for NUL and the CR of a line end. */
static void
append_folded(GString *out, PhSlice value)
{
	size_t start = 0;

	for (size_t i = 0; i < value.length; i++) {
		if (value.data[i] != '\r' && value.data[i] != '\0')
			continue;
		g_string_append_len(out, value.data + start, (gssize) (i - start));
		start = i + 1;
	}
	if (start < value.length)
		g_string_append_len(out, value.data + start, (gssize) (value.length - start));
	g_string_append_c(out, '\0');
}

void
packet_header(GString *out, PhSlice name, PhSlice value, bool keeps_blank)
{
	const size_t most = MILTER_CHUNK - 2;
	size_t begun = packet_begin(out, SAY_HEADER);

	if (!keeps_blank && value.length > 0 && value.data[0] == ' ')
		value = ph_slice_from(value, 1);
	name.length = MIN(name.length, most / 2);
	value.length = MIN(value.length, most - name.length);
	packet_text(out, name);
	append_folded(out, value);
	packet_end(out, begun);
}
