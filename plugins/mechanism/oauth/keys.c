/* keys.c: the keys that tokens are signed with: a JWK set
 *
 * RFC 7517, RFC 7518 section 6 (RSA, EC, oct), RFC 8037 (OKP).
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "keys.h"

#include <posthorn/error.h>
#include <posthorn/secret.h>
#include <posthorn/slice.h>

#include "json.h"

#include <openssl/core_names.h>
#include <openssl/param_build.h>

static void
free_key(gpointer pointer)
{
	Key *key = pointer;

	g_free(key->id);
	g_free(key->algorithm);
	g_free(key->curve);
	EVP_PKEY_free(key->key);
	if (key->secret != NULL) {
		ph_secret_wipe(key->secret->data, key->secret->len);
		g_byte_array_unref(key->secret);
	}
	g_free(key);
}

static GByteArray *
member_octets(JsonObject *object, const char *name)
{
	const size_t longest = 8192;
	const char *text = json_text(object, name);

	return text != NULL && strlen(text) <= longest ? base64url_decode(ph_slice(text)) : NULL;
}

/* @type: "RSA" or "EC". */
static EVP_PKEY *
make_key(const char *type, OSSL_PARAM_BLD *builder)
{
	OSSL_PARAM *parameters = OSSL_PARAM_BLD_to_param(builder);
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	EVP_PKEY *key = NULL;

	if (parameters == NULL || context == NULL || EVP_PKEY_fromdata_init(context) != 1
	    || EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, parameters) != 1)
		key = NULL;
	EVP_PKEY_CTX_free(context);
	OSSL_PARAM_free(parameters);
	return key;
}

static EVP_PKEY *
make_rsa(JsonObject *object)
{
	g_autoptr(GByteArray) modulus = member_octets(object, "n");
	g_autoptr(GByteArray) exponent = member_octets(object, "e");
	if (modulus == NULL || exponent == NULL)
		return NULL;

	OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
	BIGNUM *n = BN_bin2bn(modulus->data, (int) modulus->len, NULL);
	BIGNUM *e = BN_bin2bn(exponent->data, (int) exponent->len, NULL);
	EVP_PKEY *key = NULL;
	if (OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n) == 1
	    && OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, e) == 1)
		key = make_key("RSA", builder);
	OSSL_PARAM_BLD_free(builder);
	BN_free(n);
	BN_free(e);
	if (key != NULL && EVP_PKEY_get_bits(key) < RSA_BITS_MIN)
		g_clear_pointer(&key, EVP_PKEY_free);
	return key;
}

static EVP_PKEY *
make_ec(JsonObject *object, const char *curve)
{
	static const struct {
		const char *curve;
		const char *group;
		unsigned octets;
	} curves[] = {
		{ "P-256", "prime256v1", 32 },
		{ "P-384", "secp384r1", 48 },
		{ "P-521", "secp521r1", 66 },
	};

	static const guint8 uncompressed = 4;
	g_autoptr(GByteArray) x = member_octets(object, "x");
	g_autoptr(GByteArray) y = member_octets(object, "y");
	g_autoptr(GByteArray) point = g_byte_array_new();
	EVP_PKEY *key = NULL;

	for (size_t i = 0; i < G_N_ELEMENTS(curves) && x != NULL && y != NULL; i++) {
		if (g_strcmp0(curve, curves[i].curve) != 0 || x->len != curves[i].octets
		    || y->len != curves[i].octets)
			continue;
		g_byte_array_append(point, &uncompressed, 1);
		g_byte_array_append(point, x->data, x->len);
		g_byte_array_append(point, y->data, y->len);
		OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
		OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME,
		                                curves[i].group, 0);
		OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point->data,
		                                 point->len);
		key = make_key("EC", builder);
		OSSL_PARAM_BLD_free(builder);
	}
	return key;
}

static EVP_PKEY *
make_okp(JsonObject *object, const char *curve)
{
	g_autoptr(GByteArray) x = member_octets(object, "x");

	if (x == NULL || g_strcmp0(curve, "Ed25519") != 0)
		return NULL;
	return EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, x->data, x->len);
}

static bool
fill_key(Key *key, JsonObject *object, bool with_secrets)
{
	const char *type = json_text(object, "kty");

	if (g_strcmp0(type, "RSA") == 0) {
		key->type = KEY_RSA;
		key->key = make_rsa(object);
	} else if (g_strcmp0(type, "EC") == 0) {
		key->type = KEY_EC;
		key->key = make_ec(object, key->curve);
	} else if (g_strcmp0(type, "OKP") == 0) {
		key->type = KEY_OKP;
		key->key = make_okp(object, key->curve);
	} else if (g_strcmp0(type, "oct") == 0 && with_secrets) {
		key->type = KEY_OCT;
		key->secret = member_octets(object, "k");
	}
	return key->key != NULL || key->secret != NULL;
}

static void
add_key(KeySet *set, JsonObject *object, bool with_secrets)
{
	const char *use = json_text(object, "use");
	Key *key = NULL;

	if (use != NULL && strcmp(use, "sig") != 0)
		return;
	key = g_new0(Key, 1);
	key->id = g_strdup(json_text(object, "kid"));
	key->algorithm = g_strdup(json_text(object, "alg"));
	key->curve = g_strdup(json_text(object, "crv"));
	if (fill_key(key, object, with_secrets))
		g_ptr_array_add(set->keys, key);
	else
		free_key(key);
}

KeySet *
key_set_parse(PhSlice text, bool with_secrets, GError **error)
{
	g_autoptr(JsonObject) object = json_object_parse(text);
	JsonArray *keys = object != NULL ? json_array(object, "keys") : NULL;
	g_autoptr(KeySet) set = g_new0(KeySet, 1);

	g_atomic_ref_count_init(&set->references);
	set->keys = g_ptr_array_new_with_free_func(free_key);
	for (guint i = 0; keys != NULL && i < json_array_get_length(keys); i++) {
		JsonNode *node = json_array_get_element(keys, i);

		if (set->keys->len < KEYS_MAX && JSON_NODE_HOLDS_OBJECT(node))
			add_key(set, json_node_get_object(node), with_secrets);
	}
	if (set->keys->len > 0)
		return g_steal_pointer(&set);
	g_set_error_literal(error, PH_ERROR, PH_ERROR_INVALID,
	                    keys == NULL ? "this is no JWK set"
	                                 : "no key in this JWK set can be used");
	return NULL;
}

KeySet *
key_set_ref(KeySet *set)
{
	g_atomic_ref_count_inc(&set->references);
	return set;
}

void
key_set_unref(KeySet *set)
{
	if (set == NULL || !g_atomic_ref_count_dec(&set->references))
		return;
	g_ptr_array_unref(set->keys);
	g_free(set);
}
