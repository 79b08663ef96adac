/* http.c: asks a web service, one JSON object a question
 *
 * Questions and answers are those of the exec directory, by POST.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>

#include "request.h"
#include "speaker.h"

#include <curl/curl.h>

typedef struct {
	const char *url;
	const char *const *abilities;
	const char *domain;
	const PhSecret *token;
	const char *ca_file;
	int64_t connections;
	PhDuration answer_timeout;
} Settings;

static const PhOption options[] = {
	PH_OPTION_STRING(Settings, url, PH_REQUIRED, "where questions are posted to: https://..."),
	PH_OPTION_LIST(Settings,
	               abilities,
	               "verify, lookup",
	               "what it can be asked: verify, lookup, secret, expand, list, set, remove"),
	PH_OPTION_STRING(Settings, domain, PH_ABSENT, "domain of names without one"),
	PH_OPTION_SECRET(Settings, token, PH_ABSENT, "sent as 'Authorization: Bearer ...'"),
	PH_OPTION_PATH(Settings,
	               ca_file,
	               PH_ABSENT,
	               "PEM file of who may vouch for the service; the system's when absent"),
	PH_OPTION_INTEGER(Settings, connections, "16", 1, 256, "most questions at once"),
	PH_OPTION_DURATION(Settings, answer_timeout, "5s", "most time for one question"),
	PH_OPTIONS_END,
};

static const SpeakerWay way = { "service", client_send, client_free };

static bool
create(PhSection *section, const void *data, void **instance_out, GError **error)
{
	const Settings *settings = data;
	const ClientRules client = { .url = settings->url,
		                     .ca_file = settings->ca_file,
		                     .token = settings->token,
		                     .connections = (unsigned) settings->connections };
	const SpeakerRules rules = { &way, settings->abilities, settings->domain,
		                     settings->answer_timeout };

	if (!speaker_check(settings->abilities, error) || !client_check_url(settings->url, error))
		return false;
	*instance_out = speaker_new(&rules, client_new(&client));
	return true;
}

static const PhDirectory directory = {
	.size = sizeof directory,
	.create = create,
	SPEAKER_MEMBERS,
};

static const PhOffer offers[] = { PH_OFFER_DIRECTORY("http", &directory), PH_OFFERS_END };

/* Once for the process, before there are threads. */
static bool
load(GError **error)
{
	if (curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK)
		return true;
	ph_error_set(error, PH_ERROR_TEMPORARY, "libcurl cannot be used");
	return false;
}

PH_EXPORT const PhPlugin ph_plugin = {
	.abi = PH_ABI,
	.name = "http",
	.version = "0.1.0",
	.licence = "LGPL-2.1-or-later",
	.summary = "users that a web service knows, asked in JSON",
	.options = options,
	.offers = offers,
	.load = load,
};
