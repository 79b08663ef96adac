/* talk.c: the connection to a milter: hands questions over, reads replies
 *
 * Between questions the client session is parked, and its wake lies in `idle`. Whoever takes the
 * wake has the talk to itself: the asker, who fills in a question and completes it; or the end.
 * After a final reply that came before everything was answered, and after nonsense, the connection
 * is closed, and the next question opens another.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "talk.h"

#include <posthorn/error.h>
#include <posthorn/log.h>

#include <string.h>

static PhNext go_on(PhSession *session);

Talk *
talk_new(const Milter *milter)
{
	Talk *talk = g_new0(Talk, 1);

	talk->refs = 1;
	talk->milter = milter;
	talk->said = g_string_new(NULL);
	talk->awaited = g_string_new(NULL);
	talk->held = g_string_new(NULL);
	talk->changes = g_ptr_array_new_with_free_func(change_free);
	g_mutex_init(&talk->lock);
	return talk;
}

Talk *
talk_ref(Talk *talk)
{
	g_atomic_int_inc(&talk->refs);
	return talk;
}

void
talk_unref(Talk *talk)
{
	if (!g_atomic_int_dec_and_test(&talk->refs))
		return;
	script_forget(talk);
	macros_forget(talk);
	g_string_free(talk->said, TRUE);
	g_string_free(talk->awaited, TRUE);
	g_string_free(talk->held, TRUE);
	g_ptr_array_unref(talk->changes);
	g_mutex_clear(&talk->lock);
	g_free(talk);
}

void
talk_end(Talk *talk)
{
	PhWake *idle = NULL;

	g_mutex_lock(&talk->lock);
	talk->is_ending = true;
	idle = g_steal_pointer(&talk->idle);
	g_mutex_unlock(&talk->lock);
	if (idle != NULL)
		ph_wake_complete(idle);
	talk_unref(talk);
}

/* --- answering -------------------------------------------------------------------------------- */

/* The talk may be at work for the next question when this returns. */
void
talk_answer(Talk *talk)
{
	PhFilterQuestion *question = g_steal_pointer(&talk->question);
	PhWake *answer = g_steal_pointer(&talk->answer);
	bool is_claimed = false;

	if (question == NULL)
		return;
	is_claimed = ph_filter_claim(question);
	if (is_claimed)
		change_apply(talk, question);
	if (is_claimed && question->verdict.result != PH_VERDICT_FAILED)
		question->verdict = talk->verdict;
	script_forget(talk);
	ph_wake_complete(answer);
}

void
talk_fail(Talk *talk, const char *why)
{
	talk->verdict = (PhVerdict){ .result = PH_VERDICT_FAILED };
	g_strlcpy(talk->verdict.text, why, sizeof talk->verdict.text);
	talk->was_ended = true;
	talk->script[0] = '\0';
}

/* All is said and answered: parks, and then answers. */
static PhNext
finish(PhSession *session)
{
	Talk *talk = ph_session_data(session);
	bool is_in_step = talk->awaited->len == 0 && talk->script[0] == '\0'
	                  && talk->verdict.result != PH_VERDICT_FAILED;
	bool is_ending = false;

	if (!is_in_step) {
		/* What is on its way belongs to a question that is over. */
		talk->in_message = false;
		g_mutex_lock(&talk->lock);
		talk->is_connected = false;
		talk->is_handed = false;
		g_mutex_unlock(&talk->lock);
		ph_session_set_data(session, NULL);
		if (talk->verdict.result != PH_VERDICT_FAILED)
			ph_session_write(session, PH_SLICE("\0\0\0\1Q", 5));
		talk_answer(talk);
		talk_unref(talk);
		return PH_CLOSE;
	}
	ph_session_set_deadline(session, (PhDuration){ 0 });
	g_mutex_lock(&talk->lock);
	is_ending = talk->is_ending;
	talk->is_handed = false;
	if (!is_ending)
		talk->idle = ph_session_park(session);
	g_mutex_unlock(&talk->lock);
	talk_answer(talk);
	if (!is_ending)
		return PH_WAIT;
	ph_session_write(session, PH_SLICE("\0\0\0\1Q", 5));
	return PH_CLOSE;
}

/* --- replies ---------------------------------------------------------------------------------- */

