/* name-server.h: a name server's address from text
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_CONFIG_NAME_SERVER_H
#define POSTHORN_CONFIG_NAME_SERVER_H

#include <posthorn/types.h>

/* ph_name_server_parse: "192.0.2.1@53" of "192.0.2.1", "192.0.2.1:53", "2001:db8::1" or
 * "[2001:db8::1]:53". Returns: (owned) NULL when it is no address. Pure. */
char *ph_name_server_parse(const char *text);

#endif
