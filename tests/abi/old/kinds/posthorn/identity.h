/* identity.h: one user, as a directory describes them
 *
 * A directory makes an identity, the login service and the router carry it, a store opens the
 * user's account with it. It is immutable once made and counted.
 *
 * The canonical address is what everything is keyed by: the local part as the directory spells it
 * and the domain in lower case; a server without domains has an empty domain.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_IDENTITY_H
#define POSTHORN_IDENTITY_H

#include <posthorn/types.h>

G_BEGIN_DECLS

/* PhIdentityValues: what a directory knows. Hand it in with `size` set; everything is copied. */
typedef struct {
	size_t size;        /* sizeof(PhIdentityValues) */
	const char *user;   /* local part, UTF-8, 1 to 255 octets, no NUL, no control character */
	const char *domain; /* lower case, "" for none */
	const char *full_name; /* (nullable) for VRFY and people */
	const char *home;      /* (nullable) the {home} of templates */
	uint64_t quota_octets; /* 0: no limit */
	uint64_t quota_messages;
	const char *const *groups; /* (nullable) NULL-terminated */
	const char *const
		*attributes; /* (nullable) NULL-terminated pairs: name, value, name, ... */
} PhIdentityValues;

/* Thread: any, for all. */

/* ph_identity_new: Returns: (owned) one reference; NULL with PH_ERROR_INVALID when user or domain
 * break the rules above. */
PH_PUBLIC PhIdentity *ph_identity_new(const PhIdentityValues *values, GError **error);
PH_PUBLIC PhIdentity *ph_identity_ref(const PhIdentity *identity);
PH_PUBLIC void ph_identity_unref(PhIdentity *identity);

/* Getters: borrowed from the identity. ph_identity_address: "user@domain", or "user". */
PH_PUBLIC const char *ph_identity_user(const PhIdentity *identity);
PH_PUBLIC const char *ph_identity_domain(const PhIdentity *identity);
PH_PUBLIC const char *ph_identity_address(const PhIdentity *identity);
PH_PUBLIC const char *ph_identity_full_name(const PhIdentity *identity);
PH_PUBLIC const char *ph_identity_home(const PhIdentity *identity);
PH_PUBLIC uint64_t ph_identity_quota_octets(const PhIdentity *identity);
PH_PUBLIC uint64_t ph_identity_quota_messages(const PhIdentity *identity);
PH_PUBLIC const char *const *ph_identity_groups(const PhIdentity *identity);

/* ph_identity_attribute: value of a further attribute, or NULL. */
PH_PUBLIC const char *ph_identity_attribute(const PhIdentity *identity, const char *name);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PhIdentity, ph_identity_unref)

G_END_DECLS

#endif
