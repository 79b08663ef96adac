/* line.c: an exchange as the protocols of lines carry it: base64, "=" and "*"
 *
 * RFC 4954 section 4, RFC 3501 section 6.2.2, RFC 4959, RFC 5034. What is decoded here lies in memory
 * that never moves, so that wiping it wipes all.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/header.h>
#include <posthorn/login.h>
#include <posthorn/protocol.h>
#include <posthorn/slice.h>

#include "login/exchange.h"
#include "login/login.h"

/* Returns: (owned); NULL when @text is no base64. */
static GString *
decode(PhSlice text)
{
	GString *octets = g_string_sized_new(text.length + 1);

	if (ph_base64_decode(text, octets))
		return octets;
	g_string_free(octets, TRUE);
	return NULL;
}

static void
wipe(GString *octets)
{
	ph_secret_wipe(octets->str, octets->allocated_len);
	g_string_free(octets, TRUE);
}

PhLogin *
ph_login_start_line(PhSession *session, PhSlice argument, PhLoginOutcome *outcome_out)
{
	PhSlice text = argument;
	PhSlice mechanism = ph_slice_split(&text, ' ');
	PhSlice initial = PH_SLICE_EMPTY;

	if (mechanism.length == argument.length)
		return ph_login_start(session, mechanism, NULL, outcome_out);
	if (ph_slice_is(text, "="))
		return ph_login_start(session, mechanism, &initial, outcome_out);

	GString *octets = text.length > 0 ? decode(text) : NULL;
	if (octets == NULL) {
		*outcome_out = PH_LOGIN_NOT_BASE64;
		return ph_login_new(session);
	}
	initial = PH_SLICE(octets->str, octets->len);
	PhLogin *login = ph_login_start(session, mechanism, &initial, outcome_out);
	wipe(octets);
	return login;
}

PhLoginOutcome
ph_login_answer_line(PhLogin *login, PhSlice line, uint32_t flaws)
{
	if (flaws != 0)
		return PH_LOGIN_NOT_BASE64;
	if (ph_slice_is(line, "*"))
		return PH_LOGIN_CANCELLED;

	GString *octets = decode(line);
	if (octets == NULL)
		return PH_LOGIN_NOT_BASE64;
	PhLoginOutcome outcome = ph_login_answer(login, PH_SLICE(octets->str, octets->len));
	wipe(octets);
	return outcome;
}

void
ph_login_write_challenge(const PhLogin *login, PhSession *session, const char *prefix)
{
	GString *text = g_string_new(prefix);

	ph_base64_append(ph_login_challenge(login), text);
	g_string_append(text, "\r\n");
	ph_session_write(session, PH_SLICE(text->str, text->len));
	g_string_free(text, TRUE);
}
