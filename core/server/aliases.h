/* aliases.h: a file of names that stand for other addresses, read again when it has changed
 *
 * The form of aliases(5) without programs and files:
 *
 *	# comment
 *	sales: ann, bob@example.net
 *	  , :include:more-sales.txt
 *	@example.com: catcher
 *
 * A name is a local part, which counts in every domain of the route, an address, or "@domain" for
 * all of a domain's names that nobody has. Names are compared without ASCII case. An included file
 * lies in the folder of the file or has an absolute path; it is read whenever it is needed, one
 * address or more a line.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_SERVER_ALIASES_H
#define PH_SERVER_ALIASES_H

#include <posthorn/directory.h>

typedef struct PhAliases PhAliases;

/* ph_aliases_open: reads the file. Errors: with the line of the first mistake. Thread: load. */
PhAliases *ph_aliases_open(PhSection *section, const char *path, GError **error);
void ph_aliases_free(PhAliases *aliases);

/* ph_aliases_expand: what @address stands for, as PhDirectory.expand says; an entry for the address
 * goes before one for its local part. Thread: worker. Blocks: on the disk. */
PhVerify ph_aliases_expand(PhAliases *aliases,
                           const char *address,
                           PhListFunc func,
                           void *user_data,
                           GError **error);

/* ph_aliases_rest: the same for "@domain" of the address. */
PhVerify ph_aliases_rest(PhAliases *aliases,
                         const char *address,
                         PhListFunc func,
                         void *user_data,
                         GError **error);

const char *ph_aliases_path(const PhAliases *aliases);

/* ph_aliases_parse: lower-case name to a NULL-terminated array of members. Pure. Errors: INVALID
 * with the line. Returns: (owned) a counted table. */
GHashTable *ph_aliases_parse(PhSlice text, GError **error);

#endif
