/* partial.h: remembers which recipients already have a message whose sender was told to try again
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_SERVER_PARTIAL_H
#define PH_SERVER_PARTIAL_H

#include <posthorn/content.h>

#define PH_PARTIAL_MAX 20000 /* recipients remembered at a time */

typedef struct PhPartial PhPartial;

/* PhPartialKind: what is known of a recipient. */
typedef enum {
	PH_PARTIAL_SERVED = 1,    /* has the message durably */
	PH_PARTIAL_UNCERTAIN = 2, /* may have it: commit again with the same transaction id */
	PH_PARTIAL_FORGOTTEN = 3, /* only in the file: an earlier record no longer holds */
} PhPartialKind;

/* PhPartialEntry: one recipient of one message. */
typedef struct {
	uint8_t key[32];
	uint8_t transaction[16];
	uint32_t hint; /* of sender and length: see ph_partial_hint() */
	uint32_t kind; /* PhPartialKind */
} PhPartialEntry;

/* ph_partial_open: reads what is there. @folder: the data directory. Thread: load. Blocks: on the
 * disk. A file that is damaged is used up to the damage. */
PhPartial *ph_partial_open(const char *folder, GError **error);
void ph_partial_free(PhPartial *partial);

/* ph_partial_hint: a cheap first key. ph_partial_expects: is anything remembered under it? Almost
 * always false, and then nothing needs to be hashed. Thread: any. */
uint32_t ph_partial_hint(const char *sender, uint64_t octets);
bool ph_partial_expects(PhPartial *partial, uint32_t hint);

/* ph_partial_digest: of sender and all octets; ph_partial_key: of that and a recipient. */
bool ph_partial_digest(const char *sender, PhContent *content, uint8_t *digest_out, GError **error);
void ph_partial_key(const uint8_t *digest, const char *recipient, uint8_t *key_out);

/* ph_partial_find: fills in kind and transaction of @entry by its key. Thread: any. */
bool ph_partial_find(PhPartial *partial, PhPartialEntry *entry);

/* ph_partial_remember: durable on return. An entry of kind FORGOTTEN removes. Thread: any.
 * Blocks: on the disk. Errors: LIMIT when too many are remembered; TEMPORARY. */
bool ph_partial_remember(PhPartial *partial,
                         const PhPartialEntry *entries,
                         size_t n,
                         GError **error);

#endif
