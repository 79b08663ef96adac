/* passwd-file.c: users from a passwd-style file
 *
 * Names in the file may be bare ("anna") or full ("anna@example.org"). A bare one is a user of the
 * section's `domain`; without that option it is found under every domain, and its mailbox has none.
 * The file is read again as soon as it has changed.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/directory.h>
#include <posthorn/error.h>
#include <posthorn/log.h>
#include <posthorn/slice.h>

#include "aliases.h"
#include "edit.h"
#include "file.h"
#include "table.h"

typedef struct {
	const char *path;
	const char *domain;
	const char *aliases;
} Settings;

static const PhOption options[] = {
	PH_OPTION_PATH(Settings, path, PH_REQUIRED, "passwd-style file that lists the users"),
	PH_OPTION_STRING(Settings,
	                 domain,
	                 PH_ABSENT,
	                 "domain of users whose name in the file has none; absent: any domain"),
	PH_OPTION_PATH(Settings,
	               aliases,
	               PH_ABSENT,
	               "file of further names, each a line 'name: address, address'"),
	PH_OPTIONS_END,
};

typedef struct {
	const Settings *settings;
	char *domain; /* lower case, "" for none */
	WatchedFile *users;
	WatchedFile *aliases; /* (nullable) */
} Instance;

/* --- reading ---------------------------------------------------------------------------------- */

typedef struct {
	PhSection *section;
	const char *path;
} Reader;

static void
report_mistake(unsigned line, const char *sentence, void *user_data)
{
	const Reader *reader = user_data;

	ph_log_section(reader->section, PH_LOG_WARNING, "user-line", sentence,
	               PH_LOG_TEXT("path", reader->path), PH_LOG_NUMBER("line", line), PH_LOG_END);
}

static void *
parse_users(PhSlice text, PhSection *section, const char *path)
{
	Reader reader = { section, path };

	return table_parse(text, report_mistake, &reader);
}

static void *
ref_users(void *users)
{
	return table_ref(users);
}

static void
unref_users(void *users)
{
	table_unref(users);
}

static void *
parse_aliases(PhSlice text, PhSection *section, const char *path)
{
	return aliases_parse(text);
}

static void *
ref_aliases(void *aliases)
{
	return g_hash_table_ref(aliases);
}

static void
unref_aliases(void *aliases)
{
	g_hash_table_unref(aliases);
}

static const Parsed users_file = { parse_users, ref_users, unref_users };
static const Parsed aliases_file = { parse_aliases, ref_aliases, unref_aliases };

/* --- life --------------------------------------------------------------------------------------- */

static void
destroy(void *data)
{
	Instance *instance = data;

	watched_file_free(instance->users);
	watched_file_free(instance->aliases);
	g_free(instance->domain);
	g_free(instance);
}

static bool
create(PhSection *section, const void *settings, void **instance_out, GError **error)
{
	Instance *instance = g_new0(Instance, 1);

	instance->settings = settings;
	instance->domain = g_ascii_strdown(
		instance->settings->domain != NULL ? instance->settings->domain : "", -1);
	instance->users = watched_file_new(section, instance->settings->path, &users_file);
	if (instance->settings->aliases != NULL)
		instance->aliases =
			watched_file_new(section, instance->settings->aliases, &aliases_file);
	if (!watched_file_check(instance->users,
	                        "there are no users yet: 'posthorn user add' makes the file", error)
	    || (instance->aliases != NULL
	        && !watched_file_check(instance->aliases, "the file of aliases is not there",
	                               error))) {
		destroy(instance);
		return false;
	}
	*instance_out = instance;
	return true;
}

/* --- asking ------------------------------------------------------------------------------------- */

/* Cuts "local@domain" at the last '@'; an empty domain when there is none. */
static PhSlice
cut_domain(PhSlice address, PhSlice *domain_out)
{
	const char *at = memrchr(address.data, '@', address.length);
	if (at == NULL) {
		*domain_out = PH_SLICE_EMPTY;
		return address;
	}

	size_t local = (size_t) (at - address.data);
	*domain_out = ph_slice_from(address, local + 1);
	return PH_SLICE(address.data, local);
}

