/* store-run.h: runs a store tool in the server, or here when no server runs
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_CLI_STORE_RUN_H
#define PH_CLI_STORE_RUN_H

#include "tools/job.h"

/* ph_store_run: results go to standard output, errors and progress to standard error. Returns: the
 * tool's exit status; @error is set when it could not be run at all. */
int ph_store_run(const char *config, const PhJobRequest *request, GError **error);

#endif
