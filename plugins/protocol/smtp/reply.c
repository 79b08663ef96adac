/* reply.c: answers a command, counts errors, slows down and shows out those who make many
 *
 * Every negative answer goes through smtp_refuse(). After `delay-errors` of them each waits
 * `error-delay`, after `max-errors` the session ends with 421 (RFC 5321 section 4.3.2 allows it
 * at any time). An accepted message sets the count back. Texts are without CRLF.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/log.h>

#include "smtp.h"

PhNext
smtp_reply(PhSession *session, const char *text)
{
	ph_session_write_text(session, text);
	ph_session_write(session, PH_SLICE_LITERAL("\r\n"));
	return PH_DONE;
}

PhNext
smtp_refuse(PhSession *session, const char *text)
{
	Client *client = ph_session_data(session);
	const Settings *settings = client->server->settings;

	client->n_errors++;
	if (client->n_errors >= (uint64_t) settings->max_errors) {
		ph_log_session(session, PH_LOG_INFO, "refused", "too many errors, closing",
		               PH_LOG_TEXT("reply", text),
		               PH_LOG_NUMBER("errors", client->n_errors), PH_LOG_END);
		return smtp_goodbye(session, "421 4.7.0 %s too many errors, closing");
	}
	smtp_reply(session, text);
	if (client->n_errors <= (uint64_t) settings->delay_errors || settings->error_delay.us == 0)
		return PH_DONE;
	client->mode = MODE_DELAY;
	ph_session_delay(session, settings->error_delay);
	return PH_WAIT;
}

/* How many answers a message gets: LMTP has one for each recipient that the client named (RFC 2033
 * section 4.2). */
size_t
smtp_answers(const Client *client)
{
	const PhMail *mail = client->envelope != NULL ? client->envelope->mail : NULL;
	size_t n = 0;

	if (mail == NULL || !smtp_is_lmtp(client))
		return 1;
	for (size_t i = 0; i < ph_mail_n_recipients(mail); i++)
		n += (ph_mail_recipient_flags(mail, i) & PH_RECIPIENT_ADDED) == 0;
	return n;
}

/* The whole message is refused. */
PhNext
smtp_refuse_message(PhSession *session, const char *text)
{
	size_t n = smtp_answers(ph_session_data(session));

	smtp_drop_envelope(session);
	for (size_t i = 1; i < n; i++)
		smtp_reply(session, text);
	return smtp_refuse(session, text);
}

/* What the client is told of an error. */
void
smtp_describe(const GError *error, char *text, size_t size)
{
	const PhErrorReply *row = ph_error_reply(error);

	g_snprintf(text, size, "%u %s %s", row->smtp_code, row->smtp_status, row->smtp_text);
}

/* Says the last words; "%s" in them becomes our name. */
PhNext
smtp_goodbye(PhSession *session, const char *text)
{
	const char *place = strstr(text, "%s");

	if (place == NULL) {
		smtp_reply(session, text);
		return PH_CLOSE;
	}
	ph_session_write(session, PH_SLICE(text, (size_t) (place - text)));
	ph_session_write_text(session, ph_session_hostname(session));
	smtp_reply(session, place + 2);
	return PH_CLOSE;
}
