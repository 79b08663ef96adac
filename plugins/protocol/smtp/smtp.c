/* smtp.c: the life of a session of the smtp and lmtp plugins: what goes where
 *
 * Receiving side of RFC 5321 with SIZE (1870), PIPELINING (2920), 8BITMIME (6152),
 * ENHANCEDSTATUSCODES (2034), STARTTLS (3207), AUTH (4954), SMTPUTF8 (6531), CHUNKING and BINARYMIME
 * (3030), DSN (3461), REQUIRETLS (8689), DELIVERBY (2852), FUTURERELEASE (4865), MT-PRIORITY (6710)
 * and LIMITS (9422); message submission (6409); LMTP (2033). Lines end in CRLF and nothing else; a
 * line that does not is refused, content that holds other line ends too.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "smtp.h"

#include <posthorn/log.h>

#include "parameters.h"

static bool
make_withheld(Server *server, GError **error)
{
	static const struct {
		const char *word;
		uint32_t offer;
	} words[] = {
		{ "BINARYMIME", OFFER_BINARYMIME },       { "DSN", OFFER_DSN },
		{ "REQUIRETLS", OFFER_REQUIRETLS },       { "DELIVERBY", OFFER_DELIVERBY },
		{ "FUTURERELEASE", OFFER_FUTURERELEASE }, { "MT-PRIORITY", OFFER_MT_PRIORITY }
	};

	const char *const *list = server->settings->withhold;

	for (size_t i = 0; list != NULL && list[i] != NULL; i++) {
		uint32_t before = server->withheld;

		for (size_t w = 0; w < G_N_ELEMENTS(words); w++)
			if (g_ascii_strcasecmp(list[i], words[w].word) == 0)
				server->withheld |= words[w].offer;
		if (server->withheld == before) {
			ph_error_set(error, PH_ERROR_INVALID,
			             "'%s' is no extension that can be withheld, or stands twice",
			             list[i]);
			return false;
		}
	}
	return true;
}

static bool
make_networks(const char *const *list, PhNetworks **networks_out, GError **error)
{
	if (list == NULL || (list[0] != NULL && strcmp(list[0], "none") == 0 && list[1] == NULL))
		return true;
	*networks_out = ph_networks_new(list, error);
	return *networks_out != NULL;
}

static void
destroy(void *instance)
{
	Server *server = instance;

	g_free(server->greeting);
	ph_networks_free(server->relay);
	ph_networks_free(server->xclient);
	rates_free(server->rates);
	g_free(server);
}

static Server *
make_server(PhSection *section, const Settings *settings, uint32_t service)
{
	const int64_t per_hour[RATE_KINDS] = {
		[RATE_MESSAGES] = settings->messages_per_hour,
		[RATE_RECIPIENTS] = settings->recipients_per_hour,
	};
	Server *server = g_new0(Server, 1);

	server->settings = settings;
	server->section = section;
	server->service = service;
	server->needs_login = settings->auth_required || service == SERVICE_SUBMISSION;
	server->size_limit = settings->message_size_limit.octets;
	if (server->size_limit == 0)
		server->size_limit = ph_section_message_size_limit(section);
	server->greeting =
		g_strdup_printf("220 %s %s %s", ph_section_hostname(section),
	                        service == SERVICE_LMTP ? "LMTP" : "ESMTP", settings->banner);
	if (per_hour[RATE_MESSAGES] > 0 || per_hour[RATE_RECIPIENTS] > 0)
		server->rates = rates_new(section, per_hour);
	return server;
}

static bool
create_as(PhSection *section,
          const void *data,
          uint32_t service,
          void **instance_out,
          GError **error)
{
	const Settings *settings = data;
	Server *server = make_server(section, settings, service);

	if (!make_networks(settings->relay_networks, &server->relay, error)
	    || !make_networks(settings->xclient_networks, &server->xclient, error)
	    || !make_withheld(server, error)) {
		destroy(server);
		return false;
	}
	*instance_out = server;
	return true;
}

static bool
create_smtp(PhSection *section, const void *settings, void **instance_out, GError **error)
{
	return create_as(section, settings, ((const Settings *) settings)->service, instance_out,
	                 error);
}

static bool
create_lmtp(PhSection *section, const void *settings, void **instance_out, GError **error)
{
	return create_as(section, settings, SERVICE_LMTP, instance_out, error);
}

/* What its address allows the client. */
void
smtp_weigh(PhSession *session)
{
	Client *client = ph_session_data(session);
	const PhNetworks *relay = client->server->relay;

	client->is_trusted = relay != NULL && ph_session_is_from(session, relay);
}

static void
expect_command(PhSession *session)
{
	const Client *client = ph_session_data(session);

	ph_session_limit_line(session, client->server->settings->auth_length.octets);
	ph_session_set_deadline(session, client->server->settings->command_timeout);
}

PhNext
smtp_greet(PhSession *session)
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
	smtp_weigh(session);
	client->may_xclient = client->server->xclient != NULL
	                      && ph_session_is_from(session, client->server->xclient);
	if (client->server->settings->early_input == 0 && ph_session_has_input(session))
		return smtp_goodbye(session, "554 5.5.0 wait for the greeting, closing");
	expect_command(session);
	client->filters = ph_filters_new(session);
	return smtp_ask(session, PH_STAGE_CONNECT, smtp_greet);
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
	if (client->mode == MODE_ROUTE)
		return smtp_routed(session);
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

/* Nobody could log in otherwise. */
static uint32_t
settings_need(const void *data)
{
	const Settings *settings = data;

	return settings->service == SERVICE_SUBMISSION || settings->auth_required
	               ? PH_NEEDS_DIRECTORY | PH_NEEDS_MECHANISMS
	               : 0;
}

#define PROTOCOL(create_function)                                                                \
	{                                                                                        \
		.size = sizeof(PhProtocol),                                                      \
		.needs = PH_NEEDS_ROUTES | PH_SPEAKS_FIRST | PH_ASKS_FILTERS,                    \
		.create = (create_function), .destroy = destroy, .opened = opened, .line = line, \
		.octets = smtp_content, .resumed = resumed, .tls_started = tls_started,          \
		.timeout = timeout, .drain = drain,                                              \
		.refused = "421 4.7.0 too many connections, try later", .closed = closed,        \
		.settings_need = settings_need,                                                  \
	}

const PhProtocol smtp_protocol = PROTOCOL(create_smtp);
const PhProtocol lmtp_protocol = PROTOCOL(create_lmtp);
