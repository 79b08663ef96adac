/* directories.h: the conformance kit of directories
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_CONFORM_DIRECTORIES_H
#define POSTHORN_CONFORM_DIRECTORIES_H

#include <posthorn/directory.h>
#include <posthorn/error.h>

#include "conform/conform.h"

extern const PhConformRule *const ph_conform_directory_themes[];

/* PhConformDirectory: the section under test. Copied. */
typedef struct {
	const PhDirectory *table;
	void *instance;
	const char *user;     /* who is there */
	const char *password; /* (nullable) then no password is tried */
	bool may_change;      /* users may be added and removed */
	/* asks by `begin` and waits. @password: (nullable) a lookup. */
	PhVerify (*ask)(const char *user, const char *password);
} PhConformDirectory;

/* ph_conform_directory_part: like ph_conform_part, for "rule" alone. */
int ph_conform_directory_part(const PhConformDirectory *directory,
                              int report,
                              const char *const *role);

#endif
