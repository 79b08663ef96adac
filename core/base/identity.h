/* identity.h: what only the core does with an identity
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_BASE_IDENTITY_H
#define POSTHORN_BASE_IDENTITY_H

#include <posthorn/identity.h>

/* ph_identity_with_quota: the same user with other limits. Returns: (owned). */
PhIdentity *ph_identity_with_quota(const PhIdentity *identity, uint64_t octets, uint64_t messages);

/* ph_identity_attributes: all of them as name, value, ...; NULL when there are none. Borrowed. */
const char *const *ph_identity_attributes(const PhIdentity *identity);

#endif
