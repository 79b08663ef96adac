/* cmd-serve.c: runs the server until it is told to stop
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "cli/commands.h"
#include "server/supervisor.h"

static int
run(const PhArguments *arguments)
{
	return ph_supervisor_run(ph_arguments_config(arguments));
}

static const PhCommandOption options[] = { PH_COMMAND_CONFIG, PH_COMMAND_END };

const PhCommand ph_command_serve = {
	.name = "serve",
	.synopsis = "",
	.summary = "Run the server until SIGTERM or Ctrl-C",
	.details = "The config is checked first; with a mistake in it nothing is opened. SIGHUP "
		   "loads it again,\nas `posthorn reload` does. Logs go where `log` in [server] "
		   "says.",
	.options = options,
	.run = run,
};
