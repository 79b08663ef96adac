/* prepare.h: user names and passwords as they are compared
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_LOGIN_PREPARE_H
#define PH_LOGIN_PREPARE_H

#include <posthorn/secret.h>

enum {
	PH_MAX_LOGIN_NAME = 320,
	PH_MAX_LOGIN_SECRET = 1024,
};

/* ph_prepare_name: the name in the form that directories are asked with: ASCII as it is, other
 * text in normal form KC (RFC 4013), without NUL and control characters, 1 to 320 octets.
 * Returns: (owned) NULL when it breaks these rules. Pure. */
char *ph_prepare_name(PhSlice name);

/* ph_prepare_secret: the same for a password, up to 1,024 octets; octets that are not UTF-8 stay as
 * they are, because stored hashes were made from them. NULL when empty, too long, or with NUL. */
PhSecret *ph_prepare_secret(PhSlice secret);

#endif
