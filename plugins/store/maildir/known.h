/* known.h: which uid has a file's name
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef STORE_MAILDIR_KNOWN_H
#define STORE_MAILDIR_KNOWN_H

#include <posthorn/slice.h>

typedef struct Known Known;

uint64_t known_hash(PhSlice name);

/* known_new: room for @n names. known_find: 0: not there. */
Known *known_new(size_t n);
void known_free(Known *known);
void known_add(Known *known, uint64_t hash, uint32_t uid);
bool known_is_full(const Known *known);
uint32_t known_find(const Known *known, uint64_t hash);

#endif
