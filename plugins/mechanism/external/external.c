/* external.c: SASL EXTERNAL (RFC 4422 appendix A): the client's TLS certificate says who it is
 *
 * The listener's `client-ca` vouches for the certificate; here it is only mapped to a user. The
 * client's message is the name that it wants to act as, which chooses among several in a
 * certificate, or is empty.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/mechanism.h>
#include <posthorn/slice.h>

#include "certificate.h"

enum {
	FILE_MAX = 16 << 20,
};

typedef enum {
	FROM_EMAIL = 0,
	FROM_COMMON_NAME = 1,
	FROM_FINGERPRINT = 2,
} From;

typedef struct {
	uint32_t user_from;
	const char *fingerprints;
} Settings;

static const char *const from_words[] = { "email", "common-name", "fingerprint", NULL };

static const PhOption options[] = {
	PH_OPTION_CHOICE(Settings,
	                 user_from,
	                 "email",
	                 from_words,
	                 "what names the user: an address among the alternative names, the "
	                 "subject's common name, or the file of fingerprints"),
	PH_OPTION_PATH(Settings,
	               fingerprints,
	               PH_ABSENT,
	               "file with a line 'SHA-256-in-hexadecimal user' for each certificate"),
	PH_OPTIONS_END,
};

static bool
create(PhSection *section, const void *settings, void **instance_out, GError **error)
{
	const Settings *mine = settings;

	/* Without a section of its own a mechanism has no settings. */
	if (mine != NULL && (mine->user_from == FROM_FINGERPRINT) != (mine->fingerprints != NULL)) {
		g_set_error_literal(error, PH_ERROR, PH_ERROR_INVALID,
		                    "'fingerprints' and 'user-from = fingerprint' belong together");
		return false;
	}
	*instance_out = (void *) (uintptr_t) mine;
	return true;
}

static void
destroy(void *instance)
{
}

/* --- who it is ---------------------------------------------------------------------------------- */

static GPtrArray *
users_by_fingerprint(const Settings *settings, PhSlice der, GError **error)
{
	g_autofree char *fingerprint = certificate_fingerprint(der);
	g_autofree char *text = NULL;
	g_autoptr(GError) failure = NULL;
	gsize length = 0;

	if (!g_file_get_contents(settings->fingerprints, &text, &length, &failure)) {
		g_set_error(error, PH_ERROR, PH_ERROR_TEMPORARY, "%s", failure->message);
		return NULL;
	}

	GPtrArray *users = g_ptr_array_new_with_free_func(g_free);
	char *user = fingerprint_find(PH_SLICE(text, MIN(length, (gsize) FILE_MAX)), fingerprint);
	if (user != NULL)
		g_ptr_array_add(users, user);
	return users;
}

static GPtrArray *
users_of(const Settings *settings, PhSlice der, GError **error)
{
	From from = settings != NULL ? settings->user_from : FROM_EMAIL;

	switch (from) {
	case FROM_COMMON_NAME:
		return certificate_common_names(der);
	case FROM_FINGERPRINT:
		return users_by_fingerprint(settings, der, error);
	case FROM_EMAIL:
		break;
	}
	return certificate_emails(der);
}

/* The one that the client wants to be, else the first. */
static PhSlice
choose(const GPtrArray *users, PhSlice authzid)
{
	for (guint i = 0; i < users->len; i++)
		if (ph_slice_is_nocase(authzid, users->pdata[i]))
			return ph_slice(users->pdata[i]);
	return ph_slice(users->pdata[0]);
}

static PhStep
step(void *instance, void *state, PhExchange *exchange, const PhSlice *response, GError **error)
{
	const size_t longest = 1024;
	g_autoptr(GByteArray) certificate = g_byte_array_new();

	if (response == NULL || response->length > longest || ph_slice_find(*response, '\0') >= 0)
		return PH_STEP_MALFORMED;
	if (!ph_exchange_certificate(exchange, certificate))
		return PH_STEP_FAILED;

	PhSlice der = PH_SLICE((const char *) certificate->data, certificate->len);
	g_autoptr(GPtrArray) users = users_of(instance, der, error);
	if (users == NULL)
		return PH_STEP_ERROR;
	if (users->len == 0)
		return PH_STEP_FAILED;

	PhSlice user = choose(users, *response);
	bool is_chosen = ph_slice_equal_nocase(user, *response);
	return ph_exchange_accept(exchange, is_chosen ? PH_SLICE_EMPTY : *response, user, error);
}

static const PhMechanism mechanism = {
	.size = sizeof mechanism,
	.flags = PH_MECHANISM_CLIENT_FIRST | PH_MECHANISM_NEEDS_CERTIFICATE,
	.sasl_name = "EXTERNAL",
	.create = create,
	.destroy = destroy,
	.step = step,
};

static const PhOffer offers[] = { PH_OFFER_MECHANISM("external", &mechanism), PH_OFFERS_END };

PH_EXPORT const PhPlugin ph_plugin = {
	.abi = PH_ABI,
	.name = "external",
	.version = "0.1.0",
	.licence = "LGPL-2.1-or-later",
	.summary = "SASL EXTERNAL: the client's TLS certificate says who it is",
	.options = options,
	.offers = offers,
};
