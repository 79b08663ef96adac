/* totp.c: time-based one-time passwords (RFC 6238)
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "totp.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

enum {
	KEY_MIN = 10,
	BITS_PER_LETTER = 5,
	BITS_PER_OCTET = 8,
	SHA1_OCTETS = 20,
	TEN = 10,
};

size_t
totp_key(const char *text, uint8_t key[TOTP_KEY_MAX])
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
	uint32_t bits = 0;
	unsigned n_bits = 0;
	size_t length = 0;

	for (; *text != '\0'; text++) {
		const char *at = strchr(alphabet, g_ascii_toupper(*text));

		if (strchr(" -=", *text) != NULL)
			continue;
		if (at == NULL || length >= TOTP_KEY_MAX)
			return 0;
		bits = bits << BITS_PER_LETTER | (uint32_t) (at - alphabet);
		n_bits += BITS_PER_LETTER;
		if (n_bits < BITS_PER_OCTET)
			continue;
		n_bits -= BITS_PER_OCTET;
		key[length++] = (uint8_t) (bits >> n_bits);
	}
	return length >= KEY_MIN ? length : 0;
}

uint32_t
totp_code(const uint8_t *key, size_t length, uint64_t step, unsigned digits)
{
	uint64_t message = GUINT64_TO_BE(step);
	uint8_t digest[SHA1_OCTETS] = { 0 };
	unsigned n = 0;
	uint32_t modulus = 1;
	uint32_t number = 0;

	(void) HMAC(EVP_sha1(), key, (int) length, (const unsigned char *) &message, sizeof message,
	            digest, &n);
	memcpy(&number, digest + (digest[SHA1_OCTETS - 1] & 0x0f), sizeof number);
	for (unsigned i = 0; i < digits; i++)
		modulus *= TEN;
	return (GUINT32_FROM_BE(number) & 0x7fffffff) % modulus;
}

uint64_t
totp_find(const uint8_t *key, size_t length, uint32_t code, uint64_t now, unsigned window)
{
	uint64_t middle = now / TOTP_SECONDS;
	uint64_t found = 0;

	for (uint64_t step = middle - window; step <= middle + window; step++)
		if (totp_code(key, length, step, TOTP_DIGITS) == code)
			found = step;
	return found;
}
