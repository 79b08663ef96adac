/* worker-shared.c: see worker-shared.h
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "server/worker-shared.h"

#include <posthorn/log.h>

#include "base/attempt.h"
#include "mailbox/echo.h"

void
ph_worker_share_attempts(PhChannelMessage *message)
{
	g_autoptr(GError) error = NULL;
	int fd = message->fd;

	message->fd = -1;
	if (fd >= 0 && !ph_attempt_use_table(fd, &error))
		ph_log(PH_LOG_WARNING, "attempts-failed",
		       "what crashes this process will not be held", PH_LOG_FAILURE(error),
		       PH_LOG_END);
}

void
ph_worker_share_echo(const PhChannelMessage *message)
{
	g_autoptr(GError) error = NULL;

	if (message->fd >= 0 && !ph_echo_use(message->fd, &error))
		ph_log(PH_LOG_WARNING, "echo-failed",
		       "two processes at a reload will not tell each other of changes",
		       PH_LOG_FAILURE(error), PH_LOG_END);
}
