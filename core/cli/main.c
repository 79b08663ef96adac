/* main.c: the list of commands
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/program.h>

#include "cli/commands.h"

static const PhCommand *const commands[] = {
	&ph_command_check,
	&ph_command_plugins,
	&ph_command_plugin,
	NULL,
};

int
ph_program_main(int argc, char **argv)
{
	return ph_command_main(commands, argc, argv);
}
