/* directory-old.c: a directory as a stranger built it against the frozen headers
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/directory.h>
#include <posthorn/error.h>

#include <string.h>

typedef struct {
	const char *user;
	PhDuration wait;
} Settings;

static const PhOption options[] = {
	PH_OPTION_STRING(Settings, user, PH_REQUIRED, "the one user who exists"),
	PH_OPTION_DURATION(Settings, wait, "5s", "how long to wait"),
	PH_OPTIONS_END,
};

static bool
create(PhSection *section, const void *settings, void **instance_out, GError **error)
{
	const Settings *values = settings;

	if (values->wait.us == 0) {
		ph_error_set(error, PH_ERROR_INVALID, "'wait' must not be 0");
		return false;
	}
	*instance_out = g_strdup(values->user);
	return true;
}

static void
destroy(void *instance)
{
	g_free(instance);
}

static PhVerify
lookup(void *instance, const char *address, PhIdentity **identity_out, GError **error)
{
	PhIdentityValues values = { .size = sizeof values, .user = instance, .domain = "" };

	if (strcmp(address, instance) != 0)
		return PH_VERIFY_UNKNOWN_USER;
	*identity_out = ph_identity_new(&values, error);
	return *identity_out != NULL ? PH_VERIFY_OK : PH_VERIFY_ERROR;
}

static const PhDirectory directory = {
	.size = sizeof directory,
	.create = create,
	.destroy = destroy,
	.lookup = lookup,
};

static const PhOffer offers[] = {
	PH_OFFER_DIRECTORY("old", &directory),
	PH_OFFERS_END,
};

PH_EXPORT const PhPlugin ph_plugin = {
	.abi = PH_ABI,
	.name = "old",
	.version = "1.0",
	.licence = "LGPL-2.1-or-later",
	.summary = "one user",
	.options = options,
	.offers = offers,
};
