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

/* ph_queue_run_open: reads what is there. @run_out: (owned, nullable) NULL when the config needs no
 * queue and none was left. @reactor: (nullable, borrowed) where tasks run. Thread: main. Blocks: on
 * the disk. */
bool ph_queue_run_open(const PhConfig *config,
                       PhReactor *reactor,
                       PhQueueRun **run_out,
                       GError **error);

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

/* ph_queue_report_success: tells the sender of a mail that was delivered at once, if it asked for that.
 * Thread: any. Never blocks. */
void ph_queue_report_success(PhMail *mail);

/* ph_queue_run_queue: (borrowed). */
PhQueue *ph_queue_run_queue(PhQueueRun *run);

#endif
