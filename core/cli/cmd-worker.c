/* cmd-worker.c: the process that serves clients, started by the supervisor
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "cli/commands.h"
#include "server/worker.h"

static int
run(const PhArguments *arguments)
{
	return ph_worker_run(ph_arguments_config(arguments),
	                     ph_arguments_has(arguments, "successor"));
}

static const PhCommandOption options[] = {
	PH_COMMAND_CONFIG,
	{ "successor", 0, NULL, "wait until another worker lets go of queue and journal" },
	PH_COMMAND_END,
};

const PhCommand ph_command_worker = {
	.name = "worker",
	.synopsis = "",
	.summary = "Serve clients; started by `posthorn serve` only",
	.options = options,
	.hidden = true,
	.run = run,
};
