/* smtp.c: the smtp protocol plugin: options, the life of a session, what goes where
 *
 * Receiving side of RFC 5321 with SIZE (1870), PIPELINING (2920), 8BITMIME (6152),
 * ENHANCEDSTATUSCODES (2034), STARTTLS (3207), AUTH (4954), SMTPUTF8 (6531) and CHUNKING (3030).
 * Lines end in CRLF and nothing else; a line that does not is refused, content that holds other
 * line ends too.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "smtp.h"

#include <posthorn/log.h>

static const char *const show_words[] = { "no", "authenticated", "yes", NULL };
static const char *const newline_words[] = { "reject", "accept", NULL };
static const char *const early_words[] = { "reject", "accept", NULL };

static const PhOption options[] = {
	PH_OPTION_SIZE(Settings,
	               message_size_limit,
	               PH_ABSENT,
	               "largest message that is taken; as in [server] when absent"),
	PH_OPTION_INTEGER(Settings,
	                  max_recipients,
	                  "1000",
	                  1,
	                  100000,
	                  "recipients of one message; further ones get 452"),
	PH_OPTION_INTEGER(Settings,
	                  max_errors,
	                  "20",
	                  1,
	                  100000,
	                  "errors after which the session is closed with 421"),
	PH_OPTION_INTEGER(Settings,
	                  delay_errors,
	                  "10",
	                  0,
	                  100000,
	                  "errors after which each further one is answered slowly"),
	PH_OPTION_DURATION(Settings, error_delay, "1s", "how slowly"),
	PH_OPTION_INTEGER(Settings,
	                  max_hops,
	                  "100",
	                  1,
	                  10000,
	                  "Received fields above which a message is a mail loop"),
	PH_OPTION_SIZE(Settings, command_length, "4K", "longest command line"),
	PH_OPTION_SIZE(Settings, auth_length, "12K", "longest line of an AUTH exchange"),
	PH_OPTION_DURATION(Settings, command_timeout, "5min", "time for a whole command line"),
	PH_OPTION_DURATION(Settings, data_timeout, "3min", "time for the next block of a message"),
	PH_OPTION_DURATION(Settings,
	                   commit_timeout,
	                   "10min",
	                   "time for storing a message before the session is given up"),
	PH_OPTION_BOOLEAN(Settings, hello_required, "yes", "refuse MAIL before HELO or EHLO"),
	PH_OPTION_BOOLEAN(Settings,
	                  hello_strict,
	                  "yes",
	                  "the client's name must be a domain or an address literal"),
	PH_OPTION_BOOLEAN(Settings, auth_required, "no", "refuse MAIL before AUTH"),
	PH_OPTION_CHOICE(Settings, vrfy, "no", show_words, "who may ask whether a user exists"),
	PH_OPTION_CHOICE(Settings, expn, "no", show_words, "who may ask for the members of a list"),
	PH_OPTION_CHOICE(Settings,
	                 bare_newline,
	                 "reject",
	                 newline_words,
	                 "messages that hold CR or LF alone, or NUL"),
	PH_OPTION_CHOICE(Settings,
	                 early_input,
	                 "reject",
	                 early_words,
	                 "clients that do not wait for the answers to EHLO and DATA"),
	PH_OPTION_STRING(Settings,
	                 banner,
	                 "Posthorn",
	                 "text behind the server's name in the greeting"),
	PH_OPTIONS_END,
};

static bool
create(PhSection *section, const void *settings, void **instance_out, GError **error)
{
	Server *server = g_new0(Server, 1);

	server->settings = settings;
	server->section = section;
	server->size_limit = server->settings->message_size_limit.octets;
	if (server->size_limit == 0)
		server->size_limit = ph_section_message_size_limit(section);
	server->greeting = g_strdup_printf("220 %s ESMTP %s", ph_section_hostname(section),
	                                   server->settings->banner);
	*instance_out = server;
	return true;
}

static void
destroy(void *instance)
{
	Server *server = instance;

	g_free(server->greeting);
	g_free(server);
}

static void
expect_command(PhSession *session)
{
	const Client *client = ph_session_data(session);

	ph_session_limit_line(session, client->server->settings->auth_length.octets);
	ph_session_set_deadline(session, client->server->settings->command_timeout);
}

static PhNext
greet(PhSession *session)
{
	const Client *client = ph_session_data(session);

	return smtp_reply(session, client->server->greeting);
}

static PhNext
opened(PhSession *session)
{
	Client *client = g_new0(Client, 1);

	client->server = ph_session_instance(session);
	ph_session_set_data(session, client);
	if (client->server->settings->early_input == 0 && ph_session_has_input(session))
		return smtp_goodbye(session, "554 5.5.0 wait for the greeting, closing");
	expect_command(session);
	client->filters = ph_filters_new(session);
	return smtp_ask(session, PH_STAGE_CONNECT, greet);
}

static void
closed(PhSession *session)
{
	Client *client = ph_session_data(session);

	if (client == NULL)
		return;
	smtp_drop_envelope(session);
	smtp_forget(client);
	ph_filters_free(client->filters);
	g_free(client->refusal);
	ph_session_set_data(session, NULL);
	g_free(client);
}

static PhNext
refuse_line(PhSession *session, uint32_t flaws)
{
	if ((flaws & PH_LINE_TOO_LONG) != 0)
		return smtp_refuse(session, "500 5.5.2 line too long");
	if ((flaws & PH_LINE_BARE_LF) != 0)
		return smtp_refuse(session, "500 5.5.2 lines must end in CRLF");
	if ((flaws & PH_LINE_BARE_CR) != 0)
		return smtp_refuse(session, "500 5.5.2 CR without LF");
	return smtp_refuse(session, "500 5.5.2 NUL is not allowed");
}

static PhNext
line(PhSession *session, PhSlice text, uint32_t flaws)
{
	const Client *client = ph_session_data(session);

	ph_session_set_deadline(session, client->server->settings->command_timeout);
	if (ph_session_is_draining(session))
		return smtp_goodbye(session, "421 4.3.2 %s is shutting down, closing");
	if (client->mode == MODE_AUTH)
		return smtp_auth_line(session, text, flaws);
	if (flaws != 0)
		return refuse_line(session, flaws);
	return smtp_command(session, text);
}

static PhNext
resumed(PhSession *session)
{
	Client *client = ph_session_data(session);

	if (client->mode == MODE_COMMIT)
		return smtp_committed(session);
	if (client->mode == MODE_LOGIN)
		return smtp_auth_resumed(session);
	if (client->mode == MODE_ASK)
		return smtp_answered(session);
	client->mode = MODE_COMMAND;
	ph_session_set_deadline(session, client->server->settings->command_timeout);
	return PH_DONE;
}

static PhNext
tls_started(PhSession *session)
{
	Client *client = ph_session_data(session);

	smtp_drop_envelope(session);
	smtp_forget(client);
	expect_command(session);
	return PH_DONE;
}

static PhNext
timeout(PhSession *session)
{
	return smtp_goodbye(session, "421 4.4.2 %s timeout, closing");
}

static PhNext
drain(PhSession *session)
{
	const Client *client = ph_session_data(session);

	if (client->mode != MODE_COMMAND || client->envelope != NULL)
		return PH_DONE;
	return smtp_goodbye(session, "421 4.3.2 %s is shutting down, closing");
}

static const PhProtocol protocol = {
	.size = sizeof protocol,
	.needs = PH_NEEDS_ROUTES | PH_SPEAKS_FIRST | PH_ASKS_FILTERS,
	.create = create,
	.destroy = destroy,
	.opened = opened,
	.line = line,
	.octets = smtp_content,
	.resumed = resumed,
	.tls_started = tls_started,
	.timeout = timeout,
	.drain = drain,
	.refused = "421 4.7.0 too many connections, try later",
	.closed = closed,
};

static const PhOffer offers[] = { PH_OFFER_PROTOCOL("smtp", &protocol), PH_OFFERS_END };

PH_EXPORT const PhPlugin ph_plugin = {
	.abi = PH_ABI,
	.name = "smtp",
	.version = "1.0",
	.licence = "LGPL-2.1-or-later",
	.summary = "receives mail by SMTP for local recipients",
	.options = options,
	.offers = offers,
};
