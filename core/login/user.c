/* user.c: what a directory found out about one user, and the answers that follow from it
 *
 * Fields lie in one list of name and value: there are few. What an unknown user costs is measured by
 * the last stored form that was seen, so that a directory of ARGON2 users does not answer quickly
 * for names that it does not have.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/log.h>
#include <posthorn/slice.h>
#include <posthorn/user.h>

#include "base/lock.h"

enum {
	MAX_OCTETS = 65536,
	MAX_FIELDS = 256,
	SCHEME_OCTETS = 16, /* enough to tell {SCHEME} and $id$ apart */
};

struct PhUserRules {
	char *domain; /* lower case, "" for none */
	PhLock lock;  /* guards sample */
	char *sample; /* (nullable) a stored form of some user */
};

typedef struct {
	char *name;
	char *value;
} Field;

struct PhUser {
	char *address;
	char *local;
	char *domain;
	GArray *fields; /* of Field */
	size_t octets;
	uint64_t quota_octets;
	uint64_t quota_messages;
	bool disabled;
};

PhUserRules *
ph_user_rules_new(const char *domain)
{
	PhUserRules *rules = g_new0(PhUserRules, 1);

	rules->domain = g_ascii_strdown(domain != NULL ? domain : "", -1);
	ph_lock_init(&rules->lock);
	return rules;
}

static void
wipe_text(char *text)
{
	if (text != NULL)
		ph_secret_wipe(text, strlen(text));
	g_free(text);
}

void
ph_user_rules_free(PhUserRules *rules)
{
	if (rules == NULL)
		return;
	wipe_text(rules->sample);
	ph_lock_clear(&rules->lock);
	g_free(rules->domain);
	g_free(rules);
}

static void
clear_field(gpointer data)
{
	Field *field = data;

	g_free(field->name);
	wipe_text(field->value);
}

/* --- what is known ------------------------------------------------------------------------------ */

/* Lower case of a name that is UTF-8; a domain and ASCII names need no more than ASCII's. */
static char *
lower(const char *text, size_t length)
{
	PhSlice slice = PH_SLICE(text, length);

	return ph_slice_is_ascii(slice) || !ph_slice_is_utf8(slice)
	               ? g_ascii_strdown(text, (gssize) length)
	               : g_utf8_strdown(text, (gssize) length);
}

PhUser *
ph_user_new(const PhUserRules *rules, const char *name)
{
	PhUser *user = g_new0(PhUser, 1);
	const char *at = strrchr(name, '@');
	size_t length = at != NULL ? (size_t) (at - name) : strlen(name);

	user->local = lower(name, length);
	user->domain = at != NULL ? lower(at + 1, strlen(at + 1)) : g_strdup(rules->domain);
	user->address = user->domain[0] != '\0' ? g_strconcat(user->local, "@", user->domain, NULL)
	                                        : g_strdup(user->local);
	user->fields = g_array_new(FALSE, FALSE, sizeof(Field));
	g_array_set_clear_func(user->fields, clear_field);
	return user;
}

void
ph_user_free(PhUser *user)
{
	if (user == NULL)
		return;
	g_array_unref(user->fields);
	g_free(user->address);
	g_free(user->local);
	g_free(user->domain);
	g_free(user);
}

const char *
ph_user_asked_address(const PhUser *user)
{
	return user->address;
}

const char *
ph_user_asked_local(const PhUser *user)
{
	return user->local;
}

const char *
ph_user_asked_domain(const PhUser *user)
{
	return user->domain;
}

/* "2G", "500M", "1024": like the sizes of a config file. */
static bool
parse_size(PhSlice text, uint64_t *out)
{
	static const char units[] = "KMGT";
	unsigned shift = 0;
	uint64_t number = 0;

	if (text.length > 1 && g_ascii_toupper(text.data[text.length - 1]) == 'B')
		text.length--;
	for (unsigned i = 0; text.length > 1 && units[i] != '\0'; i++) {
		if (g_ascii_toupper(text.data[text.length - 1]) != units[i])
			continue;
		shift = 10 * (i + 1);
		text.length--;
	}
	if (!ph_slice_to_u64(text, (uint64_t) INT64_MAX >> shift, &number))
		return false;
	*out = number << shift;
	return true;
}

static bool
parse_switch(PhSlice text, bool *out)
{
	static const char *const yes[] = { "yes", "true", "1", "t", "on" };
	static const char *const no[] = { "no", "false", "0", "f", "off" };

	for (size_t i = 0; i < G_N_ELEMENTS(yes); i++) {
		if (!ph_slice_is_nocase(text, yes[i]) && !ph_slice_is_nocase(text, no[i]))
			continue;
		*out = ph_slice_is_nocase(text, yes[i]);
		return true;
	}
	return false;
}

