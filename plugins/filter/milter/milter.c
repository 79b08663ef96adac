/* milter.c: the milter filter: asks a program that speaks the milter protocol, version 6
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>

#include "talk.h"

#include <string.h>

static const PhOption options[] = {
	PH_OPTION_STRING(Settings,
	                 address,
	                 PH_REQUIRED,
	                 "where the milter listens: unix:/path, 127.0.0.1:8891 or [::1]:8891"),
	PH_OPTION_DURATION(Settings, connect_timeout, "5s", "time for connecting"),
	PH_OPTION_DURATION(Settings,
	                   reply_timeout,
	                   "25s",
	                   "time for each of its replies; `timeout` holds for all of one question"),
	PH_OPTION_BOOLEAN(Settings,
	                  pipelining,
	                  "yes",
	                  "send header and a small body without waiting for each reply"),
	PH_OPTIONS_END,
};

static bool
parse_address(Milter *milter, const char *text)
{
	const char *colon = strrchr(text, ':');
	uint32_t port = 0;

	if (g_str_has_prefix(text, "unix:/")) {
		milter->address = g_strdup(text);
		return true;
	}
	if (colon == NULL || !ph_slice_to_u32(ph_slice(colon + 1), G_MAXUINT16, &port) || port == 0)
		return false;
	milter->port = (uint16_t) port;
	if (text[0] == '[' && colon > text + 1 && colon[-1] == ']')
		milter->address = g_strndup(text + 1, (gsize) (colon - text) - 2);
	else
		milter->address = g_strndup(text, (gsize) (colon - text));
	return g_hostname_is_ip_address(milter->address);
}

static void
destroy(void *instance)
{
	Milter *milter = instance;

	g_free(milter->address);
	g_free(milter);
}

static bool
create(PhSection *section, const void *settings, void **instance_out, GError **error)
{
	Milter *milter = g_new0(Milter, 1);

	milter->section = section;
	milter->settings = settings;
	if (parse_address(milter, milter->settings->address)) {
		*instance_out = milter;
		return true;
	}
	ph_error_set(error, PH_ERROR_INVALID,
	             "'address' is '%s'; write unix:/path, 127.0.0.1:8891 or [::1]:8891",
	             milter->settings->address);
	destroy(milter);
	return false;
}

static void *
begin(void *instance, PhMail *mail)
{
	return talk_new(instance);
}

static void
end(void *instance, void *state)
{
	talk_end(state);
}

/* The session that closes completes it otherwise. */
static void
put_back(Talk *talk, PhWake *idle)
{
	g_mutex_lock(&talk->lock);
	if (talk->is_connected)
		talk->idle = g_steal_pointer(&idle);
	g_mutex_unlock(&talk->lock);
	if (idle != NULL)
		ph_wake_complete(idle);
}

/* May a new connection begin there? In the middle of a message it would know nothing of it. */
static bool
may_begin(uint32_t stage)
{
	return stage <= PH_STAGE_SENDER || stage == PH_STAGE_DELIVERY;
}

static bool
begin_again(Talk *talk, PhFilterQuestion *question, GError **error)
{
	talk->in_message = false;
	if (may_begin(question->stage))
		return script_prepare(talk, question, false, error) && talk_open(talk, error);
	ph_error_set(error, PH_ERROR_TEMPORARY, "the milter has closed the connection");
	return false;
}

static bool
ask(void *instance, void *state, PhFilterQuestion *question, GError **error)
{
	Talk *talk = state;
	PhWake *idle = NULL;
	g_autoptr(GError) failure = NULL;

	g_mutex_lock(&talk->lock);
	idle = g_steal_pointer(&talk->idle);
	g_mutex_unlock(&talk->lock);
	if (idle == NULL
	    && (question->stage == PH_STAGE_REFUSED || question->stage == PH_STAGE_UNKNOWN))
		return true;
	if (idle != NULL && !script_prepare(talk, question, true, error)) {
		put_back(talk, idle);
		return false;
	}
	if (idle != NULL && script_hold(talk)) {
		put_back(talk, idle);
		return true;
	}
	talk->was_ended = false;
	talk->may_retry = idle != NULL && may_begin(question->stage);
	talk->question = question;
	talk->answer = ph_filter_park(question);
	if ((idle != NULL && talk_hand_over(talk, idle)) || begin_again(talk, question, &failure))
		return true;
	talk_fail(talk, failure->message);
	talk_answer(talk);
	return true;
}

/* The next packet, or the time for it, ends the question. */
static void
cancel(void *instance, void *state)
{
	g_atomic_int_set(&((Talk *) state)->is_cancelled, 1);
}

static const PhFilter filter = {
	.size = sizeof filter,
	.stages = 1U << PH_STAGE_CONNECT | 1U << PH_STAGE_HELO | 1U << PH_STAGE_SENDER
	          | 1U << PH_STAGE_RECIPIENT | 1U << PH_STAGE_DATA | 1U << PH_STAGE_MESSAGE
	          | 1U << PH_STAGE_DELIVERY | 1U << PH_STAGE_REFUSED | 1U << PH_STAGE_UNKNOWN,
	.create = create,
	.destroy = destroy,
	.begin = begin,
	.end = end,
	.ask = ask,
	.cancel = cancel,
};

static const PhOffer offers[] = {
	{
		.kind = PH_KIND_FILTER,
		.name = "milter",
		.filter = &filter,
		.not_isolated = "it speaks to the milter over the server's client connections",
	},
	PH_OFFERS_END,
};

PH_EXPORT const PhPlugin ph_plugin = {
	.abi = PH_ABI,
	.name = "milter",
	.version = "1.0",
	.licence = "LGPL-2.1-or-later",
	.summary = "asks a program that speaks the milter protocol",
	.options = options,
	.offers = offers,
};
