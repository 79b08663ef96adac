/* secret.h: octets that are wiped when they are no longer needed
 *
 * Passwords, tokens and keys live in a PhSecret from the moment they are decoded. The log has no
 * way to print one. Wiping cannot be optimised away.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_SECRET_H
#define POSTHORN_SECRET_H

#include <posthorn/options.h>

G_BEGIN_DECLS

/* Thread: any, for all; one secret is not changed after it was made. */

/* ph_secret_new: copies the octets; they may hold NUL. Returns: (owned). */
PH_PUBLIC PhSecret *ph_secret_new(PhSlice octets);

/* ph_secret_free: wipes and frees. @secret: (owned, nullable). */
PH_PUBLIC void ph_secret_free(PhSecret *secret);

/* ph_secret_slice: the octets (borrowed from the secret). A NUL stands behind them. */
PH_PUBLIC PhSlice ph_secret_slice(const PhSecret *secret);

/* ph_secret_equal: in time that depends on the lengths only. */
PH_PUBLIC bool ph_secret_equal(PhSlice a, PhSlice b);

/* ph_secret_wipe: overwrites @n octets at @memory. */
PH_PUBLIC void ph_secret_wipe(void *memory, size_t n);

/* ph_secret_random: fills @n octets from the operating system's generator. Never fails. */
PH_PUBLIC void ph_secret_random(void *memory, size_t n);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PhSecret, ph_secret_free)

G_END_DECLS

#endif
