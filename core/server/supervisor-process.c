/* supervisor-process.c: what the supervisor asks of the kernel for itself
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "server/supervisor-process.h"

#include <signal.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define DESCRIPTORS_WANTED 262144

void
ph_supervisor_raise_limits(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) != 0)
		return;
	if (geteuid() == 0 && files.rlim_max < DESCRIPTORS_WANTED)
		files.rlim_max = DESCRIPTORS_WANTED;
	files.rlim_cur = files.rlim_max;
	(void) setrlimit(RLIMIT_NOFILE, &files);
}

int
ph_supervisor_signals(void)
{
	sigset_t wanted;

	sigemptyset(&wanted);
	sigaddset(&wanted, SIGTERM);
	sigaddset(&wanted, SIGINT);
	sigaddset(&wanted, SIGHUP);
	sigaddset(&wanted, SIGCHLD);
	(void) sigprocmask(SIG_BLOCK, &wanted, NULL);
	(void) signal(SIGPIPE, SIG_IGN);
	return signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
}
