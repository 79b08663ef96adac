/* control-client.h: asks a running server through its control socket
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_CLI_CONTROL_CLIENT_H
#define PH_CLI_CONTROL_CLIENT_H

#include <posthorn/types.h>

/* ph_control_connect: Returns: a socket to the server of this config, or -1. Errors: NOT_FOUND when
 * no server runs, DENIED when the caller may not ask. ph_control_connect_at: to the one whose control
 * socket that is. */
int ph_control_connect(const char *config, GError **error);
int ph_control_connect_at(const char *path, GError **error);

/* ph_control_ask: sends a request to the server of this config and waits for the whole answer.
 * @command: "status"; @as_text: for people. Errors: NOT_FOUND when no server runs, DENIED when
 * the caller may not ask. */
bool ph_control_ask(const char *config,
                    const char *command,
                    bool as_text,
                    GString *answer,
                    GError **error);

#endif
