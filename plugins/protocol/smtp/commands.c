/* commands.c: finds a command's row, checks what all commands have in common, calls it
 *
 * One row a command: verb, function, what it may be followed by, its syntax for HELP. Verbs are
 * ASCII letters in any case; trailing blanks are tolerated, nothing else is (RFC 5321 section
 * 4.1.1). Order of checks: length, octets, verb, argument, state.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/log.h>

#include "smtp.h"

typedef PhNext (*Function)(PhSession *session, PhSlice argument);

enum {
	TAKES_NOTHING = 1 << 0,  /* an argument is an error */
	NEEDS_ARGUMENT = 1 << 1, /* none is an error */
	TAKES_UTF8 = 1 << 2,     /* octets above 127 are looked at by the command */
	NEEDS_HELLO = 1 << 3,
	OF_SMTP = 1 << 4, /* unknown in LMTP */
	OF_LMTP = 1 << 5, /* unknown in SMTP */
};

typedef struct {
	const char *verb;
	Function function;
	uint32_t flags;
	const char *syntax;
} Command;

static PhNext command_noop(PhSession *session, PhSlice argument);
static PhNext command_help(PhSession *session, PhSlice argument);
static PhNext command_quit(PhSession *session, PhSlice argument);
static PhNext command_absent(PhSession *session, PhSlice argument);

static const Command commands[] = {
	{ "MAIL", smtp_mail, NEEDS_ARGUMENT | TAKES_UTF8 | NEEDS_HELLO,
	  "MAIL FROM:<address> [SIZE=n] [BODY=7BIT|8BITMIME] [SMTPUTF8] [AUTH=address]" },
	{ "RCPT", smtp_rcpt, NEEDS_ARGUMENT | TAKES_UTF8, "RCPT TO:<address>" },
	{ "DATA", smtp_data, TAKES_NOTHING, "DATA" },
	{ "BDAT", smtp_bdat, 0, "BDAT size [LAST]" },
	{ "EHLO", smtp_ehlo, OF_SMTP, "EHLO domain" },
	{ "LHLO", smtp_ehlo, OF_LMTP, "LHLO domain" },
	{ "QUIT", command_quit, TAKES_NOTHING, "QUIT" },
	{ "RSET", smtp_rset, TAKES_NOTHING, "RSET" },
	{ "HELO", smtp_helo, OF_SMTP, "HELO domain" },
	{ "NOOP", command_noop, 0, "NOOP [text]" },
	{ "AUTH", smtp_auth, NEEDS_ARGUMENT, "AUTH mechanism [initial-response]" },
	{ "STARTTLS", smtp_starttls, TAKES_NOTHING, "STARTTLS" },
	{ "VRFY", smtp_vrfy, NEEDS_ARGUMENT | TAKES_UTF8, "VRFY user [SMTPUTF8]" },
	{ "EXPN", smtp_expn, NEEDS_ARGUMENT | TAKES_UTF8, "EXPN list [SMTPUTF8]" },
	{ "XCLIENT", smtp_xclient, NEEDS_ARGUMENT, NULL },
	{ "HELP", command_help, 0, "HELP [command]" },
	{ "SEND", command_absent, 0, NULL },
	{ "SOML", command_absent, 0, NULL },
	{ "SAML", command_absent, 0, NULL },
	{ "TURN", command_absent, 0, NULL },
	{ "ETRN", smtp_etrn, NEEDS_ARGUMENT | OF_SMTP, "ETRN [@]domain" },
	{ "ATRN", command_absent, 0, NULL },
};

PhSlice
smtp_verb(PhSlice line, PhSlice *argument_out)
{
	size_t length = line.length;
	size_t n = 0;

	while (length > 0 && (line.data[length - 1] == ' ' || line.data[length - 1] == '\t'))
		length--;
	while (n < length && g_ascii_isalpha(line.data[n]))
		n++;
	if (n < length && line.data[n] != ' ')
		n = 0;
	*argument_out = ph_slice_from(PH_SLICE(line.data, length), n > 0 ? n + 1 : length);
	return PH_SLICE(line.data, n);
}

