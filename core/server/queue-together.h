/* queue-together.h: one report for the recipients of a mail whose deliveries end together
 *
 * Recipients at several destinations are several deliveries, and without this several reports. A
 * job that has something to tell waits while others of its mail are under way, for a second at most;
 * then all that wait are told in one report.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_SERVER_QUEUE_TOGETHER_H
#define PH_SERVER_QUEUE_TOGETHER_H

#include "server/queue-job.h"

typedef struct PhQueueTogether PhQueueTogether;

PhQueueTogether *ph_queue_together_new(void);
void ph_queue_together_unref(PhQueueTogether *together);

/* ph_queue_together_tell: @job: (owned) has something to tell: sooner or later ph_queue_job_report() is
 * called for it, perhaps with other jobs in job->others. Thread: any. */
void ph_queue_together_tell(PhQueueTogether *together, PhQueueJob *job);

/* ph_queue_together_ended: a job of the mail @id has ended. Thread: any. */
void ph_queue_together_ended(PhQueueTogether *together, const char *id);

/* ph_queue_together_any: does somebody wait? ph_queue_together_stop: nobody does any more, and
 * nobody will: what they have to tell is told after their next attempt. */
bool ph_queue_together_any(PhQueueTogether *together);
void ph_queue_together_stop(PhQueueTogether *together);

#endif
