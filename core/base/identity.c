/* identity.c: one user, immutable and counted
 *
 * All strings of an identity lie behind the struct in one allocation.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "base/identity.h"

#include <posthorn/error.h>
#include <posthorn/slice.h>

#include "base/limits.h"

#include <stdatomic.h>

struct PhIdentity {
	atomic_uint n_refs;
	const char *user;
	const char *domain;
	const char *address;
	const char *full_name;
	const char *home;
	uint64_t quota_octets;
	uint64_t quota_messages;
	char **groups;
	char **attributes; /* name, value, ... */
	char **senders;
	char **aliases;
	char strings[];
};

static bool
is_printable_utf8(PhSlice text)
{
	if (!ph_slice_is_utf8(text))
		return false;
	for (size_t i = 0; i < text.length; i++) {
		unsigned char c = (unsigned char) text.data[i];
		bool c1 =
			c == 0xc2 && i + 1 < text.length && (unsigned char) text.data[i + 1] < 0xa0;

		if (c < 0x20 || c == 0x7f || c1)
			return false;
	}
	return true;
}

static bool
check_user(PhSlice user, GError **error)
{
	if (user.length >= 1 && user.length <= PH_LIMIT_USER && is_printable_utf8(user))
		return true;
	g_set_error_literal(
		error, PH_ERROR, PH_ERROR_INVALID,
		"a user name must be 1 to 255 octets of UTF-8 without control characters");
	return false;
}

static bool
check_domain(PhSlice domain, GError **error)
{
	bool good = domain.length <= PH_LIMIT_DOMAIN && is_printable_utf8(domain);

	for (size_t i = 0; good && i < domain.length; i++)
		good = !g_ascii_isupper(domain.data[i])
		       && strchr("@/\\ \"", domain.data[i]) == NULL;
	if (!good)
		g_set_error_literal(error, PH_ERROR, PH_ERROR_INVALID,
		                    "a domain must be at most 255 octets of lower-case text");
	return good;
}

/* Appends text and a NUL at *@at; returns where it begins, NULL for NULL. */
static const char *
put(char **at, const char *text)
{
	size_t n = text != NULL ? strlen(text) + 1 : 0;
	char *begin = *at;

	if (text == NULL)
		return NULL;
	memcpy(begin, text, n);
	*at += n;
	return begin;
}

static size_t
size_of(const char *text)
{
	return text != NULL ? strlen(text) + 1 : 0;
}

static PhIdentity *
build(const PhIdentityValues *values, const char *domain)
{
	g_autofree char *address = domain[0] != '\0' ? g_strconcat(values->user, "@", domain, NULL)
	                                             : g_strdup(values->user);
	size_t n = size_of(values->user) + size_of(domain) + size_of(address)
	           + size_of(values->full_name) + size_of(values->home);
	PhIdentity *identity = g_malloc0(sizeof *identity + n);
	char *at = identity->strings;

	atomic_init(&identity->n_refs, 1);
	identity->user = put(&at, values->user);
	identity->domain = put(&at, domain);
	identity->address = put(&at, address);
	identity->full_name = put(&at, values->full_name);
	identity->home = put(&at, values->home);
	identity->quota_octets = values->quota_octets;
	identity->quota_messages = values->quota_messages;
	identity->groups = g_strdupv((char **) (uintptr_t) values->groups);
	identity->attributes = g_strdupv((char **) (uintptr_t) values->attributes);
	identity->senders = g_strdupv((char **) (uintptr_t) values->senders);
	identity->aliases = g_strdupv((char **) (uintptr_t) values->aliases);
	return identity;
}

PhIdentity *
ph_identity_new(const PhIdentityValues *given, GError **error)
{
	PhIdentityValues values = { 0 };

	memcpy(&values, given, MIN(given->size, sizeof values));
	if (values.user == NULL || !check_user(ph_slice(values.user), error)) {
		if (values.user == NULL)
			ph_error_set(error, PH_ERROR_INVALID, "an identity needs a user");
		return NULL;
	}
	if (values.domain != NULL && !check_domain(ph_slice(values.domain), error))
		return NULL;
	return build(&values, values.domain != NULL ? values.domain : "");
}

