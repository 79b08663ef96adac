/* data.c: DATA and BDAT: content comes in
 *
 * Content goes to a spool as it arrives. What cannot be kept (too large, disk full, no
 * transaction) is read to its end and thrown away, and then answered, so that the next octet is a
 * command again (RFC 3030 section 2). Where the end cannot be known the session is closed: octets
 * of a message must never be taken for commands.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/log.h>

#include "smtp.h"
#include "submission.h"

enum {
	DISCARD_MAX = 1 << 30 /* octets of a chunk that are worth reading only to discard them */
};

static const char *
transaction_problem(const Client *client)
{
	if (client->envelope == NULL)
		return "503 5.5.1 MAIL first";
	if (ph_mail_n_recipients(client->envelope->mail) == 0)
		return smtp_is_lmtp(client) ? "503 5.5.1 no valid recipients"
		                            : "554 5.5.1 no valid recipients";
	return NULL;
}

static void
begin_content(PhSession *session, uint8_t mode)
{
	Client *client = ph_session_data(session);

	client->mode = mode;
	client->verdict = VERDICT_GOOD;
	if (client->envelope != NULL && client->envelope->spool == NULL)
		client->envelope->spool = ph_spool_new();
	/* A binary message becomes another one, with another header. */
	if (client->envelope != NULL)
		client->envelope->shows_head = !client->envelope->is_binary
		                               && ph_filters_want(client->filters, PH_STAGE_HEADER);
	ph_session_set_deadline(session, client->server->settings->data_timeout);
}

static PhNext
begin_data(PhSession *session)
{
	begin_content(session, MODE_DATA);
	ph_session_read_data(session);
	return smtp_reply(session, "354 end with CRLF.CRLF");
}

PhNext
smtp_data(PhSession *session, PhSlice argument)
{
	const Client *client = ph_session_data(session);
	const char *problem = transaction_problem(client);

	if (problem == NULL && client->envelope->is_chunked)
		problem = "503 5.5.1 BDAT has begun, DATA cannot follow";
	if (problem == NULL && client->envelope->is_binary)
		problem = "503 5.5.1 a BINARYMIME message comes by BDAT";
	if (client->server->settings->early_input == 0 && ph_session_has_input(session)) {
		ph_log_session(session, PH_LOG_INFO, "refused",
		               "client does not wait for the answer to DATA", PH_LOG_END);
		return smtp_goodbye(session, "554 5.5.0 wait for the answer to DATA, closing");
	}
	if (problem != NULL)
		return smtp_refuse(session, problem);
	return smtp_ask(session, PH_STAGE_DATA, begin_data);
}

/* "size [LAST]"; digits only, at most 63 bits. */
static bool
parse_chunk(PhSlice argument, uint64_t *octets_out, bool *is_last_out)
{
	PhSlice rest = argument;
	PhSlice size = ph_slice_split(&rest, ' ');
	bool is_last = ph_slice_is_nocase(rest, "LAST");

	if (!is_last && rest.length > 0)
		return false;
	*is_last_out = is_last;
	return ph_slice_to_u64(size, INT64_MAX, octets_out);
}

static PhNext
begin_chunk(PhSession *session)
{
	Client *client = ph_session_data(session);

	begin_content(session, MODE_CHUNK);
	if (client->envelope != NULL)
		client->envelope->is_chunked = true;
	ph_session_read_octets(session, client->chunk, false);
	return PH_DONE;
}

/* The octets of a refused chunk are on their way already. */
PhNext
smtp_refuse_data(PhSession *session, const char *text)
{
	Client *client = ph_session_data(session);

	if (client->then != begin_chunk)
		return smtp_refuse(session, text);
	g_free(client->refusal);
	client->refusal = g_strdup(text);
	begin_content(session, MODE_CHUNK);
	client->verdict = VERDICT_REFUSED;
	ph_session_read_octets(session, client->chunk, false);
	return PH_DONE;
}

