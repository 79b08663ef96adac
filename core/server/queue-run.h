/* queue-run.h: the queue of a running server: its tasks go to the transports
 *
 * One for the process. Tasks use the newest generation; each delivery holds the one that it began
 * with until it has its results.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_SERVER_QUEUE_RUN_H
#define PH_SERVER_QUEUE_RUN_H

#include "config/config.h"
#include "net/net.h"
#include "queue/queue.h"
#include "server/router.h"

/* ph_queue_run_new: nothing is opened yet. @reactor: (nullable, borrowed) where tasks run. Returns:
 * (owned, nullable) NULL when the config needs no queue and none was left. */
PhQueueRun *ph_queue_run_new(const PhConfig *config, PhReactor *reactor);

/* ph_queue_run_take: opens the queue and reads what is there; again after ph_queue_run_yield().
 * Thread: main. Blocks: on the disk. */
bool ph_queue_run_take(PhQueueRun *run, const PhConfig *config, GError **error);

/* ph_queue_run_yield: another process will open the queue. No delivery is begun any more, and those
 * under way are waited for; what is left of them after @within the other process begins anew. What
 * is added from then on lies beside the queue until the other process takes it. False: the queue is
 * kept. @cancelled: (atomic) when it becomes true the queue is kept, and delivers nothing any more.
 * Thread: any, one at a time with the next. Blocks: yes.
 * ph_queue_run_turn: lets the other process have what was added since. ph_queue_run_adopt: that other
 * process: takes it. Both do nothing otherwise. Thread: main. */
bool ph_queue_run_yield(PhQueueRun *run, PhDuration within, gint *cancelled, GError **error);
void ph_queue_run_turn(PhQueueRun *run);
void ph_queue_run_adopt(PhQueueRun *run);

/* ph_queue_run_fits: can a process that runs with @old go on with @next? @run: (nullable). */
bool ph_queue_run_fits(const PhQueueRun *run, const PhConfig *old, const PhConfig *next);

/* ph_queue_run_use: from now on tasks use this. @keeper: (owned) what keeps the router's parts alive;
 * given back with @keeper_free. The first call begins the deliveries. Thread: main. */
typedef struct {
	PhConfig *config; /* referenced */
	PhRouter *router; /* referenced */
	void *keeper;
	GDestroyNotify keeper_free;
} PhQueueUse;

void ph_queue_run_use(PhQueueRun *run, const PhQueueUse *use);

/* ph_queue_run_stop: no more deliveries are begun, and the generation is let go of. */
void ph_queue_run_stop(PhQueueRun *run);
void ph_queue_run_close(PhQueueRun *run);

/* ph_queue_run_queue: (owned, nullable) as it is now. ph_queue_run_add: as ph_queue_add(), while the
 * queue may change owners. Thread: any. */
PhQueue *ph_queue_run_queue(PhQueueRun *run);
void ph_queue_run_add(PhQueueRun *run, const PhQueueNew *mail);

#endif
