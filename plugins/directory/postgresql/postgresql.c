/* postgresql.c: users in a PostgreSQL database: our own tables, or what a SELECT finds in others
 *
 * A query's columns are named like the fields of a user (<posthorn/user.h>): password, home, quota and
 * so on; several rows add up.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "postgresql.h"

#include <posthorn/error.h>
#include <posthorn/plugin.h>

typedef struct {
	const char *connection;
	const PhSecret *password;
	const char *domain;
	const char *user_query;
	const char *alias_query;
	const char *list_query;
	PhDuration query_timeout;
} Settings;

static const PhOption options[] = {
	PH_OPTION_STRING(
		Settings,
		connection,
		PH_REQUIRED,
		"as libpq takes it: host=db.example.org dbname=mail user=mail sslmode=verify-full"),
	PH_OPTION_SECRET(Settings, password, PH_ABSENT, "the password for the connection"),
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
	                   "most time for one query, connecting included"),
	PH_OPTIONS_END,
};

typedef struct {
	const Settings *settings;
	PhUserRules *rules;
	Pool *pool;
	bool is_ours;
	Query user;
	Query alias; /* its text is NULL when there is none */
	Query list;
} Instance;

static bool
parse(Query *query, const char *own, const char *preset, GError **error)
{
	const char *text = own != NULL ? own : preset;

	return text == NULL || query_parse(text, query, error);
}

static void
destroy(void *data)
{
	Instance *instance = data;

	pool_free(instance->pool);
	query_clear(&instance->user);
	query_clear(&instance->alias);
	query_clear(&instance->list);
	ph_user_rules_free(instance->rules);
	g_free(instance);
}

static bool
create(PhSection *section, const void *data, void **instance_out, GError **error)
{
	const Settings *settings = data;
	Instance *instance = g_new0(Instance, 1);
	bool is_ours = settings->user_query == NULL;
	const PoolRules rules = { .connection = settings->connection,
		                  .password = settings->password,
		                  .is_ours = is_ours,
		                  .time_out = settings->query_timeout };

	instance->settings = settings;
	instance->is_ours = is_ours;
	instance->rules = ph_user_rules_new(settings->domain);
	instance->pool = pool_new(&rules);
	if (parse(&instance->user, settings->user_query, schema_user_query, error)
	    && parse(&instance->alias, settings->alias_query, is_ours ? schema_alias_query : NULL,
	             error)
	    && parse(&instance->list, settings->list_query, is_ours ? schema_list_query : NULL,
	             error)) {
		*instance_out = instance;
		return true;
	}
	destroy(instance);
	return false;
}

/* --- asking ----------------------------------------------------------------------------------------- */

/* The columns of a row become fields. */
static bool
take_row(const PGresult *row, void *user_data, GError **error)
{
	PhUser *user = user_data;
	int n_columns = PQnfields(row);

	for (int column = 0; column < n_columns; column++)
		if (PQgetisnull(row, 0, column) == 0
		    && !ph_user_set(user, PQfname(row, column), PQgetvalue(row, 0, column), error))
			return false;
	return true;
}

/* Returns: (owned) what is known of the name; @known_out: whether it is a user's. NULL on error. */
static PhUser *
find(const Instance *instance,
     const Query *query,
     const char *name,
     bool *known_out,
     GError **error)
{
	g_autoptr(PhUser) user = ph_user_new(instance->rules, name);
	Ask ask = { .query = query, .user = user, .row = take_row, .user_data = user };

	if (!pool_ask(instance->pool, &ask, error))
		return NULL;
	*known_out = ask.any;
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
	g_autoptr(PhUser) user = find(instance, &instance->user, name, &known, error);

	if (user == NULL)
		return PH_VERIFY_ERROR;
	return ph_user_verify(instance->rules, known ? user : NULL, secret, identity_out, error);
}

static PhVerify
lookup(void *data, const char *name, PhIdentity **identity_out, GError **error)
{
	const Instance *instance = data;
	bool known = false;
	g_autoptr(PhUser) user = find(instance, &instance->user, name, &known, error);

	if (user == NULL)
		return PH_VERIFY_ERROR;
	return ph_user_lookup(known ? user : NULL, identity_out, error);
}

static PhVerify
secret(void *data, const char *name, const char *scheme, PhSecret **secret_out, GError **error)
{
	const Instance *instance = data;
	bool known = false;
	g_autoptr(PhUser) user = find(instance, &instance->user, name, &known, error);

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

	if (instance->alias.text == NULL)
		return PH_VERIFY_UNKNOWN_USER;
	user = find(instance, &instance->alias, name, &known, error);
	return user != NULL ? ph_user_expand(user, func, user_data) : PH_VERIFY_ERROR;
}

/* --- tools ------------------------------------------------------------------------------------------ */

typedef struct {
	PhListFunc func;
	void *user_data;
	bool enough;
} Names;

static bool
pass_name(const PGresult *row, void *user_data, GError **error)
{
	Names *names = user_data;

	names->enough = names->enough || !names->func(PQgetvalue(row, 0, 0), names->user_data);
	return true;
}

static bool
list(void *data, PhListFunc func, void *user_data, GError **error)
{
	const Instance *instance = data;
	Names names = { func, user_data, false };
	Ask ask = { .query = &instance->list, .row = pass_name, .user_data = &names };

	if (instance->list.text != NULL)
		return pool_ask(instance->pool, &ask, error);
	ph_error_set(error, PH_ERROR_UNSUPPORTED, "there is no 'list-query' to list users with");
	return false;
}

/* One change of our tables. @any_out: did it reach a row? */
static bool
change(const Instance *instance,
       const char *sql,
       const PhUser *user,
       const char *hash,
       bool *any_out,
       GError **error)
{
	Query query = { .text = NULL };
	Ask ask = { .query = &query, .user = user, .hash = hash };
	bool good = false;

	if (!instance->is_ours) {
		ph_error_set(
			error, PH_ERROR_UNSUPPORTED,
			"users of another program's tables are changed there: this section has a 'user-query'");
		return false;
	}
	if (!query_parse(sql, &query, error))
		return false;
	good = pool_ask(instance->pool, &ask, error);
	*any_out = good && ask.any;
	query_clear(&query);
	return good;
}

static bool
set(void *data, const char *address, const char *hash, bool create_new, GError **error)
{
	const Instance *instance = data;
	g_autoptr(PhUser) user = ph_user_new(instance->rules, address);
	bool any = false;

	if (!change(instance, create_new ? schema_add : schema_change, user, hash, &any, error))
		return false;
	if (!any)
		ph_error_set(error, create_new ? PH_ERROR_EXISTS : PH_ERROR_NOT_FOUND,
		             create_new ? "'%s' is already there" : "there is no user '%s'",
		             ph_user_asked_address(user));
	return any;
}

static bool
remove_user(void *data, const char *address, GError **error)
{
	const Instance *instance = data;
	g_autoptr(PhUser) user = ph_user_new(instance->rules, address);
	bool any = false;

	if (!change(instance, schema_remove, user, NULL, &any, error))
		return false;
	if (!any)
		ph_error_set(error, PH_ERROR_NOT_FOUND, "there is no user '%s'",
		             ph_user_asked_address(user));
	return any;
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
};

static const PhOffer offers[] = { PH_OFFER_DIRECTORY("postgresql", &directory), PH_OFFERS_END };

PH_EXPORT const PhPlugin ph_plugin = {
	.abi = PH_ABI,
	.name = "postgresql",
	.version = "0.1.0",
	.licence = "LGPL-2.1-or-later",
	.summary = "users in a PostgreSQL database, our tables or any",
	.options = options,
	.offers = offers,
};