static bool
take_code(Talk *talk, PhSlice text)
{
	g_autoptr(GString) lines = g_string_new(NULL);
	PhVerdict *verdict = &talk->verdict;
	const uint32_t lowest_permanent = 500;

	if (!packet_code(text, &verdict->smtp_code, verdict->status, lines))
		return false;
	g_strlcpy(verdict->text, lines->str, sizeof verdict->text);
	verdict->result =
		verdict->smtp_code >= lowest_permanent ? PH_VERDICT_REJECT : PH_VERDICT_TEMPORARY;
	return true;
}

static void
end_with(Talk *talk, uint32_t result)
{
	if (result != PH_VERDICT_NONE)
		talk->verdict.result = result;
	talk->was_ended = true;
	talk->script[0] = '\0';
}

/* Not wanted: more events of that kind (SMFIP_SKIP). */
static bool
skip(Talk *talk, char command)
{
	if ((talk->options.protocol & KNOWS_SKIP) == 0)
		return false;
	talk->skips_body |= command == SAY_BODY;
	talk->skips_header |= command == SAY_HEADER;
	return command == SAY_BODY || command == SAY_HEADER;
}

/* The end of the message was answered. */
static void
end_message(Talk *talk)
{
	talk->in_message = false;
	for (guint i = 0; i < talk->changes->len; i++) {
		const Change *change = talk->changes->pdata[i];

		if (change->kind != REPLY_QUARANTINE || talk->verdict.result != PH_VERDICT_NONE)
			continue;
		talk->verdict.result = PH_VERDICT_QUARANTINE;
		g_strlcpy(talk->verdict.text, change->first, sizeof talk->verdict.text);
	}
}

/* A reply that ends the command which was said first. False: nonsense. */
static bool
take_final(Talk *talk, const Reply *reply, char command)
{
	switch (reply->kind) {
	case REPLY_CONTINUE:
		return true;
	case REPLY_SKIP:
		return skip(talk, command);
	case REPLY_ACCEPT:
		end_with(talk, command == SAY_END ? PH_VERDICT_NONE : PH_VERDICT_ACCEPT);
		return true;
	case REPLY_REJECT:
		end_with(talk, PH_VERDICT_REJECT);
		return true;
	case REPLY_TEMPORARY:
		end_with(talk, PH_VERDICT_TEMPORARY);
		return true;
	case REPLY_DISCARD:
		end_with(talk, PH_VERDICT_DISCARD);
		return command != SAY_CONNECT && command != SAY_HELO;
	case REPLY_CONNECTION_FAILED:
	case REPLY_SHUTDOWN:
		end_with(talk, PH_VERDICT_DROP);
		return true;
	case REPLY_CODE:
		end_with(talk, PH_VERDICT_NONE);
		return take_code(talk, reply->first);
	default:
		return false;
	}
}

static bool
take_options(Talk *talk, PhSlice packet)
{
	PhSlice macros[MILTER_STAGES];

	if (!packet_options(packet, &talk->options, macros))
		return false;
	macros_learn(talk, macros);
	if (talk->options.version < MILTER_VERSION)
		talk->options.protocol &= ~(uint32_t) WANTS_BLANK;
	return true;
}

static bool
take_reply(Talk *talk, PhSlice packet, char command)
{
	Reply reply;

	if (command == SAY_OPTIONS)
		return take_options(talk, packet);
	if (!packet_reply(packet, talk->options.actions, &reply))
		return false;
	if (reply.kind == REPLY_PROGRESS)
		return true;
	if (strchr("+-2behimq", reply.kind) != NULL)
		return command == SAY_END && change_keep(talk, &reply);
	if (!take_final(talk, &reply, command))
		return false;
	if (command == SAY_END)
		end_message(talk);
	return true;
}

static bool
is_over(char command, PhSlice packet)
{
	return command == SAY_OPTIONS || strchr("p+-2behimq", packet.data[0]) == NULL;
}

static PhNext
take_packet(PhSession *session, PhSlice packet)
{
	Talk *talk = ph_session_data(session);
	char command = talk->awaited->len > 0 ? talk->awaited->str[0] : '\0';

	talk->was_answered = true;
	if (g_atomic_int_get(&talk->is_cancelled)) {
		talk_fail(talk, "nobody waits for it any more");
		return finish(session);
	}
	if (command == '\0' || !take_reply(talk, packet, command)) {
		talk_fail(talk, "the milter sends nonsense");
		return finish(session);
	}
	if (is_over(command, packet))
		g_string_erase(talk->awaited, 0, 1);
	if (talk->was_ended)
		return finish(session);
	return go_on(session);
}

/* --- the client session ----------------------------------------------------------------------- */

