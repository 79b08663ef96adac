/* crypto.c: AES-256-GCM and key derivation through OpenSSL
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "encrypt.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

/* Fetched once: looking it up for each message takes longer than sealing it. Never freed. */
static EVP_CIPHER *cipher;

bool
crypto_load(GError **error)
{
	if (cipher == NULL)
		cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
	if (cipher == NULL)
		ph_error_set(error, PH_ERROR_PERMANENT, "OpenSSL here has no AES-256-GCM");
	return cipher != NULL;
}

void
crypto_derive(const uint8_t *key,
              const char *use,
              const char *address,
              PhSlice random,
              uint8_t *key_out)
{
	g_autoptr(GByteArray) text = g_byte_array_new();
	unsigned int length = KEY;

	/* the NULs make the three parts unambiguous */
	(void) g_byte_array_append(text, (const guint8 *) use, (guint) strlen(use) + 1);
	(void) g_byte_array_append(text, (const guint8 *) address, (guint) strlen(address) + 1);
	(void) g_byte_array_append(text, (const guint8 *) random.data, (guint) random.length);
	if (HMAC(EVP_sha256(), key, KEY, text->data, text->len, key_out, &length) == NULL)
		g_assert_not_reached();
}

void
crypto_seal(const Box *box, PhSlice plain, char *out)
{
	EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
	uint8_t *sealed = (uint8_t *) out;
	int n = 0;
	int good = EVP_EncryptInit_ex2(context, cipher, box->key, box->nonce, NULL);

	good = good
	       && EVP_EncryptUpdate(context, NULL, &n, (const uint8_t *) box->bound.data,
	                            (int) box->bound.length);
	if (plain.length > 0)
		good = good
		       && EVP_EncryptUpdate(context, sealed, &n, (const uint8_t *) plain.data,
		                            (int) plain.length);
	good = good && EVP_EncryptFinal_ex(context, sealed + plain.length, &n)
	       && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, TAG, sealed + plain.length);
	EVP_CIPHER_CTX_free(context);
	g_assert(good);
}

bool
crypto_open(const Box *box, PhSlice sealed, char *out)
{
	EVP_CIPHER_CTX *context = NULL;
	uint8_t tag[TAG];
	uint8_t rest[TAG]; /* GCM leaves nothing for the end */
	int n = 0;
	int good = 0;

	if (sealed.length < TAG)
		return false;
	sealed.length -= TAG;
	memcpy(tag, sealed.data + sealed.length, TAG);
	context = EVP_CIPHER_CTX_new();
	good = EVP_DecryptInit_ex2(context, cipher, box->key, box->nonce, NULL)
	       && EVP_DecryptUpdate(context, NULL, &n, (const uint8_t *) box->bound.data,
	                            (int) box->bound.length);
	if (sealed.length > 0)
		good = good
		       && EVP_DecryptUpdate(context, (uint8_t *) out, &n,
		                            (const uint8_t *) sealed.data, (int) sealed.length);
	good = good && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, TAG, tag)
	       && EVP_DecryptFinal_ex(context, rest, &n) > 0;
	EVP_CIPHER_CTX_free(context);
	return good;
}
