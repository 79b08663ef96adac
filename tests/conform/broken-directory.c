/* broken-directory.c: a directory with one planted fault for each rule of the kit
 *
 * Two users in memory, by <posthorn/user.h>; one more may be added.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/slice.h>
#include <posthorn/user.h>

#include <pthread.h>
#include <string.h>

typedef struct {
	const char *fault; /* the rule that must find it; "none" */
} Settings;

static const PhOption options[] = {
	PH_OPTION_STRING(Settings, fault, "none", "the rule that this breaks"),
	PH_OPTIONS_END,
};

typedef struct {
	const Settings *settings;
	PhUserRules *rules;
	pthread_mutex_t lock; /* guards all below */
	GHashTable *users;    /* address to stored form */
	uint64_t version;
	unsigned n_inside;
} Instance;

static bool
has(const Instance *instance, const char *fault)
{
	return strcmp(instance->settings->fault, fault) == 0;
}

static bool
create(PhSection *section, const void *settings, void **instance_out, GError **error)
{
	Instance *instance = g_new0(Instance, 1);

	instance->settings = settings;
	instance->rules = ph_user_rules_new("example.org");
	instance->version = 1;
	(void) pthread_mutex_init(&instance->lock, NULL);
	instance->users = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	g_hash_table_insert(instance->users, g_strdup("anna@example.org"),
	                    g_strdup("{PLAIN}correct horse"));
	g_hash_table_insert(instance->users, g_strdup("ben@example.org"), g_strdup("{PLAIN}x"));
	*instance_out = instance;
	return true;
}

static void
destroy(void *data)
{
	Instance *instance = data;

	g_hash_table_unref(instance->users);
	ph_user_rules_free(instance->rules);
	g_free(instance);
}

/* Returns: (owned) the user as far as it is known. */
static PhUser *
find(Instance *instance, const char *name, bool *known_out)
{
	PhUser *user = ph_user_new(instance->rules, name);

	(void) pthread_mutex_lock(&instance->lock);
	const char *form = g_hash_table_lookup(instance->users, ph_user_asked_address(user));
	*known_out = form != NULL;
	(void) ph_user_set(user, "password", form, NULL);
	(void) pthread_mutex_unlock(&instance->lock);
	if (has(instance, "one-address"))
		(void) ph_user_set(user, "user", name, NULL);
	return user;
}

static PhVerify
lookup(void *data, const char *name, PhIdentity **identity_out, GError **error)
{
	Instance *instance = data;
	bool known = false;
	g_autoptr(PhUser) user = find(instance, name, &known);

	if (has(instance, "steady-version"))
		instance->version++;
	if ((has(instance, "known-user") && known)
	    || (has(instance, "hostile-names") && name[0] == '*'))
		return PH_VERIFY_DISABLED;
	if (has(instance, "unknown-user") && !known)
		return PH_VERIFY_WRONG;
	return ph_user_lookup(known ? user : NULL, identity_out, error);
}

static bool
is_overrun(Instance *instance)
{
	(void) pthread_mutex_lock(&instance->lock);
	bool over = ++instance->n_inside > 1;
	(void) pthread_mutex_unlock(&instance->lock);
	g_usleep(2000);
	(void) pthread_mutex_lock(&instance->lock);
	instance->n_inside--;
	(void) pthread_mutex_unlock(&instance->lock);
	return over;
}

static PhVerify
verify(void *data,
       const char *name,
       const PhSecret *secret,
       PhIdentity **identity_out,
       GError **error)
{
	Instance *instance = data;
	bool known = false;
	g_autoptr(PhUser) user = find(instance, name, &known);
	PhSlice password = ph_secret_slice(secret);

	if (has(instance, "right-password") && known)
		return PH_VERIFY_WRONG;
	if (known
	    && ((has(instance, "wrong-password") && ph_slice_is(password, "*"))
	        || (has(instance, "empty-password") && password.length == 0)))
		return ph_user_accept(user, identity_out, error);
	if (has(instance, "equal-time") && known)
		g_usleep(3000);
	if (has(instance, "together") && is_overrun(instance))
		return PH_VERIFY_WRONG;
	return ph_user_verify(instance->rules, known ? user : NULL, secret, identity_out, error);
}

static PhVerify
secret(void *data, const char *name, const char *scheme, PhSecret **secret_out, GError **error)
{
	Instance *instance = data;
	bool known = false;
	g_autoptr(PhUser) user = find(instance, name, &known);

	if (has(instance, "secrets") && known)
		*secret_out = ph_secret_new(PH_SLICE_LITERAL("anything"));
	return has(instance, "secrets") && known
	               ? PH_VERIFY_OK
	               : ph_user_secret(known ? user : NULL, scheme, secret_out);
}

static PhVerify
expand(void *data, const char *name, PhListFunc func, void *user_data, GError **error)
{
	if (!has(data, "expands"))
		return PH_VERIFY_UNKNOWN_USER;
	(void) func("anna@example.org", user_data);
	return PH_VERIFY_OK;
}

static bool
list(void *data, PhListFunc func, void *user_data, GError **error)
{
	Instance *instance = data;
	GHashTableIter iter;
	gpointer address = NULL;

	g_hash_table_iter_init(&iter, instance->users);
	while (g_hash_table_iter_next(&iter, &address, NULL))
		if (!func(address, user_data) && !has(instance, "lists"))
			break;
	return true;
}

static bool
set(void *data, const char *name, const char *hash, bool create_new, GError **error)
{
	Instance *instance = data;
	bool known = false;
	g_autoptr(PhUser) user = find(instance, name, &known);

	if (known == create_new && !(has(instance, "changes") && known)) {
		ph_error_set(error, create_new ? PH_ERROR_EXISTS : PH_ERROR_NOT_FOUND, "no");
		return false;
	}
	g_hash_table_replace(instance->users, g_strdup(ph_user_asked_address(user)),
	                     g_strdup(hash));
	instance->version++;
	return true;
}

static bool
remove_user(void *data, const char *name, GError **error)
{
	Instance *instance = data;
	g_autoptr(PhUser) user = ph_user_new(instance->rules, name);

	instance->version++;
	if (g_hash_table_remove(instance->users, ph_user_asked_address(user)))
		return true;
	ph_error_set(error, PH_ERROR_NOT_FOUND, "no");
	return false;
}

static uint64_t
version(void *data)
{
	return ((const Instance *) data)->version;
}

static void
begin(void *data, PhQuestion *question)
{
	const Instance *instance = data;
	const PhSecret *given = ph_question_secret(question);
	PhIdentity *identity = NULL;
	GError *error = NULL;
	PhVerify result =
		given != NULL && !has(instance, "answers-later")
			? verify(data, ph_question_user(question), given, &identity, &error)
			: lookup(data, ph_question_user(question), &identity, &error);

	ph_question_answer(question, result, identity, error);
}

static const PhDirectory directory = {
	.size = sizeof directory,
	.create = create,
	.destroy = destroy,
	.verify = verify,
	.lookup = lookup,
	.secret = secret,
	.expand = expand,
	.list = list,
	.set = set,
	.remove = remove_user,
	.version = version,
	.begin = begin,
};

static const PhOffer offers[] = { PH_OFFER_DIRECTORY("broken", &directory), PH_OFFERS_END };

PH_EXPORT const PhPlugin ph_plugin = {
	.abi = PH_ABI,
	.name = "broken",
	.version = "1",
	.licence = "LGPL-2.1-or-later",
	.summary = "one planted fault for each rule",
	.options = options,
	.offers = offers,
};
