/* store-run.h: runs a store tool in the server, or here when no server runs
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_CLI_STORE_RUN_H
#define PH_CLI_STORE_RUN_H

#include "plugin/registry.h"
#include "tools/job.h"

/* ph_store_run: results go to standard output, errors and progress to standard error. Returns: the
 * tool's exit status; @error is set when it could not be run at all. */
int ph_store_run(const char *config, const PhJobRequest *request, GError **error);

/* ph_store_run_ask: sends a request with a stream's descriptor (-1: none) to the server behind @fd
 * (owned) and shows what it says. Returns: the exit status; -1 with @error.
 * ph_store_run_show: one line of a tool, for a PhJobSink. */
int ph_store_run_ask(int fd, const char *request, int stream, GError **error);
void ph_store_run_show(uint32_t channel, const char *text, void *user_data);

/* ph_store_run_config: the config, for who is the server's user from now on. NULL with @error. */
PhConfig *ph_store_run_config(const char *path, PhRegistry *registry, GError **error);

#endif
