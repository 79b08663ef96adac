/* login.c: who the client is: APOP, USER and PASS, AUTH
 *
 * RFC 1939 section 7, RFC 5034 (AUTH). Passwords go to the login
 * service and nowhere else; a wrong one is [AUTH], a directory that is away [SYS/TEMP].
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "pop3.h"

static PhNext
send_challenge(PhSession *session)
{
	Client *client = ph_session_data(session);

	client->work = WORK_ANSWER;
	ph_session_set_deadline(session, client->server->settings->login_timeout);
	ph_login_write_challenge(client->login, session, "+ ");
	return PH_DONE;
}

static const char *
refusal_of(PhLoginOutcome outcome)
{
	switch (outcome) {
	case PH_LOGIN_UNAVAILABLE:
		return "-ERR [SYS/TEMP] the user directory is away, try later";
	case PH_LOGIN_NOT_OFFERED:
		return "-ERR [AUTH] that way to log in is not offered here";
	case PH_LOGIN_NEEDS_TLS:
		return "-ERR [AUTH] a password needs TLS: STLS first";
	case PH_LOGIN_MALFORMED:
		return "-ERR malformed response";
	case PH_LOGIN_NOT_BASE64:
		return "-ERR not base64";
	case PH_LOGIN_CANCELLED:
		return "-ERR authentication cancelled";
	case PH_LOGIN_CHALLENGE:
	case PH_LOGIN_WAIT:
	case PH_LOGIN_DONE:
	case PH_LOGIN_FAILED:
	case PH_LOGIN_DISABLED:
	case PH_LOGIN_TOO_MANY:
		break;
	}
	return "-ERR [AUTH] authentication failed";
}

static PhNext
go_on(PhSession *session, PhLoginOutcome outcome)
{
	Client *client = ph_session_data(session);
	g_autoptr(PhLogin) login = NULL;

	if (outcome == PH_LOGIN_CHALLENGE)
		return send_challenge(session);
	if (outcome == PH_LOGIN_WAIT) {
		client->work = WORK_LOGIN;
		ph_session_set_deadline(session, (PhDuration){ 0 });
		return PH_WAIT;
	}
	login = g_steal_pointer(&client->login);
	client->work = WORK_NONE;
	ph_session_set_deadline(session, client->server->settings->login_timeout);
	if (outcome == PH_LOGIN_DONE)
		return pop3_open(session, ph_login_identity(login));
	if (outcome != PH_LOGIN_TOO_MANY)
		return pop3_refuse(session, refusal_of(outcome));
	pop3_reply(session, "-ERR [AUTH] too many failed logins, closing");
	return PH_CLOSE;
}

PhNext
pop3_login_resumed(PhSession *session)
{
	const Client *client = ph_session_data(session);

	return go_on(session, ph_login_outcome(client->login));
}

PhNext
pop3_user(PhSession *session, PhSlice argument)
{
	Client *client = ph_session_data(session);

	if (!ph_login_plaintext_allowed(session))
		return pop3_refuse(session,
		                   refusal_of(ph_session_is_tls(session) ? PH_LOGIN_NOT_OFFERED
		                                                         : PH_LOGIN_NEEDS_TLS));
	g_free(client->user);
	client->user = ph_slice_dup(argument);
	return pop3_reply(session, "+OK");
}

PhNext
pop3_pass(PhSession *session, PhSlice argument)
{
	Client *client = ph_session_data(session);
	g_autofree char *user = g_steal_pointer(&client->user);
	PhLoginOutcome outcome = PH_LOGIN_FAILED;

	if (user == NULL)
		return pop3_refuse(session, "-ERR USER first");
	client->login = ph_login_password(session, ph_slice(user), argument, &outcome);
	return go_on(session, outcome);
}

/* --- APOP ------------------------------------------------------------------------------------- */

/* The greeting; the challenge of APOP stands in it where the listener offers that. */
PhNext
pop3_greet(PhSession *session)
{
	Client *client = ph_session_data(session);
	PhLoginOutcome outcome = PH_LOGIN_FAILED;

	ph_session_write_text(session, client->server->greeting);
	client->apop = ph_login_start_command(session, "APOP", &outcome);
	if (outcome == PH_LOGIN_CHALLENGE) {
		ph_session_write_text(session, " ");
		ph_session_write(session, ph_login_challenge(client->apop));
	} else {
		g_clear_pointer(&client->apop, ph_login_free);
	}
	return pop3_reply(session, "");
}

PhNext
pop3_apop(PhSession *session, PhSlice argument)
{
	Client *client = ph_session_data(session);

	if (client->apop == NULL)
		return pop3_refuse(session, refusal_of(PH_LOGIN_NOT_OFFERED));
	g_clear_pointer(&client->user, g_free);
	client->login = g_steal_pointer(&client->apop);
	return go_on(session, ph_login_answer(client->login, argument));
}

/* --- AUTH ------------------------------------------------------------------------------------- */

/* AUTH alone lists the mechanisms, as clients older than CAPA expect. */
static PhNext
list_mechanisms(PhSession *session)
{
	const char *const *names = ph_login_mechanisms(session);

	pop3_reply(session, "+OK");
	for (size_t i = 0; names != NULL && names[i] != NULL; i++)
		pop3_reply(session, names[i]);
	return pop3_reply(session, ".");
}

PhNext
pop3_auth(PhSession *session, PhSlice argument)
{
	Client *client = ph_session_data(session);
	PhLoginOutcome outcome = PH_LOGIN_FAILED;

	if (argument.length == 0)
		return list_mechanisms(session);
	g_clear_pointer(&client->user, g_free);
	client->login = ph_login_start_line(session, argument, &outcome);
	return go_on(session, outcome);
}

PhNext
pop3_auth_line(PhSession *session, PhSlice line, uint32_t flaws)
{
	const Client *client = ph_session_data(session);

	return go_on(session, ph_login_answer_line(client->login, line, flaws));
}
