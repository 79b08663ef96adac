/* extensions.c: CAPA, and the commands that only it tells of: STLS, UTF8, LANG
 *
 * RFC 2449 (CAPA, EXPIRE, LOGIN-DELAY, IMPLEMENTATION), RFC 2595 (STLS), RFC 6856 (UTF8, LANG).
 * Texts exist in English alone, so LANG chooses between its two names.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "pop3.h"

static const uint64_t day_us = UINT64_C(86400) * 1000000;
static const uint64_t second_us = 1000000;

/* --- CAPA ------------------------------------------------------------------------------------- */

static void
say_mechanisms(PhSession *session)
{
	const char *const *names = ph_login_mechanisms(session);

	if (names == NULL || names[0] == NULL)
		return;
	ph_session_write_text(session, "SASL");
	for (size_t i = 0; names[i] != NULL; i++) {
		ph_session_write_text(session, " ");
		ph_session_write_text(session, names[i]);
	}
	(void) pop3_reply(session, "");
}

/* What the server does with mail and logins by its settings. */
static void
say_policy(PhSession *session, const Settings *settings)
{
	char text[64];

	if (settings->login_delay.us > 0) {
		g_snprintf(text, sizeof text, "LOGIN-DELAY %" G_GUINT64_FORMAT,
		           ((uint64_t) settings->login_delay.us + second_us - 1) / second_us);
		(void) pop3_reply(session, text);
	}
	if (settings->expire.us > 0)
		g_snprintf(text, sizeof text, "EXPIRE %" G_GUINT64_FORMAT,
		           (uint64_t) settings->expire.us / day_us);
	else
		g_snprintf(text, sizeof text, "EXPIRE NEVER");
	(void) pop3_reply(session, text);
}

PhNext
pop3_capa(PhSession *session, PhSlice argument)
{
	const Client *client = ph_session_data(session);
	bool is_inside = client->account != NULL;

	(void) pop3_reply(session, "+OK capabilities");
	(void) pop3_reply(session, "TOP\r\nUIDL\r\nPIPELINING\r\nRESP-CODES\r\nAUTH-RESP-CODE");
	if (!is_inside && ph_login_plaintext_allowed(session))
		(void) pop3_reply(session, "USER");
	say_mechanisms(session);
	if (!is_inside && ph_session_tls_available(session) && !client->is_utf8)
		(void) pop3_reply(session, "STLS");
	say_policy(session, client->server->settings);
	return pop3_reply(session, "UTF8 USER\r\nLANG\r\nIMPLEMENTATION Posthorn\r\n.");
}

/* --- STLS and UTF8 ---------------------------------------------------------------------------- */

PhNext
pop3_stls(PhSession *session, PhSlice argument)
{
	const Client *client = ph_session_data(session);

	if (ph_session_is_tls(session))
		return pop3_refuse(session, "-ERR TLS is already there");
	if (!ph_session_tls_available(session))
		return pop3_refuse(session, "-ERR TLS is not offered here");
	if (client->is_utf8)
		return pop3_refuse(session, "-ERR STLS comes before UTF8");
	(void) pop3_reply(session, "+OK begin TLS");
	ph_session_start_tls(session);
	return PH_DONE;
}

PhNext
pop3_utf8(PhSession *session, PhSlice argument)
{
	Client *client = ph_session_data(session);

	client->is_utf8 = true;
	return pop3_reply(session, "+OK UTF-8 it is");
}

/* Does the header hold octets above 127? An error is found again when the message is sent. */
static bool
has_wide_header(PhContent *content)
{
	char buffer[4096];
	bool is_blank = true;

	for (uint64_t at = 0; at < ph_content_length(content);) {
		ssize_t got = ph_content_read(content, at, buffer, sizeof buffer, NULL);

		for (ssize_t i = 0; i < got; i++) {
			if (((unsigned char) buffer[i] & 0x80) != 0)
				return true;
			if (buffer[i] == '\n' && is_blank)
				return false;
			if (buffer[i] != '\r')
				is_blank = buffer[i] == '\n';
		}
		if (got <= 0)
			return false;
		at += (uint64_t) got;
	}
	return false;
}

bool
pop3_needs_utf8(const Client *client, PhContent *content)
{
	return !client->is_utf8 && client->server->settings->utf8_headers == UTF8_REFUSE
	       && has_wide_header(content);
}

/* --- LANG ------------------------------------------------------------------------------------- */

/* The tag for a basic language range (RFC 4647 section 2.1), looked up as its section 3.4 says:
 * "en-GB" is served by "en". NULL: none fits. */
static const char *
find_language(PhSlice range)
{
	PhSlice first = range;
	PhSlice primary = ph_slice_split(&first, '-');

	if (ph_slice_is(range, "*") || ph_slice_is_nocase(primary, "en"))
		return "en";
	return ph_slice_is_nocase(range, "i-default") ? "i-default" : NULL;
}

PhNext
pop3_lang(PhSession *session, PhSlice argument)
{
	const char *tag = find_language(argument);
	char text[64];

	if (argument.length == 0)
		return pop3_reply(session,
		                  "+OK languages:\r\nen English\r\ni-default English\r\n.");
	if (tag == NULL)
		return pop3_refuse(session, "-ERR that language is not spoken here");
	g_snprintf(text, sizeof text, "+OK %s English it is", tag);
	return pop3_reply(session, text);
}