/* The line about an address: its full form first, then the bare name where the domain allows it. */
static const User *
find_user(const Instance *instance, const Table *table, const char *address)
{
	PhSlice domain;
	PhSlice local = cut_domain(ph_slice(address), &domain);
	const User *user = table_find(table, ph_slice(address));
	if (user != NULL)
		return user;

	if (domain.length == 0 && instance->domain[0] != '\0') {
		g_autofree char *full = g_strconcat(address, "@", instance->domain, NULL);
		return table_find(table, ph_slice(full));
	}
	if (instance->domain[0] == '\0' || ph_slice_is_nocase(domain, instance->domain))
		return table_find(table, local);
	return NULL;
}

static bool
make_identity(const Instance *instance, const User *user, PhIdentity **identity_out, GError **error)
{
	PhSlice domain;
	PhSlice local = cut_domain(ph_slice(user->name), &domain);
	g_autofree char *local_text = ph_slice_dup(local);
	g_autofree char *domain_text =
		domain.length > 0 ? g_ascii_strdown(domain.data, (gssize) domain.length)
				  : g_strdup(instance->domain);
	const PhIdentityValues values = {
		.size = sizeof values,
		.user = local_text,
		.domain = domain_text,
		.full_name = user->full_name[0] != '\0' ? user->full_name : NULL,
		.home = user->home[0] != '\0' ? user->home : NULL,
		.quota_octets = user->quota_octets,
		.quota_messages = user->quota_messages,
		.groups = user->groups,
		.senders = user->senders,
		.aliases = user->aliases,
	};
	PhIdentity *identity = ph_identity_new(&values, error);
	if (identity == NULL)
		return false;

	*identity_out = identity;
	return true;
}

static PhVerify
answer(const Instance *instance, const User *user, PhIdentity **identity_out, GError **error)
{
	if (user->disabled)
		return PH_VERIFY_DISABLED;
	return make_identity(instance, user, identity_out, error) ? PH_VERIFY_OK : PH_VERIFY_ERROR;
}

/* An unknown user costs what a known one's wrong password does: some other line is checked. */
static PhVerify
pretend(const Table *table, const PhSecret *secret)
{
	const User *other = table_any(table);

	(void) ph_password_verify(other != NULL ? other->stored : NULL, secret, NULL);
	return PH_VERIFY_UNKNOWN_USER;
}

static PhVerify
check_password(const Instance *instance,
               const User *user,
               const PhSecret *secret,
               PhIdentity **identity_out,
               GError **error)
{
	g_autoptr(GError) failure = NULL;
	if (user->stored[0] != '\0' && ph_password_verify(user->stored, secret, &failure))
		return answer(instance, user, identity_out, error);

	if (failure != NULL)
		ph_log(PH_LOG_ERROR, "password-form", "a stored password cannot be checked",
		       PH_LOG_TEXT("user", user->name), PH_LOG_FAILURE(failure), PH_LOG_END);
	return PH_VERIFY_WRONG;
}

static PhVerify
verify(void *data,
       const char *name,
       const PhSecret *secret,
       PhIdentity **identity_out,
       GError **error)
{
	const Instance *instance = data;
	Table *table = watched_file_get(instance->users, error);
	if (table == NULL)
		return PH_VERIFY_ERROR;

	const User *user = find_user(instance, table, name);
	PhVerify result = user != NULL ? check_password(instance, user, secret, identity_out, error)
	                               : pretend(table, secret);
	table_unref(table);
	return result;
}

static PhVerify
lookup(void *data, const char *address, PhIdentity **identity_out, GError **error)
{
	const Instance *instance = data;
	Table *table = watched_file_get(instance->users, error);
	if (table == NULL)
		return PH_VERIFY_ERROR;

	const User *user = find_user(instance, table, address);
	PhVerify result =
		user != NULL ? answer(instance, user, identity_out, error) : PH_VERIFY_UNKNOWN_USER;
	table_unref(table);
	return result;
}

/* The form behind "{SCHEME}", NULL when the user's is another scheme. */
static const char *
form_in_scheme(const char *stored, const char *scheme)
{
	PhSlice rest = ph_slice(stored);
	if (stored[0] != '{' || ph_slice_find(rest, '}') < 0)
		return NULL;

	PhSlice name = ph_slice_from(ph_slice_split(&rest, '}'), 1);
	bool is_clear =
		ph_slice_is_nocase(name, "CLEARTEXT") && g_ascii_strcasecmp(scheme, "PLAIN") == 0;
	return is_clear || ph_slice_is_nocase(name, scheme) ? name.data + name.length + 1 : NULL;
}

