/* auth.c: logs in at the next hop, by the best way that both sides know
 *
 * SCRAM and CRAM-MD5 never send the password; with SCRAM the peer must prove that it knows it too, or
 * the login has failed whatever it says. PLAIN and LOGIN send the password, so they need TLS.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/header.h>
#include <posthorn/slice.h>

#include "hop.h"

#include <string.h>

enum {
	CODE_CHALLENGE = 334,
	CLASS_GOOD = 2,
	LOGIN_STEPS = 2,
	BEHIND_CODE = 4,
};

struct Mechanism {
	const char *name;
	uint32_t flag;
	bool sends_password;
};

/* The best first. */
static const Mechanism known[] = {
	{ "SCRAM-SHA-256", CAP_AUTH_SCRAM_SHA_256, false },
	{ "SCRAM-SHA-1", CAP_AUTH_SCRAM_SHA_1, false },
	{ "CRAM-MD5", CAP_AUTH_CRAM_MD5, false },
	{ "PLAIN", CAP_AUTH_PLAIN, true },
	{ "LOGIN", CAP_AUTH_LOGIN, true },
};

/* --- which one -------------------------------------------------------------------------------- */

static const Mechanism *
find_mechanism(const char *name)
{
	for (size_t i = 0; i < G_N_ELEMENTS(known); i++)
		if (g_ascii_strcasecmp(known[i].name, name) == 0)
			return &known[i];
	return NULL;
}

bool
auth_list(Relay *relay, GError **error)
{
	const char *const *names = relay->settings->mechanisms;

	for (size_t i = 0; names == NULL && i < G_N_ELEMENTS(known); i++) {
		const Mechanism *mechanism = &known[i];

		g_array_append_val(relay->mechanisms, mechanism);
	}
	for (size_t i = 0; names != NULL && names[i] != NULL; i++) {
		const Mechanism *mechanism = find_mechanism(names[i]);

		if (mechanism == NULL) {
			ph_error_set(error, PH_ERROR_INVALID,
			             "'mechanisms' has '%s'; known are scram-sha-256, scram-sha-1, "
			             "cram-md5, plain and login",
			             names[i]);
			return false;
		}
		g_array_append_val(relay->mechanisms, mechanism);
	}
	return true;
}

static bool
may_send_password(const Hop *hop)
{
	return hop->is_tls || hop->relay->settings->plaintext_auth
	       || ph_session_peer_is_loopback(hop->session);
}

/* The first that the peer offers too. NULL: none may be used; hop->failure says why. */
static const Mechanism *
choose(Hop *hop)
{
	bool needs_tls = false;

	for (guint i = 0; i < hop->relay->mechanisms->len; i++) {
		const Mechanism *mechanism =
			g_array_index(hop->relay->mechanisms, const Mechanism *, i);

		if ((hop->caps.flags & mechanism->flag) == 0
		    || (!mechanism->sends_password && hop->relay->sasl == NULL))
			continue;
		if (!mechanism->sends_password || may_send_password(hop))
			return mechanism;
		needs_tls = true;
	}
	if (needs_tls)
		failure_set(&hop->failure, 454, "4.7.5",
		            "the password for '%s' is not sent without TLS", path_host(&hop->path));
	else
		failure_set(&hop->failure, 454, "4.7.0", "'%s' offers no way to log in",
		            path_host(&hop->path));
	return NULL;
}

/* --- what is said ----------------------------------------------------------------------------- */

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

/* Our own settings are wrong, or theirs: the mail is not to blame. */
static PhNext
refuse(Hop *hop, const char *what)
{
	failure_set(&hop->failure, 454, "4.7.0", "'%s' %s", path_host(&hop->path), what);
	return hop_fail_host(hop);
}

/* The first step of PLAIN, and of what GNU SASL does. */
static bool
first_step(Hop *hop, GString *octets)
{
	const Settings *settings = hop->relay->settings;
	PhSlice password = ph_secret_slice(settings->password);

	if (!hop->mechanism->sends_password) {
		hop->sasl =
			sasl_new(hop->relay->sasl, hop->mechanism->name, settings->user, password);
		return hop->sasl != NULL && sasl_step(hop->sasl, PH_SLICE_EMPTY, octets);
	}
	if (hop->mechanism->flag != CAP_AUTH_PLAIN)
		return true;
	g_string_append_c(octets, '\0');
	g_string_append(octets, settings->user);
	g_string_append_c(octets, '\0');
	g_string_append_len(octets, password.data, (gssize) password.length);
	return true;
}

PhNext
auth_begin(Hop *hop)
{
	const Settings *settings = hop->relay->settings;
	g_autoptr(GString) octets = g_string_sized_new(256);
	g_autofree char *command = NULL;

	if (settings->user == NULL || settings->password == NULL)
		return transact_next(hop);
	hop->mechanism = choose(hop);
	if (hop->mechanism == NULL)
		return hop_fail_host(hop);
	if (!first_step(hop, octets))
		return refuse(hop, "cannot be logged in at with this user and password");
	hop->phase = PHASE_AUTH;
	ph_session_set_deadline(hop->session, settings->helo_timeout);
	command = g_strdup_printf("AUTH %s%s", hop->mechanism->name, octets->len > 0 ? " " : "");
	write_secret(hop, command, octets);
	return PH_DONE;
}

/* --- the answers ------------------------------------------------------------------------------ */

static PhNext
answer_login(Hop *hop)
{
	const Settings *settings = hop->relay->settings;
	PhSlice password = ph_secret_slice(settings->password);
	g_autoptr(GString) octets = g_string_sized_new(256);

	if (hop->auth_step == 0)
		g_string_append(octets, settings->user);
	else
		g_string_append_len(octets, password.data, (gssize) password.length);
	hop->auth_step++;
	write_secret(hop, "", octets);
	return PH_DONE;
}

static PhNext
answer_challenge(Hop *hop)
{
	g_autoptr(GString) challenge = g_string_new(NULL);
	g_autoptr(GString) octets = g_string_sized_new(256);
	PhSlice text = ph_slice(hop->reply.text);

	text = text.length > BEHIND_CODE ? ph_slice_from(text, BEHIND_CODE) : PH_SLICE_EMPTY;
	if (!ph_base64_decode(ph_slice_trim(text), challenge)
	    || !sasl_step(hop->sasl, PH_SLICE(challenge->str, challenge->len), octets))
		return refuse(hop, "does not show that it knows the password");
	write_secret(hop, "", octets);
	return PH_DONE;
}

PhNext
auth_reply(Hop *hop)
{
	if (hop->reply.code / 100U == CLASS_GOOD) {
		if (hop->sasl != NULL && !sasl_is_done(hop->sasl))
			return refuse(hop, "does not show that it knows the password");
		g_clear_pointer(&hop->sasl, sasl_free);
		return transact_next(hop);
	}
	if (hop->reply.code == CODE_CHALLENGE && hop->sasl != NULL)
		return answer_challenge(hop);
	if (hop->reply.code == CODE_CHALLENGE && hop->mechanism->flag == CAP_AUTH_LOGIN
	    && hop->auth_step < LOGIN_STEPS)
		return answer_login(hop);
	return refuse(hop, "does not let this server log in");
}
