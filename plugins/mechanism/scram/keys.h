/* keys.h: the arithmetic of SCRAM (RFC 5802 section 3)
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef SCRAM_KEYS_H
#define SCRAM_KEYS_H

#include <posthorn/types.h>

enum {
	SCRAM_KEY_MAX = 64,
};

/* ScramKeys: what proves one user. */
typedef struct {
	uint8_t stored_key[SCRAM_KEY_MAX];
	uint8_t server_key[SCRAM_KEY_MAX];
} ScramKeys;

/* scram_key_length: of OpenSSL's digest of that name. */
size_t scram_key_length(const char *digest);

/* scram_keys_from_salted: StoredKey and ServerKey of SaltedPassword. False without that digest. */
bool scram_keys_from_salted(const char *digest, const uint8_t *salted, ScramKeys *keys);

/* scram_proof_fits: is @proof that of somebody who knows the password, over @message (AuthMessage)?
 * Takes the same time for any proof of the right length. */
bool scram_proof_fits(const char *digest, const ScramKeys *keys, PhSlice message, PhSlice proof);

/* scram_server_signature: what proves that the server knows the user. @out: SCRAM_KEY_MAX octets.
 * Returns: its length. */
size_t scram_server_signature(const char *digest,
                              const ScramKeys *keys,
                              PhSlice message,
                              uint8_t *out);

#endif
