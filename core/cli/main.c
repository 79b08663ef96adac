/* main.c: the list of commands
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/program.h>

#include "cli/commands.h"

#include <string.h>

const PhCommand *const ph_commands[] = {
	&ph_command_serve,
	&ph_command_check,
	&ph_command_reload,
	&ph_command_status,
	&ph_command_explain,
	&ph_command_plugins,
	&ph_command_plugin,
	&ph_command_user_add,
	&ph_command_user_remove,
	&ph_command_user_list,
	&ph_command_passwd,
	&ph_command_auth_test,
	&ph_command_send,
	&ph_command_queue_list,
	&ph_command_queue_show,
	&ph_command_queue_retry,
	&ph_command_queue_hold,
	&ph_command_queue_release,
	&ph_command_queue_delete,
	&ph_command_queue_stats,
	&ph_command_store_check,
	&ph_command_store_repair,
	&ph_command_store_compact,
	&ph_command_store_stats,
	&ph_command_store_sync,
	&ph_command_store_retain,
	&ph_command_store_convert,
	&ph_command_store_export,
	&ph_command_store_import,
	&ph_command_new_plugin,
	&ph_command_conform_store,
	&ph_command_conform_part,
	&ph_command_conform_directory,
	&ph_command_conform_directory_part,
	&ph_command_conform_mechanism,
	&ph_command_conform_mechanism_part,
	&ph_command_describe,
	&ph_command_worker,
	&ph_command_isolated,
	NULL,
};

int
ph_program_main(int argc, char **argv)
{
	const char *name = argc > 0 ? strrchr(argv[0], '/') : NULL;

	name = name != NULL ? name + 1 : (argc > 0 ? argv[0] : "");
	if (strcmp(name, "sendmail") == 0)
		return ph_sendmail_main(argc, argv);
	return ph_command_main(ph_commands, argc, argv);
}
