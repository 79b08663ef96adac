/* mail.c: MAIL opens an envelope, RSET drops it
 *
 * The path is parsed to the letter before its parameters, because only they say whether UTF-8 is
 * allowed in it (RFC 6531 section 3.4). What an envelope takes is charged to the session.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "parameters.h"
#include "smtp.h"

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

/* Parses the argument; NULL when it is good, else the reply. */
static const char *
parse_mail(const Client *client, PhSlice argument, PhAddress *address, MailParameters *parameters)
{
	size_t used = 0;
	PhAddressResult result;

	if (!ph_slice_starts_nocase(argument, "FROM:"))
		return "501 5.5.4 syntax: MAIL FROM:<address>";
	argument = ph_slice_from(argument, strlen("FROM:"));
	result = ph_address_parse_path(argument, PH_ADDRESS_ALLOW_NULL | PH_ADDRESS_ALLOW_UTF8,
	                               address, &used);
	if (result != PH_ADDRESS_OK)
		return address_reply(result);
	argument = ph_slice_from(argument, used);
	switch (mail_parameters_parse(argument, parameters)) {
	case MAIL_PARAMETERS_UNKNOWN:
		return "555 5.5.4 unknown parameter of MAIL";
	case MAIL_PARAMETERS_SYNTAX:
		return "501 5.5.4 syntax error in the parameters of MAIL";
	case MAIL_PARAMETERS_OK:
		break;
	}
	if (argument.length > 0 && !client->is_extended)
		return "555 5.5.4 parameters need EHLO";
	if (address->is_utf8 && !parameters->is_utf8)
		return address_reply(PH_ADDRESS_NEEDS_UTF8);
	if (parameters->has_size && parameters->octets > client->server->size_limit)
		return "552 5.3.4 message too large";
	return NULL;
}

static void
set_parameters(PhMail *mail, const MailParameters *parameters)
{
	if (parameters->is_8bit)
		ph_mail_set_parameter(mail, "BODY", PH_SLICE_LITERAL("8BITMIME"));
	if (parameters->is_utf8)
		ph_mail_set_parameter(mail, "SMTPUTF8", PH_SLICE_EMPTY);
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

static PhNext
answer_mail(PhSession *session)
{
	return smtp_reply(session, "250 2.1.0 OK");
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
	if (client->server->settings->auth_required && client->user == NULL)
		return smtp_refuse(session, "530 5.7.0 authentication required");
	problem = parse_mail(client, argument, &address, &parameters);
	if (problem != NULL)
		return smtp_refuse(session, problem);
	if (!ph_session_charge(session, ENVELOPE_CHARGE))
		return smtp_refuse(session, "452 4.3.1 out of memory for this session");
	client->envelope = g_new0(Envelope, 1);
	client->envelope->charged = ENVELOPE_CHARGE;
	client->envelope->is_utf8 = parameters.is_utf8;
	client->envelope->mail = ph_mail_new(session);
	set_sender(client->envelope->mail, &address);
	set_parameters(client->envelope->mail, &parameters);
	if (client->user != NULL)
		ph_mail_set_user(client->envelope->mail, client->user);
	return smtp_ask(session, PH_STAGE_SENDER, answer_mail);
}
