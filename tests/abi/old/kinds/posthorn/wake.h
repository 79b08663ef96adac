/* wake.h: the right to resume a parked session, once
 *
 * A session callback that must wait for something takes a wake with ph_session_park(), hands it to
 * whoever will finish the work, and returns PH_WAIT. The session then holds no thread. Whoever
 * holds the wake completes it exactly once, from any thread, even after the session died; the
 * session's `resumed` callback follows. A wake completed before the callback has returned is not
 * lost. Dropping a wake without completing it is a bug: the session would wait for its deadline.
 *
 * The same object serves core operations that have no session (tests, control commands):
 * ph_wake_new_func() makes one that calls a function instead.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_WAKE_H
#define POSTHORN_WAKE_H

#include <posthorn/types.h>

G_BEGIN_DECLS

/* ph_wake_complete: the work is done, well or badly. @wake: (owned) gone afterwards.
 * Thread: any. Never blocks, never calls back into a plugin from the caller's stack. */
PH_PUBLIC void ph_wake_complete(PhWake *wake);

/* PhWakeFunc: called once by ph_wake_complete on the completer's thread; must be short. */
typedef void (*PhWakeFunc)(void *user_data);

/* ph_wake_new_func: Returns: (owned). Thread: any. */
PH_PUBLIC PhWake *ph_wake_new_func(PhWakeFunc func, void *user_data);

G_END_DECLS

#endif
