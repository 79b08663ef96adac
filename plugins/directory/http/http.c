/* http.c: asks a web service, one JSON object a question
 *
 * Questions and answers are those of the exec directory, by POST.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/slice.h>
#include <posthorn/user.h>

#include "request.h"

#include <curl/curl.h>

typedef struct {
	const char *url;
	const char *const *abilities;
	const char *domain;
	const PhSecret *token;
	const char *ca_file;
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
	PH_OPTION_DURATION(Settings, answer_timeout, "5s", "most time for one question"),
	PH_OPTIONS_END,
};

typedef struct {
	const Settings *settings;
	PhUserRules *rules;
	Client *client;
} Instance;

static bool
check_abilities(const char *const *abilities, GError **error)
{
	static const char *const known[] = { "verify", "lookup", "secret", "expand",
		                             "list",   "set",    "remove", NULL };

	for (; abilities != NULL && *abilities != NULL; abilities++) {
		if (g_strv_contains(known, *abilities))
			continue;
		ph_error_set(error, PH_ERROR_INVALID,
		             "there is no ability '%s'; there are verify, lookup, secret, expand, "
		             "list, set, remove",
		             *abilities);
		return false;
	}
	return true;
}

static bool
create(PhSection *section, const void *data, void **instance_out, GError **error)
{
	const Settings *settings = data;
	const ClientRules rules = { .url = settings->url,
		                    .ca_file = settings->ca_file,
		                    .token = settings->token,
		                    .time_out = settings->answer_timeout };
	Instance *instance = NULL;

	if (!check_abilities(settings->abilities, error) || !client_check_url(settings->url, error))
		return false;
	instance = g_new0(Instance, 1);
	instance->settings = settings;
	instance->rules = ph_user_rules_new(settings->domain);
	instance->client = client_new(&rules);
	*instance_out = instance;
	return true;
}

static void
destroy(void *data)
{
	Instance *instance = data;

	client_free(instance->client);
	ph_user_rules_free(instance->rules);
	g_free(instance);
}

static bool
can(const Instance *instance, const char *ability)
{
	return g_strv_contains(instance->settings->abilities, ability);
}

/* One question. @name, @value: (nullable) one more member of it. */
static PhVerify
ask(const Instance *instance,
    PhUser *user,
    const char *what,
    const char *name,
    PhSlice value,
    GError **error)
{
	GString *question = NULL;
	GString *answer = NULL;
	PhVerify result = PH_VERIFY_ERROR;

	if (!can(instance, what))
		return PH_VERIFY_UNKNOWN_USER;
	question = ph_user_question_json(user, what, name, value);
	answer = g_string_new(NULL);
	if (client_post(instance->client, question, answer, error))
		result = ph_user_answer_json(user, PH_SLICE(answer->str, answer->len), error);
	ph_user_question_free(question);
	ph_user_question_free(answer);
	return result;
}

static PhVerify
verify(void *data,
       const char *name,
       const PhSecret *secret,
       PhIdentity **identity_out,
       GError **error)
{
	const Instance *instance = data;
	g_autoptr(PhUser) user = ph_user_new(instance->rules, name);
	PhSlice password = ph_secret_slice(secret);
	PhVerify result = PH_VERIFY_WRONG;

	if (!ph_slice_is_utf8(password))
		return PH_VERIFY_WRONG; /* JSON has no way to say it */
	result = ask(instance, user, "verify", "password", password, error);
	return result == PH_VERIFY_OK ? ph_user_accept(user, identity_out, error) : result;
}

static PhVerify
lookup(void *data, const char *name, PhIdentity **identity_out, GError **error)
{
	const Instance *instance = data;
	g_autoptr(PhUser) user = ph_user_new(instance->rules, name);
	PhVerify result = ask(instance, user, "lookup", NULL, PH_SLICE_EMPTY, error);

	return result == PH_VERIFY_OK ? ph_user_lookup(user, identity_out, error) : result;
}

