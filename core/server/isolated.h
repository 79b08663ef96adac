/* isolated.h: the process that runs one isolated plugin
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_SERVER_ISOLATED_H
#define PH_SERVER_ISOLATED_H

#include <posthorn/types.h>

/* ph_isolated_run: reads a config with that one section from standard input, creates its instance
 * and serves it over the link that the supervisor left open. @title: "directory people". @folder:
 * what the config's paths are below. @privileged: the process is root's and stays so, which only a
 * plugin with that flag in a file of root's is worth. Returns: the exit status. */
int ph_isolated_run(const char *title, const char *folder, bool privileged);

#endif
