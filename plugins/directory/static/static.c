/* static.c: users that stand in the config itself: a fixed list, or everybody
 *
 * For mail catchers, tests and single mailboxes. Everybody is let in only where the config says so
 * in one word.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/slice.h>
#include <posthorn/user.h>

typedef struct {
	const char *const *users;
	const PhSecret *password;
	bool accept_all;
	const char *domain;
	const char *home;
	PhSize quota;
	const char *const *groups;
	const char *const *senders;
} Settings;

static const PhOption options[] = {
	PH_OPTION_LIST(Settings,
	               users,
	               PH_ABSENT,
	               "who exists, each NAME or NAME:STORED-PASSWORD; absent: every name"),
	PH_OPTION_SECRET(Settings,
	                 password,
	                 PH_ABSENT,
	                 "password of all users that have none of their own: clear or {SCHEME}..."),
	PH_OPTION_BOOLEAN(
		Settings,
		accept_all,
		"no",
		"let users without any password in with every password: for mail catchers"),
	PH_OPTION_STRING(Settings,
	                 domain,
	                 PH_ABSENT,
	                 "domain of names without one; with it only its users exist"),
	PH_OPTION_TEMPLATE(Settings,
	                   home,
	                   PH_ABSENT,
	                   "home of the users; {user} and {domain} are filled in"),
	PH_OPTION_SIZE(Settings, quota, "0", "most octets of each user; 0 for no limit"),
	PH_OPTION_LIST(Settings, groups, PH_ABSENT, "groups that each user is in"),
	PH_OPTION_LIST(Settings,
	               senders,
	               PH_ABSENT,
	               "addresses that each user may send as; * for all"),
	PH_OPTIONS_END,
};

typedef struct {
	const Settings *settings;
	PhUserRules *rules;
	GHashTable *listed; /* (nullable) address in lower case to stored form, "" for none */
	char *shared;       /* (nullable) the stored form of the others */
} Instance;

/* --- life ----------------------------------------------------------------------------------------- */

/* "NAME" or "NAME:STORED" */
static void
add_listed(Instance *instance, const char *text)
{
	g_auto(GStrv) parts = g_strsplit(text, ":", 2);
	g_autoptr(PhUser) user = ph_user_new(instance->rules, g_strstrip(parts[0]));
	const char *stored = parts[1] != NULL ? g_strstrip(parts[1]) : "";

	g_hash_table_replace(instance->listed, g_strdup(ph_user_asked_address(user)),
	                     g_strdup(stored));
}

static char *
stored_of(const PhSecret *password)
{
	PhSlice text = ph_secret_slice(password);

	return text.data[0] == '{' ? ph_slice_dup(text) : g_strconcat("{PLAIN}", text.data, NULL);
}

static void
destroy(void *data)
{
	Instance *instance = data;

	g_clear_pointer(&instance->listed, g_hash_table_unref);
	if (instance->shared != NULL)
		ph_secret_wipe(instance->shared, strlen(instance->shared));
	g_free(instance->shared);
	ph_user_rules_free(instance->rules);
	g_free(instance);
}

static bool
create(PhSection *section, const void *data, void **instance_out, GError **error)
{
	const Settings *settings = data;
	Instance *instance = NULL;

	if (settings->users == NULL && settings->password == NULL && !settings->accept_all) {
		ph_error_set(error, PH_ERROR_INVALID,
		             "nobody could log in: give 'users', 'password' or 'accept-all = yes'");
		return false;
	}
	instance = g_new0(Instance, 1);
	instance->settings = settings;
	instance->rules = ph_user_rules_new(settings->domain);
	if (settings->password != NULL)
		instance->shared = stored_of(settings->password);
	if (settings->users != NULL)
		instance->listed = g_hash_table_new_full(ph_str_hash, g_str_equal, g_free, g_free);
	for (size_t i = 0; settings->users != NULL && settings->users[i] != NULL; i++)
		add_listed(instance, settings->users[i]);
	*instance_out = instance;
	return true;
}

/* --- asking ----------------------------------------------------------------------------------------- */

static char *
fill_home(const char *template, const PhUser *user)
{
	g_autoptr(GString) text = g_string_new(template);
	g_autofree char *local = g_strdup(ph_user_asked_local(user));

	/* a name is one component of a path */
	g_strdelimit(local, "/", '_');
	if (local[0] == '.')
		local[0] = '_';
	g_string_replace(text, "{user}", local, 0);
	g_string_replace(text, "{domain}", ph_user_asked_domain(user), 0);
	return g_string_free(g_steal_pointer(&text), FALSE);
}

