/* escape.h: names put into search filters and distinguished names
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef LDAP_ESCAPE_H
#define LDAP_ESCAPE_H

#include <posthorn/user.h>

typedef enum {
	ESCAPE_FILTER = 1, /* RFC 4515 section 3 */
	ESCAPE_DN = 2,     /* RFC 4514 section 2.4 */
} Escape;

/* escape_fill: @text with {user} (also {address}), {local}, {domain} and {dn} replaced by escaped values.
 * @dn: (nullable) Returns: (owned). */
char *escape_fill(const char *text, const PhUser *user, const char *dn, Escape escape);

#endif
