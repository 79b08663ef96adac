/* token.c: a signed token (JWT) and the claims in it
 *
 * RFC 7515 (JWS, compact form), RFC 7519 section 4.1 and 7.2, RFC 8725 (what to beware of): the
 * algorithm is one that the config takes, and one that fits the key: a public key is never a shared
 * secret. The key's id is only compared with those in memory; keys and addresses of keys in a token
 * are never looked at.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "token.h"

#include <posthorn/secret.h>
#include <posthorn/slice.h>

#include <openssl/ecdsa.h>
#include <openssl/hmac.h>
#include <openssl/rsa.h>

/* Algorithm: one row for each of RFC 7518 section 3.1 that is taken. */
typedef struct {
	const char *name;
	KeyType type;
	const char *digest; /* NULL: the signature has its own */
	const char *curve;  /* (nullable) */
	size_t half;        /* of an ECDSA signature */
	bool is_pss;
} Algorithm;

static const Algorithm algorithms_known[] = {
	{ "RS256", KEY_RSA, "SHA256", NULL, 0, false },
	{ "RS384", KEY_RSA, "SHA384", NULL, 0, false },
	{ "RS512", KEY_RSA, "SHA512", NULL, 0, false },
	{ "PS256", KEY_RSA, "SHA256", NULL, 0, true },
	{ "PS384", KEY_RSA, "SHA384", NULL, 0, true },
	{ "PS512", KEY_RSA, "SHA512", NULL, 0, true },
	{ "ES256", KEY_EC, "SHA256", "P-256", 32, false },
	{ "ES384", KEY_EC, "SHA384", "P-384", 48, false },
	{ "ES512", KEY_EC, "SHA512", "P-521", 66, false },
	{ "EdDSA", KEY_OKP, NULL, "Ed25519", 0, false },
	{ "HS256", KEY_OCT, "SHA256", NULL, 0, false },
	{ "HS384", KEY_OCT, "SHA384", NULL, 0, false },
	{ "HS512", KEY_OCT, "SHA512", NULL, 0, false },
};

static const Algorithm *
find_algorithm(const char *name)
{
	for (size_t i = 0; name != NULL && i < G_N_ELEMENTS(algorithms_known); i++)
		if (strcmp(algorithms_known[i].name, name) == 0)
			return &algorithms_known[i];
	return NULL;
}

bool
token_algorithm_known(const char *algorithm)
{
	return find_algorithm(algorithm) != NULL;
}

/* --- signatures --- */

static bool
check_hmac(const Algorithm *algorithm, const Key *key, PhSlice text, PhSlice signature)
{
	const EVP_MD *md = EVP_get_digestbyname(algorithm->digest);
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned length = 0;

	/* RFC 7518 section 3.2: a key at least as long as the digest. */
	return md != NULL && key->secret->len >= (guint) EVP_MD_get_size(md)
	       && HMAC(md, key->secret->data, (int) key->secret->len,
	               (const unsigned char *) text.data, text.length, digest, &length)
	                  != NULL
	       && ph_secret_equal(PH_SLICE((const char *) digest, length), signature);
}

/* The two numbers as OpenSSL has them. Returns: (owned) NULL when the length is wrong. */
static GByteArray *
ecdsa_as_der(PhSlice signature, size_t half)
{
	const unsigned char *octets = (const unsigned char *) signature.data;
	ECDSA_SIG *pair = NULL;
	GByteArray *out = NULL;
	unsigned char *der = NULL;
	int length = 0;

	if (signature.length != 2 * half)
		return NULL;
	pair = ECDSA_SIG_new();
	if (pair != NULL
	    && ECDSA_SIG_set0(pair, BN_bin2bn(octets, (int) half, NULL),
	                      BN_bin2bn(octets + half, (int) half, NULL))
	               == 1)
		length = i2d_ECDSA_SIG(pair, &der);
	ECDSA_SIG_free(pair);
	if (length > 0) {
		out = g_byte_array_new();
		g_byte_array_append(out, der, (guint) length);
	}
	OPENSSL_free(der);
	return out;
}

