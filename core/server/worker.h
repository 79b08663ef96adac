/* worker.h: the process that serves clients
 *
 * Started by the supervisor (supervisor.h has the messages) with its channel as descriptor 3.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_SERVER_WORKER_H
#define PH_SERVER_WORKER_H

#include <posthorn/types.h>

/* ph_worker_run: serves until it is told to stop. @takes_over: another worker still has queue and
 * journal. Returns: the exit status. Thread: load. */
int ph_worker_run(const char *config, bool takes_over);

#endif
