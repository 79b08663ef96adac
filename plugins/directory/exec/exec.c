/* exec.c: asks a program, or somebody on a unix socket, one JSON line a question
 *
 * So that a directory can be written in any language. The program is kept running; the supervisor
 * starts it. Everything that it says is bounded in size and time.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/process.h>
#include <posthorn/slice.h>
#include <posthorn/user.h>

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

typedef struct {
	const Settings *settings;
	PhUserRules *rules;
	PhHelper *helper;
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
	const PhHelperOptions helper = { .size = sizeof helper,
		                         .command = settings->command,
		                         .copies = (uint32_t) settings->copies };
	Instance *instance = NULL;
	PhHelper *made = NULL;

	if (!check_abilities(settings->abilities, error))
		return false;
	made = ph_helper_new(&helper, error);
	if (made == NULL)
		return false;
	instance = g_new0(Instance, 1);
	instance->settings = settings;
	instance->rules = ph_user_rules_new(settings->domain);
	instance->helper = made;
	*instance_out = instance;
	return true;
}

static void
destroy(void *data)
{
	Instance *instance = data;

	ph_helper_free(instance->helper);
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
	if (ph_helper_ask(instance->helper, PH_SLICE(question->str, question->len),
	                  instance->settings->answer_timeout, answer, error))
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
	             "'abilities' does not say that the program can be asked to %s", ability);
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
		ph_error_set(error, PH_ERROR_DENIED, "the program refuses to do it");
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

static const PhOffer offers[] = { PH_OFFER_DIRECTORY("exec", &directory), PH_OFFERS_END };

PH_EXPORT const PhPlugin ph_plugin = {
	.abi = PH_ABI,
	.name = "exec",
	.version = "0.1.0",
	.licence = "LGPL-2.1-or-later",
	.summary = "users that a program knows, asked in JSON",
	.options = options,
	.offers = offers,
};
