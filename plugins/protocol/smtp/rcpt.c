/* rcpt.c: RCPT adds a recipient; VRFY and EXPN say who there is, when they may
 *
 * The router decides about a recipient; this file only finds the words. A refused recipient is
 * logged, one line each; it counts as an error, so that guessing names soon becomes slow.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/log.h>

#include "parameters.h"
#include "smtp.h"
#include "submission.h"

enum {
	RECIPIENT_CHARGE = 256 /* octets that a recipient takes beside its address */
};

static const char *
routing_reply(PhRcpt result)
{
	switch (result) {
	case PH_RCPT_OK:
		return "250 2.1.5 OK";
	case PH_RCPT_UNKNOWN:
		return "550 5.1.1 no such user here";
	case PH_RCPT_NO_ROUTE:
		return "550 5.7.1 mail for that domain is not taken here";
	case PH_RCPT_LATER:
	case PH_RCPT_TEMPORARY:
		return "451 4.3.0 the user directory is away, try later";
	case PH_RCPT_TOO_MANY:
		return "452 4.5.3 too many recipients";
	case PH_RCPT_DISABLED:
		return "550 5.2.1 that mailbox is disabled";
	case PH_RCPT_OVER_QUOTA:
		return "452 4.2.2 that mailbox is full";
	}
	return "451 4.3.0 local error, try later";
}

static const char *
syntax_reply(PhAddressResult result)
{
	if (result == PH_ADDRESS_TOO_LONG)
		return "501 5.1.3 address too long";
	if (result == PH_ADDRESS_NEEDS_UTF8)
		return "553 5.6.7 that address needs SMTPUTF8";
	return "501 5.1.3 syntax: RCPT TO:<address>";
}

/* Parses the argument; NULL when it is good, else the reply. */
static const char *
parse_rcpt(PhSession *session, PhSlice argument, PhAddress *address, RcptParameters *parameters)
{
	const Client *client = ph_session_data(session);
	uint32_t flags = PH_ADDRESS_ALLOW_POSTMASTER;
	PhAddressResult result;
	size_t used = 0;

	if (!ph_slice_starts_nocase(argument, "TO:"))
		return "501 5.5.4 syntax: RCPT TO:<address>";
	if (client->envelope->is_utf8)
		flags |= PH_ADDRESS_ALLOW_UTF8;
	argument = ph_slice_from(argument, strlen("TO:"));
	result = ph_address_parse_path(argument, flags, address, &used);
	if (result != PH_ADDRESS_OK)
		return syntax_reply(result);
	argument = ph_slice_from(argument, used);
	switch (rcpt_parameters_parse(argument, smtp_offers(session), parameters)) {
	case PARAMETERS_UNKNOWN:
		return "555 5.5.4 unknown parameter of RCPT";
	case PARAMETERS_SYNTAX:
		return "501 5.5.4 syntax error in the parameters of RCPT";
	case PARAMETERS_OK:
		break;
	}
	return NULL;
}

static size_t
write_address(const PhAddress *address, char *text, size_t size)
{
	if (address->kind == PH_ADDRESS_POSTMASTER)
		return g_strlcpy(text, "postmaster", size);
	return (size_t) g_snprintf(text, size, "%s@%s", address->local, address->domain);
}

static PhNext
refuse_recipient(PhSession *session, const Envelope *envelope, PhSlice address, const char *text)
{
	ph_log_session(session, PH_LOG_INFO, "refused", "recipient refused",
	               PH_LOG_TEXT("id", ph_mail_id(envelope->mail)),
	               PH_LOG_TEXT("from", ph_mail_sender(envelope->mail)),
	               PH_LOG_SLICE("recipient", address), PH_LOG_TEXT("reply", text), PH_LOG_END);
	return smtp_tell_refused(session, address, text);
}

static PhNext
answer_rcpt(PhSession *session)
{
	return smtp_reply(session, routing_reply(PH_RCPT_OK));
}

static void
set_parameters(PhMail *mail, const RcptParameters *parameters)
{
	size_t index = ph_mail_n_recipients(mail) - 1;

	if (parameters->notify != 0)
		ph_mail_set_recipient_parameter(mail, index, "NOTIFY",
		                                ph_slice(notify_text(parameters->notify)));
	if (parameters->orcpt.length > 0)
		ph_mail_set_recipient_parameter(mail, index, "ORCPT", parameters->orcpt);
}

