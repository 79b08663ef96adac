/* pool.h: copies of a program, or connections, that answer one question at a time
 *
 * Each copy is a client session of the core, so whoever waits for an answer holds no thread. A
 * question goes to a copy that is idle, else to a new one, else it waits in turn. One that is late,
 * says too much, or says something unasked is ended; the next question begins another.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef EXEC_POOL_H
#define EXEC_POOL_H

#include <posthorn/filter.h>

enum {
	POOL_ANSWER_MAX = 64 * 1024,           /* octets of an answer */
	POOL_WAITING_OCTETS = 64 * 1024 * 1024 /* of questions that wait for a copy */
};

typedef struct Pool Pool;

/* PoolState: of one session; the question that it waits for. */
typedef struct PoolState PoolState;

typedef struct {
	const char *command; /* an absolute path and words, unix:/path, tcp:127.0.0.1:PORT */
	uint32_t copies;     /* most at once */
	PhDuration answer_timeout;
} PoolOptions;

/* pool_new: begins nothing yet; @options: copied. Errors: INVALID for a command that is none. */
Pool *pool_new(const PoolOptions *options, GError **error);

/* pool_end: no more questions. */
void pool_end(Pool *pool);

PoolState *pool_state_new(Pool *pool);
void pool_state_free(PoolState *state);

/* pool_ask: parks @question, and answers it when it can. @line: (owned) without its end. */
void pool_ask(PoolState *state, PhFilterQuestion *question, GString *line);

/* pool_cancel: nobody waits for the answer. Thread: any. */
void pool_cancel(PoolState *state);

#endif
