/* directory-tool.h: opens a directory that users can be changed in, without the server
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_CLI_DIRECTORY_TOOL_H
#define PH_CLI_DIRECTORY_TOOL_H

#include <posthorn/directory.h>

#include "config/config.h"
#include "plugin/registry.h"

/* PhDirectoryTool: one directory of a config, its instance created. */
typedef struct {
	PhRegistry *registry;
	PhConfig *config;
	PhSection *section;
	const PhDirectory *table;
	void *instance;
} PhDirectoryTool;

/* ph_directory_tool_open: @name: (nullable) of the section; NULL: the only one that can do it.
 * @can: does the table offer what is wanted? @what: for the error: "add users". Mistakes of the
 * config are the error, a line each. The process takes the server's user when it is root, so that
 * new files belong to the server. */
bool ph_directory_tool_open(PhDirectoryTool *tool,
                            const char *config,
                            const char *name,
                            bool (*can)(const PhDirectory *table),
                            const char *what,
                            GError **error);
void ph_directory_tool_close(PhDirectoryTool *tool);

/* ph_read_password: two times from the terminal without echo, or with @from_stdin the first line
 * of standard input. Returns: (owned); NULL with an error. */
PhSecret *ph_read_password(const char *user, bool from_stdin, GError **error);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PhDirectoryTool, ph_directory_tool_close)

#endif
