/* conform-tool.h: what the commands of the conformance kits share
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_CLI_CONFORM_TOOL_H
#define POSTHORN_CLI_CONFORM_TOOL_H

#include "cli/table.h"
#include "config/config.h"
#include "conform/conform.h"
#include "plugin/registry.h"

/* PhConformTool: a config with a section that is to be tried. @word: "store", filled in by the caller. */
typedef struct {
	const char *word;
	PhRegistry *registry;
	PhConfig *config;
	PhSection *section;
} PhConformTool;

/* ph_conform_tool_open: @data: (nullable) instead of the config's data directory. */
bool ph_conform_tool_open(PhConformTool *tool,
                          const char *path,
                          const char *data,
                          const char *name,
                          GError **error);
void ph_conform_tool_close(PhConformTool *tool);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PhConformTool, ph_conform_tool_close)

/* ph_conform_argument: an option's argument, or what stands for it. */
const char *ph_conform_argument(const PhArguments *arguments,
                                const char *name,
                                const char *otherwise);

/* ph_conform_list, ph_conform_try: the command with --list and without. Options that they look at:
 * rule, timeout, tap. @command, @speed: as in PhConformPlan. Returns: an exit status. */
int ph_conform_list(const PhConformRule *const *themes);
int ph_conform_try(const PhArguments *arguments,
                   const PhConformRule *const *themes,
                   char **command,
                   bool speed);

#endif
