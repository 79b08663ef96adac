/* encrypt.h: the inside of the encrypt store: keys, sealed octets, structures and values
 *
 * Three sorts of key, each 256 bits: master keys in a file; data keys of an account, wrapped by the
 * newest master key and kept as values of the account; and a key for each message, structure or value,
 * derived from a data key, the account's address and 128 random bits. So no nonce is ever used twice
 * under one key, whatever happens to counters, backups and copies of the account.
 *
 * A sealed message:
 *
 *	FF 00 50 48 45 4E 43 01   magic: no mail begins with it
 *	key id                    8 octets: which data key
 *	content id                16 random octets
 *	chunk bits, zeros         8 octets; today 16: chunks of 64 KiB
 *	chunks                    AES-256-GCM, each followed by its tag of 16 octets
 *
 * A chunk's nonce is its number and whether it is the last; the header is authenticated with each.
 * So chunks cannot be reordered, cut off, or taken from another message or account.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef STORE_ENCRYPT_H
#define STORE_ENCRYPT_H

#include <posthorn/below.h>
#include <posthorn/error.h>

#include <pthread.h>

enum {
	KEY = 32,
	KEY_ID = 8,
	TAG = 16,
	NONCE = 12,
	RANDOM = 16, /* of a content id, a salt */
	HEADER = 40,
	CHUNK_BITS = 16,
	CHUNK = 1 << CHUNK_BITS,
	MIN_CHUNK_BITS = 12, /* that a reader takes */
	MAX_CHUNK_BITS = 20,
	MADE = 8, /* when a key was made */
	WRAPPED_BEFORE =
		1 + KEY_ID + RANDOM + KEY + TAG, /* of version 1, which did not tell when */
	WRAPPED = WRAPPED_BEFORE + MADE,
};

/* What other programs and the core never see of an account's values. */
#define RESERVED_PREFIX ".encrypt/"

/* --- crypto.c ---------------------------------------------------------------------------------- */

/* Box: what seals or opens one run of octets. */
typedef struct {
	const uint8_t *key;
	uint8_t nonce[NONCE];
	PhSlice bound; /* authenticated besides */
} Box;

/* crypto_load: once in a process, before anything else. */
bool crypto_load(GError **error);

/* crypto_derive: HMAC-SHA256 over the use, the account's address and @random. */
void crypto_derive(const uint8_t *key,
                   const char *use,
                   const char *address,
                   PhSlice random,
                   uint8_t *key_out);

/* crypto_seal: @out has room for @plain and a tag. crypto_open: @out has room for @sealed without
 * its tag. Returns: false when the octets are not what was sealed. */
void crypto_seal(const Box *box, PhSlice plain, char *out);
bool crypto_open(const Box *box, PhSlice sealed, char *out);

/* --- keys.c: master keys, and data keys wrapped by them -------------------------------------------- */

typedef struct {
	uint8_t id[KEY_ID];
	uint8_t key[KEY];
	uint64_t made; /* seconds since 1970; 0: not known */
} Key;

typedef struct {
	Key *keys; /* the last one is the newest and wraps */
	size_t n;
	char *path; /* for messages */
} MasterKeys;

/* master_keys_read: a file with one key of 64 hexadecimal digits a line, the newest last, that
 * only its owner may read. */
bool master_keys_read(const char *path, MasterKeys *keys_out, GError **error);
void master_keys_clear(MasterKeys *keys);

/* master_keys_parse: the text of such a file. Pure. @line_out: (nullable) where it is wrong. */
bool master_keys_parse(PhSlice text, GArray *keys, unsigned *line_out);

/* key_wrap: @out: WRAPPED octets. key_unwrap: TEMPORARY when no master key of the file has wrapped
 * it, CORRUPT when it was altered or is another account's. */
void key_wrap(const MasterKeys *masters, const Key *key, const char *address, char *out);
bool key_unwrap(const MasterKeys *masters,
                PhSlice wrapped,
                const char *address,
                Key *key,
                GError **error);
bool key_is_wrapped_by_newest(const MasterKeys *masters, PhSlice wrapped);

/* --- sealed.c: messages --------------------------------------------------------------------------- */

/* Layout: where the chunks of a sealed message lie. */
typedef struct {
	uint64_t length; /* of the message */
	uint64_t n_chunks;
	uint32_t chunk_bits;
} Layout;

/* sealed_layout: @header: HEADER octets. Pure. Returns: false when nothing sealed has that length. */
bool sealed_layout(PhSlice header, uint64_t stored, Layout *layout_out);
bool sealed_is(PhSlice header);
PhSlice sealed_key_id(PhSlice header);

/* sealed_make: Returns: (owned) what to store; NULL when @content cannot be read. sealed_open:
 * Returns: (owned) the message; NULL with CORRUPT. @header: HEADER octets of @stored. */
PhContent *sealed_make(PhContent *content, const Key *key, const char *address, GError **error);
PhContent *sealed_open(PhContent *stored,
                       PhSlice header,
                       const Key *key,
                       const char *address,
                       GError **error);

/* --- structure.c: what the core keeps of a message's structure --------------------------------------- */

/* structure_seal: appends to @out. structure_open: sets @out; false when it is not ours or was
 * altered. Both are bound to the account and the message's id. */
void structure_seal(PhSlice plain,
                    const Key *key,
                    const char *address,
                    const uint8_t *message_id,
                    GByteArray *out);
PhSlice structure_key_id(PhSlice sealed);
bool structure_open(PhSlice sealed,
                    const Key *key,
                    const char *address,
                    const uint8_t *message_id,
                    GByteArray *out);

/* --- value.c: values of the account or of a mailbox ---------------------------------------------------- */

/* ValuePlace: where one stands. */
typedef struct {
	const PhMailboxId *mailbox; /* (nullable) NULL: of the account */
	const char *key;
} ValuePlace;

/* value_seal: appends to @out. value_open: sets @out; false when it was altered or is another's. @sealed: one
 * that value_is(). */
bool value_is(PhSlice sealed);
PhSlice value_key_id(PhSlice sealed);
void value_seal(PhSlice plain,
                const Key *key,
                const char *address,
                const ValuePlace *place,
                GByteArray *out);
bool value_open(PhSlice sealed,
                const Key *key,
                const char *address,
                const ValuePlace *place,
                GByteArray *out);

#endif
