/* process.h: both ends of running a program: the worker asks, the supervisor starts and watches
 *
 * The worker sends `run` with one end of a socket pair, which becomes the program's standard input
 * and output; the supervisor answers with `ended`. Only programs that a value of the config begins
 * with are started. At its deadline the whole process group is killed.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_SERVER_PROCESS_H
#define PH_SERVER_PROCESS_H

#include <posthorn/process.h>

#include "server/outline.h"

/* Answers that are no exit status. */
enum {
	PH_PROCESS_DENIED = 1000, /* the config does not name it */
	PH_PROCESS_FAILED = 1001  /* it could not be started */
};

/* --- the worker's end ------------------------------------------------------------------------- */

/* ph_process_open: programs can be asked for from now on, over this channel. Thread: load. */
void ph_process_open(int channel);

/* ph_process_ended: the supervisor said `ended` with this text. Thread: main. */
void ph_process_ended(const char *text);

/* PhKept: a program that is kept running. */
typedef struct {
	uint64_t id; /* 0: a connection, no program */
	int fd;      /* its standard input and output */
} PhKept;

/* ph_kept_start: Thread: any. Blocks: no. Errors: TEMPORARY. */
bool ph_kept_start(const char *const *argv, PhKept *child_out, GError **error);

/* ph_kept_end: its process group is killed. */
void ph_kept_end(PhKept *child);

/* ph_process_use_own: a tool without a supervisor starts such programs itself. Thread: load. */
void ph_process_use_own(void);

/* --- the supervisor's end --------------------------------------------------------------------- */

typedef struct PhPrograms PhPrograms;

PhPrograms *ph_programs_new(void);
void ph_programs_free(PhPrograms *programs);

/* ph_programs_start: what a worker asked for. @channel: (borrowed) where the answer goes.
 * @fd: (borrowed) the program's end of the socket pair. */
void ph_programs_start(PhPrograms *programs,
                       const PhOutline *outline,
                       int channel,
                       const char *text,
                       int fd);

/* ph_programs_ended: was it one of them? Then its worker is told. @status: of waitpid. */
bool ph_programs_ended(PhPrograms *programs, pid_t pid, int status);

/* ph_programs_kill_late: Returns: when to call it again, in us of the clock; 0: nothing runs. */
uint64_t ph_programs_kill_late(PhPrograms *programs, uint64_t now_us);

/* ph_programs_forget: the worker with this channel is gone: its programs are killed. */
void ph_programs_forget(PhPrograms *programs, int channel);

#endif
