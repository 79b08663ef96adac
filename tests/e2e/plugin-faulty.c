/* plugin-faulty.c: a directory that does everything wrong, for the tests of isolation
 *
 * Everybody exists and has the password "correct horse". Whoever's name says so makes the plugin
 * crash, hang, take memory without end, or answer without end (as an alias).
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/directory.h>
#include <posthorn/error.h>
#include <posthorn/slice.h>

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct {
	bool refuse;
} Settings;

enum {
	PIECE = 1 << 20
};

static bool
create(PhSection *section, const void *settings, void **instance_out, GError **error)
{
	const Settings *given = settings;

	*instance_out = (void *) (uintptr_t) settings;
	if (given->refuse)
		ph_error_set(error, PH_ERROR_INVALID, "it was told to refuse");
	return !given->refuse;
}

static void
destroy(void *instance)
{
}

static void
hang(void)
{
	for (;;)
		(void) poll(NULL, 0, -1);
}

static void
grow(void)
{
	for (;;)
		memset(g_malloc(PIECE), 1, PIECE);
}

static void
misbehave(const char *address)
{
	static const struct {
		const char *name;
		void (*how)(void);
	} faults[] = { { "crash", abort }, { "hang", hang }, { "grow", grow } };

	for (size_t i = 0; i < G_N_ELEMENTS(faults); i++)
		if (g_str_has_prefix(address, faults[i].name))
			faults[i].how();
}

static PhVerify
lookup(void *instance, const char *address, PhIdentity **identity_out, GError **error)
{
	PhSlice domain = ph_slice(address);
	PhSlice user = ph_slice_split(&domain, '@');
	g_autofree char *name = ph_slice_dup(user);
	g_autofree char *pid = g_strdup_printf("%d", (int) getpid());
	const char *const groups[] = { "staff", pid, NULL };
	const char *const attributes[] = { "pid", pid, NULL };
	const PhIdentityValues values = {
		.size = sizeof values,
		.user = name,
		.domain = "example.org",
		.full_name = "Somebody",
		.quota_octets = 1 << 30,
		.groups = groups,
		.attributes = attributes,
	};

	misbehave(address);
	if (g_str_has_prefix(address, "nobody") || g_str_has_prefix(address, "endless"))
		return PH_VERIFY_UNKNOWN_USER;
	if (g_str_has_prefix(address, "away")) {
		ph_error_set(error, PH_ERROR_TEMPORARY, "the back end is away");
		return PH_VERIFY_ERROR;
	}
	*identity_out = ph_identity_new(&values, error);
	return *identity_out != NULL ? PH_VERIFY_OK : PH_VERIFY_UNKNOWN_USER;
}

static PhVerify
verify(void *instance,
       const char *user,
       const PhSecret *secret,
       PhIdentity **identity_out,
       GError **error)
{
	if (ph_slice_is(ph_secret_slice(secret), "correct horse"))
		return lookup(instance, user, identity_out, error);
	misbehave(user);
	return PH_VERIFY_WRONG;
}

static PhVerify
expand(void *instance, const char *address, PhListFunc func, void *user_data, GError **error)
{
	if (g_str_has_prefix(address, "team"))
		return func("anna@example.org", user_data) && func("ben@example.org", user_data)
		               ? PH_VERIFY_OK
		               : PH_VERIFY_ERROR;
	if (!g_str_has_prefix(address, "endless"))
		return PH_VERIFY_UNKNOWN_USER;
	while (func("anna@example.org", user_data))
		;
	hang();
	return PH_VERIFY_OK;
}

static bool
list(void *instance, PhListFunc func, void *user_data, GError **error)
{
	for (unsigned int i = 0; i < 5000; i++) {
		g_autofree char *address = g_strdup_printf("user%u@example.org", i);

		if (!func(address, user_data))
			break;
	}
	return true;
}

static const PhOption options[] = {
	PH_OPTION_BOOLEAN(Settings, refuse, "no", "refuse to be created"),
	PH_OPTIONS_END,
};
static const PhDirectory directory = {
	.size = sizeof directory,
	.create = create,
	.destroy = destroy,
	.verify = verify,
	.lookup = lookup,
	.expand = expand,
	.list = list,
};
static const PhOffer offers[] = {
	PH_OFFER_DIRECTORY("faulty", &directory),
	PH_OFFERS_END,
};

PH_EXPORT const PhPlugin ph_plugin = {
	.abi = PH_ABI,
	.name = "faulty",
	.version = "1.0",
	.licence = "LGPL-2.1-or-later",
	.summary = "a directory that crashes, hangs, grows and never ends",
	.options = options,
	.offers = offers,
};
