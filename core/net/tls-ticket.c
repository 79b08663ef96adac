/* tls-ticket.c: the keys that session tickets are sealed with
 *
 * One ring of three keys for the process: the newest seals, all of them open. A new one is made
 * every hour, so a stolen memory image opens at most the last hours of recorded TLS 1.2 sessions
 * that were resumed. Tickets opened by an older key are replaced.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/secret.h>

#include "base/lock.h"
#include "net/tls-private.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <string.h>

enum {
	RING_SIZE = 3,
	NAME_SIZE = 16,
	IV_SIZE = 16,
	KEY_SIZE = 32
};

#define KEY_LIFE_US (G_USEC_PER_SEC * G_GINT64_CONSTANT(3600))

typedef struct {
	uint8_t name[NAME_SIZE];
	uint8_t cipher_key[KEY_SIZE];
	uint8_t mac_key[KEY_SIZE];
} TicketKey;

static PhLock ring_lock = PH_LOCK_INIT; /* guards the three below */
static TicketKey ring[RING_SIZE];
static size_t n_keys;
static int64_t newest_us;

/* Makes a new key when the newest is too old. Caller holds the lock. */
static void
rotate(void)
{
	int64_t now_us = g_get_monotonic_time();

	if (n_keys > 0 && now_us - newest_us < KEY_LIFE_US)
		return;
	memmove(ring + 1, ring, sizeof ring - sizeof ring[0]);
	ph_secret_random(&ring[0], sizeof ring[0]);
	n_keys = MIN(n_keys + 1, (size_t) RING_SIZE);
	newest_us = now_us;
}

/* Copies the key to seal or to open with. Returns its age in keys, -1 when it is not known. */
static int
pick_key(const uint8_t *name, TicketKey *key_out)
{
	int found = -1;

	ph_lock_take(&ring_lock);
	rotate();
	for (size_t i = 0; i < n_keys && found < 0; i++)
		if (name == NULL || memcmp(name, ring[i].name, NAME_SIZE) == 0)
			found = (int) i;
	if (found >= 0)
		*key_out = ring[found];
	ph_lock_drop(&ring_lock);
	return found;
}

static const EVP_CIPHER *
ticket_cipher(void)
{
	static gsize cipher;

	if (g_once_init_enter(&cipher))
		g_once_init_leave(&cipher, (gsize) EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL));
	return (const EVP_CIPHER *) cipher;
}

static bool
apply_key(TicketKey *key, uint8_t *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int seal)
{
	char digest[] = "SHA256";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key->mac_key, KEY_SIZE),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_construct_end(),
	};

	return EVP_CipherInit_ex(cipher, ticket_cipher(), NULL, key->cipher_key, iv, seal) == 1
	       && EVP_MAC_CTX_set_params(mac, params) == 1;
}

/* As SSL_CTX_set_tlsext_ticket_key_evp_cb wants it: -1 error, 0 unknown, 1 good, 2 renew. */
static int
ticket_key(SSL *ssl, uint8_t *name, uint8_t *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int seal)
{
	TicketKey key;
	int age = pick_key(seal != 0 ? NULL : name, &key);
	bool done = false;

	if (age < 0)
		return 0;
	if (seal != 0) {
		memcpy(name, key.name, NAME_SIZE);
		ph_secret_random(iv, IV_SIZE);
	}
	done = apply_key(&key, iv, cipher, mac, seal);
	ph_secret_wipe(&key, sizeof key);
	if (!done)
		return -1;
	return seal == 0 && (age > 0 || SSL_version(ssl) == TLS1_3_VERSION) ? 2 : 1;
}

void
ph_tls_ticket_install(SSL_CTX *ssl)
{
	SSL_CTX_set_tlsext_ticket_key_evp_cb(ssl, ticket_key);
}
