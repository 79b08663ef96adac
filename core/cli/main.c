/* main.c: the list of commands
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/program.h>

#include "cli/commands.h"

static const PhCommand *const commands[] = {
	&ph_command_serve,
	&ph_command_check,
	&ph_command_reload,
	&ph_command_status,
	&ph_command_plugins,
	&ph_command_plugin,
	&ph_command_user_add,
	&ph_command_user_remove,
	&ph_command_user_list,
	&ph_command_passwd,
	&ph_command_worker,
	NULL,
};

int
ph_program_main(int argc, char **argv)
{
	return ph_command_main(commands, argc, argv);
}
