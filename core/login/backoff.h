/* backoff.h: how long a failed login waits for its answer, by address and by user
 *
 * One table serves all protocols of the process. Thread: any, for all functions.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_LOGIN_BACKOFF_H
#define PH_LOGIN_BACKOFF_H

#include <posthorn/types.h>

typedef struct PhBackoff PhBackoff;

/* ph_backoff_new: @first: after the first failure; each further one within @memory doubles it, up
 * to @longest. Returns: (owned). */
PhBackoff *ph_backoff_new(PhDuration first, PhDuration longest, PhDuration memory);
void ph_backoff_free(PhBackoff *backoff);

/* ph_backoff_failed: notes a failure and says how long its answer must wait: the longer of the
 * address's and the user's. @user: (borrowed, nullable). */
PhDuration ph_backoff_failed(PhBackoff *backoff,
                             const char *peer,
                             const char *user,
                             uint64_t now_us);

/* ph_backoff_succeeded: forgets the user's failures; the address keeps its own, because one valid
 * account must not pay for guessing at others. */
void ph_backoff_succeeded(PhBackoff *backoff, const char *user);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PhBackoff, ph_backoff_free)

#endif
