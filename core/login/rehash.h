/* rehash.h: stores a password anew, in the scheme that its section prefers
 *
 * Whoever verifies a password does it with ph_password_verify() on the thread that was asked: the
 * scheme that matched is noted there.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_LOGIN_REHASH_H
#define PH_LOGIN_REHASH_H

#include <posthorn/directory.h>

/* ph_rehash_note: a stored form of @scheme fitted; NULL forgets. Thread: any, for itself. */
void ph_rehash_note(const char *scheme, const char *form);

/* ph_rehash: after a login with @secret: changes what is stored when the section has `rehash`, the
 * directory can, and the form was of another scheme. A failure is logged and nothing else. */
void ph_rehash(PhSection *section, const PhIdentity *identity, const PhSecret *secret);

#endif
