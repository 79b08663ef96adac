/* layer.h: what is said inside of GSSAPI: security layers, and names of principals
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef GSSAPI_LAYER_H
#define GSSAPI_LAYER_H

#include <posthorn/types.h>

enum {
	LAYER_NONE = 1, /* no security layer: TLS is there for that */
	LAYER_OCTETS = 4,
};

/* layer_offer: what the server sends: no layer, and no room for any (RFC 4752 section 3.2). */
void layer_offer(uint8_t octets[LAYER_OCTETS]);

/* layer_choice: what the client chose: the authzid, "" for none. Returns: (owned) NULL when it is
 * malformed or chose a layer. Pure. */
char *layer_choice(PhSlice octets);

/* PrincipalRules: how a principal becomes a user. */
typedef struct {
	const char *const *realms; /* (nullable) only these */
	bool with_realm;           /* "anna@example.org" of anna@EXAMPLE.ORG, else "anna" */
} PrincipalRules;

/* principal_user: of "anna@EXAMPLE.ORG". Returns: (owned) NULL when it is no user: of another realm, or
 * with a '/' (an instance: a service or an administrator) or an escape. Pure. */
char *principal_user(PhSlice principal, const PrincipalRules *rules);

#endif
