/* reply.c: answers a command; many errors end the session
 *
 * Texts are without CRLF. Response codes in brackets are those of RFC 2449 and RFC 3206.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/log.h>

#include "pop3.h"

PhNext
pop3_reply(PhSession *session, const char *text)
{
	ph_session_write_text(session, text);
	ph_session_write(session, PH_SLICE_LITERAL("\r\n"));
	return PH_DONE;
}

PhNext
pop3_refuse(PhSession *session, const char *text)
{
	Client *client = ph_session_data(session);

	client->work = WORK_NONE;
	client->n_errors++;
	if (client->n_errors < (uint64_t) client->server->settings->max_errors)
		return pop3_reply(session, text);
	ph_log_session(session, PH_LOG_INFO, "refused", "too many errors, closing",
	               PH_LOG_TEXT("reply", text), PH_LOG_END);
	pop3_reply(session, "-ERR too many errors, closing");
	return PH_CLOSE;
}

PhNext
pop3_refuse_error(PhSession *session, const char *doing, const GError *error)
{
	const PhErrorReply *row = ph_error_reply(error);
	char text[256];

	ph_log_session(session, PH_LOG_WARNING, "maildrop-failed", doing, PH_LOG_FAILURE(error),
	               PH_LOG_END);
	if (row->pop3_code != NULL)
		g_snprintf(text, sizeof text, "-ERR [%s] %s", row->pop3_code, row->text);
	else
		g_snprintf(text, sizeof text, "-ERR %s", row->text);
	return pop3_refuse(session, text);
}