/* The fields that are no texts. */
static bool
take_value(PhUser *user, const char *field, const char *value)
{
	PhSlice text = ph_slice_trim(ph_slice(value));

	if (strcmp(field, "quota") == 0)
		return parse_size(text, &user->quota_octets);
	if (strcmp(field, "messages") == 0)
		return ph_slice_to_u64(text, UINT32_MAX, &user->quota_messages);
	if (strcmp(field, "disabled") == 0)
		return parse_switch(text, &user->disabled);
	return true;
}

bool
ph_user_set(PhUser *user, const char *field, const char *value, GError **error)
{
	Field added = { .name = NULL };

	if (value == NULL || value[0] == '\0')
		return true;
	user->octets += strlen(field) + strlen(value);
	if (user->octets > MAX_OCTETS || user->fields->len >= MAX_FIELDS) {
		ph_error_set(error, PH_ERROR_LIMIT, "too much is said about the user '%s'",
		             user->address);
		return false;
	}
	if (!take_value(user, field, value)) {
		ph_error_set(error, PH_ERROR_INVALID, "the %s of '%s' cannot be understood", field,
		             user->address);
		return false;
	}
	added.name = g_strdup(field);
	added.value = g_strdup(value);
	g_array_append_val(user->fields, added);
	return true;
}

/* The next value of a field, from the end when @at is its number of fields. */
static const char *
value_before(const PhUser *user, const char *field, guint *at)
{
	while (*at > 0) {
		const Field *one = &g_array_index(user->fields, Field, --*at);

		if (strcmp(one->name, field) == 0)
			return one->value;
	}
	return NULL;
}

const char *
ph_user_get(const PhUser *user, const char *field)
{
	guint at = user->fields->len;

	return value_before(user, field, &at);
}

/* --- the identity ------------------------------------------------------------------------------- */

/* The words of all values of a field. Returns: (owned, nullable) NULL for none. */
static char **
words_of(const PhUser *user, const char *field)
{
	g_autoptr(GPtrArray) words = g_ptr_array_new_with_free_func(g_free);

	for (guint i = 0; i < user->fields->len; i++) {
		const Field *one = &g_array_index(user->fields, Field, i);
		g_auto(GStrv) parts = NULL;

		if (strcmp(one->name, field) != 0)
			continue;
		parts = g_strsplit_set(one->value, ", \t\r\n", -1);
		for (char **part = parts; *part != NULL; part++)
			if (**part != '\0')
				g_ptr_array_add(words, g_strdup(*part));
	}
	if (words->len == 0)
		return NULL;
	g_ptr_array_add(words, NULL);
	return (char **) g_ptr_array_free(g_steal_pointer(&words), FALSE);
}

static bool
is_attribute(const char *name)
{
	static const char *const known[] = {
		"user",     "domain", "password", "name",    "home",    "quota",
		"messages", "groups", "senders",  "aliases", "targets", "disabled",
		"result",   "error",  "secret",   NULL,
	};
	return !g_strv_contains(known, name);
}

/* Names and values, NULL-terminated; borrowed from the user. */
static GPtrArray *
attributes_of(const PhUser *user)
{
	GPtrArray *pairs = g_ptr_array_new();

	for (guint i = 0; i < user->fields->len; i++) {
		const Field *one = &g_array_index(user->fields, Field, i);

		if (!is_attribute(one->name))
			continue;
		g_ptr_array_add(pairs, one->name);
		g_ptr_array_add(pairs, one->value);
	}
	g_ptr_array_add(pairs, NULL);
	return pairs;
}

/* The canonical spelling: local part and domain. */
static void
canonical(const PhUser *user, char **local_out, char **domain_out)
{
	const char *name = ph_user_get(user, "user");
	const char *domain = ph_user_get(user, "domain");
	const char *at = name != NULL ? strrchr(name, '@') : NULL;

	if (at != NULL)
		*local_out = g_strndup(name, (gsize) (at - name));
	else
		*local_out = g_strdup(name != NULL ? name : user->local);
	if (domain == NULL)
		domain = at != NULL ? at + 1 : user->domain;
	*domain_out = lower(domain, strlen(domain));
}

