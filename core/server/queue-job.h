/* queue-job.h: one task of the queue on its way through routes, transports and reports
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_SERVER_QUEUE_JOB_H
#define PH_SERVER_QUEUE_JOB_H

#include "queue/report.h"
#include "server/queue-mail.h"
#include "server/queue-run.h"

/* PhQueueUsed: what a job works with; counted, kept until its last job has ended. */
typedef struct {
	gint refs;
	PhConfig *config;
	PhRouter *router;
	void *keeper;
	GDestroyNotify keeper_free;
} PhQueueUsed;

PhQueueUsed *ph_queue_used_ref(PhQueueUsed *used);
void ph_queue_used_unref(PhQueueUsed *used);

/* ph_queue_run_used: (owned, nullable) what jobs that begin now work with. */
PhQueueUsed *ph_queue_run_used(PhQueueRun *run);

/* PhQueueFate: what became of one recipient. */
typedef struct {
	uint32_t outcome; /* PhQueueOutcome */
	uint32_t action;  /* PhReportAction to tell the sender; 0: nothing */
	GError *error;    /* (owned, nullable) NULL: delivered */
	char *remote_mta; /* (owned, nullable) */
	char *reply;      /* (owned, nullable) */
	char *reason;     /* (owned, nullable) what the queue keeps */
	uint32_t not_before;
	uint32_t flags; /* PH_DELIVERED_* */
} PhQueueFate;

/* PhQueueJob: owned by whoever works on it. */
typedef struct {
	PhQueueRun *run;
	GPtrArray *
		others; /* (owned, nullable) jobs of the same mail that share its report and end with
	                    * it */
	PhQueueUsed *used;
	PhQueueTask *task;
	PhMail *mail;       /* (nullable) */
	PhMail *report;     /* (nullable) while it is submitted */
	bool to_postmaster; /* the report */
	bool answered;
	size_t n;
	PhQueueFate *fates;
	uint32_t *targets; /* recipient of each of the mail's targets */
} PhQueueJob;

/* ph_queue_job_choose: the actions that the sender has asked to be told of; what is too much for the
 * policy is taken out. */
void ph_queue_job_choose(PhQueueJob *job);

/* ph_queue_job_report: makes and submits the report, then ends the job. Blocks: on the disk. */
void ph_queue_job_report(PhQueueJob *job);

/* ph_queue_job_end: gives the results to the queue. @job: (owned). ph_queue_job_put_back: what it had to
 * tell was not told, so that what failed is tried once more. @job: (owned). */
void ph_queue_job_end(PhQueueJob *job);
void ph_queue_job_put_back(PhQueueJob *job);

#endif
