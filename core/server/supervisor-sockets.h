/* supervisor-sockets.h: the sockets that the supervisor opens and keeps over workers and reloads
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_SERVER_SUPERVISOR_SOCKETS_H
#define PH_SERVER_SUPERVISOR_SOCKETS_H

#include "server/outline.h"

typedef struct PhSockets PhSockets;

/* PhSocket: one open socket. */
typedef struct {
	const char *name; /* of the listener's section */
	const char *text; /* its address as written */
	int fd;
} PhSocket;

/* ph_sockets_new: takes over what a service manager opened. */
PhSockets *ph_sockets_new(void);
void ph_sockets_free(PhSockets *sockets);

/* ph_sockets_open: opens what @outline asks for and is not open yet; nothing is closed. When one
 * cannot be opened those opened by this call are closed again. Logs each new one ("listening"). */
bool ph_sockets_open(PhSockets *sockets, const PhOutline *outline, GError **error);

/* ph_sockets_keep: closes those that @outline does not ask for. */
void ph_sockets_keep(PhSockets *sockets, const PhOutline *outline);

/* ph_sockets_each: number @index in order; false behind the last. */
bool ph_sockets_get(const PhSockets *sockets, size_t index, PhSocket *out);

/* ph_sockets_control: the control socket, opened at @path with mode 0600 for @user when it is not
 * yet open there; -1 with an error. */
int ph_sockets_control(PhSockets *sockets, const char *path, uid_t user, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PhSockets, ph_sockets_free)

#endif
