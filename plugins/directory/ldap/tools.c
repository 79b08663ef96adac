/* tools.c: lists users and changes passwords, each on a connection of its own
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/slice.h>

#include "directory.h"
#include "escape.h"

/* A connection bound as the service. */
static bool
open_bound(const Instance *instance, Connection *out, GError **error)
{
	const Settings *settings = instance->settings;
	PhSlice password = settings->bind_password != NULL
	                           ? ph_secret_slice(settings->bind_password)
	                           : PH_SLICE_LITERAL("");
	struct berval credentials = { .bv_len = password.length,
		                      .bv_val = (char *) (uintptr_t) password.data };
	int code = LDAP_SUCCESS;

	if (!connection_open(settings, out, error))
		return false;
	if (settings->bind_dn != NULL)
		code = ldap_sasl_bind_s(out->ld, settings->bind_dn, LDAP_SASL_SIMPLE, &credentials,
		                        NULL, NULL, NULL);
	if (code == LDAP_SUCCESS)
		return true;
	connection_close(out);
	return fail_ldap("the LDAP server refuses 'bind-dn'", code, error);
}

/* The attribute that `user` is read from. */
static const char *
name_attribute(const Instance *instance)
{
	for (guint i = 0; i < instance->fields->len; i++) {
		const Field *field = &g_array_index(instance->fields, Field, i);

		if (strcmp(field->field, "user") == 0)
			return field->attribute;
	}
	return "mail";
}

static bool
pass_name(const Instance *instance, const struct berval *value, PhListFunc func, void *user_data)
{
	g_autofree char *name = g_strndup(value->bv_val, value->bv_len);
	g_autoptr(PhUser) user = ph_user_new(instance->rules, name);

	return func(ph_user_asked_address(user), user_data);
}

static void
pass_names(const Instance *instance,
           LDAP *ld,
           LDAPMessage *result,
           PhListFunc func,
           void *user_data)
{
	bool more = true;

	for (LDAPMessage *entry = ldap_first_entry(ld, result); entry != NULL && more;
	     entry = ldap_next_entry(ld, entry)) {
		struct berval **values = ldap_get_values_len(ld, entry, name_attribute(instance));

		if (values != NULL && values[0] != NULL)
			more = pass_name(instance, values[0], func, user_data);
		if (values != NULL)
			ldap_value_free_len(values);
	}
}

bool
tools_list(void *data, PhListFunc func, void *user_data, GError **error)
{
	const Instance *instance = data;
	const Settings *settings = instance->settings;
	char *attributes[] = { (char *) (uintptr_t) name_attribute(instance), NULL };
	Connection connection;
	LDAPMessage *result = NULL;
	int code = LDAP_SUCCESS;

	if (settings->list_filter == NULL || settings->base == NULL) {
		ph_error_set(error, PH_ERROR_UNSUPPORTED,
		             "there is no 'list-filter' and 'base' to list users with");
		return false;
	}
	if (!open_bound(instance, &connection, error))
		return false;
	code = ldap_search_ext_s(connection.ld, settings->base, LDAP_SCOPE_SUBTREE,
	                         settings->list_filter, attributes, 0, NULL, NULL, NULL,
	                         LDAP_NO_LIMIT, &result);
	if (code == LDAP_SUCCESS)
		pass_names(instance, connection.ld, result, func, user_data);
	else
		(void) fail_ldap("the search for users failed", code, error);
	(void) ldap_msgfree(result);
	connection_close(&connection);
	return code == LDAP_SUCCESS;
}

/* Returns: (owned) the user's entry; NULL with an error. */
static char *
find_dn(const Instance *instance, LDAP *ld, const PhUser *user, GError **error)
{
	const Settings *settings = instance->settings;
	char *attributes[] = { (char *) (uintptr_t) LDAP_NO_ATTRS, NULL };
	g_autofree char *filter = NULL;
	LDAPMessage *result = NULL;
	char *dn = NULL;
	char *found = NULL;
	int code = LDAP_SUCCESS;

	if (settings->user_dn != NULL)
		return escape_fill(settings->user_dn, user, NULL, ESCAPE_DN);
	filter = escape_fill(settings->filter, user, NULL, ESCAPE_FILTER);
	code = ldap_search_ext_s(ld, settings->base, LDAP_SCOPE_SUBTREE, filter, attributes, 0,
	                         NULL, NULL, NULL, 2, &result);
	if (code != LDAP_SUCCESS)
		(void) fail_ldap("the search for the user failed", code, error);
	else if (ldap_count_entries(ld, result) != 1)
		ph_error_set(error, PH_ERROR_NOT_FOUND, "there is no user '%s'",
		             ph_user_asked_address(user));
	else
		dn = ldap_get_dn(ld, ldap_first_entry(ld, result));
	found = g_strdup(dn);
	ldap_memfree(dn);
	(void) ldap_msgfree(result);
	return found;
}

