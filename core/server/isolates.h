/* isolates.h: the supervisor's end of isolated plugins: starts their processes, anew if need be
 *
 * A worker asks for the children of a section of its config. What they read is the supervisor's own
 * copy of [server] and that section, so that a worker that was taken over cannot say what they run.
 * They belong to the worker and go when it goes.
 *
 * Thread: main (the supervisor has no other).
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_SERVER_ISOLATES_H
#define PH_SERVER_ISOLATES_H

#include "server/outline.h"

#include <sys/types.h>

typedef struct PhIsolates PhIsolates;

PhIsolates *ph_isolates_new(const char *program);
void ph_isolates_free(PhIsolates *isolates);

/* ph_isolates_start: a worker said `isolate` with this text. @channel: (borrowed) where its children
 * are told. */
void ph_isolates_start(PhIsolates *isolates,
                       const PhOutline *outline,
                       int channel,
                       const char *text);

/* ph_isolates_kill, ph_isolates_end: it said `isolate-kill` or `isolate-end`. */
void ph_isolates_kill(PhIsolates *isolates, int channel, const char *text);
void ph_isolates_end(PhIsolates *isolates, int channel, const char *text);

typedef enum {
	PH_ISOLATES_NOT_OURS = 0,
	PH_ISOLATES_ENDED = 1,   /* another is started when its time has come */
	PH_ISOLATES_REFUSED = 2, /* so it is, but the plugin cannot be used as it is configured */
} PhIsolatesEnd;

/* ph_isolates_ended: was it one of them? @status: of waitpid. */
PhIsolatesEnd ph_isolates_ended(PhIsolates *isolates, pid_t pid, int status);

/* ph_isolates_tend: starts those whose time has come. Returns: when to call it again, in us of the
 * clock; 0: when there is a reason. */
uint64_t ph_isolates_tend(PhIsolates *isolates, uint64_t now_us);

/* ph_isolates_forget: the worker with this channel is gone: its children are killed. */
void ph_isolates_forget(PhIsolates *isolates, int channel);

#endif
