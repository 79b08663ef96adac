/* submission.c: what holds for those who send rather than deliver (RFC 6409)
 *
 * A user sends from addresses that lead to them: their own, with or without a detail, an alias or
 * list that they are a member of, and those that their directory names as `senders`.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "submission.h"

#include <posthorn/date.h>
#include <posthorn/log.h>

bool
smtp_completes(const Client *client)
{
	return client->server->service == SERVICE_SUBMISSION;
}

/* PH_RCPT_OK: the address is the user's. */
static PhRcpt
whose_is(PhSession *session, const char *address)
{
	const Client *client = ph_session_data(session);
	PhSlice slice = ph_slice(address);

	if (ph_identity_may_send_as(client->user, slice))
		return PH_RCPT_OK;
	return ph_route_leads_to(session, slice, client->user);
}

static const char *
check_sender(PhSession *session, const PhAddress *sender)
{
	g_autofree char *address = NULL;

	if (sender->kind == PH_ADDRESS_NULL)
		return NULL;
	address = g_strconcat(sender->local, "@", sender->domain, NULL);
	switch (whose_is(session, address)) {
	case PH_RCPT_OK:
		return NULL;
	case PH_RCPT_TEMPORARY:
		return "451 4.3.0 the user directory is away, try later";
	case PH_RCPT_UNKNOWN:
	case PH_RCPT_NO_ROUTE:
	case PH_RCPT_TOO_MANY:
	case PH_RCPT_DISABLED:
	case PH_RCPT_OVER_QUOTA:
	case PH_RCPT_LATER:
		break;
	}
	ph_log_session(session, PH_LOG_INFO, "refused", "the sender is not the user's",
	               PH_LOG_TEXT("user", ph_identity_address(
						   ((Client *) ph_session_data(session))->user)),
	               PH_LOG_TEXT("from", address), PH_LOG_END);
	return "553 5.7.1 that sender address is not yours";
}

const char *
smtp_may_send(PhSession *session, const PhAddress *sender)
{
	const Client *client = ph_session_data(session);
	const Server *server = client->server;
	const char *problem = NULL;

	if (client->user == NULL)
		return NULL;
	if (server->settings->sender_check != SENDER_ANY)
		problem = check_sender(session, sender);
	if (problem == NULL && server->rates != NULL
	    && !rates_take(server->rates, ph_identity_address(client->user), RATE_MESSAGES))
		problem = "450 4.7.1 too many messages in this hour, try later";
	return problem;
}

const char *
smtp_may_add(PhSession *session)
{
	const Client *client = ph_session_data(session);
	const Server *server = client->server;

	if (client->user == NULL || server->rates == NULL
	    || rates_take(server->rates, ph_identity_address(client->user), RATE_RECIPIENTS))
		return NULL;
	return "450 4.7.1 too many recipients in this hour, try later";
}

/* Is one of the authors the user? */
static const char *
check_authors(PhSession *session, const GPtrArray *authors)
{
	for (guint i = 0; i < authors->len; i++) {
		PhRcpt result = whose_is(session, authors->pdata[i]);

		if (result == PH_RCPT_OK)
			return NULL;
		if (result == PH_RCPT_TEMPORARY)
			return "451 4.3.0 the user directory is away, try later";
	}
	return authors->len > 0 ? "550 5.7.1 the address in From is not yours" : NULL;
}

const char *
smtp_complete(PhSession *session)
{
	const Client *client = ph_session_data(session);
	Envelope *envelope = client->envelope;
	g_autoptr(GPtrArray) authors = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GString) head = g_string_sized_new(1024);
	g_autoptr(GError) error = NULL;
	const char *sender = ph_mail_sender(envelope->mail);
	const FieldsFor whose = {
		.hostname = ph_session_hostname(session),
		.id = ph_mail_id(envelope->mail),
		.author = client->user != NULL ? ph_identity_address(client->user) : sender,
		.now = g_get_real_time(),
	};
	const char *problem = fields_complete(&envelope->fields, &whose, head, authors);

	if (problem == NULL && client->user != NULL
	    && client->server->settings->sender_check == SENDER_OWN_FROM)
		problem = check_authors(session, authors);
	if (problem == NULL
	    && !ph_spool_write(envelope->spool, PH_SLICE(head->str, head->len), &error)) {
		ph_log_session(session, PH_LOG_ERROR, "spool-failed", "content could not be kept",
		               PH_LOG_FAILURE(error), PH_LOG_END);
		problem = "452 4.3.1 no space for the message, try later";
	}
	if (problem == NULL && envelope->shows_head) {
		ph_mail_show_header(envelope->mail, PH_SLICE(head->str, head->len));
		envelope->is_shown = true;
	}
	if (!envelope->hops.is_past)
		hops_scan(&envelope->hops, PH_SLICE(head->str, head->len));
	fields_clear(&envelope->fields);
	envelope->fields.is_past = true;
	return problem;
}
