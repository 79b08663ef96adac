/* value.c: what is kept under a key of an account or a mailbox, sealed
 *
 * Magic (6), key id (8), random (16), the octets, tag (16). It is bound to the account, the mailbox and the
 * key under which it stands, so that no value can be put in another's place. The keys themselves
 * are the store's below: it orders and finds them.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/secret.h>
#include <posthorn/slice.h>

#include "encrypt.h"

#include <string.h>

enum {
	MAGIC = 6,
	AT_RANDOM = MAGIC + KEY_ID,
	BEFORE = AT_RANDOM + RANDOM,
};

static const char magic[MAGIC] = { '\xff', '\0', 'P', 'H', 'V', 1 };

bool
value_is(PhSlice sealed)
{
	return sealed.length >= BEFORE + TAG && memcmp(sealed.data, magic, MAGIC) == 0;
}

PhSlice
value_key_id(PhSlice sealed)
{
	return PH_SLICE(sealed.data + MAGIC, KEY_ID);
}

/* @bound: takes what is authenticated besides. */
static Box
value_box(const uint8_t *key, const char *before, const ValuePlace *place, GByteArray *bound)
{
	static const PhMailboxId none;
	const PhMailboxId *mailbox = place->mailbox != NULL ? place->mailbox : &none;
	const guint8 scope = place->mailbox != NULL;

	(void) g_byte_array_append(bound, (const guint8 *) before, BEFORE);
	(void) g_byte_array_append(bound, &scope, 1);
	(void) g_byte_array_append(bound, mailbox->octets, sizeof mailbox->octets);
	(void) g_byte_array_append(bound, (const guint8 *) place->key, (guint) strlen(place->key));
	return (Box){ .key = key, .bound = PH_SLICE((const char *) bound->data, bound->len) };
}

static void
derive(const Key *key, const char *address, const char *before, uint8_t *out)
{
	crypto_derive(key->key, "value", address, PH_SLICE(before + AT_RANDOM, RANDOM), out);
}

void
value_seal(PhSlice plain,
           const Key *key,
           const char *address,
           const ValuePlace *place,
           GByteArray *out)
{
	g_autoptr(GByteArray) bound = g_byte_array_new();
	uint8_t derived[KEY];
	guint start = out->len;
	char *at = NULL;
	Box box;

	(void) g_byte_array_set_size(out, start + (guint) plain.length + BEFORE + TAG);
	at = (char *) out->data + start;
	memcpy(at, magic, MAGIC);
	memcpy(at + MAGIC, key->id, KEY_ID);
	ph_secret_random(at + AT_RANDOM, RANDOM);
	derive(key, address, at, derived);
	box = value_box(derived, at, place, bound);
	crypto_seal(&box, plain, at + BEFORE);
	ph_secret_wipe(derived, sizeof derived);
}

bool
value_open(PhSlice sealed,
           const Key *key,
           const char *address,
           const ValuePlace *place,
           GByteArray *out)
{
	g_autoptr(GByteArray) bound = g_byte_array_new();
	uint8_t derived[KEY];
	bool good = false;
	Box box;

	derive(key, address, sealed.data, derived);
	box = value_box(derived, sealed.data, place, bound);
	(void) g_byte_array_set_size(out, (guint) sealed.length - BEFORE - TAG);
	good = crypto_open(&box, ph_slice_from(sealed, BEFORE), (char *) out->data);
	ph_secret_wipe(derived, sizeof derived);
	return good;
}
