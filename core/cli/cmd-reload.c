/* cmd-reload.c: makes a running server use its config file as it is now
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "cli/commands.h"
#include "cli/control-client.h"

#include <stdio.h>
#include <string.h>

static int
run(const PhArguments *arguments)
{
	g_autoptr(GString) answer = g_string_new(NULL);
	g_autoptr(GError) error = NULL;
	const char *text = NULL;

	if (!ph_control_ask(ph_arguments_config(arguments), "reload", true, answer, &error)) {
		fprintf(stderr, "posthorn: %s\n", error->message);
		return PH_EXIT_FAILED;
	}
	text = strchr(answer->str, '\n');
	text = text != NULL ? text + 1 : answer->str;
	if (g_str_has_prefix(answer->str, "ok\n")) {
		printf("%s\n", text);
		return PH_EXIT_OK;
	}
	fprintf(stderr, "posthorn: not reloaded, the server goes on with its old config:\n%s%s",
	        text, g_str_has_suffix(text, "\n") ? "" : "\n");
	return PH_EXIT_FAILED;
}

static const PhCommandOption options[] = { PH_COMMAND_CONFIG, PH_COMMAND_END };

const PhCommand ph_command_reload = {
	.name = "reload",
	.synopsis = "",
	.summary = "Make the running server use its config file as it is now",
	.details = "The file is checked first; when there is a mistake in it the server goes on as "
		   "it was and\nthe mistakes are shown. Sessions that are open go on with the old "
		   "config, for as long as\n`drain` in [server] says. Prints whether the same "
		   "process could go on or a new one took over.",
	.options = options,
	.run = run,
};
