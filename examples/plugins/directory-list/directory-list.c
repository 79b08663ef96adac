/* directory-list.c: the smallest whole directory: users and passwords that stand in the config
 *
 * To read before writing one of your own: `lookup` says who exists, `verify` whether a password is
 * right. Passwords are stored forms ({PLAIN}, {ARGON2ID}, ...), which the core can check.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/directory.h>
#include <posthorn/error.h>
#include <posthorn/slice.h>

#include <string.h>

typedef struct {
	const char *const *users; /* "anna:{PLAIN}secret", NULL behind the last */
	const char *domain;
} Settings;

static const PhOption options[] = {
	PH_OPTION_LIST(Settings, users, PH_REQUIRED, "who exists, each NAME:STORED-PASSWORD"),
	PH_OPTION_STRING(Settings, domain, "localhost", "the users' domain"),
	PH_OPTIONS_END,
};

/* The core keeps the settings as long as the instance: nothing else is needed. */
static bool
create(PhSection *section, const void *settings, void **instance_out, GError **error)
{
	const Settings *given = settings;

	for (size_t i = 0; given->users[i] != NULL; i++) {
		if (strchr(given->users[i], ':') != NULL)
			continue;
		ph_error_set(error, PH_ERROR_INVALID, "'%s' in 'users' has no password",
		             given->users[i]);
		return false;
	}
	*instance_out = (void *) (uintptr_t) settings;
	return true;
}

static void
destroy(void *instance)
{
}

/* The stored password of "anna" or "anna@localhost"; NULL when there is no such user. */
static const char *
find(const Settings *settings, PhSlice address, PhSlice *user_out)
{
	PhSlice domain = address;
	PhSlice user = ph_slice_split(&domain, '@');

	if (domain.length > 0 && !ph_slice_is_nocase(domain, settings->domain))
		return NULL;
	for (size_t i = 0; settings->users[i] != NULL; i++) {
		PhSlice stored = ph_slice(settings->users[i]);

		*user_out = ph_slice_split(&stored, ':');
		if (ph_slice_equal(*user_out, user))
			return stored.data;
	}
	return NULL;
}

static PhVerify
identify(const Settings *settings, PhSlice user, PhIdentity **identity_out, GError **error)
{
	g_autofree char *name = ph_slice_dup(user);
	const PhIdentityValues values = {
		.size = sizeof values,
		.user = name,
		.domain = settings->domain,
	};

	*identity_out = ph_identity_new(&values, error);
	return *identity_out != NULL ? PH_VERIFY_OK : PH_VERIFY_ERROR;
}

static PhVerify
lookup(void *instance, const char *address, PhIdentity **identity_out, GError **error)
{
	PhSlice user;

	if (find(instance, ph_slice(address), &user) == NULL)
		return PH_VERIFY_UNKNOWN_USER;
	return identify(instance, user, identity_out, error);
}

static PhVerify
verify(void *instance,
       const char *user,
       const PhSecret *secret,
       PhIdentity **identity_out,
       GError **error)
{
	const Settings *settings = instance;
	const char *first = settings->users[0];
	PhSlice name;
	const char *stored = find(settings, ph_slice(user), &name);
	/* For a user that does not exist another's is compared: that takes as long. */
	const char *compared = stored == NULL && first != NULL ? strchr(first, ':') + 1 : stored;
	bool fits = ph_password_verify(compared, secret, NULL);

	if (stored == NULL)
		return PH_VERIFY_UNKNOWN_USER;
	return fits ? identify(settings, name, identity_out, error) : PH_VERIFY_WRONG;
}

/* Every user's address, for `posthorn user list`. */
static bool
list(void *instance, PhListFunc func, void *user_data, GError **error)
{
	const Settings *settings = instance;

	for (size_t i = 0; settings->users[i] != NULL; i++) {
		PhSlice rest = ph_slice(settings->users[i]);
		PhSlice user = ph_slice_split(&rest, ':');
		g_autofree char *address =
			g_strdup_printf("%.*s@%s", (int) user.length, user.data, settings->domain);

		if (!func(address, user_data))
			break;
	}
	return true;
}

static const PhDirectory directory = {
	.size = sizeof directory,
	.create = create,
	.destroy = destroy,
	.lookup = lookup,
	.verify = verify,
	.list = list,
};

static const PhOffer offers[] = {
	PH_OFFER_DIRECTORY("list", &directory),
	PH_OFFERS_END,
};

PH_EXPORT const PhPlugin ph_plugin = {
	.abi = PH_ABI,
	.name = "list",
	.version = "1.0",
	.licence = "LGPL-2.1-or-later",
	.summary = "users that stand in the config",
	.options = options,
	.offers = offers,
};
