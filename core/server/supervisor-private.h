/* supervisor-private.h: the supervisor's inside, shared by its files
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_SERVER_SUPERVISOR_PRIVATE_H
#define PH_SERVER_SUPERVISOR_PRIVATE_H

#include "server/isolates.h"
#include "server/outline.h"
#include "server/process.h"
#include "server/supervisor-sockets.h"
#include "server/supervisor-worker.h"
#include "server/suspects.h"

#include <sys/stat.h>

typedef struct {
	pid_t pid; /* 0: none */
	int output;
	GString *text;
	uint64_t deadline_us;
} PhChecker;

typedef struct {
	const char *config;
	char *program;
	PhOutline *outline;
	PhOutline *checked;  /* read for the reload that is under way */
	struct stat read_as; /* the config file when it was read for that */
	PhSockets *sockets;
	GPtrArray *children; /* of PhChild: all that live */
	PhChild *current;    /* borrowed from children */
	PhChild *next;
	PhChecker checker;
	PhPrograms *programs;
	PhIsolates *isolates;
	PhSuspects suspects;
	int signals;
	int echo;       /* the ring of mailbox/echo.h */
	char *handover; /* why a new process is started */
	bool has_served;
	bool is_stopping;
	bool is_reloading;
	bool wants_reload; /* asked for while it could not begin */
	int exit_status;
	uint64_t yield_until_us; /* 0: `current` is not asked to let go of what it owns */
	uint64_t restart_at_us;  /* 0: no restart is due */
	uint64_t restart_delay_us;
	uint64_t kill_at_us; /* 0: nobody is to be killed */
	uint64_t ping_at_us;
	uint64_t program_at_us; /* 0: no program runs */
	uint64_t isolate_at_us; /* 0: no child is to be started */
} PhSupervisor;

/* ph_supervisor_start_next: a worker that is to take over, or to begin with.
 * ph_supervisor_send_sockets: all that are open. */
void ph_supervisor_start_next(PhSupervisor *s);
void ph_supervisor_send_sockets(PhSupervisor *s, PhChild *child);

/* supervisor-reload.c: ph_reload_begin: checks the config, and goes on from there; later when it cannot
 * begin now. ph_reload_read, ph_reload_checked: what the checker says; it has ended. ph_reload_finish:
 * tells who asked for it. ph_reload_hand_over: only a new process can use the config. */
void ph_reload_begin(PhSupervisor *s);
void ph_reload_read(PhSupervisor *s);
void ph_reload_checked(PhSupervisor *s, int status);
void ph_reload_finish(PhSupervisor *s, bool done, const char *text);
void ph_reload_hand_over(PhSupervisor *s, const char *why);

#endif
