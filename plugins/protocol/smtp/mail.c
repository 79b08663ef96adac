/* mail.c: MAIL opens an envelope, RSET drops it
 *
 * The path is parsed to the letter before its parameters, because only they say whether UTF-8 is
 * allowed in it (RFC 6531 section 3.4). What an envelope takes is charged to the session.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "parameters.h"
#include "smtp.h"
#include "submission.h"

enum {
	ENVELOPE_CHARGE = 2048 /* octets that an envelope with its mail and sender takes */
};

void
smtp_drop_envelope(PhSession *session)
{
	Client *client = ph_session_data(session);
	Envelope *envelope = g_steal_pointer(&client->envelope);

	if (envelope == NULL)
		return;
	ph_session_refund(session, envelope->charged);
	ph_mail_unref(envelope->mail);
	ph_spool_free(envelope->spool);
	fields_clear(&envelope->fields);
	g_free(envelope->asked);
	g_free(envelope->orcpt);
	g_free(envelope);
}

PhNext
smtp_rset(PhSession *session, PhSlice argument)
{
	smtp_drop_envelope(session);
	return smtp_reply(session, "250 2.0.0 OK");
}

static const char *
address_reply(PhAddressResult result)
{
	if (result == PH_ADDRESS_TOO_LONG)
		return "501 5.1.7 address too long";
	if (result == PH_ADDRESS_NEEDS_UTF8)
		return "553 5.6.7 that address needs SMTPUTF8";
	return "501 5.1.7 syntax: MAIL FROM:<address>";
}

/* The parameters behind the path; NULL when they are good, else the reply. */
static const char *
parse_parameters(PhSession *session, PhSlice argument, MailParameters *parameters)
{
	const Client *client = ph_session_data(session);

	switch (mail_parameters_parse(argument, smtp_offers(session), parameters)) {
	case PARAMETERS_UNKNOWN:
		return "555 5.5.4 unknown parameter of MAIL";
	case PARAMETERS_SYNTAX:
		return "501 5.5.4 syntax error in the parameters of MAIL";
	case PARAMETERS_OK:
		break;
	}
	if (argument.length > 0 && !client->is_extended)
		return "555 5.5.4 parameters need EHLO";
	if (parameters->has_size && parameters->octets > client->server->size_limit)
		return "552 5.3.4 message too large";
	return NULL;
}

/* RFC 4865 section 5: nothing is held longer than EHLO says. */
static const char *
hold_problem(const Client *client, const MailParameters *parameters)
{
	uint64_t longest = client->server->settings->future_release.us;
	PhTime now = g_get_real_time();

	if ((uint64_t) parameters->hold_seconds * G_USEC_PER_SEC > longest
	    || (parameters->has_hold_until && parameters->hold_until > now
	        && (uint64_t) (parameters->hold_until - now) > longest))
		return "501 5.5.4 messages are not held so long here";
	return NULL;
}

/* Parses the argument; NULL when it is good, else the reply. */
static const char *
parse_mail(PhSession *session, PhSlice argument, PhAddress *address, MailParameters *parameters)
{
	const char *problem = NULL;
	size_t used = 0;
	PhAddressResult result;

	if (!ph_slice_starts_nocase(argument, "FROM:"))
		return "501 5.5.4 syntax: MAIL FROM:<address>";
	argument = ph_slice_from(argument, strlen("FROM:"));
	result = ph_address_parse_path(argument, PH_ADDRESS_ALLOW_NULL | PH_ADDRESS_ALLOW_UTF8,
	                               address, &used);
	if (result != PH_ADDRESS_OK)
		return address_reply(result);
	problem = parse_parameters(session, ph_slice_from(argument, used), parameters);
	if (problem != NULL)
		return problem;
	if (address->is_utf8 && !parameters->is_utf8)
		return address_reply(PH_ADDRESS_NEEDS_UTF8);
	return hold_problem(ph_session_data(session), parameters);
}

static void
set_number(PhMail *mail, const char *name, int64_t value)
{
	char text[24];

	g_snprintf(text, sizeof text, "%" G_GINT64_FORMAT, value);
	ph_mail_set_parameter(mail, name, ph_slice(text));
}

static void
set_hold_until(PhMail *mail, PhTime time)
{
	g_autoptr(GDateTime) moment = g_date_time_new_from_unix_utc(time / G_USEC_PER_SEC);
	g_autofree char *text = g_date_time_format(moment, "%Y-%m-%dT%H:%M:%SZ");

	ph_mail_set_parameter(mail, "HOLDUNTIL", ph_slice(text));
}