/* NULL when another recipient may be asked for, else the reply. */
static const char *
may_add(PhSession *session, PhSlice address, const RcptParameters *parameters)
{
	const Client *client = ph_session_data(session);
	Envelope *envelope = client->envelope;
	size_t charge = address.length + parameters->orcpt.length + RECIPIENT_CHARGE;

	if (ph_mail_n_recipients(envelope->mail)
	            >= (uint64_t) client->server->settings->max_recipients
	    || !ph_session_charge(session, charge))
		return routing_reply(PH_RCPT_TOO_MANY);
	envelope->charged += charge;
	return smtp_may_add(session);
}

static PhNext
routed(PhSession *session, PhSlice address, const RcptParameters *parameters, PhRcpt result)
{
	const Client *client = ph_session_data(session);
	const Envelope *envelope = client->envelope;

	if (result != PH_RCPT_OK)
		return refuse_recipient(session, envelope, address, routing_reply(result));
	set_parameters(envelope->mail, parameters);
	return smtp_ask(session, PH_STAGE_RECIPIENT, answer_rcpt);
}

/* A directory takes its time: the command's text is gone when it answers. */
static PhNext
wait_for_directory(PhSession *session, PhSlice address, const RcptParameters *parameters)
{
	Client *client = ph_session_data(session);
	Envelope *envelope = client->envelope;

	envelope->asked = ph_slice_dup(address);
	envelope->orcpt = ph_slice_dup(parameters->orcpt);
	envelope->notify = parameters->notify;
	client->mode = MODE_ROUTE;
	ph_session_set_deadline(session, (PhDuration){ 0 });
	return PH_WAIT;
}

PhNext
smtp_routed(PhSession *session)
{
	Client *client = ph_session_data(session);
	Envelope *envelope = client->envelope;
	PhRcpt result = ph_mail_try_recipient(envelope->mail, session, ph_slice(envelope->asked));

	if (result == PH_RCPT_LATER)
		return PH_WAIT;
	client->mode = MODE_COMMAND;
	ph_session_set_deadline(session, client->server->settings->command_timeout);

	g_autofree char *address = g_steal_pointer(&envelope->asked);
	g_autofree char *orcpt = g_steal_pointer(&envelope->orcpt);
	const RcptParameters parameters = { .notify = envelope->notify, .orcpt = ph_slice(orcpt) };
	return routed(session, ph_slice(address), &parameters, result);
}

PhNext
smtp_rcpt(PhSession *session, PhSlice argument)
{
	const Client *client = ph_session_data(session);
	const Envelope *envelope = client->envelope;
	char text[PH_LOCAL_PART_MAX + PH_DOMAIN_MAX + 2];
	RcptParameters parameters;
	PhAddress address;
	const char *problem;
	PhSlice slice;
	PhRcpt result;

	if (envelope == NULL)
		return smtp_refuse(session, "503 5.5.1 MAIL first");
	if (envelope->is_chunked)
		return smtp_refuse(session, "503 5.5.1 too late for RCPT after BDAT");
	problem = parse_rcpt(session, argument, &address, &parameters);
	if (problem != NULL)
		return smtp_refuse(session, problem);
	slice = PH_SLICE(text, write_address(&address, text, sizeof text));
	problem = may_add(session, slice, &parameters);
	if (problem != NULL)
		return refuse_recipient(session, envelope, slice, problem);
	result = ph_mail_try_recipient(envelope->mail, session, slice);
	if (result == PH_RCPT_LATER)
		return wait_for_directory(session, slice, &parameters);
	return routed(session, slice, &parameters, result);
}

/* --- VRFY and EXPN ---------------------------------------------------------------------------- */

static bool
may_show(const Client *client, uint32_t policy)
{
	return policy == SHOW_YES || (policy == SHOW_AUTHENTICATED && client->user != NULL);
}

/* The argument is a user name or an address, with or without angle brackets, and SMTPUTF8 behind
 * it when it holds UTF-8 (RFC 6531 section 3.7.4.2). NULL when it is good, else the reply. */
