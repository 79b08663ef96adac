/* script.c: what a milter is told for a question, and in which order
 *
 * Commands that a milter does not want are left out, and those that it does not answer are not
 * waited for. Header, end of header and a body of one piece go out together, because hardly any
 * milter decides before the end of the message: that spares as many round trips. When one does, the
 * connection is not used again.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/header.h>

#include "talk.h"

#include <arpa/inet.h>
#include <string.h>

enum {
	AWAITED_MAX = 64, /* replies that are outstanding */
	HELD_MAX = 32768  /* octets that wait for the next question */
};

/* --- commands --------------------------------------------------------------------------------- */

static void
add_options(GString *out)
{
	size_t begun = packet_begin(out, SAY_OPTIONS);

	packet_number(out, MILTER_VERSION);
	packet_number(out, MAY_ALL);
	packet_number(out, PROTOCOL_ALL);
	packet_end(out, begun);
}

static void
add_connect(GString *out, const PhMail *mail)
{
	const char *address = ph_mail_fact(mail, "client-address");
	const char *port_text = ph_mail_fact(mail, "client-port");
	g_autofree char *name = macros_client_name(mail);
	uint8_t octets[16];
	char family = 'U';
	uint32_t port = 0;
	size_t begun = packet_begin(out, SAY_CONNECT);

	packet_text(out, ph_slice(name));
	if (address != NULL && inet_pton(AF_INET, address, octets) == 1)
		family = '4';
	else if (address != NULL && inet_pton(AF_INET6, address, octets) == 1)
		family = '6';
	else if (address != NULL && strcmp(address, "unix") == 0)
		family = 'L';
	g_string_append_c(out, family);
	if (family != 'U') {
		(void) ph_slice_to_u32(ph_slice(port_text), G_MAXUINT16, &port);
		g_string_append_c(out, (char) (port >> 8));
		g_string_append_c(out, (char) port);
		packet_text(out, ph_slice(address));
	}
	packet_end(out, begun);
}

static void
add_word(GString *out, char command, const char *word)
{
	size_t begun = packet_begin(out, command);

	packet_text(out, ph_slice(word));
	packet_end(out, begun);
}

static void
add_parameter(GString *out, const char *name, const char *value)
{
	g_autofree char *text = NULL;

	if (value == NULL)
		return;
	text = value[0] != '\0' ? g_strdup_printf("%s=%s", name, value) : g_strdup(name);
	packet_text(out, ph_slice(text));
}

static void
add_mail(GString *out, const PhMail *mail)
{
	static const char *const names[] = { "SIZE", "BODY",  "SMTPUTF8",
		                             "RET",  "ENVID", "REQUIRETLS" };
	g_autofree char *path = g_strdup_printf("<%s>", ph_mail_sender(mail));
	size_t begun = packet_begin(out, SAY_MAIL);

	packet_text(out, ph_slice(path));
	for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
		add_parameter(out, names[i], ph_mail_parameter(mail, names[i]));
	packet_end(out, begun);
}

static void
add_rcpt(GString *out, const PhMail *mail, size_t index)
{
	static const char *const names[] = { "NOTIFY", "ORCPT" };
	const char *address = ph_mail_recipient(mail, index);
	g_autofree char *path = g_strdup_printf("<%s>", address);
	size_t begun = packet_begin(out, SAY_RCPT);

	packet_text(out, ph_slice(path));
	for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
		add_parameter(out, names[i], ph_mail_recipient_parameter(mail, index, names[i]));
	packet_end(out, begun);
}

static void
add_refused(GString *out, const PhMail *mail)
{
	const char *address = ph_mail_fact(mail, "refused-recipient");
	g_autofree char *path = g_strdup_printf("<%s>", address != NULL ? address : "");

	add_word(out, SAY_RCPT, path);
}

