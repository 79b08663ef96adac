/* pop3.c: the pop3 protocol plugin: options, the life of a session, what goes where
 *
 * RFC 1939 with APOP, CAPA (2449), STLS (2595), AUTH (5034), response codes (3206), UTF8 and LANG
 * (6856).
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "pop3.h"

static const char *const maildrops[] = { "exclusive", "shared", NULL };
static const char *const headers[] = { "surrogate", "send", "refuse", NULL };

static const PhOption options[] = {
	PH_OPTION_SIZE(Settings, command_length, "1K", "longest command line"),
	PH_OPTION_SIZE(Settings, auth_length, "12K", "longest line of an AUTH exchange"),
	PH_OPTION_DURATION(Settings, login_timeout, "3min", "time for a command before login"),
	PH_OPTION_DURATION(Settings,
	                   idle_timeout,
	                   "10min",
	                   "time for the next command after login; at least 10min by RFC 1939"),
	PH_OPTION_DURATION(Settings,
	                   login_delay,
	                   "0s",
	                   "least time between two sessions of one user (LOGIN-DELAY)"),
	PH_OPTION_DURATION(Settings,
	                   expire,
	                   "0s",
	                   "how long mail is kept, told as EXPIRE in days; 0s: NEVER"),
	PH_OPTION_CHOICE(Settings,
	                 maildrop,
	                 "exclusive",
	                 maildrops,
	                 "exclusive: one session at a time has the maildrop; shared: any number"),
	PH_OPTION_CHOICE(
		Settings,
		utf8_headers,
		"surrogate",
		headers,
		"what a client that has not said UTF8 gets when a header needs it: surrogate: the "
		"message with its headers in ASCII; send: as it is; refuse: -ERR [UTF8]"),
	PH_OPTION_INTEGER(Settings,
	                  max_errors,
	                  "20",
	                  1,
	                  100000,
	                  "errors after which the session is closed"),
	PH_OPTION_STRING(Settings,
	                 banner,
	                 "Posthorn POP3 ready",
	                 "text behind the server's name in the greeting"),
	PH_OPTIONS_END,
};

static bool
create(PhSection *section, const void *settings, void **instance_out, GError **error)
{
	Server *server = g_new0(Server, 1);

	server->settings = settings;
	server->greeting = g_strdup_printf("+OK %s %s", ph_section_hostname(section),
	                                   server->settings->banner);
	server->delay = delay_new(server->settings->login_delay.us);
	*instance_out = server;
	return true;
}

static void
destroy(void *instance)
{
	Server *server = instance;

	delay_free(server->delay);
	g_free(server->greeting);
	g_free(server);
}

static void
expect_command(PhSession *session)
{
	const Client *client = ph_session_data(session);
	const Settings *settings = client->server->settings;

	ph_session_set_deadline(session, client->account != NULL ? settings->idle_timeout
	                                                         : settings->login_timeout);
}

static PhNext
opened(PhSession *session)
{
	Client *client = g_new0(Client, 1);

	client->server = ph_session_instance(session);
	ph_session_set_data(session, client);
	ph_session_limit_line(session, client->server->settings->auth_length.octets);
	expect_command(session);
	return pop3_greet(session);
}

static void
closed(PhSession *session)
{
	Client *client = ph_session_data(session);

	if (client == NULL)
		return;
	pop3_leave(session);
	g_clear_pointer(&client->login, ph_login_free);
	g_clear_pointer(&client->apop, ph_login_free);
	ph_session_set_data(session, NULL);
	g_free(client->user);
	g_free(client);
}

static PhNext
line(PhSession *session, PhSlice text, uint32_t flaws)
{
	const Client *client = ph_session_data(session);

	expect_command(session);
	if (ph_session_is_draining(session)) {
		pop3_reply(session, "-ERR [SYS/TEMP] the server is shutting down");
		return PH_CLOSE;
	}
	if (client->work == WORK_ANSWER)
		return pop3_auth_line(session, text, flaws);
	if ((flaws & PH_LINE_TOO_LONG) != 0)
		return pop3_refuse(session, "-ERR line too long");
	if (flaws != 0)
		return pop3_refuse(session, "-ERR lines must end in CRLF and hold no NUL");
	return pop3_command(session, text);
}

static PhNext
step(PhSession *session)
{
	const Client *client = ph_session_data(session);

	switch ((Work) client->work) {
	case WORK_LOAD:
		return pop3_load(session);
	case WORK_LIST:
	case WORK_UIDL:
		return pop3_listing(session);
	case WORK_SEND:
		return pop3_sending(session);
	case WORK_NONE:
	case WORK_ANSWER:
	case WORK_LOGIN:
	case WORK_UPDATE:
		break;
	}
	return PH_DONE;
}

static PhNext
resumed(PhSession *session)
{
	const Client *client = ph_session_data(session);

	if (client->work == WORK_LOGIN)
		return pop3_login_resumed(session);
	if (client->work == WORK_UPDATE)
		return pop3_updated(session);
	return PH_DONE;
}

/* Mail may arrive while the maildrop is open: it is not part of it (RFC 1939 section 5). */
static PhNext
notified(PhSession *session)
{
	return PH_DONE;
}

static PhNext
tls_started(PhSession *session)
{
	Client *client = ph_session_data(session);

	g_clear_pointer(&client->user, g_free);
	g_clear_pointer(&client->login, ph_login_free);
	client->work = WORK_NONE;
	expect_command(session);
	return PH_DONE;
}

/* RFC 1939 section 3: no answer, and nothing is removed. */
static PhNext
timeout(PhSession *session)
{
	return PH_CLOSE;
}

static PhNext
drain(PhSession *session)
{
	pop3_reply(session, "-ERR [SYS/TEMP] the server is shutting down");
	return PH_CLOSE;
}

static const PhProtocol protocol = {
	.size = sizeof protocol,
	.needs = PH_NEEDS_STORE | PH_NEEDS_DIRECTORY,
	.create = create,
	.destroy = destroy,
	.opened = opened,
	.line = line,
	.step = step,
	.resumed = resumed,
	.notified = notified,
	.tls_started = tls_started,
	.timeout = timeout,
	.drain = drain,
	.refused = "-ERR [SYS/TEMP] too many connections, try later",
	.closed = closed,
};

static const PhOffer offers[] = { PH_OFFER_PROTOCOL("pop3", &protocol), PH_OFFERS_END };

PH_EXPORT const PhPlugin ph_plugin = {
	.abi = PH_ABI,
	.name = "pop3",
	.version = "1.0",
	.licence = "LGPL-2.1-or-later",
	.summary = "gives mail to clients by POP3",
	.options = options,
	.offers = offers,
};