static PhVerify
secret(void *data, const char *name, const char *scheme, PhSecret **secret_out, GError **error)
{
	const Instance *instance = data;
	g_autoptr(PhUser) user = ph_user_new(instance->rules, name);
	PhVerify result = ask(instance, user, "secret", "scheme", ph_slice(scheme), error);
	const char *form = ph_user_get(user, "secret");

	if (result == PH_VERIFY_OK && form == NULL)
		return PH_VERIFY_WRONG;
	if (result == PH_VERIFY_OK)
		*secret_out = ph_secret_new(ph_slice(form));
	return result;
}

static bool
gives(void *data, const char *scheme)
{
	return can(data, "secret");
}

static PhVerify
expand(void *data, const char *name, PhListFunc func, void *user_data, GError **error)
{
	const Instance *instance = data;
	g_autoptr(PhUser) user = ph_user_new(instance->rules, name);
	PhVerify result = ask(instance, user, "expand", NULL, PH_SLICE_EMPTY, error);

	return result == PH_VERIFY_OK ? ph_user_expand(user, func, user_data) : result;
}

/* --- tools ------------------------------------------------------------------------------------------ */

static bool
needs(const Instance *instance, const char *ability, GError **error)
{
	if (can(instance, ability))
		return true;
	ph_error_set(error, PH_ERROR_UNSUPPORTED,
	             "'abilities' does not say that the service can be asked to %s", ability);
	return false;
}

/* A change, or a question whose answer is OK or nothing. */
static bool
demand(const Instance *instance, PhUser *user, const char *what, const char *hash, GError **error)
{
	PhVerify result = PH_VERIFY_ERROR;

	if (!needs(instance, what, error))
		return false;
	result = ask(instance, user, what, hash != NULL ? "hash" : NULL, ph_slice(hash), error);
	if (result == PH_VERIFY_UNKNOWN_USER)
		ph_error_set(error, PH_ERROR_NOT_FOUND, "there is no user '%s'",
		             ph_user_asked_address(user));
	else if (result == PH_VERIFY_WRONG || result == PH_VERIFY_DISABLED)
		ph_error_set(error, PH_ERROR_DENIED, "the service refuses to do it");
	return result == PH_VERIFY_OK;
}

static bool
list(void *data, PhListFunc func, void *user_data, GError **error)
{
	const Instance *instance = data;
	g_autoptr(PhUser) user = ph_user_new(instance->rules, "");

	if (!demand(instance, user, "list", NULL, error))
		return false;
	(void) ph_user_expand(user, func, user_data);
	return true;
}

static bool
set(void *data, const char *address, const char *hash, bool create_new, GError **error)
{
	const Instance *instance = data;
	g_autoptr(PhUser) user = ph_user_new(instance->rules, address);
	g_autoptr(PhIdentity) identity = NULL;
	PhVerify known = lookup(data, address, &identity, error);

	if (known == PH_VERIFY_ERROR)
		return false;
	if (create_new && known != PH_VERIFY_UNKNOWN_USER) {
		ph_error_set(error, PH_ERROR_EXISTS, "'%s' is already there", address);
		return false;
	}
	if (!create_new && known == PH_VERIFY_UNKNOWN_USER) {
		ph_error_set(error, PH_ERROR_NOT_FOUND, "there is no user '%s'", address);
		return false;
	}
	return demand(instance, user, "set", hash, error);
}

static bool
remove_user(void *data, const char *address, GError **error)
{
	const Instance *instance = data;
	g_autoptr(PhUser) user = ph_user_new(instance->rules, address);

	return demand(instance, user, "remove", NULL, error);
}

static const PhDirectory directory = {
	.size = sizeof directory,
	.create = create,
	.destroy = destroy,
	.verify = verify,
	.lookup = lookup,
	.secret = secret,
	.gives = gives,
	.expand = expand,
	.list = list,
	.set = set,
	.remove = remove_user,
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
