/* ehlo.c: HELO, EHLO and STARTTLS: who the client is and what may be spoken
 *
 * EHLO lists what this connection may use now: STARTTLS only before TLS, AUTH only with
 * mechanisms that are safe here. A new hello, and TLS, forget what was said before (RFC 5321
 * section 4.1.4, RFC 3207 section 4.2). A client that does not wait for the answer to its hello is
 * not an SMTP client (RFC 2920 section 3.1).
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/log.h>

#include "parameters.h"
#include "smtp.h"

void
smtp_forget(Client *client)
{
	g_clear_pointer(&client->hello, g_free);
	g_clear_pointer(&client->told_hello, g_free);
	g_clear_pointer(&client->login, ph_login_free);
	g_clear_pointer(&client->user, ph_identity_unref);
	client->is_extended = false;
	client->mode = MODE_COMMAND;
}

/* The name goes into our trace field, so even the lenient form takes printable ASCII only. */
static bool
is_lenient_name(PhSlice name)
{
	for (size_t i = 0; i < name.length; i++)
		if (!g_ascii_isgraph(name.data[i]) || strchr("()<>@,;\\\"", name.data[i]) != NULL)
			return false;
	return name.length > 0 && name.length <= PH_DOMAIN_MAX;
}

static bool
is_good_name(const Client *client, PhSlice name)
{
	if (!client->server->settings->hello_strict)
		return is_lenient_name(name);
	return ph_domain_parse(name, 0, NULL) == PH_ADDRESS_OK;
}

/* Takes the name; false when an answer that ends the command was already given. */
static bool
take_hello(PhSession *session, PhSlice name, PhNext *next_out)
{
	Client *client = ph_session_data(session);

	if (!is_good_name(client, name)) {
		*next_out = smtp_refuse(
			session, smtp_is_lmtp(client)
					 ? "501 5.5.4 syntax: LHLO domain or LHLO [address]"
					 : "501 5.5.4 syntax: EHLO domain or EHLO [address]");
		return false;
	}
	if (client->server->settings->early_input == 0 && ph_session_has_input(session)) {
		ph_log_session(session, PH_LOG_INFO, "refused",
		               "client does not wait for the answer to its hello",
		               PH_LOG_SLICE("hello", name), PH_LOG_END);
		*next_out = smtp_goodbye(session, "554 5.5.0 wait for the answer to EHLO, closing");
		return false;
	}
	smtp_drop_envelope(session);
	g_free(client->hello);
	client->hello = ph_slice_dup(name);
	ph_filters_set_hello(client->filters,
	                     client->told_hello != NULL ? ph_slice(client->told_hello) : name);
	return true;
}

static PhNext
answer_helo(PhSession *session)
{
	ph_session_write_text(session, "250 ");
	return smtp_reply(session, ph_session_hostname(session));
}

PhNext
smtp_helo(PhSession *session, PhSlice argument)
{
	Client *client = ph_session_data(session);
	PhNext next = PH_DONE;

	if (!take_hello(session, argument, &next))
		return next;
	client->is_extended = false;
	return smtp_ask(session, PH_STAGE_HELO, answer_helo);
}

static void
append_mechanisms(PhSession *session, GString *out)
{
	const char *const *names = ph_login_mechanisms(session);

	if (names == NULL || names[0] == NULL)
		return;
	g_string_append(out, "250-AUTH");
	for (size_t i = 0; names[i] != NULL; i++) {
		g_string_append_c(out, ' ');
		g_string_append(out, names[i]);
	}
	g_string_append(out, "\r\n");
}

/* What this connection may use now. Holding needs a queue, and so do reports to strangers; REQUIRETLS is a
 * promise about TLS and made only inside it (RFC 8689 section 2). */
uint32_t
smtp_offers(PhSession *session)
{
	const Client *client = ph_session_data(session);
	uint32_t offers = OFFER_BINARYMIME | OFFER_MT_PRIORITY;

	/* What fails is told at once then, and those who submit mail can be sent a report. */
	if (client->server->service == SERVICE_SUBMISSION)
		offers |= OFFER_DSN;
	if (ph_route_has_queue(session))
		offers |= OFFER_DSN | OFFER_DELIVERBY;
	if (ph_route_has_queue(session) && client->server->service == SERVICE_SUBMISSION
	    && client->server->settings->future_release.us > 0)
		offers |= OFFER_FUTURERELEASE;
	if (ph_session_is_tls(session))
		offers |= OFFER_REQUIRETLS;
	return offers & ~client->server->withheld;
}