PhNext
smtp_bdat(PhSession *session, PhSlice argument)
{
	Client *client = ph_session_data(session);
	const char *problem = transaction_problem(client);
	uint64_t octets = 0;
	bool is_last = false;

	if (!parse_chunk(argument, &octets, &is_last))
		return smtp_goodbye(session, "501 5.5.4 syntax: BDAT size [LAST], closing");
	if (octets > client->server->size_limit && octets > DISCARD_MAX)
		return smtp_goodbye(session, "552 5.3.4 chunk too large, closing");
	client->chunk = octets;
	client->is_last = is_last;
	if (problem == NULL && !client->envelope->is_chunked)
		return smtp_ask(session, PH_STAGE_DATA, begin_chunk);
	begin_content(session, MODE_CHUNK);
	if (problem != NULL)
		client->verdict = VERDICT_ORDER;
	ph_session_read_octets(session, octets, false);
	return PH_DONE;
}

static void
write_spool(PhSession *session, PhSlice piece)
{
	Client *client = ph_session_data(session);
	Envelope *envelope = client->envelope;
	g_autoptr(GError) error = NULL;

	if (piece.length == 0)
		return;
	if (!envelope->hops.is_past)
		hops_scan(&envelope->hops, piece);
	if (ph_spool_write(envelope->spool, piece, &error))
		return;
	client->verdict = VERDICT_NO_SPACE;
	ph_log_session(session, PH_LOG_ERROR, "spool-failed", "content could not be kept",
	               PH_LOG_FAILURE(error), PH_LOG_END);
}

/* The header as it came. One that is too long to be shown early is asked about at the end. */
static const char *
write_head(PhSession *session)
{
	const Client *client = ph_session_data(session);
	Envelope *envelope = client->envelope;
	const GString *head = envelope->fields.head;

	if (head == NULL)
		return NULL;
	if (head->len <= FIELDS_MAX && envelope->fields.is_past) {
		ph_mail_show_header(envelope->mail, PH_SLICE(head->str, head->len));
		envelope->is_shown = true;
	}
	write_spool(session, PH_SLICE(head->str, head->len));
	fields_clear(&envelope->fields);
	envelope->fields.is_past = true;
	return NULL;
}

/* The header is held back until it is complete. */
static void
write_gathered(PhSession *session, PhSlice piece, bool is_end)
{
	Client *client = ph_session_data(session);
	Envelope *envelope = client->envelope;
	bool was_past = envelope->fields.is_past;

	if (!was_past && !ph_session_charge(session, piece.length)) {
		client->verdict = VERDICT_NO_SPACE;
		return;
	}
	envelope->charged += was_past ? 0 : piece.length;
	if (!was_past && (fields_take(&envelope->fields, &piece) || is_end)) {
		const char *problem =
			smtp_completes(client) ? smtp_complete(session) : write_head(session);

		if (problem != NULL) {
			g_free(client->refusal);
			client->refusal = g_strdup(problem);
			client->verdict = VERDICT_REFUSED;
		}
	}
	if (client->verdict == VERDICT_GOOD && envelope->fields.is_past)
		write_spool(session, piece);
}

static void
keep(PhSession *session, PhSlice piece, bool is_end)
{
	Client *client = ph_session_data(session);
	Envelope *envelope = client->envelope;

	if (piece.length > client->server->size_limit - envelope->octets)
		client->verdict = VERDICT_TOO_LARGE;
	else if (smtp_completes(client) || envelope->shows_head)
		write_gathered(session, piece, is_end);
	else
		write_spool(session, piece);
	if (client->verdict != VERDICT_GOOD) {
		g_clear_pointer(&envelope->spool, ph_spool_free);
		return;
	}
	envelope->octets += piece.length;
}