/* One short command with its macros. */
static void
add_command(Talk *talk, char command, const PhFilterQuestion *question)
{
	const PhMail *mail = question->mail;
	const char *helo = ph_mail_fact(mail, "helo");
	const char *line = ph_mail_fact(mail, "command");
	GString *out = talk->said;

	macros_add(talk, out, command, question);
	switch (command) {
	case SAY_OPTIONS:
		add_options(out);
		break;
	case SAY_CONNECT:
		add_connect(out, mail);
		break;
	case SAY_HELO:
		add_word(out, SAY_HELO, helo != NULL ? helo : "");
		break;
	case SAY_MAIL:
		add_mail(out, mail);
		break;
	case SAY_RCPT:
		if (question->stage == PH_STAGE_REFUSED)
			add_refused(out, mail);
		else
			add_rcpt(out, mail, question->recipient);
		break;
	case SAY_UNKNOWN:
		add_word(out, SAY_UNKNOWN, line != NULL ? line : "");
		break;
	default:
		packet_plain(out, command);
		break;
	}
}

/* --- preparing -------------------------------------------------------------------------------- */

static const char *
commands_of(uint32_t stage)
{
	switch (stage) {
	case PH_STAGE_CONNECT:
		return "C";
	case PH_STAGE_HELO:
		return "H";
	case PH_STAGE_SENDER:
		return "M";
	case PH_STAGE_RECIPIENT:
	case PH_STAGE_REFUSED:
		return "R";
	case PH_STAGE_DATA:
		return "T";
	case PH_STAGE_MESSAGE:
		return "LNBE";
	case PH_STAGE_DELIVERY:
		return "MRTLNBE";
	case PH_STAGE_UNKNOWN:
		return "U";
	default:
		return "";
	}
}

/* What a new connection is told before. */
static const char *
catch_up(uint32_t stage)
{
	if (stage == PH_STAGE_CONNECT)
		return "O";
	return stage == PH_STAGE_HELO ? "OC" : "OCH";
}

static bool
take_message(Talk *talk, PhMail *mail, GError **error)
{
	PhSlice block;

	if (!ph_mail_header(mail, &block, error))
		return false;
	talk->header = g_string_new_len(block.data, (gssize) block.length);
	talk->header_rest = PH_SLICE(talk->header->str, talk->header->len);
	talk->header_offset = 0;
	talk->content = ph_content_ref(ph_mail_content(mail));
	talk->body_at = block.length;
	return true;
}

void
script_drop_held(Talk *talk)
{
	g_string_truncate(talk->held, 0);
	talk->held_data_at = 0;
}

void
script_forget(Talk *talk)
{
	g_clear_pointer(&talk->content, ph_content_unref);
	if (talk->header != NULL)
		g_string_free(talk->header, TRUE);
	talk->header = NULL;
	talk->header_rest = PH_SLICE_EMPTY;
	g_string_truncate(talk->said, 0);
	g_string_truncate(talk->awaited, 0);
	g_ptr_array_set_size(talk->changes, 0);
	talk->said_at = 0;
	talk->change_octets = 0;
	talk->script[0] = '\0';
	talk->current = '\0';
}

bool
script_prepare(Talk *talk, PhFilterQuestion *question, bool is_connected, GError **error)
{
	bool begins = question->stage == PH_STAGE_SENDER || question->stage == PH_STAGE_DELIVERY;
	bool has_message =
		question->stage == PH_STAGE_MESSAGE || question->stage == PH_STAGE_DELIVERY;
	const char *first = begins && talk->in_message ? "A" : "";

	script_forget(talk);
	if (has_message && !take_message(talk, question->mail, error))
		return false;
	if (!is_connected)
		macros_forget(talk);
	/* DATA of a message that is given up. */
	if (first[0] != '\0' && talk->held_data_at > 0) {
		g_string_truncate(talk->held, talk->held_data_at - 1);
		talk->held_data_at = 0;
	}
	talk->is_cut = talk->knows_macros;
	g_snprintf(talk->script, sizeof talk->script, "%s%s",
	           is_connected ? first : catch_up(question->stage), commands_of(question->stage));
	for (size_t i = 0; talk->script[i] != '\0'; i++)
		if (talk->script[i] != SAY_HEADER && talk->script[i] != SAY_BODY)
			add_command(talk, talk->script[i], question);
	if (begins)
		talk->in_message = true;
	talk->skips_body = false;
	talk->skips_header = false;
	talk->was_answered = false;
	talk->is_told_refused = question->stage == PH_STAGE_REFUSED;
	talk->verdict = (PhVerdict){ .result = PH_VERDICT_NONE };
	return true;
}

/* --- saying ----------------------------------------------------------------------------------- */

typedef struct {
	char command;
	uint32_t unwanted;
	uint32_t silent;
} Manner;

