/* delay.h: the least time between two sessions of one user
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_POP3_DELAY_H
#define POSTHORN_POP3_DELAY_H

#include <posthorn/types.h>

typedef struct Delay Delay;

/* delay_new: @least_us: 0: everybody may come at once. Returns: (owned). */
Delay *delay_new(int64_t least_us);
void delay_free(Delay *delay);

/* delay_admit: may the user open a maildrop at @now (us, monotonic)? Then it is noted. Thread:
 * any. */
bool delay_admit(Delay *delay, const char *user, int64_t now);

#endif