static PhNext
go_on(PhSession *session)
{
	Talk *talk = ph_session_data(session);
	bool is_said = script_say(talk, session);

	if (talk->was_ended || (is_said && talk->script[0] == '\0' && talk->awaited->len == 0))
		return finish(session);
	if (!is_said && talk->awaited->len == 0)
		return PH_MORE;
	ph_session_set_deadline(session, talk->milter->settings->reply_timeout);
	ph_session_read_octets(session, MILTER_LENGTH, true);
	return PH_DONE;
}

static PhNext
connected(PhSession *session)
{
	return go_on(session);
}

static PhNext
resumed(PhSession *session)
{
	Talk *talk = ph_session_data(session);
	bool is_ending = false;

	g_mutex_lock(&talk->lock);
	is_ending = talk->is_ending;
	g_mutex_unlock(&talk->lock);
	if (!is_ending)
		return go_on(session);
	ph_session_write(session, PH_SLICE("\0\0\0\1Q", 5));
	return PH_CLOSE;
}

static PhNext
octets(PhSession *session, PhSlice piece, bool final)
{
	Talk *talk = ph_session_data(session);
	size_t length = 0;

	if (talk->current != '\0') {
		talk->current = '\0';
		return take_packet(session, piece);
	}
	length = packet_length(piece);
	if (length == 0) {
		talk_fail(talk, "the milter sends nonsense");
		return finish(session);
	}
	talk->current = 'r';
	ph_session_read_octets(session, length, true);
	return PH_DONE;
}

static PhNext
line(PhSession *session, PhSlice text, uint32_t flaws)
{
	return PH_ABORT;
}

static PhNext
timeout(PhSession *session)
{
	Talk *talk = ph_session_data(session);

	talk_fail(talk, "no answer from the milter in time");
	return finish(session);
}

/* A question may be under way; without one the talk ends with its session. */
static PhNext
drain(PhSession *session)
{
	return PH_DONE;
}

/* The connection is gone in the middle of a question. One that was idle may have been closed by the
 * milter long ago: then another is opened. */
static void
lose(Talk *talk, const GError *error)
{
	bool may_retry = talk->may_retry && !talk->was_answered;
	g_autoptr(GError) failure = NULL;

	talk->in_message = false;
	talk->may_retry = false;
	if (may_retry && script_prepare(talk, talk->question, false, &failure)
	    && talk_open(talk, &failure))
		return;
	talk_fail(talk, error != NULL ? error->message : "the milter has closed the connection");
	talk_answer(talk);
}

static void
closed(PhSession *session, const GError *error)
{
	Talk *talk = ph_session_data(session);
	PhWake *idle = NULL;
	bool was_handed = false;

	if (talk == NULL)
		return;
	g_mutex_lock(&talk->lock);
	talk->is_connected = false;
	was_handed = talk->is_handed;
	talk->is_handed = false;
	idle = g_steal_pointer(&talk->idle);
	g_mutex_unlock(&talk->lock);
	if (idle != NULL)
		ph_wake_complete(idle);
	if (was_handed)
		lose(talk, error);
	talk_unref(talk);
}

bool
talk_open(Talk *talk, GError **error)
{
	static const PhClientTable table = {
		.size = sizeof table,
		.connected = connected,
		.line = line,
		.octets = octets,
		.step = go_on,
		.resumed = resumed,
		.timeout = timeout,
		.closed = closed,
		.drain = drain,
	};
	const Milter *milter = talk->milter;
	PhClientOptions options = {
		.size = sizeof options,
		.address = milter->address,
		.port = milter->port,
		.connect_timeout = milter->settings->connect_timeout,
	};

	talk->options = (Options){ .version = MILTER_VERSION };
	script_drop_held(talk);
	talk->current = '\0';
	talk->was_ended = false;
	g_mutex_lock(&talk->lock);
	talk->is_connected = true;
	talk->is_handed = true;
	g_mutex_unlock(&talk->lock);
	if (ph_client_open(milter->section, &options, &table, talk_ref(talk), error))
		return true;
	g_mutex_lock(&talk->lock);
	talk->is_connected = false;
	talk->is_handed = false;
	g_mutex_unlock(&talk->lock);
	talk_unref(talk);
	return false;
}

bool
talk_hand_over(Talk *talk, PhWake *idle)
{
	bool is_there = false;

	g_mutex_lock(&talk->lock);
	is_there = talk->is_connected;
	talk->is_handed = is_there;
	g_mutex_unlock(&talk->lock);
	ph_wake_complete(idle);
	return is_there;
}
