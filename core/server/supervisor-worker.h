/* supervisor-worker.h: one worker process, from its start to its death
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_SERVER_SUPERVISOR_WORKER_H
#define PH_SERVER_SUPERVISOR_WORKER_H

#include "base/attempt.h"
#include "server/outline.h"
#include "server/process-spawn.h"

typedef enum {
	PH_CHILD_LOADING = 0,  /* reads its config */
	PH_CHILD_OPENING = 1,  /* has its sockets */
	PH_CHILD_READY = 2,    /* serves */
	PH_CHILD_DRAINING = 3, /* replaced by another: ends when its sessions end */
} PhChildState;

typedef struct {
	pid_t pid;
	int channel;
	bool is_deaf;   /* its end of the channel is closed */
	uint32_t state; /* PhChildState */
	uint64_t started_us;
	PhAttemptTable *attempts; /* (owned, nullable) */
} PhChild;

/* ph_child_start: a worker for the config at @outline's path. @takes_over: another one owns queue and
 * journal as long as it has not let go of them. Returns: (owned). */
PhChild *ph_child_start(const char *program,
                        const PhOutline *outline,
                        bool takes_over,
                        GError **error);

/* ph_child_free: closes the channel; the process itself must be gone. */
void ph_child_free(PhChild *child);

/* ph_child_send: kills the process when it does not take the message: it hangs or is dead. */
void ph_child_send(PhChild *child, const char *verb, const char *text, int fd);

/* ph_child_fate: how a process ended, in words: "killed by signal 9 (Killed)". @status: of
 * waitpid. Returns: (owned). */
char *ph_child_fate(int status);

/* ph_checker_start: `posthorn check` on the same file, its output into *@output_out. */
pid_t ph_checker_start(const char *program,
                       const PhOutline *outline,
                       int *output_out,
                       GError **error);

#endif