static bool
set_all(PhUser *user, const char *field, const char *const *values, GError **error)
{
	for (; values != NULL && *values != NULL; values++)
		if (!ph_user_set(user, field, *values, error))
			return false;
	return true;
}

static bool
fill(const Instance *instance, PhUser *user, const char *stored, GError **error)
{
	const Settings *settings = instance->settings;
	g_autofree char *home = settings->home != NULL ? fill_home(settings->home, user) : NULL;
	g_autofree char *quota =
		g_strdup_printf("%" G_GUINT64_FORMAT, (guint64) settings->quota.octets);

	return ph_user_set(user, "password", stored, error)
	       && ph_user_set(user, "home", home, error) && ph_user_set(user, "quota", quota, error)
	       && set_all(user, "groups", settings->groups, error)
	       && set_all(user, "senders", settings->senders, error);
}

/* Is the name one of ours? @stored_out: (borrowed, nullable) its password. */
static bool
is_known(const Instance *instance, const PhUser *user, const char **stored_out)
{
	const char *domain = instance->settings->domain;
	const char *own = NULL;

	*stored_out = instance->shared;
	if (instance->listed == NULL)
		return domain == NULL
		       || g_ascii_strcasecmp(ph_user_asked_domain(user), domain) == 0;
	own = g_hash_table_lookup(instance->listed, ph_user_asked_address(user));
	if (own != NULL && own[0] != '\0')
		*stored_out = own;
	return own != NULL;
}

static PhVerify
verify(void *data,
       const char *name,
       const PhSecret *secret,
       PhIdentity **identity_out,
       GError **error)
{
	Instance *instance = data;
	g_autoptr(PhUser) user = ph_user_new(instance->rules, name);
	const char *stored = NULL;

	if (!is_known(instance, user, &stored))
		return ph_user_verify(instance->rules, NULL, secret, identity_out, error);
	if (!fill(instance, user, stored, error))
		return PH_VERIFY_ERROR;
	if (stored == NULL && instance->settings->accept_all)
		return ph_user_accept(user, identity_out, error);
	return ph_user_verify(instance->rules, user, secret, identity_out, error);
}

static PhVerify
lookup(void *data, const char *name, PhIdentity **identity_out, GError **error)
{
	Instance *instance = data;
	g_autoptr(PhUser) user = ph_user_new(instance->rules, name);
	const char *stored = NULL;

	if (!is_known(instance, user, &stored))
		return PH_VERIFY_UNKNOWN_USER;
	return fill(instance, user, stored, error) ? ph_user_lookup(user, identity_out, error)
	                                           : PH_VERIFY_ERROR;
}

static PhVerify
secret(void *data, const char *name, const char *scheme, PhSecret **secret_out, GError **error)
{
	Instance *instance = data;
	g_autoptr(PhUser) user = ph_user_new(instance->rules, name);
	const char *stored = NULL;

	if (!is_known(instance, user, &stored))
		return PH_VERIFY_UNKNOWN_USER;
	return fill(instance, user, stored, error) ? ph_user_secret(user, scheme, secret_out)
	                                           : PH_VERIFY_ERROR;
}

static bool
list(void *data, PhListFunc func, void *user_data, GError **error)
{
	const Instance *instance = data;
	GHashTableIter iter;
	gpointer address = NULL;

	if (instance->listed == NULL) {
		ph_error_set(error, PH_ERROR_UNSUPPORTED,
		             "every name is a user here: there is no list");
		return false;
	}
	g_hash_table_iter_init(&iter, instance->listed);
	while (g_hash_table_iter_next(&iter, &address, NULL))
		if (!func(address, user_data))
			break;
	return true;
}

/* What stands in the config does not change while it is used. */
static uint64_t
version(void *data)
{
	return 1;
}

static const PhDirectory directory = {
	.size = sizeof directory,
	.create = create,
	.destroy = destroy,
	.verify = verify,
	.lookup = lookup,
	.secret = secret,
	.list = list,
	.version = version,
};

static const PhOffer offers[] = { PH_OFFER_DIRECTORY("static", &directory), PH_OFFERS_END };

PH_EXPORT const PhPlugin ph_plugin = {
	.abi = PH_ABI,
	.name = "static",
	.version = "0.1.0",
	.licence = "LGPL-2.1-or-later",
	.summary = "users that stand in the config: a list, or everybody",
	.options = options,
	.offers = offers,
};
