/* cmd-isolated.c: the process of one isolated plugin, started by the supervisor
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "cli/commands.h"
#include "server/isolated.h"

static int
run(const PhArguments *arguments)
{
	const char *section = ph_arguments_get(arguments, "section");
	const char *folder = ph_arguments_get(arguments, "folder");

	if (section == NULL || folder == NULL)
		return PH_EXIT_USAGE;
	return ph_isolated_run(section, folder, ph_arguments_has(arguments, "privileged"));
}

static const PhCommandOption options[] = {
	{ "section", 0, "SECTION", "the section that it serves" },
	{ "folder", 0, "FOLDER", "what the paths of the config are below" },
	{ "privileged", 0, NULL, "stay root" },
	PH_COMMAND_END,
};

const PhCommand ph_command_isolated = {
	.name = "isolated",
	.synopsis = "",
	.summary = "Run one isolated plugin; started by `posthorn serve` only",
	.options = options,
	.hidden = true,
	.run = run,
};