static void
append_hold(const Client *client, GString *out)
{
	uint64_t longest = client->server->settings->future_release.us;
	g_autoptr(GDateTime) latest = g_date_time_new_from_unix_utc(
		(g_get_real_time() + (int64_t) longest) / G_USEC_PER_SEC);
	g_autofree char *text = g_date_time_format(latest, "%Y-%m-%dT%H:%M:%SZ");

	g_string_append_printf(out, "250-FUTURERELEASE %" G_GUINT64_FORMAT " %s\r\n",
	                       longest / G_USEC_PER_SEC, text);
}

static void
append_offers(PhSession *session, GString *out)
{
	static const struct {
		uint32_t offer;
		const char *line;
	} lines[] = {
		{ OFFER_BINARYMIME, "250-BINARYMIME\r\n" },
		{ OFFER_DSN, "250-DSN\r\n" },
		{ OFFER_REQUIRETLS, "250-REQUIRETLS\r\n" },
		{ OFFER_DELIVERBY, "250-DELIVERBY\r\n" },
		{ OFFER_MT_PRIORITY, "250-MT-PRIORITY\r\n" },
	};

	const Client *client = ph_session_data(session);
	uint32_t offers = smtp_offers(session);

	for (size_t i = 0; i < G_N_ELEMENTS(lines); i++)
		if ((offers & lines[i].offer) != 0)
			g_string_append(out, lines[i].line);
	if ((offers & OFFER_FUTURERELEASE) != 0)
		append_hold(client, out);
	g_string_append_printf(out, "250-LIMITS RCPTMAX=%" G_GINT64_FORMAT "\r\n",
	                       client->server->settings->max_recipients);
	if (smtp_may_etrn(session))
		g_string_append(out, "250-ETRN\r\n");
	if (client->may_xclient)
		g_string_append(out, "250-XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR "
		                     "DESTPORT\r\n");
}

static PhNext
answer_ehlo(PhSession *session)
{
	const Client *client = ph_session_data(session);
	const Settings *settings = client->server->settings;
	GString *out = g_string_sized_new(512);

	g_string_append(out, "250-");
	g_string_append(out, ph_session_hostname(session));
	g_string_append(out, "\r\n250-PIPELINING\r\n");
	g_string_append_printf(out, "250-SIZE %" G_GUINT64_FORMAT "\r\n",
	                       client->server->size_limit);
	if (ph_session_tls_available(session))
		g_string_append(out, "250-STARTTLS\r\n");
	append_mechanisms(session, out);
	if (settings->vrfy != SHOW_NO)
		g_string_append(out, "250-VRFY\r\n");
	if (settings->expn != SHOW_NO)
		g_string_append(out, "250-EXPN\r\n");
	g_string_append(out, "250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250-SMTPUTF8\r\n"
	                     "250-CHUNKING\r\n");
	append_offers(session, out);
	g_string_append(out, "250 HELP\r\n");
	ph_session_write(session, PH_SLICE(out->str, out->len));
	g_string_free(out, TRUE);
	return PH_DONE;
}

PhNext
smtp_ehlo(PhSession *session, PhSlice argument)
{
	Client *client = ph_session_data(session);
	PhNext next = PH_DONE;

	if (!take_hello(session, argument, &next))
		return next;
	client->is_extended = true;
	return smtp_ask(session, PH_STAGE_HELO, answer_ehlo);
}

PhNext
smtp_starttls(PhSession *session, PhSlice argument)
{
	const Client *client = ph_session_data(session);

	if (ph_session_is_tls(session))
		return smtp_refuse(session, "503 5.5.1 TLS is already there");
	if (!ph_session_tls_available(session))
		return smtp_refuse(session, "502 5.5.1 TLS is not offered here");
	if (client->user != NULL || client->envelope != NULL)
		return smtp_refuse(session, "503 5.5.1 too late for STARTTLS");
	smtp_reply(session, "220 2.0.0 begin TLS");
	ph_session_start_tls(session);
	return PH_DONE;
}