static const Manner manners[] = {
	{ SAY_CONNECT, NO_CONNECT, SILENT_CONNECT },
	{ SAY_HELO, NO_HELO, SILENT_HELO },
	{ SAY_MAIL, NO_MAIL, SILENT_MAIL },
	{ SAY_RCPT, NO_RCPT, SILENT_RCPT },
	{ SAY_DATA, NO_DATA, SILENT_DATA },
	{ SAY_HEADER, NO_HEADERS, SILENT_HEADER },
	{ SAY_EOH, NO_EOH, SILENT_EOH },
	{ SAY_BODY, NO_BODY, SILENT_BODY },
	{ SAY_UNKNOWN, NO_UNKNOWN, SILENT_UNKNOWN },
};

static Manner
manner_of(char command)
{
	for (size_t i = 0; i < G_N_ELEMENTS(manners); i++)
		if (manners[i].command == command)
			return manners[i];
	return (Manner){ .command = command };
}

static bool
is_wanted(const Talk *talk, char command)
{
	if (command == SAY_OPTIONS)
		return true;
	if ((talk->options.protocol & manner_of(command).unwanted) != 0)
		return false;
	if (command == SAY_RCPT && talk->is_told_refused)
		return (talk->options.protocol & WANTS_REFUSED) != 0;
	if (command == SAY_DATA)
		return talk->options.version >= 4;
	if (command == SAY_UNKNOWN)
		return talk->options.version >= 3;
	return true;
}

static bool
is_answered(const Talk *talk, char command)
{
	return command != SAY_ABORT && command != SAY_QUIT
	       && (talk->options.protocol & manner_of(command).silent) == 0;
}

static void
await(Talk *talk, char command)
{
	if (is_answered(talk, command))
		g_string_append_c(talk->awaited, command);
}

/* The next packet of those that are written. */
static PhSlice
next_packet(Talk *talk)
{
	const uint8_t *at = (const uint8_t *) talk->said->str + talk->said_at;
	uint32_t length =
		(uint32_t) at[0] << 24 | (uint32_t) at[1] << 16 | (uint32_t) at[2] << 8 | at[3];
	PhSlice packet = PH_SLICE(talk->said->str + talk->said_at, MILTER_LENGTH + length);

	talk->said_at += packet.length;
	return packet;
}

/* Macros that were written before the milter said which it wants. */
static void
say_packet(const Talk *talk, PhSession *session, PhSlice packet)
{
	g_autoptr(GString) cut = NULL;

	if (talk->is_cut || packet.data[MILTER_LENGTH] != SAY_MACROS) {
		ph_session_write(session, packet);
		return;
	}
	cut = g_string_sized_new(packet.length);
	macros_cut(talk, packet, cut);
	ph_session_write(session, PH_SLICE(cut->str, cut->len));
}

/* The packets up to the end of that command: its macros and itself. */
static void
say_written(Talk *talk, PhSession *session, char command)
{
	bool is_last = false;

	while (!is_last && talk->said_at + MILTER_LENGTH < talk->said->len) {
		PhSlice packet = next_packet(talk);

		is_last = packet.data[MILTER_LENGTH] == command;
		if (session != NULL)
			say_packet(talk, session, packet);
	}
	if (session != NULL)
		await(talk, command);
}

static PhSlice
raw_value(const PhHeaderField *field)
{
	PhSlice value = field->whole;
	ssize_t colon = ph_slice_find(value, ':');

	if (colon >= 0)
		value = ph_slice_from(value, (size_t) colon + 1);
	while (value.length > 0
	       && (value.data[value.length - 1] == '\n' || value.data[value.length - 1] == '\r'))
		value.length--;
	return value;
}

/* Returns: true: it was the last one. */
static bool
say_header(Talk *talk, PhSession *session)
{
	bool keeps_blank = (talk->options.protocol & WANTS_BLANK) != 0;
	g_autoptr(GString) out = NULL;
	PhHeaderField field;

	if (talk->skips_header || !ph_header_next(&talk->header_rest, &talk->header_offset, &field))
		return true;
	if (field.name.length == 0)
		return false;
	out = g_string_sized_new(field.whole.length + 16);
	packet_header(out, field.name, raw_value(&field), keeps_blank);
	ph_session_write(session, PH_SLICE(out->str, out->len));
	await(talk, SAY_HEADER);
	return false;
}

