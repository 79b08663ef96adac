/* bind.h: option rows and the keys of a section into a settings struct
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_CONFIG_BIND_H
#define POSTHORN_CONFIG_BIND_H

#include "config/keyfile.h"
#include "config/options.h"

/* PhBinding: one struct to fill. */
typedef struct {
	const PhOption *rows;         /* ended by a NULL key */
	const PhKeyfileSection *keys; /* (nullable) none: defaults only */
	const char *title;            /* "[listener imap]", for mistakes */
	unsigned int line;            /* where a missing key is told; 0: nowhere */
	PhMistakes *mistakes;
	/* row_done: (nullable) called after each row, so that later rows may refer to earlier. */
	void (*row_done)(const PhOption *row, const void *settings, void *user_data);
	void *user_data;
} PhBinding;

/* ph_bind_check: do the rows make sense: keys and help there, members inside the struct and of the
 * type's size, none on top of another, defaults that parse? What the compiler cannot check in
 * somebody else's plugin. */
bool ph_bind_check(const PhOption *rows, GError **error);

/* ph_bind: a new settings struct: (owned) ph_bind_free() it with the same rows. Whatever is wrong
 * becomes a mistake and leaves its member zero. Never NULL. Keys that no row knows are not
 * looked at. */
void *ph_bind(const PhBinding *binding, const PhOptionContext *context);
void ph_bind_free(const PhOption *rows, void *settings);

/* ph_bind_find: the row for a key as written in a file ('-'), NULL when there is none. */
const PhOption *ph_bind_find(const PhOption *rows, const char *key);

/* ph_bind_needs_keys: is any row required? */
bool ph_bind_needs_keys(const PhOption *rows);

#endif
