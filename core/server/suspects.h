/* suspects.h: what was under way when worker processes crashed, in the supervisor's memory
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_SERVER_SUSPECTS_H
#define PH_SERVER_SUSPECTS_H

#include "base/attempt.h"

typedef struct {
	PhAttemptNote notes[PH_ATTEMPT_HELD_MAX];
	size_t n;
} PhSuspects;

/* ph_suspects_add: a worker with this table died by that signal; logs what is held from now on. */
void ph_suspects_add(PhSuspects *suspects, const PhAttemptTable *table, int fatal_signal);

/* ph_suspects_hold: tells a worker's table what is held. */
void ph_suspects_hold(const PhSuspects *suspects, PhAttemptTable *table);

/* ph_suspects_release: forgets all. Returns: how many were held. */
size_t ph_suspects_release(PhSuspects *suspects);

#endif
