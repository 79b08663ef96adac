/* cram-md5.c: SASL CRAM-MD5 (RFC 2195): a keyed digest over a challenge
 *
 * The challenge is "<random@hostname>", used once; the answer "name digest", the digest being the
 * HMAC-MD5 of the challenge with the password in 32 hexadecimal digits. The name may hold blanks,
 * the digest does not. An unknown user's answer is compared with that of an invented password.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "cram-md5.h"

#include <posthorn/error.h>
#include <posthorn/mechanism.h>
#include <posthorn/slice.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

enum {
	NONCE_OCTETS = 16,
	DIGEST_OCTETS = 16,
	ANSWER_MAX = 1024,
};

const char *cram_md5_fixed_challenge;

bool
cram_md5_digest(PhSlice password, PhSlice challenge, char *hex)
{
	static const char digits[] = "0123456789abcdef";
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned length = 0;

	if (HMAC(EVP_md5(), password.data, (int) password.length,
	         (const unsigned char *) challenge.data, challenge.length, digest, &length)
	    == NULL)
		return false;
	for (size_t i = 0; i < DIGEST_OCTETS; i++) {
		hex[2 * i] = digits[digest[i] >> 4];
		hex[2 * i + 1] = digits[digest[i] & 15];
	}
	return true;
}

static void *
begin(void *instance, PhExchange *exchange)
{
	return g_string_new(NULL);
}

static void
end(void *instance, void *state)
{
	if (state != NULL)
		g_string_free(state, TRUE);
}

static PhStep
ask(GString *challenge, PhExchange *exchange)
{
	uint8_t octets[NONCE_OCTETS];

	ph_secret_random(octets, sizeof octets);
	g_string_append_c(challenge, '<');
	for (size_t i = 0; i < sizeof octets; i++)
		g_string_append_printf(challenge, "%02x", octets[i]);
	g_string_append_printf(challenge, "@%s>", ph_exchange_hostname(exchange));
	if (cram_md5_fixed_challenge != NULL)
		g_string_assign(challenge, cram_md5_fixed_challenge);
	ph_exchange_challenge(exchange, PH_SLICE(challenge->str, challenge->len));
	return PH_STEP_CHALLENGE;
}

/* Cuts "name digest" at the last blank; false when it is not that. */
static bool
split(PhSlice answer, PhSlice *user, PhSlice *digest)
{
	if (answer.length < CRAM_MD5_HEX + 2 || answer.length > ANSWER_MAX)
		return false;

	size_t at = answer.length - CRAM_MD5_HEX - 1;
	*user = PH_SLICE(answer.data, at);
	*digest = ph_slice_from(answer, at + 1);
	for (size_t i = 0; i < digest->length; i++)
		if (!g_ascii_isxdigit(digest->data[i]))
			return false;
	return answer.data[at] == ' ' && ph_slice_find(*user, '\0') < 0;
}

static PhStep
check(const GString *challenge, PhExchange *exchange, PhSlice answer, GError **error)
{
	PhSlice user = PH_SLICE_EMPTY;
	PhSlice digest = PH_SLICE_EMPTY;
	if (!split(answer, &user, &digest))
		return PH_STEP_MALFORMED;

	g_autoptr(GError) failure = NULL;
	g_autoptr(PhSecret) secret = ph_exchange_secret(exchange, user, "PLAIN", &failure);
	if (failure != NULL) {
		g_propagate_error(error, g_steal_pointer(&failure));
		return PH_STEP_ERROR;
	}

	char wanted[CRAM_MD5_HEX];
	char given[CRAM_MD5_HEX];
	PhSlice password = secret != NULL ? ph_secret_slice(secret) : PH_SLICE_LITERAL("invented");
	if (!cram_md5_digest(password, PH_SLICE(challenge->str, challenge->len), wanted)) {
		g_set_error_literal(error, PH_ERROR, PH_ERROR_UNSUPPORTED,
		                    "MD5 is not to be had from OpenSSL");
		return PH_STEP_ERROR;
	}
	for (size_t i = 0; i < sizeof given; i++)
		given[i] = g_ascii_tolower(digest.data[i]);
	bool same = ph_secret_equal(PH_SLICE(wanted, sizeof wanted), PH_SLICE(given, sizeof given));
	if (!same || secret == NULL)
		return PH_STEP_FAILED;
	return ph_exchange_accept(exchange, PH_SLICE_EMPTY, user, error);
}

static PhStep
step(void *instance, void *state, PhExchange *exchange, const PhSlice *response, GError **error)
{
	GString *challenge = state;

	if (challenge->len == 0)
		return response == NULL ? ask(challenge, exchange) : PH_STEP_MALFORMED;
	return response != NULL ? check(challenge, exchange, *response, error) : PH_STEP_MALFORMED;
}

static const PhMechanism mechanism = {
	.size = sizeof mechanism,
	.flags = PH_MECHANISM_NEEDS_SECRET,
	.sasl_name = "CRAM-MD5",
	.begin = begin,
	.step = step,
	.end = end,
};

static const PhOffer offers[] = { PH_OFFER_MECHANISM("cram-md5", &mechanism), PH_OFFERS_END };

PH_EXPORT const PhPlugin ph_plugin = {
	.abi = PH_ABI,
	.name = "cram-md5",
	.version = "0.1.0",
	.licence = "LGPL-2.1-or-later",
	.summary = "SASL CRAM-MD5: a keyed digest over a challenge, for old clients",
	.offers = offers,
};
