/* cmd-check.c: `posthorn check`: every mistake of a config, as `serve` would find them
 *
 * Does what `serve` does before it opens a socket: reads the file, opens the plugins that it names,
 * creates every section's instance, and destroys them again.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "base/json.h"
#include "cli/commands.h"
#include "plugin/instance.h"
#include "plugin/registry.h"

#include <stdio.h>

static void
print_json(PhMistakes *mistakes)
{
	g_autoptr(GString) out = g_string_new("{");
	const PhMistake *row = NULL;

	ph_json_member(out, "file", ph_mistakes_file(mistakes));
	g_string_append_printf(out, ",\"errors\":%zu,\"warnings\":%zu,\"mistakes\":[",
	                       ph_mistakes_n_errors(mistakes), ph_mistakes_n_warnings(mistakes));
	for (size_t i = 0; (row = ph_mistakes_get(mistakes, i)) != NULL; i++) {
		g_string_append_printf(out, "%s{\"line\":%u,\"severity\":\"%s\",", i > 0 ? "," : "",
		                       row->line, row->is_warning ? "warning" : "error");
		ph_json_member(out, "text", row->text);
		g_string_append_c(out, '}');
	}
	printf("%s]}\n", out->str);
}

static void
print_text(PhMistakes *mistakes)
{
	g_autofree char *text = ph_mistakes_text(mistakes);
	size_t n_errors = ph_mistakes_n_errors(mistakes);
	size_t n_warnings = ph_mistakes_n_warnings(mistakes);

	fprintf(stderr, "%s", text);
	if (n_errors == 0 && n_warnings == 0)
		printf("%s: no mistakes found\n", ph_mistakes_file(mistakes));
	else
		fprintf(stderr, "%s: %zu %s, %zu %s\n", ph_mistakes_file(mistakes), n_errors,
		        n_errors == 1 ? "error" : "errors", n_warnings,
		        n_warnings == 1 ? "warning" : "warnings");
}

static int
run(const PhArguments *arguments)
{
	const char *path = ph_arguments_config(arguments);
	g_autoptr(PhMistakes) mistakes = ph_mistakes_new(path);
	g_autoptr(PhRegistry) registry = ph_registry_new();
	g_autoptr(PhConfig) config = ph_config_load(path, ph_registry_source(registry), mistakes);

	if (config != NULL && ph_instances_create(config, NULL, mistakes))
		ph_instances_release(config);
	if (ph_arguments_has(arguments, "json"))
		print_json(mistakes);
	else
		print_text(mistakes);
	return ph_mistakes_n_errors(mistakes) == 0 ? PH_EXIT_OK : PH_EXIT_FAILED;
}

static const PhCommandOption options[] = {
	PH_COMMAND_CONFIG,
	PH_COMMAND_JSON,
	PH_COMMAND_END,
};

const PhCommand ph_command_check = {
	.name = "check",
	.synopsis = "",
	.summary = "find every mistake in a config file",
	.details =
		"Mistakes go to standard error as FILE:LINE: what is wrong; what to do. Warnings are\n"
		"no failure. What passes is what `posthorn serve` starts with.",
	.options = options,
	.run = run,
};
