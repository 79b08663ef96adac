/* notify.h: what a service manager is told, and the sockets that it opened for us
 *
 * The datagram protocol of sd_notify(3) and the variables of sd_listen_fds(3), without a library.
 * Nothing happens when no manager is there.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_SERVER_NOTIFY_H
#define PH_SERVER_NOTIFY_H

#include <posthorn/types.h>

/* ph_notify_open: remembers $NOTIFY_SOCKET and the watchdog's interval and takes them out of the
 * environment, so that children do not have them. Thread: load. */
void ph_notify_open(void);

/* ph_notify_send: "READY=1\nSTATUS=..." in one datagram. Never waits. */
void ph_notify_send(const char *assignments);

/* ph_notify_reloading: RELOADING=1 with the time that Type=notify-reload wants. */
void ph_notify_reloading(void);

/* ph_notify_watchdog_us: how often WATCHDOG=1 must come; 0: never. */
uint64_t ph_notify_watchdog_us(void);

/* PhActivated: a socket that was open when we started. */
typedef struct {
	int fd;     /* close-on-exec, non-blocking */
	char *name; /* (owned) of FileDescriptorName=, "" for none */
} PhActivated;

/* ph_notify_sockets: takes the descriptors over and removes the variables. Returns: (owned) of
 * PhActivated; empty when there are none. Thread: load. */
GArray *ph_notify_sockets(void);

#endif
