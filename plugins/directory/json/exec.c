/* exec.c: asks a program, or somebody on a socket, one JSON line a question
 *
 * So that a directory can be written in any language. The program is kept running; the supervisor
 * starts it. Everything that it says is bounded in size and time.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/process.h>

#include "speaker.h"

typedef struct {
	const char *command;
	const char *const *abilities;
	const char *domain;
	int64_t copies;
	PhDuration answer_timeout;
} Settings;

static const PhOption options[] = {
	PH_OPTION_STRING(Settings,
	                 command,
	                 PH_REQUIRED,
	                 "the program with its words, or unix:/path of a socket that answers"),
	PH_OPTION_LIST(Settings,
	               abilities,
	               "verify, lookup",
	               "what it can be asked: verify, lookup, secret, expand, list, set, remove"),
	PH_OPTION_STRING(Settings, domain, PH_ABSENT, "domain of names without one"),
	PH_OPTION_INTEGER(Settings,
	                  copies,
	                  "4",
	                  1,
	                  64,
	                  "most copies of the program that run at once"),
	PH_OPTION_DURATION(Settings,
	                   answer_timeout,
	                   "5s",
	                   "how long it may think about one question; then it is ended"),
	PH_OPTIONS_END,
};

static void
take_line(void *user_data, PhSlice line, GError *error)
{
	talk_answer(user_data, line, error);
}

static void
send_line(void *carrier, Talk *talk)
{
	const GString *question = talk_question(talk);

	ph_helper_begin(carrier, PH_SLICE(question->str, question->len), talk_patience(talk),
	                take_line, talk);
}

static void
free_helper(void *carrier)
{
	ph_helper_free(carrier);
}

static const SpeakerWay way = { "program", send_line, free_helper };

static bool
create(PhSection *section, const void *data, void **instance_out, GError **error)
{
	const Settings *settings = data;
	const PhHelperOptions options_of = { .size = sizeof options_of,
		                             .command = settings->command,
		                             .copies = (uint32_t) settings->copies };
	const SpeakerRules rules = { &way, settings->abilities, settings->domain,
		                     settings->answer_timeout };
	PhHelper *helper = NULL;

	if (!speaker_check(settings->abilities, error))
		return false;
	helper = ph_helper_new(&options_of, error);
	if (helper != NULL)
		*instance_out = speaker_new(&rules, helper);
	return helper != NULL;
}

static const PhDirectory directory = {
	.size = sizeof directory,
	.create = create,
	SPEAKER_MEMBERS,
};

static const PhOffer offers[] = {
	{
		.kind = PH_KIND_DIRECTORY,
		.name = "exec",
		.directory = &directory,
		.not_isolated =
			"its program is kept running by the server, outside of its process already",
	},
	PH_OFFERS_END,
};

PH_EXPORT const PhPlugin ph_plugin = {
	.abi = PH_ABI,
	.name = "exec",
	.version = "0.1.0",
	.licence = "LGPL-2.1-or-later",
	.summary = "users that a program knows, asked in JSON",
	.options = options,
	.offers = offers,
};
