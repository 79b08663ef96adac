/* ownership.h: what one process alone may have: the journal and the queue
 *
 * At a handover the old process lets go of both while its sessions go on: from then on their commits
 * are durable in the stores themselves, and mail for the queue lies beside it until the new process
 * takes it. The new process opens both, and defers commits only when it is alone: two processes must
 * never see what one of them has not made durable.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_SERVER_OWNERSHIP_H
#define PH_SERVER_OWNERSHIP_H

#include "journal/journal.h"
#include "server/generation.h"

typedef struct PhOwnership PhOwnership;

/* ph_ownership_new: nothing is owned yet. @runtime: (borrowed) its queue is set. @failed: see journal.h.
 * Thread: main, for all; blocks: on the disk. */
PhOwnership *ph_ownership_new(PhRuntime *runtime, void (*failed)(void *user_data), void *user_data);

/* ph_ownership_take: opens what is not open; waits some seconds for a process that ends. Errors:
 * TEMPORARY (everything is being let go of). ph_ownership_defer: no other process is there any more;
 * nothing happens while everything is being let go of. */
bool ph_ownership_take(PhOwnership *ownership, PhConfig *config, GError **error);
bool ph_ownership_defer(PhOwnership *ownership, const PhConfig *config, GError **error);

/* ph_ownership_yield: lets go of everything, on a thread of its own. @done: on the main loop; @why:
 * (nullable) NULL: another process may take it. Otherwise, and later when none did,
 * ph_ownership_take() takes back what was let go of. */
void ph_ownership_yield(PhOwnership *ownership, void (*done)(const char *why, void *user_data));

/* ph_ownership_tend: while another process is there, every moment: mail goes from the one that has
 * yielded to the one that has not. */
void ph_ownership_tend(PhOwnership *ownership);

/* ph_ownership_stop: letting go of everything ends, done or not; its @done is not called any more.
 * Before anything that the ownership uses is stopped. */
void ph_ownership_stop(PhOwnership *ownership);

/* ph_ownership_close: when nothing works any more. @ownership: (nullable). */
void ph_ownership_close(PhOwnership *ownership, const PhConfig *config);

#endif
