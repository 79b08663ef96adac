/* ask.c: asks the listener's filters, and says their verdict
 *
 * A command that is good so far asks before it is answered; what then follows is a function. While
 * a filter thinks the session is parked, and its own deadlines hold: the command's do not run.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/log.h>

#include "smtp.h"

enum {
	REPLY_OCTETS = 2048
};

/* Forgets what was refused, and says how it is told. */
static PhNext
refuse_stage(PhSession *session, uint32_t stage, const char *text)
{
	Client *client = ph_session_data(session);

	switch (stage) {
	case PH_STAGE_CONNECT:
		return smtp_goodbye(session, text);
	case PH_STAGE_HELO:
		g_clear_pointer(&client->hello, g_free);
		break;
	case PH_STAGE_SENDER:
		smtp_drop_envelope(session);
		break;
	case PH_STAGE_DATA:
		return smtp_refuse_data(session, text);
	case PH_STAGE_HEADER:
		if (smtp_is_early(client))
			return smtp_refuse_header(session, text);
		/* fall through */
	case PH_STAGE_MESSAGE:
		smtp_log_message(session, PH_LOG_INFO, "refused", text);
		return smtp_refuse_message(session, text);
	default:
		break;
	}
	return smtp_refuse(session, text);
}

/* What is refused of a message is logged with the message, when the session goes on. */
static void
log_refusal(PhSession *session, uint32_t stage, const char *text, bool is_last)
{
	const Client *client = ph_session_data(session);
	const Envelope *envelope = client->envelope;
	const PhMail *mail = envelope != NULL ? envelope->mail : NULL;

	if ((stage == PH_STAGE_HEADER || stage == PH_STAGE_MESSAGE) && !is_last)
		return;
	ph_log_session(session, PH_LOG_INFO, "refused", "a filter refuses",
	               PH_LOG_NUMBER("stage", stage),
	               PH_LOG_TEXT("id", mail != NULL ? ph_mail_id(mail) : ""),
	               PH_LOG_TEXT("from", mail != NULL ? ph_mail_sender(mail) : ""),
	               PH_LOG_TEXT("reply", text), PH_LOG_END);
}

static PhNext
say_refused(PhSession *session, const PhVerdict *verdict)
{
	const Client *client = ph_session_data(session);
	bool is_utf8 = client->envelope != NULL && client->envelope->is_utf8;
	char text[REPLY_OCTETS];

	ph_verdict_reply(verdict, is_utf8, text, sizeof text);
	log_refusal(session, client->stage, text, verdict->result == PH_VERDICT_DROP);
	if (verdict->result == PH_VERDICT_DROP)
		return smtp_goodbye(session, text);
	/* A greeting is 554, or 421 with which the server closes (RFC 5321 section 4.3.2). */
	if (client->stage == PH_STAGE_CONNECT && text[0] == '5')
		memcpy(text, "554", strlen("554"));
	else if (client->stage == PH_STAGE_CONNECT)
		memcpy(text, "421", strlen("421"));
	return refuse_stage(session, client->stage, text);
}

static PhNext
go_on(PhSession *session)
{
	const Client *client = ph_session_data(session);
	const PhVerdict *verdict = ph_filters_verdict(client->filters);

	if (verdict->result == PH_VERDICT_DISCARD)
		return smtp_discarded(session);
	if (verdict->result == PH_VERDICT_NONE || verdict->result == PH_VERDICT_ACCEPT)
		return client->then(session);
	return say_refused(session, verdict);
}

PhNext
smtp_ask(PhSession *session, uint32_t stage, PhNext (*then)(PhSession *session))
{
	Client *client = ph_session_data(session);
	PhMail *mail = client->envelope != NULL ? client->envelope->mail : NULL;

	if (client->filters == NULL)
		return then(session);
	client->stage = (uint8_t) stage;
	client->then = then;
	if (ph_filters_ask(client->filters, stage, mail))
		return go_on(session);
	client->mode = MODE_ASK;
	ph_session_set_deadline(session, (PhDuration){ 0 });
	ph_filters_wait(client->filters, ph_session_park(session));
	return PH_WAIT;
}

PhNext
smtp_answered(PhSession *session)
{
	Client *client = ph_session_data(session);

	client->mode = MODE_COMMAND;
	ph_session_set_deadline(session, client->server->settings->command_timeout);
	return go_on(session);
}

/* --- what is only told ------------------------------------------------------------------------ */

static PhNext
say_kept(PhSession *session)
{
	Client *client = ph_session_data(session);
	g_autofree char *text = g_steal_pointer(&client->refusal);

	return smtp_refuse(session, text);
}

PhNext
smtp_tell_refused(PhSession *session, PhSlice address, const char *text)
{
	Client *client = ph_session_data(session);

	if (!ph_filters_want(client->filters, PH_STAGE_REFUSED))
		return smtp_refuse(session, text);
	ph_filters_tell_refused(client->filters, address, text);
	g_free(client->refusal);
	client->refusal = g_strdup(text);
	return smtp_ask(session, PH_STAGE_REFUSED, say_kept);
}

static PhNext
say_unknown(PhSession *session)
{
	return smtp_refuse(session, "500 5.5.1 command unrecognized");
}

PhNext
smtp_tell_unknown(PhSession *session, PhSlice line)
{
	const Client *client = ph_session_data(session);

	if (!ph_filters_want(client->filters, PH_STAGE_UNKNOWN))
		return say_unknown(session);
	ph_filters_tell_command(client->filters, line);
	return smtp_ask(session, PH_STAGE_UNKNOWN, say_unknown);
}