static bool
is_known(const Client *client, const Command *command)
{
	return (command->flags & (smtp_is_lmtp(client) ? OF_SMTP : OF_LMTP)) == 0;
}

static const Command *
find_command(const Client *client, PhSlice verb)
{
	for (size_t i = 0; i < G_N_ELEMENTS(commands); i++)
		if (ph_slice_is_nocase(verb, commands[i].verb))
			return is_known(client, &commands[i]) ? &commands[i] : NULL;
	return NULL;
}

static PhNext
command_noop(PhSession *session, PhSlice argument)
{
	return smtp_reply(session, "250 2.0.0 OK");
}

static PhNext
command_quit(PhSession *session, PhSlice argument)
{
	return smtp_goodbye(session, "221 2.0.0 %s closing");
}

static PhNext
command_absent(PhSession *session, PhSlice argument)
{
	return smtp_refuse(session, "502 5.5.1 command not implemented");
}

static PhNext
command_help(PhSession *session, PhSlice argument)
{
	const Client *client = ph_session_data(session);
	const Command *command = find_command(client, argument);

	if (argument.length > 0) {
		if (command == NULL || command->syntax == NULL)
			return smtp_refuse(session, "504 5.5.4 no help for that");
		ph_session_write_text(session, "214 2.0.0 ");
		return smtp_reply(session, command->syntax);
	}
	for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
		if (commands[i].syntax == NULL || !is_known(client, &commands[i]))
			continue;
		ph_session_write_text(session, "214-2.0.0 ");
		smtp_reply(session, commands[i].syntax);
	}
	return smtp_reply(session, "214 2.0.0 this is Posthorn");
}

/* Web browsers that a hostile page has sent here, and mail header lines where commands should be:
 * nothing good follows. */
static bool
is_foreign(PhSlice line)
{
	static const char *const openings[] = {
		"GET ",   "POST ", "PUT ",      "HEAD ",      "OPTIONS ", "CONNECT ",    "PRI * ",
		"From: ", "To: ",  "Subject: ", "Received: ", "Host: ",   "User-Agent: "
	};

	for (size_t i = 0; i < G_N_ELEMENTS(openings); i++)
		if (ph_slice_starts_nocase(line, openings[i]))
			return true;
	return false;
}

static PhNext
refuse_unknown(PhSession *session, PhSlice line)
{
	if (!is_foreign(line))
		return smtp_tell_unknown(session, line);
	ph_log_session(session, PH_LOG_INFO, "refused", "not SMTP, closing",
	               PH_LOG_SLICE("line", line), PH_LOG_END);
	return smtp_goodbye(session, "554 5.5.1 this is an SMTP server, closing");
}

static PhNext
refuse_argument(PhSession *session, const Command *command)
{
	char text[160];

	g_snprintf(text, sizeof text, "501 5.5.4 syntax: %s",
	           command->syntax != NULL ? command->syntax : command->verb);
	return smtp_refuse(session, text);
}

PhNext
smtp_command(PhSession *session, PhSlice line)
{
	Client *client = ph_session_data(session);
	const Settings *settings = client->server->settings;
	PhSlice argument;
	PhSlice verb = smtp_verb(line, &argument);
	const Command *command = find_command(client, verb);

	if (line.length > settings->command_length.octets
	    && (command == NULL || command->function != smtp_auth))
		return smtp_refuse(session, "500 5.5.2 line too long");
	if (command == NULL)
		return refuse_unknown(session, line);
	if (argument.length > 0 && (command->flags & TAKES_NOTHING) != 0)
		return refuse_argument(session, command);
	if (argument.length == 0 && (command->flags & NEEDS_ARGUMENT) != 0)
		return refuse_argument(session, command);
	if ((command->flags & TAKES_UTF8) == 0 && !ph_slice_is_ascii(argument))
		return smtp_refuse(session, "501 5.5.2 octets above 127 are not allowed here");
	if ((command->flags & NEEDS_HELLO) != 0 && client->hello == NULL
	    && settings->hello_required)
		return smtp_refuse(session, smtp_is_lmtp(client)
		                                    ? "503 5.5.1 say LHLO first"
		                                    : "503 5.5.1 say EHLO or HELO first");
	return command->function(session, argument);
}
