/* auth.c: AUTH: carries one exchange between the client and the login service
 *
 * RFC 4954. Who may log in how, and how slow a failure is, is the service's business.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
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

	client->mode = MODE_AUTH;
	ph_session_set_deadline(session, client->server->settings->command_timeout);
	ph_login_write_challenge(client->login, session, "334 ");
	return PH_DONE;
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
	case PH_LOGIN_NOT_BASE64:
		return "501 5.5.2 not base64";
	case PH_LOGIN_CANCELLED:
		return "501 5.7.0 authentication cancelled";
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

static const char *
order_problem(const Client *client)
{
	if (!client->is_extended)
		return smtp_is_lmtp(client) ? "503 5.5.1 say LHLO first"
		                            : "503 5.5.1 say EHLO first";
	if (client->user != NULL)
		return "503 5.5.1 already authenticated";
	if (client->envelope != NULL)
		return "503 5.5.1 not inside a mail transaction";
	return NULL;
}

/* Its name, for the filters. */
static void
note_mechanism(Client *client, PhSlice argument)
{
	PhSlice word = ph_slice_split(&argument, ' ');

	g_strlcpy(client->mechanism, "", sizeof client->mechanism);
	for (size_t i = 0; i < word.length && i + 1 < sizeof client->mechanism; i++) {
		client->mechanism[i] = g_ascii_toupper(word.data[i]);
		client->mechanism[i + 1] = '\0';
	}
}

PhNext
smtp_auth(PhSession *session, PhSlice argument)
{
	Client *client = ph_session_data(session);
	PhLoginOutcome outcome = PH_LOGIN_FAILED;
	const char *problem = order_problem(client);

	if (problem != NULL)
		return smtp_refuse(session, problem);
	if (argument.length > client->server->settings->auth_length.octets)
		return smtp_refuse(session, "500 5.5.6 line too long");
	note_mechanism(client, argument);
	client->login = ph_login_start_line(session, argument, &outcome);
	return go_on(session, outcome);
}

PhNext
smtp_auth_line(PhSession *session, PhSlice line, uint32_t flaws)
{
	const Client *client = ph_session_data(session);

	if ((flaws & PH_LINE_TOO_LONG) != 0)
		return end_login(session, "500 5.5.6 line too long");
	return go_on(session, ph_login_answer_line(client->login, line, flaws));
}