PhIdentity *
ph_identity_with_quota(const PhIdentity *identity, uint64_t octets, uint64_t messages)
{
	const PhIdentityValues values = {
		.size = sizeof values,
		.user = identity->user,
		.full_name = identity->full_name,
		.home = identity->home,
		.quota_octets = octets,
		.quota_messages = messages,
		.groups = (const char *const *) identity->groups,
		.attributes = (const char *const *) identity->attributes,
		.senders = (const char *const *) identity->senders,
		.aliases = (const char *const *) identity->aliases,
	};

	return build(&values, identity->domain);
}

PhIdentity *
ph_identity_ref(const PhIdentity *identity)
{
	/* the count is the one thing about an identity that changes */
	PhIdentity *counted = (PhIdentity *) (uintptr_t) identity;

	atomic_fetch_add_explicit(&counted->n_refs, 1, memory_order_relaxed);
	return counted;
}

void
ph_identity_unref(PhIdentity *identity)
{
	if (identity == NULL
	    || atomic_fetch_sub_explicit(&identity->n_refs, 1, memory_order_acq_rel) > 1)
		return;
	g_strfreev(identity->groups);
	g_strfreev(identity->attributes);
	g_strfreev(identity->senders);
	g_strfreev(identity->aliases);
	g_free(identity);
}

const char *
ph_identity_user(const PhIdentity *identity)
{
	return identity->user;
}

const char *
ph_identity_domain(const PhIdentity *identity)
{
	return identity->domain;
}

const char *
ph_identity_address(const PhIdentity *identity)
{
	return identity->address;
}

const char *
ph_identity_full_name(const PhIdentity *identity)
{
	return identity->full_name;
}

const char *
ph_identity_home(const PhIdentity *identity)
{
	return identity->home;
}

uint64_t
ph_identity_quota_octets(const PhIdentity *identity)
{
	return identity->quota_octets;
}

uint64_t
ph_identity_quota_messages(const PhIdentity *identity)
{
	return identity->quota_messages;
}

const char *const *
ph_identity_groups(const PhIdentity *identity)
{
	return (const char *const *) identity->groups;
}

const char *const *
ph_identity_senders(const PhIdentity *identity)
{
	return (const char *const *) identity->senders;
}

const char *const *
ph_identity_aliases(const PhIdentity *identity)
{
	return (const char *const *) identity->aliases;
}

static bool
is_listed(char **names, PhSlice address)
{
	for (; names != NULL && *names != NULL; names++)
		if (ph_slice_is_nocase(address, *names))
			return true;
	return false;
}

static bool
fits_sender(const char *rule, PhSlice address)
{
	size_t n = strlen(rule);

	if (strcmp(rule, "*") == 0)
		return true;
	if (rule[0] != '@')
		return ph_slice_is_nocase(address, rule);
	if (address.length <= n)
		return false;
	return ph_slice_is_nocase(ph_slice_from(address, address.length - n), rule);
}

bool
ph_identity_may_send_as(const PhIdentity *identity, PhSlice address)
{
	if (ph_slice_is_nocase(address, identity->address) || is_listed(identity->aliases, address))
		return true;
	for (char **rule = identity->senders; rule != NULL && *rule != NULL; rule++)
		if (fits_sender(*rule, address))
			return true;
	return false;
}

const char *
ph_identity_attribute(const PhIdentity *identity, const char *name)
{
	char **pair = identity->attributes;

	for (; pair != NULL && pair[0] != NULL && pair[1] != NULL; pair += 2)
		if (strcmp(pair[0], name) == 0)
			return pair[1];
	return NULL;
}

const char *const *
ph_identity_attributes(const PhIdentity *identity)
{
	return (const char *const *) identity->attributes;
}
