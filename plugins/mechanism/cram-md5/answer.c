/* answer.c: "name digest" over a challenge, as CRAM-MD5 and APOP have it
 *
 * The challenge is "<random@hostname>", printable ASCII in the form of a message id, with 128 random
 * bits, and used once. The name may hold blanks, the digest does not. An unknown user's answer is
 * compared with that of an invented password.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "answer.h"

#include <posthorn/error.h>
#include <posthorn/slice.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

enum {
	NONCE_OCTETS = 16,
	DIGEST_OCTETS = 16,
};

const char *answer_fixed_challenge;

static void
write_hex(const uint8_t *digest, char *hex)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < DIGEST_OCTETS; i++) {
		hex[2 * i] = digits[digest[i] >> 4];
		hex[2 * i + 1] = digits[digest[i] & 15];
	}
}

bool
cram_md5_digest(PhSlice password, PhSlice challenge, char *hex)
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned length = 0;

	if (HMAC(EVP_md5(), password.data, (int) password.length,
	         (const unsigned char *) challenge.data, challenge.length, digest, &length)
	    == NULL)
		return false;
	write_hex(digest, hex);
	return true;
}

bool
apop_digest(PhSlice password, PhSlice challenge, char *hex)
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	bool ok = context != NULL && EVP_DigestInit_ex(context, EVP_md5(), NULL) == 1
	          && EVP_DigestUpdate(context, challenge.data, challenge.length) == 1
	          && EVP_DigestUpdate(context, password.data, password.length) == 1
	          && EVP_DigestFinal_ex(context, digest, NULL) == 1;

	EVP_MD_CTX_free(context);
	if (ok)
		write_hex(digest, hex);
	return ok;
}

void *
answer_begin(void *instance, PhExchange *exchange)
{
	return g_string_new(NULL);
}

void
answer_end(void *instance, void *state)
{
	if (state != NULL)
		g_string_free(state, TRUE);
}

/* Graphic ASCII without what a message id cannot have. */
static void
append_hostname(GString *out, const char *hostname)
{
	for (; *hostname != '\0'; hostname++)
		g_string_append_c(out,
		                  g_ascii_isalnum(*hostname) || *hostname == '.' ? *hostname : '-');
}

static PhStep
ask(GString *challenge, PhExchange *exchange)
{
	uint8_t octets[NONCE_OCTETS];

	ph_secret_random(octets, sizeof octets);
	g_string_append_c(challenge, '<');
	for (size_t i = 0; i < sizeof octets; i++)
		g_string_append_printf(challenge, "%02x", octets[i]);
	g_string_append_c(challenge, '@');
	append_hostname(challenge, ph_exchange_hostname(exchange));
	g_string_append_c(challenge, '>');
	if (answer_fixed_challenge != NULL)
		g_string_assign(challenge, answer_fixed_challenge);
	ph_exchange_challenge(exchange, PH_SLICE(challenge->str, challenge->len));
	return PH_STEP_CHALLENGE;
}

bool
answer_split(PhSlice answer, PhSlice *user, PhSlice *digest)
{
	if (answer.length < ANSWER_HEX + 2 || answer.length > ANSWER_MAX)
		return false;

	size_t at = answer.length - ANSWER_HEX - 1;
	*user = PH_SLICE(answer.data, at);
	*digest = ph_slice_from(answer, at + 1);
	for (size_t i = 0; i < digest->length; i++)
		if (!g_ascii_isxdigit(digest->data[i]))
			return false;
	return answer.data[at] == ' ' && ph_slice_find(*user, '\0') < 0;
}

static PhStep
compare(const char *wanted, PhSlice given, const PhSecret *secret)
{
	char lower[ANSWER_HEX];

	for (size_t i = 0; i < sizeof lower; i++)
		lower[i] = g_ascii_tolower(given.data[i]);
	bool same = ph_secret_equal(PH_SLICE(wanted, ANSWER_HEX), PH_SLICE(lower, ANSWER_HEX));
	return same && secret != NULL ? PH_STEP_DONE : PH_STEP_FAILED;
}

static PhStep
check(PhExchange *exchange, PhSlice challenge, PhSlice answer, AnswerDigest digest, GError **error)
{
	PhSlice user = PH_SLICE_EMPTY;
	PhSlice given = PH_SLICE_EMPTY;
	if (!answer_split(answer, &user, &given))
		return PH_STEP_MALFORMED;

	g_autoptr(GError) failure = NULL;
	g_autoptr(PhSecret) secret = ph_exchange_secret(exchange, user, "PLAIN", &failure);
	if (failure != NULL) {
		g_propagate_error(error, g_steal_pointer(&failure));
		return PH_STEP_ERROR;
	}

	char wanted[ANSWER_HEX];
	PhSlice password = secret != NULL ? ph_secret_slice(secret) : PH_SLICE_LITERAL("invented");
	if (!digest(password, challenge, wanted)) {
		g_set_error_literal(error, PH_ERROR, PH_ERROR_UNSUPPORTED,
		                    "MD5 is not to be had from OpenSSL");
		return PH_STEP_ERROR;
	}
	if (compare(wanted, given, secret) != PH_STEP_DONE)
		return PH_STEP_FAILED;
	return ph_exchange_accept(exchange, PH_SLICE_EMPTY, user, error);
}

PhStep
answer_step(GString *challenge,
            PhExchange *exchange,
            const PhSlice *response,
            AnswerDigest digest,
            GError **error)
{
	if (challenge->len == 0)
		return response == NULL ? ask(challenge, exchange) : PH_STEP_MALFORMED;
	if (response == NULL)
		return PH_STEP_MALFORMED;
	return check(exchange, PH_SLICE(challenge->str, challenge->len), *response, digest, error);
}
