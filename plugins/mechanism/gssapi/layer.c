/* layer.c: what is said inside of GSSAPI: security layers, and names of principals
 *
 * RFC 4752 section 3: one octet of layers, three of the largest message, then the authzid.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "layer.h"

#include <posthorn/slice.h>

enum {
	AUTHZID_MAX = 1024,
};

void
layer_offer(uint8_t octets[LAYER_OCTETS])
{
	octets[0] = LAYER_NONE;
	octets[1] = 0;
	octets[2] = 0;
	octets[3] = 0;
}

char *
layer_choice(PhSlice octets)
{
	PhSlice authzid = ph_slice_from(octets, LAYER_OCTETS);

	if (octets.length < LAYER_OCTETS || octets.data[0] != LAYER_NONE)
		return NULL;
	if (authzid.length > AUTHZID_MAX || !ph_slice_is_utf8(authzid))
		return NULL;
	return ph_slice_dup(authzid);
}

static bool
is_realm(PhSlice realm, const PrincipalRules *rules)
{
	if (rules->realms == NULL)
		return realm.length > 0;
	for (size_t i = 0; rules->realms[i] != NULL; i++)
		if (ph_slice_is(realm, rules->realms[i]))
			return true;
	return false;
}

char *
principal_user(PhSlice principal, const PrincipalRules *rules)
{
	PhSlice realm = principal;
	PhSlice name = ph_slice_split(&realm, '@');
	g_autofree char *domain = NULL;

	if (name.length == 0 || !is_realm(realm, rules) || !ph_slice_is_utf8(principal)
	    || ph_slice_find(principal, '/') >= 0 || ph_slice_find(principal, '\\') >= 0
	    || ph_slice_find(realm, '@') >= 0)
		return NULL;
	if (!rules->with_realm)
		return ph_slice_dup(name);
	domain = g_ascii_strdown(realm.data, (gssize) realm.length);
	return g_strdup_printf("%.*s@%s", (int) name.length, name.data, domain);
}
