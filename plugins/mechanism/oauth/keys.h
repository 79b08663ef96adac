/* keys.h: the keys that tokens are signed with: a JWK set (RFC 7517)
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef OAUTH_KEYS_H
#define OAUTH_KEYS_H

#include <posthorn/types.h>

#include <openssl/evp.h>

enum {
	KEYS_MAX = 64,
	RSA_BITS_MIN = 2048,
};

typedef enum {
	KEY_RSA = 1,
	KEY_EC = 2,
	KEY_OKP = 3,
	KEY_OCT = 4, /* a shared secret: only from a file of ours */
} KeyType;

typedef struct {
	KeyType type;
	char *id;           /* (nullable) "kid" */
	char *algorithm;    /* (nullable) "alg": the only one that it is for */
	char *curve;        /* (nullable) "P-256", "Ed25519" */
	EVP_PKEY *key;      /* (nullable) not of KEY_OCT */
	GByteArray *secret; /* (nullable) of KEY_OCT */
} Key;

/* KeySet: immutable and counted. */
typedef struct {
	gatomicrefcount references;
	GPtrArray *keys; /* of Key */
} KeySet;

/* key_set_parse: keys that are not for signatures, or that we do not know, are passed over.
 * @with_secrets: take shared secrets too. Returns: (owned) NULL with INVALID when it is no JWK set
 * or nothing in it can be used. Pure. */
KeySet *key_set_parse(PhSlice text, bool with_secrets, GError **error);
KeySet *key_set_ref(KeySet *set);
void key_set_unref(KeySet *set);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(KeySet, key_set_unref)

#endif