PhVerify
ph_user_accept(const PhUser *user, PhIdentity **identity_out, GError **error)
{
	g_autofree char *local = NULL;
	g_autofree char *domain = NULL;
	g_auto(GStrv) groups = words_of(user, "groups");
	g_auto(GStrv) senders = words_of(user, "senders");
	g_auto(GStrv) aliases = words_of(user, "aliases");
	g_autoptr(GPtrArray) attributes = attributes_of(user);
	PhIdentityValues values = {
		.size = sizeof values,
		.full_name = ph_user_get(user, "name"),
		.home = ph_user_get(user, "home"),
		.quota_octets = user->quota_octets,
		.quota_messages = user->quota_messages,
		.groups = (const char *const *) groups,
		.senders = (const char *const *) senders,
		.aliases = (const char *const *) aliases,
		.attributes = (const char *const *) attributes->pdata,
	};
	PhIdentity *identity = NULL;

	if (user->disabled)
		return PH_VERIFY_DISABLED;
	canonical(user, &local, &domain);
	values.user = local;
	values.domain = domain;
	identity = ph_identity_new(&values, error);
	if (identity == NULL)
		return PH_VERIFY_ERROR;
	*identity_out = identity;
	return PH_VERIFY_OK;
}

/* --- the answers -------------------------------------------------------------------------------- */

static void
note_sample(PhUserRules *rules, const char *stored)
{
	PH_LOCKED(&rules->lock);
	if (rules->sample != NULL && strncmp(rules->sample, stored, SCHEME_OCTETS) == 0)
		return;
	wipe_text(rules->sample);
	rules->sample = g_strdup(stored);
}

static char *
sample_of(PhUserRules *rules)
{
	PH_LOCKED(&rules->lock);
	return g_strdup(rules->sample);
}

void
ph_user_pretend(PhUserRules *rules, const PhSecret *secret)
{
	char *sample = sample_of(rules);

	(void) ph_password_verify(sample, secret, NULL);
	wipe_text(sample);
}

PhVerify
ph_user_verify(PhUserRules *rules,
               const PhUser *user,
               const PhSecret *secret,
               PhIdentity **identity_out,
               GError **error)
{
	guint at = user != NULL ? user->fields->len : 0;
	const char *stored = user != NULL ? value_before(user, "password", &at) : NULL;
	g_autoptr(GError) failure = NULL;

	if (stored == NULL) {
		ph_user_pretend(rules, secret);
		return user != NULL ? PH_VERIFY_WRONG : PH_VERIFY_UNKNOWN_USER;
	}
	note_sample(rules, stored);
	if (ph_password_verify(stored, secret, &failure))
		return ph_user_accept(user, identity_out, error);
	if (failure != NULL)
		ph_log(PH_LOG_ERROR, "password-form", "a stored password cannot be checked",
		       PH_LOG_TEXT("user", user->address), PH_LOG_FAILURE(failure), PH_LOG_END);
	return PH_VERIFY_WRONG;
}

PhVerify
ph_user_lookup(const PhUser *user, PhIdentity **identity_out, GError **error)
{
	return user != NULL ? ph_user_accept(user, identity_out, error) : PH_VERIFY_UNKNOWN_USER;
}

/* The form behind "{SCHEME}", NULL when it is of another scheme. */
static const char *
form_in_scheme(const char *stored, const char *scheme)
{
	const char *end = stored[0] == '{' ? strchr(stored, '}') : NULL;
	PhSlice name = PH_SLICE_EMPTY;
	bool is_clear = g_ascii_strcasecmp(scheme, "PLAIN") == 0;

	if (end == NULL)
		return NULL;
	name = PH_SLICE(stored + 1, (size_t) (end - stored - 1));
	if (is_clear
	    && (ph_slice_is_nocase(name, "CLEARTEXT") || ph_slice_is_nocase(name, "CLEAR")))
		return end + 1;
	return ph_slice_is_nocase(name, scheme) ? end + 1 : NULL;
}

PhVerify
ph_user_secret(const PhUser *user, const char *scheme, PhSecret **secret_out)
{
	guint at = user != NULL ? user->fields->len : 0;
	const char *stored = NULL;

	if (user == NULL)
		return PH_VERIFY_UNKNOWN_USER;
	while (!user->disabled && (stored = value_before(user, "password", &at)) != NULL) {
		const char *form = form_in_scheme(stored, scheme);

		if (form == NULL)
			continue;
		*secret_out = ph_secret_new(ph_slice(form));
		return PH_VERIFY_OK;
	}
	return PH_VERIFY_WRONG;
}

PhVerify
ph_user_expand(const PhUser *user, PhListFunc func, void *user_data)
{
	g_auto(GStrv) targets = user != NULL ? words_of(user, "targets") : NULL;

	if (targets == NULL)
		return PH_VERIFY_UNKNOWN_USER;
	for (char **target = targets; *target != NULL; target++)
		if (!func(*target, user_data))
			break;
	return PH_VERIFY_OK;
}
