/* sandbox.h: what the worker process gives up before it hears its first client
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_SERVER_SANDBOX_H
#define PH_SERVER_SANDBOX_H

#include <posthorn/types.h>

/* ph_sandbox_enter: no new privileges, no core dumps, no reading of its memory by others. Called
 * when all plugins are loaded and before the reactor starts. Thread: load. */
void ph_sandbox_enter(void);

#endif
