/* supervisor.h: the process that opens the ports and keeps a worker process alive
 *
 * Single-threaded, without plugins, TLS or anything that a client said. It starts the worker (which
 * checks the config before any socket is opened), hands it the listening sockets, starts it again
 * when it dies, has a new config checked in a fresh process before a reload, and ends everything
 * within the grace time.
 *
 * Messages, supervisor to worker:
 *	attempts + fd                                      the table of base/attempt.h, at once
 *	echo + fd                                          the ring of mailbox/echo.h, at once
 *	listener NAME\nADDRESS + fd, control + fd, go      the sockets, then: start
 *	reload                                             build a new generation (sockets came before)
 *	result TEXT                                        of a reload asked for by `reload`
 *	alone                                              no other worker is there (any more)
 *	yield                                              let go of journal and queue
 *	resume                                             take them back: the other worker has died
 *	drain                                              replaced: end when the sessions end, or
 *	                                                   after `drain`
 *	stop                                               end within seconds
 *	ended ID STATUS                                    of a program
 *	isolated ID INDEX PID + fd                         a child of `isolate` was started
 *	ping
 * Worker to supervisor:
 *	loaded                                             the config is good: sockets, please
 *	ready, reloaded TEXT, failed TEXT, handover TEXT   answers to go and reload
 *	yielded, kept TEXT                                 answers to yield
 *	reload, stop                                       asked for on the control socket
 *	run REQUEST + fd                                   start a program (process.h)
 *	isolate ID N ROOT SECTION                          start N children of a section (isolates.h)
 *	isolate-kill ID PID, isolate-end ID                end one of them, all of them
 *	pong
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_SERVER_SUPERVISOR_H
#define PH_SERVER_SUPERVISOR_H

#include <posthorn/types.h>

enum {
	/* PH_WORKER_BAD_CONFIG: a worker's exit status: mistakes were written to standard error. */
	PH_WORKER_BAD_CONFIG = 78
};

/* ph_supervisor_run: serves until SIGTERM or SIGINT. @config: path as given. Returns: the exit
 * status of the program. Thread: load (the process's only one). */
int ph_supervisor_run(const char *config);

#endif
