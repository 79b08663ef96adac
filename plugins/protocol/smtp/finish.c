/* finish.c: a message is complete: check it, stamp it, hand it over, answer for it
 *
 * The session is parked from the hand-over until every recipient has a result; 250 is sent only
 * when all have the message durably. One line is logged for each message.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/log.h>
#include <posthorn/message.h>

#include "smtp.h"

static const char *
flaw_reply(uint32_t flaws)
{
	if ((flaws & PH_FLAW_BARE_CR) != 0)
		return "550 5.6.11 the message holds a CR without LF";
	if ((flaws & PH_FLAW_BARE_LF) != 0)
		return "550 5.6.11 the message holds an LF without CR";
	if ((flaws & PH_FLAW_NUL) != 0)
		return "550 5.6.11 the message holds a NUL octet";
	return NULL;
}

static const char *
content_problem(const Client *client, uint32_t flaws)
{
	const Settings *settings = client->server->settings;

	if (settings->bare_newline == 0 && !client->envelope->is_binary
	    && flaw_reply(flaws) != NULL)
		return flaw_reply(flaws);
	if (client->envelope->hops.n_received > (uint64_t) settings->max_hops)
		return "554 5.4.6 too many Received fields, this is a mail loop";
	return NULL;
}

/* RFC 3848 and RFC 6531 section 4.3. */
static const char *
with_keyword(const PhSession *session, const Client *client)
{
	static const char *const plain[] = { "ESMTP", "ESMTPS", "ESMTPA", "ESMTPSA",
		                             "LMTP",  "LMTPS",  "LMTPA",  "LMTPSA" };
	static const char *const utf8[] = { "UTF8SMTP", "UTF8SMTPS", "UTF8SMTPA", "UTF8SMTPSA",
		                            "UTF8LMTP", "UTF8LMTPS", "UTF8LMTPA", "UTF8LMTPSA" };
	size_t index = (ph_session_is_tls(session) ? 1U : 0U) + (client->user != NULL ? 2U : 0U)
	               + (smtp_is_lmtp(client) ? 4U : 0U);

	if (!client->is_extended)
		return "SMTP";
	return client->envelope->is_utf8 ? utf8[index] : plain[index];
}

static void
stamp(PhSession *session)
{
	const Client *client = ph_session_data(session);
	PhMail *mail = client->envelope->mail;
	const char *only = ph_mail_n_recipients(mail) == 1 ? ph_mail_recipient(mail, 0) : NULL;
	GString *trace = g_string_sized_new(384);

	ph_session_trace(session,
	                 ph_slice(client->told_hello != NULL ? client->told_hello : client->hello),
	                 with_keyword(session, client), ph_mail_id(mail), ph_slice(only), trace);
	ph_mail_prepend(mail, PH_SLICE(trace->str, trace->len));
	g_string_free(trace, TRUE);
}

void
smtp_log_message(PhSession *session, uint32_t level, const char *event, const char *reply)
{
	const Client *client = ph_session_data(session);
	const Envelope *envelope = client->envelope;
	const PhMail *mail = envelope->mail;
	size_t n = ph_mail_n_recipients(mail);
	PhMailOutcome outcome = { 0 };

	if (!ph_log_wants(level))
		return;
	ph_mail_outcome(mail, &outcome);
	ph_log_session(
		session, level, event, reply[0] == '2' ? "message delivered" : "message not taken",
		PH_LOG_TEXT("id", ph_mail_id(mail)), PH_LOG_TEXT("from", ph_mail_sender(mail)),
		PH_LOG_TEXT("to", n > 0 ? ph_mail_recipient(mail, 0) : ""),
		PH_LOG_NUMBER("recipients", n), PH_LOG_NUMBER("octets", envelope->octets),
		PH_LOG_TEXT("reply", reply), PH_LOG_FAILURE(outcome.error), PH_LOG_END);
}

static PhNext
submit(PhSession *session)
{
	Client *client = ph_session_data(session);

	client->mode = MODE_COMMIT;
	ph_session_set_deadline(session, client->server->settings->commit_timeout);
	ph_mail_submit(client->envelope->mail, ph_session_park(session));
	return PH_WAIT;
}

static PhNext
ask_message(PhSession *session)
{
	return smtp_ask(session, PH_STAGE_MESSAGE, submit);
}

/* Mailboxes and other servers are made of lines, so binary parts are put into base64 (RFC 3030
 * section 4). Returns: (owned), NULL with the reply. */
