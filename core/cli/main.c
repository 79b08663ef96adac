/* main.c: the list of commands
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/program.h>

#include "cli/table.h"

static const PhCommand *const commands[] = {
	NULL,
};

int
ph_program_main(int argc, char **argv)
{
	return ph_command_main(commands, argc, argv);
}
