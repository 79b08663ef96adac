/* structure.c: the structure that the core keeps with a message, sealed
 *
 * Version 1, key id (8), random (16), the octets, tag (16). It is bound to the account and to the
 * message's id, which copies keep. One that cannot be opened reads as none: the core then scans the
 * message.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/secret.h>
#include <posthorn/slice.h>

#include "encrypt.h"

enum {
	VERSION = 1,
	BEFORE = 1 + KEY_ID + RANDOM,
	MESSAGE_ID = 16,
	MAX_STRUCTURE = 64 * 1024 * 1024, /* far above what the core makes */
};

static Box
structure_box(const uint8_t *key, const char *before, const uint8_t *message_id, char *bound)
{
	Box box = { .key = key, .bound = PH_SLICE(bound, BEFORE + MESSAGE_ID) };

	memcpy(bound, before, BEFORE);
	memcpy(bound + BEFORE, message_id, MESSAGE_ID);
	return box;
}

void
structure_seal(PhSlice plain,
               const Key *key,
               const char *address,
               const uint8_t *message_id,
               GByteArray *out)
{
	char bound[BEFORE + MESSAGE_ID];
	uint8_t derived[KEY];
	guint start = out->len;
	char *at = NULL;
	Box box;

	(void) g_byte_array_set_size(out, start + (guint) plain.length + BEFORE + TAG);
	at = (char *) out->data + start;
	at[0] = VERSION;
	memcpy(at + 1, key->id, KEY_ID);
	ph_secret_random(at + 1 + KEY_ID, RANDOM);
	crypto_derive(key->key, "structure", address, PH_SLICE(at + 1 + KEY_ID, RANDOM), derived);
	box = structure_box(derived, at, message_id, bound);
	crypto_seal(&box, plain, at + BEFORE);
	ph_secret_wipe(derived, sizeof derived);
}

PhSlice
structure_key_id(PhSlice sealed)
{
	if (sealed.length < BEFORE + TAG || sealed.length > MAX_STRUCTURE
	    || sealed.data[0] != VERSION)
		return PH_SLICE_EMPTY;
	return PH_SLICE(sealed.data + 1, KEY_ID);
}

bool
structure_open(PhSlice sealed,
               const Key *key,
               const char *address,
               const uint8_t *message_id,
               GByteArray *out)
{
	char bound[BEFORE + MESSAGE_ID];
	uint8_t derived[KEY];
	bool good = false;
	Box box;

	crypto_derive(key->key, "structure", address, PH_SLICE(sealed.data + 1 + KEY_ID, RANDOM),
	              derived);
	box = structure_box(derived, sealed.data, message_id, bound);
	(void) g_byte_array_set_size(out, (guint) sealed.length - BEFORE - TAG);
	good = crypto_open(&box, ph_slice_from(sealed, BEFORE), (char *) out->data);
	ph_secret_wipe(derived, sizeof derived);
	return good;
}