static const char *
verdict_reply(const Client *client)
{
	uint8_t verdict = client->verdict;

	if (verdict == VERDICT_REFUSED)
		return client->refusal;
	if (verdict == VERDICT_TOO_LARGE)
		return "552 5.3.4 message too large";
	if (verdict == VERDICT_NO_SPACE)
		return "452 4.3.1 no space for the message, try later";
	return "503 5.5.1 MAIL and RCPT first";
}

/* A refused content ends the transaction. @is_part: a chunk that is not the last has one answer,
 * however many recipients there are. */
static PhNext
refuse_content(PhSession *session, bool is_part)
{
	Client *client = ph_session_data(session);
	const char *text = verdict_reply(client);

	if (client->verdict == VERDICT_ORDER)
		return smtp_refuse(session, text);
	ph_log_session(session, PH_LOG_INFO, "refused", "content refused",
	               PH_LOG_TEXT("id", ph_mail_id(client->envelope->mail)),
	               PH_LOG_TEXT("from", ph_mail_sender(client->envelope->mail)),
	               PH_LOG_TEXT("reply", text), PH_LOG_END);
	if (!is_part)
		return smtp_refuse_message(session, text);
	smtp_drop_envelope(session);
	return smtp_refuse(session, text);
}

static PhNext
end_chunk(PhSession *session)
{
	const Client *client = ph_session_data(session);
	char text[64];

	if (client->is_last)
		return smtp_finish(session, client->envelope->flaws);
	g_snprintf(text, sizeof text, "250 2.0.0 %" G_GUINT64_FORMAT " octets", client->chunk);
	return smtp_reply(session, text);
}

static PhNext
end_content(PhSession *session)
{
	Client *client = ph_session_data(session);
	bool is_chunk = client->mode == MODE_CHUNK;

	client->mode = MODE_COMMAND;
	ph_session_set_deadline(session, client->server->settings->command_timeout);
	if (client->verdict != VERDICT_GOOD)
		return refuse_content(session, is_chunk && !client->is_last);
	return is_chunk ? end_chunk(session) : smtp_finish(session, ph_session_data_flaws(session));
}

/* --- the filters are asked about the header while the body is still coming ------------------- */

bool
smtp_is_early(const Client *client)
{
	return client->asking_mode != MODE_COMMAND;
}

/* Meanwhile nothing was read. */
static PhNext
go_on(PhSession *session)
{
	Client *client = ph_session_data(session);

	client->mode = client->asking_mode;
	client->asking_mode = MODE_COMMAND;
	ph_session_set_deadline(session, client->server->settings->data_timeout);
	return client->asking_final ? end_content(session) : PH_DONE;
}

/* What is still coming is read to its end and not kept. */
PhNext
smtp_refuse_header(PhSession *session, const char *text)
{
	Client *client = ph_session_data(session);

	g_free(client->refusal);
	client->refusal = g_strdup(text);
	client->verdict = VERDICT_REFUSED;
	g_clear_pointer(&client->envelope->spool, ph_spool_free);
	return go_on(session);
}

static PhNext
ask_header(PhSession *session, bool is_final)
{
	Client *client = ph_session_data(session);

	client->envelope->is_asked = true;
	client->asking_mode = client->mode;
	client->asking_final = is_final;
	return smtp_ask(session, PH_STAGE_HEADER, go_on);
}

PhNext
smtp_content(PhSession *session, PhSlice piece, bool final)
{
	Client *client = ph_session_data(session);
	Envelope *envelope = client->envelope;
	bool is_chunk = client->mode == MODE_CHUNK;
	bool is_end = final && (!is_chunk || client->is_last);

	if (client->verdict == VERDICT_GOOD)
		keep(session, piece, is_end);
	if (is_chunk && client->verdict == VERDICT_GOOD)
		envelope->flaws = ph_session_scan_flaws(envelope->flaws, piece, is_end);
	if (client->verdict == VERDICT_GOOD && envelope->is_shown && !envelope->is_asked && !is_end)
		return ask_header(session, final);
	return final ? end_content(session) : PH_DONE;
}
