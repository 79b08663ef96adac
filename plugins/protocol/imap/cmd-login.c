/* cmd-login.c: LOGIN and AUTHENTICATE
 *
 * Runs one exchange of the login service at a time. RFC 3501 sections 6.2.2 and 6.2.3, RFC 4959 (SASL-IR).
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "imap.h"

static PhNext go_on(Imap *imap, PhLoginOutcome outcome);

static PhNext
logged_in(Imap *imap)
{
	const PhIdentity *identity = ph_login_identity(imap->login);
	g_autoptr(GError) error = NULL;

	imap->account = ph_session_account(imap->session, identity, &error);
	g_clear_pointer(&imap->login, ph_login_free);
	if (imap->account == NULL)
		return imap_error(imap, error);
	imap->state = IMAP_LOGGED_IN;
	ph_session_limit_line(imap->session, imap->settings->line_limit.octets);
	ph_session_set_deadline(imap->session, imap->settings->idle_timeout);
	ph_session_write_text(imap->session, imap->tag);
	ph_session_write_text(imap->session, " OK [CAPABILITY ");
	imap_write_capabilities(imap);
	ph_session_write_text(imap->session, "] Logged in.\r\n");
	imap->command = NULL;
	imap->on_line = NULL;
	return PH_DONE;
}

static const char *
failure_text(PhLoginOutcome outcome)
{
	static const struct {
		PhLoginOutcome outcome;
		const char *text;
	} rows[] = {
		{ PH_LOGIN_UNAVAILABLE,
		  "NO [UNAVAILABLE] Logging in is not possible at the moment." },
		{ PH_LOGIN_NOT_OFFERED, "NO [CANNOT] This mechanism is not offered." },
		{ PH_LOGIN_NEEDS_TLS, "NO [PRIVACYREQUIRED] Passwords are not taken without TLS." },
		{ PH_LOGIN_MALFORMED, "BAD The response is malformed." },
		{ PH_LOGIN_NOT_BASE64, "BAD The response is not base64." },
		{ PH_LOGIN_CANCELLED, "BAD Cancelled." },
		{ PH_LOGIN_TOO_MANY, "NO [AUTHENTICATIONFAILED] Too many failed logins." },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
		if (rows[i].outcome == outcome)
			return rows[i].text;
	return "NO [AUTHENTICATIONFAILED] Name or password is wrong.";
}

static PhNext
failed(Imap *imap, PhLoginOutcome outcome)
{
	PhNext next;

	g_clear_pointer(&imap->login, ph_login_free);
	next = imap_reply(imap, failure_text(outcome));
	return outcome == PH_LOGIN_TOO_MANY ? imap_bye(imap, "Too many failed logins.") : next;
}

static PhNext
response_line(Imap *imap, PhSlice line, uint32_t flaws)
{
	if (flaws & PH_LINE_TOO_LONG)
		return imap_bye(imap, "[LIMIT] The line is too long.");
	return go_on(imap, ph_login_answer_line(imap->login, line, flaws));
}

static PhNext
challenge(Imap *imap)
{
	ph_login_write_challenge(imap->login, imap->session, "+ ");
	imap->on_line = response_line;
	return PH_DONE;
}

static PhNext
go_on(Imap *imap, PhLoginOutcome outcome)
{
	if (outcome == PH_LOGIN_CHALLENGE)
		return challenge(imap);
	if (outcome == PH_LOGIN_WAIT)
		return PH_WAIT;
	return outcome == PH_LOGIN_DONE ? logged_in(imap) : failed(imap, outcome);
}

PhNext
imap_login_resumed(Imap *imap)
{
	return go_on(imap, ph_login_outcome(imap->login));
}

static bool
parse_login(Parser *parser, PhSlice *user, PhSlice *password)
{
	return imap_parse_space(parser) && imap_parse_astring(parser, user)
	       && imap_parse_space(parser) && imap_parse_astring(parser, password)
	       && imap_parse_end(parser);
}

PhNext
imap_login(Imap *imap, Parser *parser)
{
	PhSlice user = PH_SLICE_EMPTY;
	PhSlice password = PH_SLICE_EMPTY;
	PhLoginOutcome outcome = PH_LOGIN_FAILED;

	if (!parse_login(parser, &user, &password))
		return imap_parse_bad(imap, parser);
	if (!ph_login_plaintext_allowed(imap->session))
		return imap_no(imap,
		               ph_session_is_tls(imap->session)
		                       ? "[CANNOT] Passwords are not taken."
		                       : "[PRIVACYREQUIRED] Passwords are not taken without TLS.");
	imap->login = ph_login_password(imap->session, user, password, &outcome);
	return go_on(imap, outcome);
}

PhNext
imap_authenticate(Imap *imap, Parser *parser)
{
	PhLoginOutcome outcome = PH_LOGIN_FAILED;
	PhSlice mechanism = PH_SLICE_EMPTY;
	const char *argument;

	if (!imap_parse_space(parser))
		return imap_parse_bad(imap, parser);
	argument = parser->at;
	if (!imap_parse_atom(parser, &mechanism)
	    || (!imap_parse_at_end(parser) && !imap_parse_space(parser)))
		return imap_parse_bad(imap, parser);
	imap->login = ph_login_start_line(
		imap->session, PH_SLICE(argument, (size_t) (parser->end - argument)), &outcome);
	return go_on(imap, outcome);
}
