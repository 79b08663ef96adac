/* exec.c: the exec filter: asks a program in any language, a line of JSON a question
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>

#include "json.h"
#include "pool.h"

typedef struct {
	const char *command;
	const char *const *stages;
	int64_t copies;
	PhDuration answer_timeout;
	uint32_t show;
	PhSize show_most;
} Settings;

typedef struct {
	const Settings *settings;
	Pool *pool;
	uint32_t stages; /* bits */
} Exec;

static const char *const show_words[] = { "nothing", "header", "whole", NULL };

static const PhOption options[] = {
	PH_OPTION_STRING(Settings,
	                 command,
	                 PH_REQUIRED,
	                 "an absolute path and words, unix:/path or tcp:127.0.0.1:PORT"),
	PH_OPTION_LIST(
		Settings,
		stages,
		"message",
		"where it is asked: connect, helo, sender, recipient, data, header, message, "
		"delivery"),
	PH_OPTION_INTEGER(Settings, copies, "4", 1, 64, "copies that run at once, or connections"),
	PH_OPTION_DURATION(Settings,
	                   answer_timeout,
	                   "10s",
	                   "time for one answer; a copy that is later is ended"),
	PH_OPTION_CHOICE(Settings, show, "header", show_words, "how much of a message it is shown"),
	PH_OPTION_SIZE(Settings,
	               show_most,
	               "1M",
	               "the largest message that is shown whole; of others the header"),
	PH_OPTIONS_END,
};

static void
destroy(void *instance)
{
	Exec *exec = instance;

	pool_end(exec->pool);
	g_free(exec);
}

static bool
read_stages(Exec *exec, GError **error)
{
	for (size_t i = 0; exec->settings->stages[i] != NULL; i++) {
		uint32_t stage = json_stage_find(exec->settings->stages[i]);

		if (stage == 0) {
			ph_error_set(error, PH_ERROR_INVALID,
			             "'stages' has '%s'; there are connect, helo, sender, "
			             "recipient, data, header, message and delivery",
			             exec->settings->stages[i]);
			return false;
		}
		exec->stages |= 1U << stage;
	}
	return true;
}

static bool
create(PhSection *section, const void *settings, void **instance_out, GError **error)
{
	Exec *exec = g_new0(Exec, 1);
	PoolOptions pool = { 0 };

	exec->settings = settings;
	pool.command = exec->settings->command;
	pool.copies = (uint32_t) exec->settings->copies;
	pool.answer_timeout = exec->settings->answer_timeout;
	if (read_stages(exec, error))
		exec->pool = pool_new(&pool, error);
	if (exec->pool == NULL) {
		destroy(exec);
		return false;
	}
	*instance_out = exec;
	return true;
}

static void *
begin(void *instance, PhMail *mail)
{
	return pool_state_new(((const Exec *) instance)->pool);
}

static void
end(void *instance, void *state)
{
	pool_state_free(state);
}

static void
cancel(void *instance, void *state)
{
	pool_cancel(state);
}

static bool
ask(void *instance, void *state, PhFilterQuestion *question, GError **error)
{
	const Settings *settings = ((const Exec *) instance)->settings;
	g_autofree char *line =
		json_question(question, settings->show, settings->show_most.octets, error);

	if (line == NULL)
		return false;
	pool_ask(state, question, g_string_new(line));
	return true;
}

static uint32_t
wants(void *instance)
{
	return ((const Exec *) instance)->stages;
}

static const PhFilter filter = {
	.size = sizeof filter,
	.stages = 1U << PH_STAGE_CONNECT | 1U << PH_STAGE_HELO | 1U << PH_STAGE_SENDER
	          | 1U << PH_STAGE_RECIPIENT | 1U << PH_STAGE_DATA | 1U << PH_STAGE_HEADER
	          | 1U << PH_STAGE_MESSAGE | 1U << PH_STAGE_DELIVERY,
	.create = create,
	.destroy = destroy,
	.begin = begin,
	.end = end,
	.ask = ask,
	.cancel = cancel,
	.wants = wants,
};

static const PhOffer offers[] = {
	{
		.kind = PH_KIND_FILTER,
		.name = "exec",
		.filter = &filter,
		.not_isolated =
			"its program is kept running by the server, outside of its process already",
	},
	PH_OFFERS_END,
};

PH_EXPORT const PhPlugin ph_plugin = {
	.abi = PH_ABI,
	.name = "exec",
	.version = "1.0",
	.licence = "LGPL-2.1-or-later",
	.summary = "asks a program in any language, a line of JSON a question",
	.options = options,
	.offers = offers,
};
