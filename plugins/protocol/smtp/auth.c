/* auth.c: AUTH: carries one exchange between the client and the login service
 *
 * RFC 4954. Responses are base64, "=" is an empty initial one, "*" gives up. The decoded octets are
 * wiped here; the login service wipes its own. Who may log in how, and how slow a failure is,
 * is the service's business.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "base64.h"
#include "smtp.h"

static PhNext
end_login(PhSession *session, const char *refusal)
{
	Client *client = ph_session_data(session);

	g_clear_pointer(&client->login, ph_login_free);
	client->mode = MODE_COMMAND;
	ph_session_set_deadline(session, client->server->settings->command_timeout);
	return smtp_refuse(session, refusal);
}

static PhNext
send_challenge(PhSession *session)
{
	Client *client = ph_session_data(session);
	PhSlice challenge = ph_login_challenge(client->login);
	g_autofree char *text = g_base64_encode(
		(const guchar *) (challenge.length > 0 ? challenge.data : ""), challenge.length);

	client->mode = MODE_AUTH;
	ph_session_set_deadline(session, client->server->settings->command_timeout);
	ph_session_write(session, PH_SLICE_LITERAL("334 "));
	return smtp_reply(session, text);
}

static PhNext
logged_in(PhSession *session)
{
	Client *client = ph_session_data(session);
	const PhIdentity *identity = ph_login_identity(client->login);

	client->user = ph_identity_ref((PhIdentity *) (uintptr_t) identity);
	g_clear_pointer(&client->login, ph_login_free);
	client->mode = MODE_COMMAND;
	client->n_errors = 0;
	ph_session_set_deadline(session, client->server->settings->command_timeout);
	return smtp_reply(session, "235 2.7.0 authentication succeeded");
}

static const char *
refusal_of(PhLoginOutcome outcome)
{
	switch (outcome) {
	case PH_LOGIN_UNAVAILABLE:
		return "454 4.7.0 the user directory is away, try later";
	case PH_LOGIN_NOT_OFFERED:
		return "504 5.5.4 that mechanism is not offered here";
	case PH_LOGIN_NEEDS_TLS:
		return "538 5.7.11 that mechanism needs TLS";
	case PH_LOGIN_MALFORMED:
		return "501 5.5.2 malformed response";
	case PH_LOGIN_CHALLENGE:
	case PH_LOGIN_WAIT:
	case PH_LOGIN_DONE:
	case PH_LOGIN_FAILED:
	case PH_LOGIN_DISABLED:
	case PH_LOGIN_TOO_MANY:
		break;
	}
	return "535 5.7.8 authentication failed";
}

static PhNext
go_on(PhSession *session, PhLoginOutcome outcome)
{
	Client *client = ph_session_data(session);

	if (outcome == PH_LOGIN_CHALLENGE)
		return send_challenge(session);
	if (outcome == PH_LOGIN_WAIT) {
		client->mode = MODE_LOGIN;
		ph_session_set_deadline(session, (PhDuration){ 0 });
		return PH_WAIT;
	}
	if (outcome == PH_LOGIN_DONE)
		return logged_in(session);
	if (outcome == PH_LOGIN_TOO_MANY)
		return smtp_goodbye(session, "421 4.7.0 %s too many failed logins, closing");
	return end_login(session, refusal_of(outcome));
}

PhNext
smtp_auth_resumed(PhSession *session)
{
	const Client *client = ph_session_data(session);

	return go_on(session, ph_login_outcome(client->login));
}

/* Decodes into new memory for the time of one call. */
static bool
decode(PhSlice text, char **octets_out, size_t *length_out)
{
	g_autofree char *octets = g_malloc(text.length / 4 * 3 + 3);
	ssize_t length = base64_decode(text, octets);

	if (length < 0) {
		ph_secret_wipe(octets, text.length / 4 * 3 + 3);
		return false;
	}
	*octets_out = g_steal_pointer(&octets);
	*length_out = (size_t) length;
	return true;
}

static const char *
order_problem(const Client *client)
{
	if (!client->is_extended)
		return "503 5.5.1 say EHLO first";
	if (client->user != NULL)
		return "503 5.5.1 already authenticated";
	if (client->envelope != NULL)
		return "503 5.5.1 not inside a mail transaction";
	return NULL;
}

PhNext
smtp_auth(PhSession *session, PhSlice argument)
{
	Client *client = ph_session_data(session);
	PhSlice rest = argument;
	PhSlice mechanism = ph_slice_split(&rest, ' ');
	PhLoginOutcome outcome = PH_LOGIN_FAILED;
	const char *problem = order_problem(client);
	g_autofree char *octets = NULL;
	size_t length = 0;
	PhSlice initial;

	if (problem != NULL)
		return smtp_refuse(session, problem);
	if (argument.length > client->server->settings->auth_length.octets)
		return smtp_refuse(session, "500 5.5.6 line too long");
	if (mechanism.length == argument.length) {
		client->login = ph_login_start(session, mechanism, NULL, &outcome);
		return go_on(session, outcome);
	}
	if (!ph_slice_is(rest, "=") && (rest.length == 0 || !decode(rest, &octets, &length)))
		return smtp_refuse(session, "501 5.5.2 not base64");
	initial = PH_SLICE(octets, length);
	client->login = ph_login_start(session, mechanism, &initial, &outcome);
	if (octets != NULL)
		ph_secret_wipe(octets, length);
	return go_on(session, outcome);
}

PhNext
smtp_auth_line(PhSession *session, PhSlice line, uint32_t flaws)
{
	Client *client = ph_session_data(session);
	PhLoginOutcome outcome;
	g_autofree char *octets = NULL;
	size_t length = 0;

	if ((flaws & PH_LINE_TOO_LONG) != 0)
		return end_login(session, "500 5.5.6 line too long");
	if (flaws == 0 && ph_slice_is(line, "*"))
		return end_login(session, "501 5.7.0 authentication cancelled");
	if (flaws != 0 || !decode(line, &octets, &length))
		return end_login(session, "501 5.5.2 not base64");
	outcome = ph_login_answer(client->login, PH_SLICE(octets, length));
	ph_secret_wipe(octets, length);
	return go_on(session, outcome);
}
