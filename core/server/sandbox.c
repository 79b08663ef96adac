/* sandbox.c: what the worker process gives up before it hears its first client
 *
 * The supervisor has already dropped root and set no_new_privs; both are repeated here so that a
 * worker that was started by hand is no weaker.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "server/sandbox.h"

#include <sys/prctl.h>
#include <sys/resource.h>

void
ph_sandbox_enter(void)
{
	const struct rlimit none = { 0, 0 };

	(void) prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	(void) prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	(void) setrlimit(RLIMIT_CORE, &none);
}