static PhVerify
secret(void *data, const char *name, const char *scheme, PhSecret **secret_out, GError **error)
{
	const Instance *instance = data;
	Table *table = watched_file_get(instance->users, error);
	if (table == NULL)
		return PH_VERIFY_ERROR;

	const User *user = find_user(instance, table, name);
	const char *form =
		user != NULL && !user->disabled ? form_in_scheme(user->stored, scheme) : NULL;
	if (form != NULL)
		*secret_out = ph_secret_new(ph_slice(form));
	PhVerify result = form != NULL   ? PH_VERIFY_OK
	                  : user != NULL ? PH_VERIFY_WRONG
	                                 : PH_VERIFY_UNKNOWN_USER;
	table_unref(table);
	return result;
}

static bool
gives(void *data, const char *scheme)
{
	const Instance *instance = data;
	Table *table = watched_file_get(instance->users, NULL);
	bool found = table != NULL && table_gives(table, scheme);

	table_unref(table);
	return found;
}

static PhVerify
expand(void *data, const char *address, PhListFunc func, void *user_data, GError **error)
{
	const Instance *instance = data;
	if (instance->aliases == NULL)
		return PH_VERIFY_UNKNOWN_USER;
	GHashTable *aliases = watched_file_get(instance->aliases, error);
	if (aliases == NULL)
		return PH_VERIFY_ERROR;

	PhSlice domain;
	PhSlice local = cut_domain(ph_slice(address), &domain);
	const char *const *targets = aliases_find(aliases, ph_slice(address));
	if (targets == NULL
	    && (domain.length == 0 || instance->domain[0] == '\0'
	        || ph_slice_is_nocase(domain, instance->domain)))
		targets = aliases_find(aliases, local);
	for (const char *const *t = targets; t != NULL && *t != NULL; t++)
		if (!func(*t, user_data))
			break;
	g_hash_table_unref(aliases);
	return targets != NULL ? PH_VERIFY_OK : PH_VERIFY_UNKNOWN_USER;
}

static uint64_t
version(void *data)
{
	return watched_file_version(((const Instance *) data)->users);
}

/* --- tools -------------------------------------------------------------------------------------- */

typedef struct {
	const Instance *instance;
	PhListFunc func;
	void *user_data;
} Listing;

static bool
list_one(const User *user, void *data)
{
	const Listing *listing = data;
	if (strchr(user->name, '@') != NULL || listing->instance->domain[0] == '\0')
		return listing->func(user->name, listing->user_data);

	g_autofree char *full = g_strconcat(user->name, "@", listing->instance->domain, NULL);
	return listing->func(full, listing->user_data);
}

static bool
list(void *data, PhListFunc func, void *user_data, GError **error)
{
	Listing listing = { data, func, user_data };
	Table *table = watched_file_get(listing.instance->users, error);
	if (table == NULL)
		return false;

	table_each(table, list_one, &listing);
	table_unref(table);
	return true;
}

/* The name as the file has it, or would have it: as it was given when it is new. */
static char *
name_in_file(const Instance *instance, const char *address)
{
	Table *table = watched_file_get(instance->users, NULL);
	const User *user = table != NULL ? find_user(instance, table, address) : NULL;
	char *name = g_strdup(user != NULL ? user->name : address);

	table_unref(table);
	return name;
}

static bool
set(void *data, const char *address, const char *hash, bool create_new, GError **error)
{
	const Instance *instance = data;
	g_autofree char *name = name_in_file(instance, address);

	return edit_file(instance->settings->path, create_new ? EDIT_ADD : EDIT_CHANGE, name, hash,
	                 error);
}

static bool
remove_user(void *data, const char *address, GError **error)
{
	const Instance *instance = data;
	g_autofree char *name = name_in_file(instance, address);

	return edit_file(instance->settings->path, EDIT_REMOVE, name, NULL, error);
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
	.gives = gives,
	.version = version,
};

static const PhOffer offers[] = { PH_OFFER_DIRECTORY("passwd-file", &directory), PH_OFFERS_END };

PH_EXPORT const PhPlugin ph_plugin = {
	.abi = PH_ABI,
	.name = "passwd-file",
	.version = "0.1.0",
	.licence = "LGPL-2.1-or-later",
	.summary = "users from a passwd-style file",
	.options = options,
	.offers = offers,
};