static PhContent *
make_lines(PhSession *session, PhContent *content, const char **problem_out)
{
	const Client *client = ph_session_data(session);
	g_autoptr(GError) error = NULL;
	PhContent *lines = ph_message_encode(content, PH_LIMIT_LINES, &error);

	if (lines != NULL) {
		ph_mail_set_parameter(client->envelope->mail, "BODY", PH_SLICE_LITERAL("8BITMIME"));
		return lines;
	}
	ph_log_session(session, PH_LOG_INFO, "binary", "binary message could not be encoded",
	               PH_LOG_TEXT("id", ph_mail_id(client->envelope->mail)), PH_LOG_FAILURE(error),
	               PH_LOG_END);
	*problem_out = ph_error_is_temporary(error)
	                       ? "452 4.3.1 no space for the message, try later"
	                       : "554 5.6.1 the message is binary where it cannot be encoded";
	return NULL;
}

/* What was received, as content; NULL with the reply. */
static PhContent *
take_content(PhSession *session, const char **problem_out)
{
	const Client *client = ph_session_data(session);
	g_autoptr(GError) error = NULL;
	g_autoptr(PhContent) content =
		ph_spool_finish(g_steal_pointer(&client->envelope->spool), &error);

	if (content == NULL) {
		ph_log_session(session, PH_LOG_ERROR, "spool-failed", "content could not be kept",
		               PH_LOG_FAILURE(error), PH_LOG_END);
		*problem_out = "452 4.3.1 no space for the message, try later";
		return NULL;
	}
	if (client->envelope->is_binary)
		return make_lines(session, content, problem_out);
	return g_steal_pointer(&content);
}

PhNext
smtp_finish(PhSession *session, uint32_t flaws)
{
	const Client *client = ph_session_data(session);
	const char *problem = content_problem(client, flaws);
	g_autoptr(PhContent) content = NULL;

	if (problem == NULL)
		content = take_content(session, &problem);
	if (content == NULL) {
		smtp_log_message(session, PH_LOG_INFO, "refused", problem);
		return smtp_refuse_message(session, problem);
	}
	stamp(session);
	ph_mail_set_content(client->envelope->mail, content);
	if (client->envelope->is_asked)
		return ask_message(session);
	return smtp_ask(session, PH_STAGE_HEADER, ask_message);
}

static PhNext
say_taken(PhSession *session, const char *event)
{
	Client *client = ph_session_data(session);
	size_t n = smtp_answers(client);

	client->n_messages++;
	client->n_errors = 0;
	smtp_log_message(session, PH_LOG_INFO, event, "250");
	for (size_t i = 0; i < n; i++) {
		ph_session_write(session, PH_SLICE_LITERAL("250 2.0.0 OK "));
		smtp_reply(session, ph_mail_id(client->envelope->mail));
	}
	smtp_drop_envelope(session);
	return PH_DONE;
}

/* A filter wants it to vanish: the client is told nothing of that. */
PhNext
smtp_discarded(PhSession *session)
{
	return say_taken(session, "discarded");
}

/* LMTP: one answer for each recipient, in the order of RCPT. What is refused here has been a
 * recipient once, so it is nobody's guess and counts as no error. */
static PhNext
answer_each(PhSession *session, const PhMailOutcome *outcome)
{
	Client *client = ph_session_data(session);
	const PhMail *mail = client->envelope->mail;
	size_t n = ph_mail_n_recipients(mail);
	char text[256] = "250";

	for (size_t i = 0; i < n; i++) {
		const GError *error = ph_mail_recipient_error(mail, i);

		if ((ph_mail_recipient_flags(mail, i) & PH_RECIPIENT_ADDED) != 0)
			continue;
		if (error == NULL)
			g_snprintf(text, sizeof text, "250 2.0.0 OK %s", ph_mail_id(mail));
		else
			smtp_describe(error, text, sizeof text);
		smtp_reply(session, text);
	}
	client->n_messages++;
	smtp_describe(outcome->error, text, sizeof text);
	smtp_log_message(session, PH_LOG_WARNING, "received", text);
	smtp_drop_envelope(session);
	return PH_DONE;
}

PhNext
smtp_committed(PhSession *session)
{
	Client *client = ph_session_data(session);
	PhMailOutcome outcome = { 0 };
	char text[256];

	client->mode = MODE_COMMAND;
	ph_session_set_deadline(session, client->server->settings->command_timeout);
	ph_mail_outcome(client->envelope->mail, &outcome);
	if (outcome.n_temporary == 0 && outcome.n_failed == 0)
		return say_taken(session, "received");
	if (smtp_is_lmtp(client))
		return answer_each(session, &outcome);
	smtp_describe(outcome.error, text, sizeof text);
	smtp_log_message(session, PH_LOG_WARNING, "received", text);
	smtp_drop_envelope(session);
	return smtp_refuse(session, text);
}
