/* mechanism-token.c: a whole mechanism: who shows a token that the site has signed is let in
 *
 * The client sends one message, "user TAB expiry TAB signature": expiry in seconds since 1970, the
 * signature HMAC-SHA-256 of "user TAB expiry" in hexadecimal, with the key of this section. Nothing
 * is asked of a directory but who the user is: what the mechanism has proved itself, it accepts.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/mechanism.h>
#include <posthorn/slice.h>

#include <string.h>

typedef struct {
	const PhSecret *key;
	PhDuration leeway;
} Settings;

enum {
	KEY_LEAST = 16,
	TOKEN_MOST = 1024
};

static const PhOption options[] = {
	PH_OPTION_SECRET(Settings,
	                 key,
	                 PH_REQUIRED,
	                 "what tokens are signed with; file:/path reads it"),
	PH_OPTION_DURATION(Settings,
	                   leeway,
	                   "1min",
	                   "how long after its end a token is taken still"),
	PH_OPTIONS_END,
};

static bool
create(PhSection *section, const void *settings, void **instance_out, GError **error)
{
	const Settings *given = settings;

	if (ph_secret_slice(given->key).length < KEY_LEAST) {
		ph_error_set(error, PH_ERROR_INVALID, "'key' is shorter than %d octets", KEY_LEAST);
		return false;
	}
	*instance_out = (void *) (uintptr_t) settings;
	return true;
}

/* Does the signature belong to what stands before it? In time that says nothing of it. */
static bool
is_signed(const Settings *settings, PhSlice signed_part, PhSlice signature)
{
	PhSlice key = ph_secret_slice(settings->key);
	g_autofree char *expected =
		g_compute_hmac_for_data(G_CHECKSUM_SHA256, (const guchar *) key.data, key.length,
	                                (const guchar *) signed_part.data, signed_part.length);

	return ph_secret_equal(ph_slice(expected), signature);
}

static bool
is_over(const Settings *settings, uint64_t expiry)
{
	uint64_t now = (uint64_t) g_get_real_time() / G_USEC_PER_SEC;

	return expiry + settings->leeway.us / G_USEC_PER_SEC < now;
}

/* The one step of an exchange of one message: no state, no `begin`. */
static PhStep
step(void *instance, void *state, PhExchange *exchange, const PhSlice *response, GError **error)
{
	PhSlice rest = response != NULL ? *response : PH_SLICE_EMPTY;
	PhSlice token = rest;
	PhSlice user = ph_slice_split(&rest, '\t');
	PhSlice expiry_text = ph_slice_split(&rest, '\t');
	PhSlice signed_part = PH_SLICE(token.data, user.length + 1 + expiry_text.length);
	uint64_t expiry = 0;

	if (token.length > TOKEN_MOST || user.length == 0 || rest.length == 0
	    || !ph_slice_to_u64(expiry_text, G_MAXINT64, &expiry))
		return PH_STEP_MALFORMED;
	if (!is_signed(instance, signed_part, rest) || is_over(instance, expiry))
		return PH_STEP_FAILED;
	return ph_exchange_accept(exchange, PH_SLICE_EMPTY, user, error);
}

/* Whoever reads a token can use it: like a password it needs TLS. */
static const PhMechanism mechanism = {
	.size = sizeof mechanism,
	.flags = PH_MECHANISM_SHOWS_PASSWORD | PH_MECHANISM_CLIENT_FIRST,
	.sasl_name = "X-TOKEN",
	.create = create,
	.step = step,
};

static const PhOffer offers[] = {
	PH_OFFER_MECHANISM("token", &mechanism),
	PH_OFFERS_END,
};

PH_EXPORT const PhPlugin ph_plugin = {
	.abi = PH_ABI,
	.name = "token",
	.version = "1.0",
	.licence = "LGPL-2.1-or-later",
	.summary = "log in with a token that the site has signed",
	.options = options,
	.offers = offers,
};
