/* jobs.h: `posthorn store ...` inside the server, each on a thread of its own
 *
 * A job writes lines to its client's socket: a letter (PhJobChannel) and the text; the last one is
 * 'x' and the exit status. A client that goes away cancels its job.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_SERVER_JOBS_H
#define PH_SERVER_JOBS_H

#include "server/generation.h"

typedef struct PhJobs PhJobs;

PhJobs *ph_jobs_new(void);

/* ph_jobs_start: @request: the line that the client sent. @fd: (owned) its socket. @stream: (owned)
 * -1 when none came. Thread: main. Never blocks. */
void ph_jobs_start(PhJobs *jobs, PhGeneration *generation, PhSlice request, int fd, int stream);

/* ph_jobs_retain: looks after the retention of every store whose interval has passed, when that does
 * not run already. Thread: main. Never blocks. */
void ph_jobs_retain(PhJobs *jobs, PhGeneration *generation);

/* ph_jobs_free: cancels what runs and waits for it, but not for ever: false when something did not
 * end. Thread: main. Blocks: up to @within. */
bool ph_jobs_free(PhJobs *jobs, PhDuration within);

#endif