static bool
check_public(const Algorithm *algorithm, const Key *key, PhSlice text, PhSlice signature)
{
	g_autoptr(GByteArray) der =
		algorithm->half > 0 ? ecdsa_as_der(signature, algorithm->half) : NULL;
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	EVP_PKEY_CTX *details = NULL;
	bool good = false;

	if (algorithm->half > 0 && der == NULL) {
		EVP_MD_CTX_free(context);
		return false;
	}
	if (der != NULL)
		signature = PH_SLICE((const char *) der->data, der->len);
	good = context != NULL
	       && EVP_DigestVerifyInit_ex(context, &details, algorithm->digest, NULL, NULL,
	                                  key->key, NULL)
	                  == 1
	       && (!algorithm->is_pss
	           || (EVP_PKEY_CTX_set_rsa_padding(details, RSA_PKCS1_PSS_PADDING) == 1
	               && EVP_PKEY_CTX_set_rsa_pss_saltlen(details, RSA_PSS_SALTLEN_DIGEST) == 1))
	       && EVP_DigestVerify(context, (const unsigned char *) signature.data,
	                           signature.length, (const unsigned char *) text.data, text.length)
	                  == 1;
	EVP_MD_CTX_free(context);
	return good;
}

static bool
fits(const Key *key, const Algorithm *algorithm, const char *id)
{
	return key->type == algorithm->type && (id == NULL || g_strcmp0(key->id, id) == 0)
	       && (key->algorithm == NULL || strcmp(key->algorithm, algorithm->name) == 0)
	       && (algorithm->curve == NULL || g_strcmp0(key->curve, algorithm->curve) == 0);
}

/* --- tokens --- */

/* Parts: of the compact form. Slices are borrowed from the token. */
typedef struct {
	PhSlice text; /* what is signed */
	JsonObject *header;
	GByteArray *payload;
	GByteArray *signature;
} Parts;

static void
clear_parts(Parts *parts)
{
	g_clear_pointer(&parts->header, json_object_unref);
	g_clear_pointer(&parts->payload, g_byte_array_unref);
	g_clear_pointer(&parts->signature, g_byte_array_unref);
}

static PhSlice
octets_of(const GByteArray *array)
{
	return PH_SLICE((const char *) array->data, array->len);
}

static bool
split_token(PhSlice token, Parts *parts)
{
	PhSlice rest = token;
	PhSlice header = ph_slice_split(&rest, '.');
	PhSlice payload = ph_slice_split(&rest, '.');
	g_autoptr(GByteArray) header_octets = base64url_decode(header);

	*parts = (Parts){ .text = PH_SLICE(token.data, header.length + 1 + payload.length) };
	if (header_octets == NULL || ph_slice_find(rest, '.') >= 0)
		return false;
	parts->header = json_object_parse(octets_of(header_octets));
	parts->payload = base64url_decode(payload);
	parts->signature = base64url_decode(rest);
	return parts->header != NULL && parts->payload != NULL && parts->signature != NULL;
}

static bool
is_signed(const Parts *parts,
          const KeySet *keys,
          const Algorithm *algorithm,
          const char *id,
          bool *wants_key_out)
{
	*wants_key_out = true;
	for (guint i = 0; i < keys->keys->len; i++) {
		const Key *key = keys->keys->pdata[i];

		if (!fits(key, algorithm, id))
			continue;
		*wants_key_out = false;
		PhSlice signature = octets_of(parts->signature);
		if (key->type == KEY_OCT ? check_hmac(algorithm, key, parts->text, signature)
		                         : check_public(algorithm, key, parts->text, signature))
			return true;
	}
	return false;
}

