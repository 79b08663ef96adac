/* keyfile.h: a config file as sections and keys with their lines
 *
 * The syntax is GLib's: `[kind name]`, `key = value`, lines that begin with '#' are comments. Values
 * are taken as they stand, without blanks around them; there is no escape and no continuation.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_CONFIG_KEYFILE_H
#define POSTHORN_CONFIG_KEYFILE_H

#include "config/mistakes.h"

typedef struct {
	const char *key;
	const char *value;
	unsigned int line;
} PhKeyfileKey;

typedef struct {
	const char *kind; /* "listener" */
	const char *name; /* "" for none */
	unsigned int line;
	GArray *keys; /* of PhKeyfileKey */
} PhKeyfileSection;

typedef struct {
	GPtrArray *sections; /* of PhKeyfileSection, in the order of the file */
	GStringChunk *strings;
} PhKeyfile;

/* ph_keyfile_parse: never fails: what cannot be understood is a mistake and left out. The octets
 * may be anything. Returns: (owned). */
PhKeyfile *ph_keyfile_parse(PhSlice octets, PhMistakes *mistakes);

/* ph_keyfile_read: reads the file that @mistakes names. NULL when it cannot be read, which is a
 * mistake too. */
PhKeyfile *ph_keyfile_read(const char *path, PhMistakes *mistakes);

void ph_keyfile_free(PhKeyfile *keyfile);

/* ph_keyfile_key: NULL when the section does not have it. */
const PhKeyfileKey *ph_keyfile_key(const PhKeyfileSection *section, const char *key);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PhKeyfile, ph_keyfile_free)

#endif
