/* aliases.h: names that stand for other addresses, one a line: "name: address, address"
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PASSWD_FILE_ALIASES_H
#define PASSWD_FILE_ALIASES_H

#include <posthorn/slice.h>

/* aliases_parse: pure. '#' begins a comment line; a line that begins with a blank goes on with the
 * one before. Returns: (owned) a counted table, lower-case name to a NULL-terminated array. */
GHashTable *aliases_parse(PhSlice text);

/* aliases_find: NULL-terminated targets (borrowed), NULL when it is no alias. */
const char *const *aliases_find(GHashTable *aliases, PhSlice name);

#endif
