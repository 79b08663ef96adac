/* workers.h: the threads that run sessions, and the one queue they share
 *
 * The pool knows nothing of epoll: its owner gives it a function that polls, and one that rouses a
 * thread from polling. A thread that has nothing in the queue polls; so the thread that gets a
 * report runs the session itself, without handing it on.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_NET_WORKERS_H
#define PH_NET_WORKERS_H

#include "net/output.h"
#include "net/slot.h"

typedef struct PhWorkers PhWorkers;

typedef struct {
	unsigned processors;
	unsigned max_threads;
	void *owner;
	/* poll: waits at most @timeout_ms (-1: for ever) and runs what is reported. When that is
	 * not 0 it calls ph_workers_polled() as soon as the waiting is over. */
	void (*poll)(void *owner, PhScratch *scratch, int timeout_ms);
	/* rouse: makes one thread return from poll. */
	void (*rouse)(void *owner);
	/* has_reports: would poll report something at once? */
	bool (*has_reports)(void *owner);
} PhWorkersParams;

PhWorkers *ph_workers_new(const PhWorkersParams *params);
bool ph_workers_start(PhWorkers *workers, GError **error);

/* ph_workers_stop: threads end when their work at hand is done. false: some had not ended at
 * @until_us. Then nothing may be freed. */
bool ph_workers_stop(PhWorkers *workers, int64_t until_us);
void ph_workers_free(PhWorkers *workers);

/* For the owner's poll. polled: Returns: true when now no thread polls and waits any more. roused:
 * the report of `rouse` has come. */
bool ph_workers_polled(PhWorkers *workers);
void ph_workers_roused(PhWorkers *workers);

/* ph_workers_push: into the queue. Thread: any. */
void ph_workers_push(PhWorkers *workers, PhReady *ready);

/* ph_workers_push_job: the same for a function. Thread: any. */
void ph_workers_push_job(PhWorkers *workers, void (*func)(void *), void *user_data);

/* ph_workers_look_after: the rule by which the pool grows; called every 2 ms while
 * ph_workers_is_busy(). Thread: one. */
void ph_workers_look_after(PhWorkers *workers, int64_t now_us);

/* ph_workers_is_busy: no thread polls and waits: somebody has to look. Thread: any. */
bool ph_workers_is_busy(const PhWorkers *workers);

unsigned ph_workers_count(const PhWorkers *workers);
unsigned ph_workers_limit(const PhWorkers *workers);

#endif
