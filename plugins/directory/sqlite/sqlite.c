/* sqlite.c: users in an SQLite database: our own tables, or what a SELECT finds in others
 *
 * A query's columns are named like the fields of a user (<posthorn/user.h>): password, home, quota and
 * so on; several rows add up. Nobody's name is ever part of a query's text.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "sqlite.h"

#include <posthorn/error.h>
#include <posthorn/plugin.h>

typedef struct {
	const char *path;
	const char *domain;
	const char *user_query;
	const char *alias_query;
	const char *list_query;
	PhDuration query_timeout;
} Settings;

static const PhOption options[] = {
	PH_OPTION_PATH(Settings,
	               path,
	               PH_REQUIRED,
	               "the database; made with our own tables when there is no 'user-query'"),
	PH_OPTION_STRING(Settings, domain, PH_ABSENT, "domain of names without one"),
	PH_OPTION_STRING(Settings,
	                 user_query,
	                 PH_ABSENT,
	                 "SELECT that finds a user by :user, :local and :domain in other tables"),
	PH_OPTION_STRING(Settings,
	                 alias_query,
	                 PH_ABSENT,
	                 "SELECT whose column 'targets' says what an alias stands for"),
	PH_OPTION_STRING(Settings,
	                 list_query,
	                 PH_ABSENT,
	                 "SELECT whose first column is the address of each user, for tools"),
	PH_OPTION_DURATION(Settings,
	                   query_timeout,
	                   "5s",
	                   "most time for one query, waiting for locks included"),
	PH_OPTIONS_END,
};

typedef struct {
	const Settings *settings;
	PhUserRules *rules;
	Pool *pool;
	bool is_ours;
	const char *user_query;
	const char *alias_query; /* (nullable) */
	const char *list_query;  /* (nullable) */
} Instance;

static const char *
first_of(const char *own, bool is_ours, const char *preset)
{
	if (own != NULL)
		return own;
	return is_ours ? preset : NULL;
}

static bool
create(PhSection *section, const void *data, void **instance_out, GError **error)
{
	const Settings *settings = data;
	Instance *instance = g_new0(Instance, 1);
	const PoolRules rules = { .path = settings->path,
		                  .is_ours = settings->user_query == NULL,
		                  .time_out = settings->query_timeout };

	instance->settings = settings;
	instance->is_ours = rules.is_ours;
	instance->rules = ph_user_rules_new(settings->domain);
	instance->pool = pool_new(&rules);
	instance->user_query = first_of(settings->user_query, true, schema_user_query);
	instance->alias_query = first_of(settings->alias_query, rules.is_ours, schema_alias_query);
	instance->list_query = first_of(settings->list_query, rules.is_ours, schema_list_query);
	*instance_out = instance;
	return true;
}

static void
destroy(void *data)
{
	Instance *instance = data;

	pool_free(instance->pool);
	ph_user_rules_free(instance->rules);
	g_free(instance);
}

/* --- asking ----------------------------------------------------------------------------------------- */

/* Returns: (owned) what is known of the name; @known_out: whether it is a user's. NULL on error. */
static PhUser *
find(const Instance *instance, const char *query, const char *name, bool *known_out, GError **error)
{
	g_autoptr(PhUser) user = ph_user_new(instance->rules, name);
	Found found = { .user = user };

	if (!query_run(instance->pool, query, user, set_columns, &found, error))
		return NULL;
	*known_out = found.any;
	return g_steal_pointer(&user);
}

static PhVerify
verify(void *data,
       const char *name,
       const PhSecret *secret,
       PhIdentity **identity_out,
       GError **error)
{
	const Instance *instance = data;
	bool known = false;
	g_autoptr(PhUser) user = find(instance, instance->user_query, name, &known, error);

	if (user == NULL)
		return PH_VERIFY_ERROR;
	return ph_user_verify(instance->rules, known ? user : NULL, secret, identity_out, error);
}

static PhVerify
lookup(void *data, const char *name, PhIdentity **identity_out, GError **error)
{
	const Instance *instance = data;
	bool known = false;
	g_autoptr(PhUser) user = find(instance, instance->user_query, name, &known, error);

	if (user == NULL)
		return PH_VERIFY_ERROR;
	return ph_user_lookup(known ? user : NULL, identity_out, error);
}

static PhVerify
secret(void *data, const char *name, const char *scheme, PhSecret **secret_out, GError **error)
{
	const Instance *instance = data;
	bool known = false;
	g_autoptr(PhUser) user = find(instance, instance->user_query, name, &known, error);

	if (user == NULL)
		return PH_VERIFY_ERROR;
	return ph_user_secret(known ? user : NULL, scheme, secret_out);
}

static PhVerify
expand(void *data, const char *name, PhListFunc func, void *user_data, GError **error)
{
	const Instance *instance = data;
	bool known = false;
	g_autoptr(PhUser) user = NULL;

	if (instance->alias_query == NULL)
		return PH_VERIFY_UNKNOWN_USER;
	user = find(instance, instance->alias_query, name, &known, error);
	return user != NULL ? ph_user_expand(user, func, user_data) : PH_VERIFY_ERROR;
}

static uint64_t
version(void *data)
{
	return pool_version(((const Instance *) data)->pool);
}

/* --- tools ------------------------------------------------------------------------------------------ */

static bool
add_name(sqlite3_stmt *row, void *data, GError **error)
{
	const char *name = (const char *) sqlite3_column_text(row, 0);

	if (name != NULL)
		g_ptr_array_add(data, g_strdup(name));
	return true;
}

static bool
list(void *data, PhListFunc func, void *user_data, GError **error)
{
	const Instance *instance = data;
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);

	if (instance->list_query == NULL) {
		ph_error_set(error, PH_ERROR_UNSUPPORTED,
		             "there is no 'list-query' to list users with");
		return false;
	}
	if (!query_run(instance->pool, instance->list_query, NULL, add_name, names, error))
		return false;
	for (guint i = 0; i < names->len; i++)
		if (!func(names->pdata[i], user_data))
			break;
	return true;
}

static bool
is_ours(const Instance *instance, GError **error)
{
	if (instance->is_ours)
		return true;
	ph_error_set(
		error, PH_ERROR_UNSUPPORTED,
		"users of another program's tables are changed there: this section has a 'user-query'");
	return false;
}

static bool
set(void *data, const char *address, const char *hash, bool create_new, GError **error)
{
	const Instance *instance = data;
	g_autoptr(PhUser) user = ph_user_new(instance->rules, address);

	return is_ours(instance, error)
	       && schema_set(instance->pool, user, hash, create_new, error);
}

static bool
remove_user(void *data, const char *address, GError **error)
{
	const Instance *instance = data;
	g_autoptr(PhUser) user = ph_user_new(instance->rules, address);

	return is_ours(instance, error) && schema_remove(instance->pool, user, error);
}

static const PhDirectory directory = {
	.size = sizeof directory,
	.flags = PH_DIRECTORY_WRITES,
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
};

static const PhOffer offers[] = { PH_OFFER_DIRECTORY("sqlite", &directory), PH_OFFERS_END };

PH_EXPORT const PhPlugin ph_plugin = {
	.abi = PH_ABI,
	.name = "sqlite",
	.version = "0.1.0",
	.licence = "LGPL-2.1-or-later",
	.summary = "users in an SQLite database, our tables or any",
	.options = options,
	.offers = offers,
};
