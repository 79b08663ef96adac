/* cmd-status.c: what a running server is doing
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "cli/commands.h"
#include "cli/control-client.h"

#include <stdio.h>

static int
run(const PhArguments *arguments)
{
	g_autoptr(GString) answer = g_string_new(NULL);
	g_autoptr(GError) error = NULL;
	bool as_text = !ph_arguments_has(arguments, "json");

	if (!ph_control_ask(ph_arguments_config(arguments), "status", as_text, answer, &error)) {
		fprintf(stderr, "posthorn: %s\n", error->message);
		return PH_EXIT_FAILED;
	}
	printf("%s", answer->str);
	return PH_EXIT_OK;
}

static const PhCommandOption options[] = { PH_COMMAND_CONFIG, PH_COMMAND_JSON, PH_COMMAND_END };

const PhCommand ph_command_status = {
	.name = "status",
	.synopsis = "",
	.summary = "Show what the running server is doing",
	.details = "Sessions of each listener, plugins with calls, errors and times, workers, "
		   "memory.",
	.options = options,
	.run = run,
};
