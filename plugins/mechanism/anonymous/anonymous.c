/* anonymous.c: SASL ANONYMOUS (RFC 4505): everybody is one configured user
 *
 * The client sends a token for the log, which may be empty. It is never a name.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/log.h>
#include <posthorn/mechanism.h>
#include <posthorn/slice.h>

enum {
	TOKEN_MAX = 1020, /* 255 characters of UTF-8 */
};

typedef struct {
	const char *user;
} Settings;

static const PhOption options[] = {
	PH_OPTION_STRING(Settings,
	                 user,
	                 PH_REQUIRED,
	                 "the user whom anonymous clients are, as the directory knows it"),
	PH_OPTIONS_END,
};

typedef struct {
	PhSection *section;
	const Settings *settings;
} Instance;

static bool
create(PhSection *section, const void *settings, void **instance_out, GError **error)
{
	Instance *instance = g_new0(Instance, 1);

	instance->section = section;
	instance->settings = settings;
	*instance_out = instance;
	return true;
}

static void
destroy(void *instance)
{
	g_free(instance);
}

static PhStep
step(void *data, void *state, PhExchange *exchange, const PhSlice *response, GError **error)
{
	const Instance *instance = data;

	if (response == NULL || response->length > TOKEN_MAX || !ph_slice_is_utf8(*response))
		return PH_STEP_MALFORMED;

	g_autofree char *token = ph_slice_dup(*response);
	ph_log_section(instance->section, PH_LOG_INFO, "anonymous", "an anonymous client logs in",
	               PH_LOG_TEXT("token", token), PH_LOG_END);
	return ph_exchange_accept(exchange, PH_SLICE_EMPTY, ph_slice(instance->settings->user),
	                          error);
}

static const PhMechanism mechanism = {
	.size = sizeof mechanism,
	.flags = PH_MECHANISM_CLIENT_FIRST,
	.sasl_name = "ANONYMOUS",
	.create = create,
	.destroy = destroy,
	.step = step,
};

static const PhOffer offers[] = { PH_OFFER_MECHANISM("anonymous", &mechanism), PH_OFFERS_END };

PH_EXPORT const PhPlugin ph_plugin = {
	.abi = PH_ABI,
	.name = "anonymous",
	.version = "0.1.0",
	.licence = "LGPL-2.1-or-later",
	.summary = "SASL ANONYMOUS: everybody is one configured user",
	.options = options,
	.offers = offers,
};