static const char *
parse_name(PhSlice argument, PhSlice *name_out)
{
	PhSlice rest = argument;
	PhSlice name = ph_slice_split(&rest, ' ');
	bool is_utf8 = ph_slice_is_nocase(rest, "SMTPUTF8");
	PhAddress address;

	if (rest.length > 0 && !is_utf8)
		return "501 5.5.4 one name or address, please";
	if (name.length > 2 && name.data[0] == '<' && name.data[name.length - 1] == '>')
		name = PH_SLICE(name.data + 1, name.length - 2);
	if (!ph_slice_is_ascii(name) && !is_utf8)
		return "553 5.6.7 that name needs SMTPUTF8";
	if (ph_slice_find(name, '@') >= 0
	    && ph_address_parse_mailbox(name, PH_ADDRESS_ALLOW_UTF8, &address) != PH_ADDRESS_OK)
		return "501 5.1.3 not an address";
	if (name.length == 0 || name.length > PH_PATH_MAX || !ph_slice_is_utf8(name))
		return "501 5.1.3 not a name";
	*name_out = name;
	return NULL;
}

/* What a directory says goes to the peer: only printable characters. */
static void
append_clean(GString *out, const char *text)
{
	for (size_t i = 0; text != NULL && text[i] != '\0'; i++)
		if ((uint8_t) text[i] >= ' ' && text[i] != 127 && strchr("<>\"\\", text[i]) == NULL)
			g_string_append_c(out, text[i]);
}

static PhNext
reply_user(PhSession *session, const PhIdentity *identity)
{
	GString *out = g_string_new("250 2.1.5 ");

	append_clean(out, ph_identity_full_name(identity));
	if (out->str[out->len - 1] != ' ')
		g_string_append_c(out, ' ');
	g_string_append_c(out, '<');
	append_clean(out, ph_identity_address(identity));
	g_string_append(out, ">\r\n");
	ph_session_write(session, PH_SLICE(out->str, out->len));
	g_string_free(out, TRUE);
	return PH_DONE;
}

PhNext
smtp_vrfy(PhSession *session, PhSlice argument)
{
	const Client *client = ph_session_data(session);
	g_autoptr(PhIdentity) identity = NULL;
	const char *problem;
	PhSlice name;
	PhRcpt result;

	problem = parse_name(argument, &name);
	if (problem != NULL)
		return smtp_refuse(session, problem);
	if (!may_show(client, client->server->settings->vrfy))
		return smtp_reply(session, "252 2.0.0 not verified, RCPT will tell");
	result = ph_route_verify(session, name, &identity);
	if (result == PH_RCPT_OK && identity == NULL)
		return smtp_reply(session, "252 2.0.0 would be taken, RCPT will tell");
	if (result == PH_RCPT_OK)
		return reply_user(session, identity);
	return smtp_refuse(session, routing_reply(result));
}

static bool
add_member(const char *address, void *user_data)
{
	GPtrArray *members = user_data;

	g_ptr_array_add(members, g_strdup(address));
	return members->len < (guint) PH_ROUTE_MEMBERS_MAX;
}

PhNext
smtp_expn(PhSession *session, PhSlice argument)
{
	const Client *client = ph_session_data(session);
	g_autoptr(GPtrArray) members = g_ptr_array_new_with_free_func(g_free);
	GString *out = NULL;
	const char *problem;
	PhSlice name;
	PhRcpt result;

	if (!may_show(client, client->server->settings->expn))
		return smtp_refuse(session, "502 5.5.1 EXPN is not offered here");
	problem = parse_name(argument, &name);
	if (problem != NULL)
		return smtp_refuse(session, problem);
	result = ph_route_expand(session, name, add_member, members);
	if (result == PH_RCPT_UNKNOWN || members->len == 0)
		return smtp_refuse(session, "550 5.1.1 no such list here");
	if (result != PH_RCPT_OK)
		return smtp_refuse(session, routing_reply(result));
	out = g_string_new(NULL);
	for (guint i = 0; i < members->len; i++) {
		g_string_append(out, i + 1 < members->len ? "250-2.1.5 <" : "250 2.1.5 <");
		append_clean(out, members->pdata[i]);
		g_string_append(out, ">\r\n");
	}
	ph_session_write(session, PH_SLICE(out->str, out->len));
	g_string_free(out, TRUE);
	return PH_DONE;
}
