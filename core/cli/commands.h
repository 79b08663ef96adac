/* commands.h: the row of every command, defined in cmd-NAME.c and listed in main.c
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_CLI_COMMANDS_H
#define POSTHORN_CLI_COMMANDS_H

#include "cli/table.h"

/* ph_commands: all of them, in the order of the help; NULL behind the last. */
extern const PhCommand *const ph_commands[];

extern const PhCommand ph_command_check;
extern const PhCommand ph_command_conform_directory;
extern const PhCommand ph_command_conform_directory_part;
extern const PhCommand ph_command_conform_mechanism;
extern const PhCommand ph_command_conform_mechanism_part;
extern const PhCommand ph_command_conform_part;
extern const PhCommand ph_command_conform_store;
extern const PhCommand ph_command_describe;
extern const PhCommand ph_command_explain;
extern const PhCommand ph_command_new_plugin;
extern const PhCommand ph_command_plugin;
extern const PhCommand ph_command_plugins;
extern const PhCommand ph_command_queue_list;
extern const PhCommand ph_command_queue_show;
extern const PhCommand ph_command_queue_retry;
extern const PhCommand ph_command_queue_hold;
extern const PhCommand ph_command_queue_release;
extern const PhCommand ph_command_queue_delete;
extern const PhCommand ph_command_queue_stats;
extern const PhCommand ph_command_reload;
extern const PhCommand ph_command_serve;
extern const PhCommand ph_command_status;
extern const PhCommand ph_command_user_add;
extern const PhCommand ph_command_auth_test;
extern const PhCommand ph_command_user_list;
extern const PhCommand ph_command_user_remove;
extern const PhCommand ph_command_passwd;
extern const PhCommand ph_command_send;
extern const PhCommand ph_command_store_check;
extern const PhCommand ph_command_store_repair;
extern const PhCommand ph_command_store_compact;
extern const PhCommand ph_command_store_stats;
extern const PhCommand ph_command_store_sync;
extern const PhCommand ph_command_store_retain;
extern const PhCommand ph_command_store_convert;
extern const PhCommand ph_command_store_export;
extern const PhCommand ph_command_store_import;
extern const PhCommand ph_command_worker;
extern const PhCommand ph_command_isolated;

/* ph_sendmail_main: the program called as `sendmail`. Returns: a status of sysexits. */
int ph_sendmail_main(int argc, char **argv);

#endif
