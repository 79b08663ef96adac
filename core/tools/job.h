/* job.h: one run of `posthorn store ...`: what is wanted, of whom, and who is told
 *
 * The same code runs in the server, on a thread of its own for each job, and in the command when
 * no server runs. A job works on one user after the other; what fails for one is told and the next
 * one's turn comes.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_TOOLS_JOB_H
#define PH_TOOLS_JOB_H

#include <posthorn/error.h>
#include <posthorn/identity.h>

#include "config/config.h"
#include "mailbox/account.h"

/* PhJobFlags: switches of the command line. */
enum {
	PH_JOB_ALL = 1U << 0,      /* every user that the directories list */
	PH_JOB_JSON = 1U << 1,     /* stats: as JSON */
	PH_JOB_RESTORED = 1U << 2, /* check: raise uids and changes by a large step */
	PH_JOB_COPY = 1U << 3,     /* convert: without the switch at the end */
	PH_JOB_ONLINE = 1U << 4,   /* inside the server */
};

/* PhJobChannel: where a line belongs. */
typedef enum {
	PH_JOB_OUT = 'o',      /* a result */
	PH_JOB_NOTE = 'n',     /* beside results that are a file */
	PH_JOB_ERROR = 'e',    /* what went wrong */
	PH_JOB_PROGRESS = 'p', /* how far it is; the next one replaces it on a terminal */
} PhJobChannel;

/* PhJobRequest: everything is borrowed. */
typedef struct {
	const char *tool;    /* "check" */
	const char *section; /* name of a [store] */
	const char *to;      /* (nullable) of another one */
	const char *user;    /* (nullable) */
	uint32_t flags;      /* PH_JOB_* */
	int stream;          /* export: written; import: read; else -1. The caller closes it */
} PhJobRequest;

/* PhJobSink: who listens. Thread: the job's. */
typedef struct {
	void (*line)(uint32_t channel, const char *text, void *user_data);
	bool (*is_cancelled)(void *user_data); /* asked often */
	void *user_data;
} PhJobSink;

/* PhJob: one run. */
typedef struct {
	PhConfig *config;
	const PhJobRequest *request;
	const PhJobSink *sink;
	PhSection *section;
	PhSection *to; /* (nullable) */
	uint32_t n_users;
	uint32_t n_findings;
	uint32_t n_failed;
	uint64_t progress_us; /* when it was told last */
	void *data;           /* the tool's */
} PhJob;

/* ph_job_run: @config: its instances are created; outlives the call. Returns: an exit status:
 * 0 done, 1 failed or something was found, 75 try again later. Thread: one of its own. */
int ph_job_run(PhConfig *config, const PhJobRequest *request, const PhJobSink *sink);

/* --- for the tools --- */

typedef bool (*PhJobUserFunc)(PhJob *job, const PhIdentity *identity, GError **error);

void ph_job_print(PhJob *job, uint32_t channel, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* ph_job_progress: is it time to say something again? */
bool ph_job_progress(PhJob *job);

/* ph_job_go_on: false with TEMPORARY when the job was cancelled. */
bool ph_job_go_on(PhJob *job, GError **error);

/* users.c: ph_job_each_user: the one that is named, or all that the directories behind the store
 * list. An error of @func is told and counted; one of the listing is returned. */
bool ph_job_each_user(PhJob *job, PhJobUserFunc func, GError **error);

/* The tools, one each. */
bool ph_job_check(PhJob *job, GError **error);
bool ph_job_repair(PhJob *job, GError **error);
bool ph_job_compact(PhJob *job, GError **error);
bool ph_job_sync(PhJob *job, GError **error);
bool ph_job_stats(PhJob *job, GError **error);
bool ph_job_convert(PhJob *job, GError **error);
bool ph_job_retain(PhJob *job, GError **error);

/* ph_retain_account: follows "Trash 30d" and the like for one account. */
bool ph_retain_account(PhJob *job, PhAccount *account, const char *const *rules, GError **error);
bool ph_job_export(PhJob *job, GError **error);
bool ph_job_import(PhJob *job, GError **error);

#endif
