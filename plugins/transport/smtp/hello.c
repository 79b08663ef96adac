/* hello.c: from the greeting to the first job: EHLO, STARTTLS, AUTH
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/header.h>
#include <posthorn/slice.h>

#include "hop.h"

#include <string.h>

enum {
	CODE_READY = 220,
	CODE_CHALLENGE = 334,
	CLASS_GOOD = 2,
	CLASS_PERMANENT = 5,
};

static unsigned
class_of(const Hop *hop)
{
	return hop->reply.code / 100U;
}

static const char *
own_name(const Hop *hop)
{
	const char *helo = hop->relay->settings->helo;

	return helo != NULL ? helo : ph_session_hostname(hop->session);
}

PhNext
hello_ehlo(Hop *hop)
{
	hop->phase = PHASE_EHLO;
	hop->caps = (Caps){ 0 };
	ph_session_printf(hop->session, "%s %s\r\n", hop->relay->is_lmtp ? "LHLO" : "EHLO",
	                  own_name(hop));
	ph_session_set_deadline(hop->session, hop->relay->settings->helo_timeout);
	return PH_DONE;
}

static PhNext
say_helo(Hop *hop)
{
	hop->phase = PHASE_HELO;
	hop->caps = (Caps){ 0 };
	ph_session_printf(hop->session, "HELO %s\r\n", own_name(hop));
	ph_session_set_deadline(hop->session, hop->relay->settings->helo_timeout);
	return PH_DONE;
}

static PhNext
fail(Hop *hop)
{
	hop_note_reply(hop);
	hop->failure.is_away = true;
	return hop_fail_host(hop);
}

/* --- AUTH ------------------------------------------------------------------------------------- */

static void
write_secret(Hop *hop, const char *before, GString *octets)
{
	g_autoptr(GString) text = g_string_new(before);

	ph_base64_append(PH_SLICE(octets->str, octets->len), text);
	g_string_append(text, "\r\n");
	ph_session_write(hop->session, PH_SLICE(text->str, text->len));
	ph_secret_wipe(text->str, text->len);
	ph_secret_wipe(octets->str, octets->len);
}

static PhNext
begin_auth(Hop *hop)
{
	const Settings *settings = hop->relay->settings;
	PhSlice password = ph_secret_slice(settings->password);
	g_autoptr(GString) octets = g_string_sized_new(256);

	hop->phase = PHASE_AUTH;
	ph_session_set_deadline(hop->session, settings->helo_timeout);
	if ((hop->caps.flags & CAP_AUTH_PLAIN) == 0) {
		ph_session_write_text(hop->session, "AUTH LOGIN\r\n");
		return PH_DONE;
	}
	g_string_append_c(octets, '\0');
	g_string_append(octets, settings->user);
	g_string_append_c(octets, '\0');
	g_string_append_len(octets, password.data, (gssize) password.length);
	write_secret(hop, "AUTH PLAIN ", octets);
	return PH_DONE;
}

static PhNext
auth_reply(Hop *hop)
{
	const Settings *settings = hop->relay->settings;
	PhSlice password = ph_secret_slice(settings->password);
	g_autoptr(GString) octets = g_string_sized_new(256);

	if (class_of(hop) == CLASS_GOOD)
		return transact_next(hop);
	if (hop->reply.code != CODE_CHALLENGE || (hop->caps.flags & CAP_AUTH_PLAIN) != 0
	    || hop->auth_step > 1) {
		hop_note_reply(hop);
		/* Our own settings are wrong: the mail is not to blame. */
		failure_set(&hop->failure, 454, "4.7.0", "'%s' does not let this server log in",
		            path_host(&hop->path));
		return hop_fail_host(hop);
	}
	g_string_append(octets, hop->auth_step == 0 ? settings->user : "");
	if (hop->auth_step > 0)
		g_string_append_len(octets, password.data, (gssize) password.length);
	hop->auth_step++;
	write_secret(hop, "", octets);
	return PH_DONE;
}

/* Is there anything to log in with, and may it be sent? */
static PhNext
log_in(Hop *hop)
{
	const Settings *settings = hop->relay->settings;

	if (settings->user == NULL || settings->password == NULL)
		return transact_next(hop);
	if ((hop->caps.flags & (CAP_AUTH_PLAIN | CAP_AUTH_LOGIN)) == 0) {
		failure_set(&hop->failure, 454, "4.7.0", "'%s' offers no way to log in",
		            path_host(&hop->path));
		return hop_fail_host(hop);
	}
	if (!hop->is_tls && !settings->plaintext_auth
	    && !ph_session_peer_is_loopback(hop->session)) {
		failure_set(&hop->failure, 454, "4.7.5",
		            "the password for '%s' is not sent without TLS", path_host(&hop->path));
		return hop_fail_host(hop);
	}
	return begin_auth(hop);
}

/* --- STARTTLS --------------------------------------------------------------------------------- */

static PhNext
greeted(Hop *hop)
{
	if (!hop->is_tls && hop_wants_tls(hop) && (hop->caps.flags & CAP_STARTTLS) != 0) {
		hop->phase = PHASE_STARTTLS;
		ph_session_write_text(hop->session, "STARTTLS\r\n");
		ph_session_set_deadline(hop->session, hop->relay->settings->helo_timeout);
		return PH_DONE;
	}
	if (!hop->is_tls && hop->tls >= TLS_REQUIRE) {
		failure_set(&hop->failure, 454, "4.7.5", "'%s' offers no TLS",
		            path_host(&hop->path));
		return hop_fail_host(hop);
	}
	return log_in(hop);
}

static PhNext
starttls_reply(Hop *hop)
{
	if (hop->reply.code == CODE_READY) {
		hop->phase = PHASE_HANDSHAKE;
		ph_session_set_deadline(hop->session, (PhDuration){ 0 });
		ph_session_start_tls(hop->session);
		return PH_DONE;
	}
	if (hop->tls >= TLS_REQUIRE)
		return fail(hop);
	return log_in(hop);
}

/* --- what the peer says ----------------------------------------------------------------------- */

PhNext
hello_reply(Hop *hop)
{
	bool is_good = class_of(hop) == CLASS_GOOD;

	switch (hop->phase) {
	case PHASE_GREETING:
		return is_good ? hello_ehlo(hop) : fail(hop);
	case PHASE_EHLO:
		if (!is_good && class_of(hop) == CLASS_PERMANENT && !hop->relay->is_lmtp)
			return say_helo(hop);
		return is_good ? greeted(hop) : fail(hop);
	case PHASE_HELO:
		return is_good ? greeted(hop) : fail(hop);
	case PHASE_STARTTLS:
		return starttls_reply(hop);
	case PHASE_AUTH:
		return auth_reply(hop);
	case PHASE_PATH:
	case PHASE_HANDSHAKE:
	case PHASE_IDLE:
	case PHASE_ENVELOPE:
	case PHASE_BODY:
	case PHASE_RESULT:
	case PHASE_RSET:
	case PHASE_QUIT:
		break;
	}
	g_return_val_if_reached(PH_ABORT);
}