/* Returns: true: it was the last piece. */
static bool
say_body(Talk *talk, PhSession *session)
{
	uint64_t left = ph_content_length(talk->content) - talk->body_at;
	size_t length = (size_t) MIN(left, (uint64_t) MILTER_CHUNK);
	g_autoptr(GString) out = NULL;
	size_t begun = 0;
	ssize_t n = 0;

	if (talk->skips_body || length == 0)
		return true;
	out = g_string_sized_new(length + 16);
	begun = packet_begin(out, SAY_BODY);
	g_string_set_size(out, begun + MILTER_LENGTH + 1 + length);
	n = ph_content_read(talk->content, talk->body_at, out->str + begun + MILTER_LENGTH + 1,
	                    length, NULL);
	if (n <= 0) {
		talk_fail(talk, "the message cannot be read");
		return true;
	}
	g_string_truncate(out, begun + MILTER_LENGTH + 1 + (size_t) n);
	packet_end(out, begun);
	ph_session_write(session, PH_SLICE(out->str, out->len));
	talk->body_at += (uint64_t) n;
	await(talk, SAY_BODY);
	return talk->body_at == ph_content_length(talk->content);
}

static bool
is_small(const Talk *talk)
{
	return talk->content != NULL
	       && ph_content_length(talk->content) - talk->body_at <= MILTER_CHUNK;
}

/* May @command be said while others are not answered yet? */
static bool
may_follow(const Talk *talk, char command)
{
	char last = '\0';

	if (talk->awaited->len == 0)
		return true;
	last = talk->awaited->str[talk->awaited->len - 1];
	if (!talk->milter->settings->pipelining || talk->awaited->len >= AWAITED_MAX
	    || strchr("TLNB", last) == NULL)
		return false;
	if (command == SAY_BODY)
		return is_small(talk) && last != SAY_BODY;
	return strchr("LNE", command) != NULL
	       && (command != SAY_END || last != SAY_BODY
	           || ph_content_length(talk->content) <= MILTER_CHUNK + talk->header->len);
}

static void
next_command(Talk *talk)
{
	memmove(talk->script, talk->script + 1, strlen(talk->script));
}

/* May it wait for the next question? DATA may: whoever refuses it is heard at the end of the message,
 * which spares a round trip. */
static bool
may_be_held(const Talk *talk, char command)
{
	if (command == SAY_HEADER || command == SAY_BODY || command == SAY_END)
		return false;
	return !is_wanted(talk, command) || !is_answered(talk, command)
	       || (command == SAY_DATA && talk->milter->settings->pipelining);
}

bool
script_hold(Talk *talk)
{
	if (talk->held->len > HELD_MAX)
		return false;
	for (size_t i = 0; talk->script[i] != '\0'; i++)
		if (!may_be_held(talk, talk->script[i]))
			return false;
	for (size_t i = 0; talk->script[i] != '\0'; i++) {
		size_t from = talk->said_at;

		say_written(talk, NULL, talk->script[i]);
		if (talk->script[i] == SAY_DATA && is_wanted(talk, SAY_DATA)
		    && is_answered(talk, SAY_DATA))
			talk->held_data_at = talk->held->len + 1;
		if (is_wanted(talk, talk->script[i]))
			g_string_append_len(talk->held, talk->said->str + from,
			                    (gssize) (talk->said_at - from));
	}
	talk->script[0] = '\0';
	return true;
}

bool
script_say(Talk *talk, PhSession *session)
{
	if (talk->held->len > 0)
		ph_session_write(session, PH_SLICE(talk->held->str, talk->held->len));
	if (talk->held_data_at > 0)
		await(talk, SAY_DATA);
	script_drop_held(talk);
	while (talk->script[0] != '\0') {
		char command = talk->script[0];
		bool is_stream = command == SAY_HEADER || command == SAY_BODY;

		if (!may_follow(talk, command))
			return true;
		if (ph_session_output_full(session))
			return false;
		if (!is_wanted(talk, command)) {
			if (!is_stream)
				say_written(talk, NULL, command);
			next_command(talk);
		} else if (command == SAY_HEADER ? say_header(talk, session)
		           : command == SAY_BODY ? say_body(talk, session)
		                                 : (say_written(talk, session, command), true)) {
			next_command(talk);
		}
	}
	return true;
}
