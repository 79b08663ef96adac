/* keys.c: the arithmetic of SCRAM
 *
 *	ClientKey = HMAC(SaltedPassword, "Client Key")     StoredKey = H(ClientKey)
 *	ServerKey = HMAC(SaltedPassword, "Server Key")
 *	ClientProof = ClientKey XOR HMAC(StoredKey, AuthMessage)
 *	ServerSignature = HMAC(ServerKey, AuthMessage)
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "keys.h"

#include <posthorn/secret.h>
#include <posthorn/slice.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

size_t
scram_key_length(const char *digest)
{
	const EVP_MD *md = EVP_get_digestbyname(digest);
	int length = md != NULL ? EVP_MD_get_size(md) : 0;

	return length > 0 && length <= SCRAM_KEY_MAX ? (size_t) length : 0;
}

static bool
keyed(const char *digest, const uint8_t *key, PhSlice text, uint8_t *out)
{
	const EVP_MD *md = EVP_get_digestbyname(digest);
	unsigned length = 0;

	return md != NULL
	       && HMAC(md, key, (int) scram_key_length(digest), (const unsigned char *) text.data,
	               text.length, out, &length)
	                  != NULL;
}

static bool
hash(const char *digest, const uint8_t *octets, uint8_t *out)
{
	const EVP_MD *md = EVP_get_digestbyname(digest);
	unsigned length = 0;

	return md != NULL
	       && EVP_Digest(octets, scram_key_length(digest), out, &length, md, NULL) == 1;
}

bool
scram_keys_from_salted(const char *digest, const uint8_t *salted, ScramKeys *keys)
{
	uint8_t client_key[SCRAM_KEY_MAX];
	bool ok = keyed(digest, salted, PH_SLICE_LITERAL("Client Key"), client_key)
	          && hash(digest, client_key, keys->stored_key)
	          && keyed(digest, salted, PH_SLICE_LITERAL("Server Key"), keys->server_key);

	ph_secret_wipe(client_key, sizeof client_key);
	return ok;
}

bool
scram_proof_fits(const char *digest, const ScramKeys *keys, PhSlice message, PhSlice proof)
{
	size_t length = scram_key_length(digest);
	uint8_t client_key[SCRAM_KEY_MAX];
	uint8_t found[SCRAM_KEY_MAX];
	bool fits = false;

	if (proof.length != length || !keyed(digest, keys->stored_key, message, client_key))
		return false;
	for (size_t i = 0; i < length; i++)
		client_key[i] ^= (uint8_t) proof.data[i];
	fits = hash(digest, client_key, found)
	       && ph_secret_equal(PH_SLICE((const char *) found, length),
	                          PH_SLICE((const char *) keys->stored_key, length));
	ph_secret_wipe(client_key, sizeof client_key);
	return fits;
}

size_t
scram_server_signature(const char *digest, const ScramKeys *keys, PhSlice message, uint8_t *out)
{
	return keyed(digest, keys->server_key, message, out) ? scram_key_length(digest) : 0;
}