/* Our forms in the words of OpenLDAP: {CRYPT} for all of crypt(3). */
static char *
server_form(const char *hash)
{
	const char *form = hash[0] == '{' ? strchr(hash, '}') : NULL;

	if (hash[0] == '$')
		return g_strconcat("{CRYPT}", hash, NULL);
	if (form == NULL || form[1] != '$')
		return g_strdup(hash);
	return g_strconcat(g_str_has_prefix(form + 1, "$argon2") ? "{ARGON2}" : "{CRYPT}", form + 1,
	                   NULL);
}

static bool
judge_change(int code, GError **error)
{
	if (code == LDAP_SUCCESS)
		return true;
	ph_error_set(error,
	             code == LDAP_NO_SUCH_OBJECT         ? PH_ERROR_NOT_FOUND
	             : code == LDAP_INSUFFICIENT_ACCESS  ? PH_ERROR_DENIED
	             : code == LDAP_CONSTRAINT_VIOLATION ? PH_ERROR_INVALID
	             : code == LDAP_UNWILLING_TO_PERFORM ? PH_ERROR_DENIED
	                                                 : PH_ERROR_TEMPORARY,
	             "the LDAP server does not change the password: %s", ldap_err2string(code));
	return false;
}

static bool
replace_password(LDAP *ld, const char *dn, const char *hash, GError **error)
{
	g_autofree char *form = server_form(hash);
	char *values[] = { form, NULL };
	char type[] = "userPassword";
	LDAPMod change = { .mod_op = LDAP_MOD_REPLACE, .mod_type = type, .mod_values = values };
	LDAPMod *changes[] = { &change, NULL };
	bool good = judge_change(ldap_modify_ext_s(ld, dn, changes, NULL, NULL), error);

	ph_secret_wipe(form, strlen(form));
	return good;
}

/* Does the server know RFC 3062? */
static bool
announces_change(LDAP *ld)
{
	char name[] = "supportedExtension";
	char *attributes[] = { name, NULL };
	LDAPMessage *result = NULL;
	LDAPMessage *entry = NULL;
	struct berval **values = NULL;
	bool found = false;

	if (ldap_search_ext_s(ld, "", LDAP_SCOPE_BASE, "(objectClass=*)", attributes, 0, NULL, NULL,
	                      NULL, 1, &result)
	    == LDAP_SUCCESS)
		entry = ldap_first_entry(ld, result);
	if (entry != NULL)
		values = ldap_get_values_len(ld, entry, name);
	for (size_t i = 0; values != NULL && values[i] != NULL && !found; i++)
		found = ph_slice_is(PH_SLICE(values[i]->bv_val, values[i]->bv_len),
		                    LDAP_EXOP_MODIFY_PASSWD);
	ldap_value_free_len(values);
	(void) ldap_msgfree(result);
	return found;
}

/* The password itself, when that is what was given. */
static const char *
plain_password(const char *hash)
{
	static const char *const prefixes[] = { "{PLAIN}", "{CLEARTEXT}" };

	for (size_t i = 0; i < G_N_ELEMENTS(prefixes); i++)
		if (g_str_has_prefix(hash, prefixes[i]))
			return hash + strlen(prefixes[i]);
	return NULL;
}

static bool
extended_change(LDAP *ld, const char *dn, const char *password, GError **error)
{
	struct berval user = { strlen(dn), (char *) (uintptr_t) dn };
	struct berval new_one = { strlen(password), (char *) (uintptr_t) password };
	struct berval made = { 0, NULL }; /* by the server: nothing, when it was given one */
	int code = ldap_passwd_s(ld, &user, NULL, &new_one, &made, NULL, NULL);

	ldap_memfree(made.bv_val);
	return judge_change(code, error);
}

/* A password that was given in plain is hashed by the server, or here; a hash is written as it is. */
static bool
change_password(const Settings *settings,
                LDAP *ld,
                const char *dn,
                const char *hash,
                GError **error)
{
	const char *password = plain_password(hash);
	g_autoptr(PhSecret) secret = NULL;
	g_autofree char *own = NULL;

	if (password == NULL)
		return replace_password(ld, dn, hash, error);
	if (settings->password_change == CHANGE_EXTENDED
	    || (settings->password_change == CHANGE_AUTO && announces_change(ld)))
		return extended_change(ld, dn, password, error);
	secret = ph_secret_new(ph_slice(password));
	own = ph_password_hash(NULL, secret, error);
	return own != NULL && replace_password(ld, dn, own, error);
}

bool
tools_set(void *data, const char *address, const char *hash, bool create, GError **error)
{
	const Instance *instance = data;
	g_autoptr(PhUser) user = ph_user_new(instance->rules, address);
	g_autofree char *dn = NULL;
	Connection connection;
	bool good = false;

	if (create) {
		ph_error_set(
			error, PH_ERROR_UNSUPPORTED,
			"users of an LDAP server are made there; passwords can be changed here");
		return false;
	}
	if (!open_bound(instance, &connection, error))
		return false;
	dn = find_dn(instance, connection.ld, user, error);
	good = dn != NULL && change_password(instance->settings, connection.ld, dn, hash, error);
	connection_close(&connection);
	return good;
}

bool
tools_remove(void *data, const char *address, GError **error)
{
	ph_error_set(error, PH_ERROR_UNSUPPORTED, "users of an LDAP server are removed there");
	return false;
}