static void
set_parameters(PhMail *mail, const MailParameters *parameters)
{
	if (parameters->body == BODY_8BITMIME)
		ph_mail_set_parameter(mail, "BODY", PH_SLICE_LITERAL("8BITMIME"));
	if (parameters->body == BODY_BINARYMIME)
		ph_mail_set_parameter(mail, "BODY", PH_SLICE_LITERAL("BINARYMIME"));
	if (parameters->is_utf8)
		ph_mail_set_parameter(mail, "SMTPUTF8", PH_SLICE_EMPTY);
	if (parameters->ret != NULL)
		ph_mail_set_parameter(mail, "RET", ph_slice(parameters->ret));
	if (parameters->envid.length > 0)
		ph_mail_set_parameter(mail, "ENVID", parameters->envid);
	if (parameters->requires_tls)
		ph_mail_set_parameter(mail, "REQUIRETLS", PH_SLICE_EMPTY);
	if (parameters->has_by)
		ph_mail_set_parameter(mail, "BY", parameters->by);
	if (parameters->hold_seconds > 0)
		set_number(mail, "HOLDFOR", parameters->hold_seconds);
	if (parameters->has_hold_until)
		set_hold_until(mail, parameters->hold_until);
	if (parameters->has_priority)
		set_number(mail, "MT-PRIORITY", parameters->priority);
}

static void
set_sender(PhMail *mail, const PhAddress *address)
{
	char text[PH_LOCAL_PART_MAX + PH_DOMAIN_MAX + 2];
	int length = 0;

	if (address->kind == PH_ADDRESS_NULL) {
		ph_mail_set_sender(mail, PH_SLICE_EMPTY);
		return;
	}
	length = g_snprintf(text, sizeof text, "%s@%s", address->local, address->domain);
	ph_mail_set_sender(mail, PH_SLICE(text, (size_t) length));
}

static bool
may_relay(const Client *client)
{
	return client->user != NULL || client->is_trusted;
}

static void
open_envelope(PhSession *session, const PhAddress *sender, MailParameters *parameters)
{
	Client *client = ph_session_data(session);
	Envelope *envelope = g_new0(Envelope, 1);

	client->envelope = envelope;
	envelope->charged = ENVELOPE_CHARGE;
	envelope->is_utf8 = parameters->is_utf8;
	envelope->is_binary = parameters->body == BODY_BINARYMIME;
	envelope->mail = ph_mail_new(session);
	if (may_relay(client))
		ph_mail_allow_relay(envelope->mail);
	else if (parameters->priority > 0)
		envelope->is_lowered = true;
	if (envelope->is_lowered)
		parameters->priority = 0;
	set_sender(envelope->mail, sender);
	set_parameters(envelope->mail, parameters);
	if (client->user != NULL)
		ph_mail_set_user(envelope->mail, client->user);
	if (client->user != NULL && client->mechanism[0] != '\0')
		ph_mail_set_fact(envelope->mail, "auth-mechanism", ph_slice(client->mechanism));
}

/* RFC 6710 section 4.1: strangers do not push ahead, and are told so. */
static PhNext
answer_mail(PhSession *session)
{
	const Client *client = ph_session_data(session);

	return smtp_reply(session, client->envelope->is_lowered ? "250 2.3.6 0 is the new priority"
	                                                        : "250 2.1.0 OK");
}

PhNext
smtp_mail(PhSession *session, PhSlice argument)
{
	Client *client = ph_session_data(session);
	MailParameters parameters;
	PhAddress address;
	const char *problem;

	if (client->envelope != NULL)
		return smtp_refuse(session, "503 5.5.1 MAIL was already given");
	if (client->server->needs_login && client->user == NULL)
		return smtp_refuse(session, "530 5.7.0 authentication required");
	problem = parse_mail(session, argument, &address, &parameters);
	if (problem == NULL)
		problem = smtp_may_send(session, &address);
	if (problem != NULL)
		return smtp_refuse(session, problem);
	if (!ph_session_charge(session, ENVELOPE_CHARGE))
		return smtp_refuse(session, "452 4.3.1 out of memory for this session");
	open_envelope(session, &address, &parameters);
	return smtp_ask(session, PH_STAGE_SENDER, answer_mail);
}
