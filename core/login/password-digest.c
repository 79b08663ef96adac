/* password-digest.c: password forms that are digests: salted or plain, PBKDF2, SCRAM
 *
 * The forms are those that Dovecot and LDAP servers write. Digests come from OpenSSL; comparisons
 * take the same time wherever the first difference lies. Nothing here knows scheme names: the table
 * in password.c does. RFC 5802 section 3 (SCRAM), RFC 8018 (PBKDF2).
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "login/password-digest.h"

#include <posthorn/slice.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

enum {
	SALT_OCTETS = 16,
	SCRAM_ITERATIONS = 4096,
	MAX_ITERATIONS = 10000000,
	MAX_FORM = 4096,
};

typedef struct {
	uint8_t octets[EVP_MAX_MD_SIZE];
	unsigned length;
} Digest;

static bool
digest_two(const char *name, PhSlice first, PhSlice second, Digest *out)
{
	const EVP_MD *md = EVP_get_digestbyname(name);
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	bool ok = md != NULL && context != NULL && EVP_DigestInit_ex(context, md, NULL) == 1
	          && EVP_DigestUpdate(context, first.data, first.length) == 1
	          && EVP_DigestUpdate(context, second.data, second.length) == 1
	          && EVP_DigestFinal_ex(context, out->octets, &out->length) == 1;

	EVP_MD_CTX_free(context);
	return ok;
}

static int
hex_value(char c)
{
	return g_ascii_xdigit_value(c);
}

static GByteArray *
decode_hex(const char *text)
{
	g_autoptr(GByteArray) out = g_byte_array_new();

	for (; text[0] != '\0' && text[1] != '\0'; text += 2) {
		int high = hex_value(text[0]);
		int low = hex_value(text[1]);
		if (high < 0 || low < 0)
			return NULL;
		guint8 octet = (guint8) (high << 4 | low);
		g_byte_array_append(out, &octet, 1);
	}
	return text[0] == '\0' ? g_steal_pointer(&out) : NULL;
}

static GByteArray *
decode_base64(const char *text)
{
	gsize length = 0;
	guint8 *octets = g_base64_decode(text, &length);

	return g_byte_array_new_take(octets, length);
}

static GByteArray *
decode_form(const PhDigestQuestion *question, size_t digest_length)
{
	size_t length = strlen(question->form);

	if (length == 0 || length > MAX_FORM)
		return NULL;
	if (question->encoding == PH_ENCODING_HEX
	    || (question->encoding == PH_ENCODING_AUTO && length == digest_length * 2))
		return decode_hex(question->form);
	return decode_base64(question->form);
}

static PhDigestResult
compare(const Digest *digest, const GByteArray *stored)
{
	bool same = ph_secret_equal(PH_SLICE((const char *) digest->octets, digest->length),
	                            PH_SLICE((const char *) stored->data, digest->length));

	return same ? PH_DIGEST_MATCH : PH_DIGEST_WRONG;
}

PhDigestResult
ph_digest_plain(const PhDigestQuestion *question)
{
	Digest digest;
	if (!digest_two(question->argument, question->secret, PH_SLICE_EMPTY, &digest))
		return PH_DIGEST_MALFORMED;

	g_autoptr(GByteArray) stored = decode_form(question, digest.length);
	if (stored == NULL || stored->len != digest.length)
		return PH_DIGEST_MALFORMED;
	return compare(&digest, stored);
}

PhDigestResult
ph_digest_salted(const PhDigestQuestion *question)
{
	const EVP_MD *md = EVP_get_digestbyname(question->argument);
	size_t length = md != NULL ? (size_t) EVP_MD_get_size(md) : 0;
	g_autoptr(GByteArray) stored = md != NULL ? decode_form(question, 0) : NULL;
	if (stored == NULL || stored->len < length)
		return PH_DIGEST_MALFORMED;

	Digest digest;
	PhSlice salt = PH_SLICE((const char *) stored->data + length, stored->len - length);
	if (!digest_two(question->argument, question->secret, salt, &digest))
		return PH_DIGEST_MALFORMED;
	return compare(&digest, stored);
}

static bool
derive(const char *digest, PhSlice secret, PhSlice salt, uint32_t rounds, Digest *out)
{
	const EVP_MD *md = EVP_get_digestbyname(digest);
	if (md == NULL)
		return false;

	out->length = (unsigned) EVP_MD_get_size(md);
	return PKCS5_PBKDF2_HMAC(secret.data, (int) secret.length,
	                         (const unsigned char *) salt.data, (int) salt.length, (int) rounds,
	                         md, (int) out->length, out->octets)
	       == 1;
}

bool
ph_digest_derive(const char *digest,
                 PhSlice secret,
                 PhSlice salt,
                 uint32_t rounds,
                 uint8_t *key,
                 size_t length)
{
	const EVP_MD *md = EVP_get_digestbyname(digest);

	return md != NULL && rounds > 0 && rounds <= MAX_ITERATIONS
	       && PKCS5_PBKDF2_HMAC(secret.data, (int) secret.length,
	                            (const unsigned char *) salt.data, (int) salt.length,
	                            (int) rounds, md, (int) length, key)
	                  == 1;
}

PhDigestResult
ph_digest_pbkdf2(const PhDigestQuestion *question)
{
	g_auto(GStrv) fields = g_strsplit(question->form, "$", 6);
	uint32_t rounds = 0;
	if (g_strv_length(fields) != 5 || fields[0][0] != '\0' || strcmp(fields[1], "1") != 0
	    || !ph_slice_to_u32(ph_slice(fields[3]), MAX_ITERATIONS, &rounds) || rounds == 0)
		return PH_DIGEST_MALFORMED;

	Digest digest;
	g_autoptr(GByteArray) stored = decode_hex(fields[4]);
	if (!derive("SHA1", question->secret, ph_slice(fields[2]), rounds, &digest)
	    || stored == NULL || stored->len != digest.length)
		return PH_DIGEST_MALFORMED;
	return compare(&digest, stored);
}

static bool
hmac(const char *digest, const Digest *key, const char *text, Digest *out)
{
	const EVP_MD *md = EVP_get_digestbyname(digest);

	return md != NULL
	       && HMAC(md, key->octets, (int) key->length, (const unsigned char *) text,
	               strlen(text), out->octets, &out->length)
	                  != NULL;
}

typedef struct {
	Digest stored_key;
	Digest server_key;
} ScramKeys;

static bool
scram_keys(const char *digest, PhSlice secret, PhSlice salt, uint32_t rounds, ScramKeys *out)
{
	Digest salted;
	Digest client_key;
	bool ok =
		derive(digest, secret, salt, rounds, &salted)
		&& hmac(digest, &salted, "Client Key", &client_key)
		&& hmac(digest, &salted, "Server Key", &out->server_key)
		&& digest_two(digest, PH_SLICE((const char *) client_key.octets, client_key.length),
	                      PH_SLICE_EMPTY, &out->stored_key);

	ph_secret_wipe(&salted, sizeof salted);
	ph_secret_wipe(&client_key, sizeof client_key);
	return ok;
}

PhDigestResult
ph_digest_scram(const PhDigestQuestion *question)
{
	g_auto(GStrv) fields = g_strsplit(question->form, ",", 5);
	uint32_t rounds = 0;
	if (g_strv_length(fields) != 4
	    || !ph_slice_to_u32(ph_slice(fields[0]), MAX_ITERATIONS, &rounds) || rounds == 0)
		return PH_DIGEST_MALFORMED;

	g_autoptr(GByteArray) salt = decode_base64(fields[1]);
	g_autoptr(GByteArray) stored = decode_base64(fields[2]);
	ScramKeys keys;
	if (!scram_keys(question->argument, question->secret,
	                PH_SLICE((const char *) salt->data, salt->len), rounds, &keys)
	    || stored->len != keys.stored_key.length)
		return PH_DIGEST_MALFORMED;
	return compare(&keys.stored_key, stored);
}

char *
ph_digest_make_scram(const char *digest, PhSlice secret)
{
	uint8_t salt[SALT_OCTETS];
	ScramKeys keys;

	ph_secret_random(salt, sizeof salt);
	if (!scram_keys(digest, secret, PH_SLICE((const char *) salt, sizeof salt),
	                SCRAM_ITERATIONS, &keys))
		return NULL;

	g_autofree char *salt64 = g_base64_encode(salt, sizeof salt);
	g_autofree char *stored64 = g_base64_encode(keys.stored_key.octets, keys.stored_key.length);
	g_autofree char *server64 = g_base64_encode(keys.server_key.octets, keys.server_key.length);
	return g_strdup_printf("%d,%s,%s,%s", SCRAM_ITERATIONS, salt64, stored64, server64);
}

char *
ph_digest_make_salted(const char *digest, PhSlice secret)
{
	uint8_t salt[SALT_OCTETS];
	Digest result;

	ph_secret_random(salt, sizeof salt);
	if (!digest_two(digest, secret, PH_SLICE((const char *) salt, sizeof salt), &result))
		return NULL;

	g_autoptr(GByteArray) all = g_byte_array_new();
	g_byte_array_append(all, result.octets, result.length);
	g_byte_array_append(all, salt, sizeof salt);
	return g_base64_encode(all->data, all->len);
}
