/* commands.c: finds a command's row, checks state and argument, calls it
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "pop3.h"

typedef PhNext (*Function)(PhSession *session, PhSlice argument);

enum {
	BEFORE_LOGIN = 1 << 0, /* AUTHORIZATION state */
	AFTER_LOGIN = 1 << 1,  /* TRANSACTION state */
	ANY_TIME = BEFORE_LOGIN | AFTER_LOGIN,
	TAKES_NOTHING = 1 << 2,
	NEEDS_ARGUMENT = 1 << 3,
};

typedef struct {
	const char *verb;
	Function function;
	uint32_t flags;
} Command;

static PhNext
command_noop(PhSession *session, PhSlice argument)
{
	return pop3_reply(session, "+OK");
}

static const Command commands[] = {
	{ "RETR", pop3_retr, AFTER_LOGIN | NEEDS_ARGUMENT },
	{ "DELE", pop3_dele, AFTER_LOGIN | NEEDS_ARGUMENT },
	{ "UIDL", pop3_uidl, AFTER_LOGIN },
	{ "LIST", pop3_list, AFTER_LOGIN },
	{ "TOP", pop3_top, AFTER_LOGIN | NEEDS_ARGUMENT },
	{ "STAT", pop3_stat, AFTER_LOGIN | TAKES_NOTHING },
	{ "NOOP", command_noop, AFTER_LOGIN | TAKES_NOTHING },
	{ "RSET", pop3_rset, AFTER_LOGIN | TAKES_NOTHING },
	{ "QUIT", pop3_quit, ANY_TIME | TAKES_NOTHING },
	{ "CAPA", pop3_capa, ANY_TIME | TAKES_NOTHING },
	{ "USER", pop3_user, BEFORE_LOGIN | NEEDS_ARGUMENT },
	{ "PASS", pop3_pass, BEFORE_LOGIN | NEEDS_ARGUMENT },
	{ "APOP", pop3_apop, BEFORE_LOGIN | NEEDS_ARGUMENT },
	{ "AUTH", pop3_auth, BEFORE_LOGIN },
	{ "STLS", pop3_stls, BEFORE_LOGIN | TAKES_NOTHING },
	{ "UTF8", pop3_utf8, BEFORE_LOGIN | TAKES_NOTHING },
	{ "LANG", pop3_lang, ANY_TIME },
};

static const Command *
find_command(PhSlice verb)
{
	for (size_t i = 0; i < G_N_ELEMENTS(commands); i++)
		if (ph_slice_is_nocase(verb, commands[i].verb))
			return &commands[i];
	return NULL;
}

PhNext
pop3_command(PhSession *session, PhSlice line)
{
	const Client *client = ph_session_data(session);
	PhSlice argument = line;
	PhSlice verb = ph_slice_split(&argument, ' ');
	const Command *command = find_command(verb);
	uint32_t state = client->account != NULL ? AFTER_LOGIN : BEFORE_LOGIN;

	if (command == NULL)
		return pop3_refuse(session, "-ERR unknown command");
	if (line.length > client->server->settings->command_length.octets
	    && command->function != pop3_auth)
		return pop3_refuse(session, "-ERR line too long");
	if ((command->flags & state) == 0)
		return pop3_refuse(session, state == AFTER_LOGIN ? "-ERR you are logged in already"
		                                                 : "-ERR log in first");
	if (command->function != pop3_pass)
		argument = ph_slice_trim(argument);
	if (argument.length > 0 && (command->flags & TAKES_NOTHING) != 0)
		return pop3_refuse(session, "-ERR that command takes no argument");
	if (argument.length == 0 && (command->flags & NEEDS_ARGUMENT) != 0)
		return pop3_refuse(session, "-ERR that command needs an argument");
	return command->function(session, argument);
}