static const char *
judge_parts(const Parts *parts,
            const KeySet *keys,
            const char *const *algorithms,
            bool *wants_key_out)
{
	const char *name = json_text(parts->header, "alg");
	const Algorithm *algorithm = find_algorithm(name);

	if (algorithm == NULL || !g_strv_contains(algorithms, name))
		return "the algorithm of its signature is not taken";
	if (json_object_has_member(parts->header, "crit"))
		return "it has an extension that must be understood";
	if (json_object_has_member(parts->header, "kid") && json_text(parts->header, "kid") == NULL)
		return "the id of its key is no text";
	if (!is_signed(parts, keys, algorithm, json_text(parts->header, "kid"), wants_key_out))
		return *wants_key_out ? "there is no such key" : "its signature is wrong";
	return NULL;
}

JsonObject *
token_open(PhSlice token,
           const KeySet *keys,
           const char *const *algorithms,
           const char **why_out,
           bool *wants_key_out)
{
	Parts parts;
	JsonObject *claims = NULL;

	*wants_key_out = false;
	*why_out = "it is no signed token";
	if (split_token(token, &parts)) {
		*why_out = judge_parts(&parts, keys, algorithms, wants_key_out);
		if (*why_out == NULL) {
			claims = json_object_parse(octets_of(parts.payload));
			*why_out = claims == NULL ? "its claims are no JSON object" : NULL;
		}
	}
	clear_parts(&parts);
	return claims;
}

/* --- claims --- */

static const char *
judge_times(JsonObject *claims, const Rules *rules, int64_t now)
{
	int64_t when = 0;

	if (json_object_has_member(claims, "exp")) {
		if (!json_number(claims, "exp", &when) || when <= now - rules->leeway)
			return "it has expired";
	} else if (rules->must_expire) {
		return "it does not expire";
	}
	if (json_object_has_member(claims, "nbf")
	    && (!json_number(claims, "nbf", &when) || when > now + rules->leeway))
		return "it is not valid yet";
	if (json_object_has_member(claims, "iat")
	    && (!json_number(claims, "iat", &when) || when > now + rules->leeway))
		return "it was issued in the future";
	return NULL;
}

static bool
is_for_us(JsonObject *claims, const char *const *audience)
{
	JsonArray *many = json_array(claims, "aud");
	const char *one = json_text(claims, "aud");

	if (one != NULL)
		return g_strv_contains(audience, one);
	for (guint i = 0; many != NULL && i < json_array_get_length(many); i++) {
		const char *name = json_array_text(many, i);

		if (name != NULL && g_strv_contains(audience, name))
			return true;
	}
	return false;
}

/* "scope" of words (RFC 8693 section 4.2), or an array in "scp" or "scope". */
static bool
has_scope(JsonObject *claims, const char *wanted)
{
	const char *text = json_text(claims, "scope") != NULL ? json_text(claims, "scope")
	                                                      : json_text(claims, "scp");
	JsonArray *many = json_array(claims, "scp") != NULL ? json_array(claims, "scp")
	                                                    : json_array(claims, "scope");
	PhSlice rest = ph_slice(text);

	while (rest.length > 0)
		if (ph_slice_is(ph_slice_split(&rest, ' '), wanted))
			return true;
	for (guint i = 0; many != NULL && i < json_array_get_length(many); i++)
		if (g_strcmp0(json_array_text(many, i), wanted) == 0)
			return true;
	return false;
}

const char *
claims_user(JsonObject *claims, const Rules *rules, int64_t now, const char **why_out)
{
	const char *user = json_text(claims, rules->user_claim);

	*why_out = judge_times(claims, rules, now);
	if (*why_out == NULL && rules->issuer != NULL
	    && g_strcmp0(json_text(claims, "iss"), rules->issuer) != 0)
		*why_out = "it is of another issuer";
	if (*why_out == NULL && rules->audience != NULL && !is_for_us(claims, rules->audience))
		*why_out = "it is for another audience";
	for (size_t i = 0; *why_out == NULL && rules->scope != NULL && rules->scope[i] != NULL; i++)
		if (!has_scope(claims, rules->scope[i]))
			*why_out = "it lacks a scope";
	if (*why_out == NULL && user == NULL)
		*why_out = "it does not say the user";
	return *why_out == NULL ? user : NULL;
}
