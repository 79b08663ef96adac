/* hello.c: from the greeting to the first job: EHLO, STARTTLS
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "hop.h"

#include <string.h>

enum {
	CODE_READY = 220,
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
	return auth_begin(hop);
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
	return auth_begin(hop);
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
