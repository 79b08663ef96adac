/* conform-tool.c: what the commands of the conformance kits share
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "cli/conform-tool.h"

#include <posthorn/error.h>
#include <posthorn/slice.h>

#include "plugin/instance.h"

#include <stdio.h>

enum {
	DEFAULT_TIMEOUT = 600,
};

/* --- the config with another data directory --------------------------------------------------- */

static bool
is_data_line(const char *line)
{
	PhSlice rest = ph_slice(line);

	return ph_slice_is(ph_slice_trim(ph_slice_split(&rest, '=')), "data") && rest.data != NULL;
}

/* The text of the config, with [server] data replaced by @data (nullable); line numbers stay. */
static char *
with_data(const char *path, const char *data, GError **error)
{
	g_autofree char *text = NULL;
	g_auto(GStrv) lines = NULL;
	g_autoptr(GError) why = NULL;
	bool in_server = false;

	if (!g_file_get_contents(path, &text, NULL, &why)) {
		ph_error_set(error, PH_ERROR_NOT_FOUND, "%s", why->message);
		return NULL;
	}
	lines = g_strsplit(text, "\n", -1);
	for (size_t i = 0; lines[i] != NULL; i++) {
		if (g_strstrip(lines[i])[0] == '[')
			in_server = strcmp(lines[i], "[server]") == 0;
		if (data == NULL || !in_server || !is_data_line(lines[i]))
			continue;
		g_free(lines[i]);
		lines[i] = g_strdup_printf("data = %s", data);
	}
	return g_strjoinv("\n", lines);
}

void
ph_conform_tool_close(PhConformTool *tool)
{
	if (tool->section != NULL)
		ph_instances_release_one(tool->section);
	ph_config_unref(tool->config);
	ph_registry_free(tool->registry);
}

bool
ph_conform_tool_open(PhConformTool *tool,
                     const char *path,
                     const char *data,
                     const char *name,
                     GError **error)
{
	g_autoptr(PhMistakes) mistakes = ph_mistakes_new(path);
	g_autofree char *absolute = g_canonicalize_filename(path, NULL);
	g_autofree char *folder = g_path_get_dirname(absolute);
	g_autofree char *text = NULL;

	tool->registry = ph_registry_new();
	text = with_data(path, data, error);
	if (text == NULL)
		return false;
	tool->config = ph_config_parse_for_tool(ph_slice(text), folder,
	                                        ph_registry_source(tool->registry), mistakes);
	if (tool->config == NULL) {
		g_autofree char *list = ph_mistakes_text(mistakes);

		ph_error_set(error, PH_ERROR_INVALID, "the config has mistakes:\n%s",
		             g_strchomp(list));
		return false;
	}
	tool->section = ph_config_section(tool->config, tool->word, name);
	if (tool->section == NULL)
		ph_error_set(error, PH_ERROR_NOT_FOUND, "there is no [%s %s] in '%s'", tool->word,
		             name, path);
	return tool->section != NULL;
}

/* --- results ---------------------------------------------------------------------------------------- */

typedef struct {
	bool tap;
	unsigned n; /* told so far */
} Output;

static void
tell_tap(Output *output, const PhConformRule *rule, const PhConformResult *result)
{
	printf("%sok %u - %s [%s] %s", result->status == PH_CONFORM_FAILED ? "not " : "",
	       ++output->n, rule->name, rule->promise, rule->checks);
	if (result->status == PH_CONFORM_SKIPPED)
		printf(" # SKIP %s", result->text);
	else if (result->text[0] != '\0')
		printf("\n# %s", result->text);
	printf("\n");
}

static void
tell(const PhConformRule *rule, const PhConformResult *result, void *user_data)
{
	static const char *const words[] = { [PH_CONFORM_PASSED] = "ok  ",
		                             [PH_CONFORM_FAILED] = "FAIL",
		                             [PH_CONFORM_SKIPPED] = "skip" };
	Output *output = user_data;

	if (output->tap) {
		tell_tap(output, rule, result);
	} else {
		printf("%s  %-22s %-8s  %s (%" G_GUINT64_FORMAT " checks, %.2f s)\n",
		       words[result->status], rule->name, rule->promise, rule->checks,
		       result->n_checks, result->seconds);
		if (result->text[0] != '\0')
			printf("      %s\n", result->text);
	}
	(void) fflush(stdout);
}

/* --- the run ---- */

const char *
ph_conform_argument(const PhArguments *arguments, const char *name, const char *otherwise)
{
	const char *given = ph_arguments_get(arguments, name);

	return given != NULL ? given : otherwise;
}

static char **
wanted_rules(const PhArguments *arguments, const PhConformRule *const *themes)
{
	const char *names = ph_arguments_get(arguments, "rule");
	char **rules = names != NULL ? g_strsplit(names, ",", -1) : NULL;

	for (size_t i = 0; rules != NULL && rules[i] != NULL; i++) {
		if (ph_conform_find(themes, rules[i]) != NULL)
			continue;
		fprintf(stderr, "posthorn: there is no rule '%s'; --list names them\n", rules[i]);
		g_strfreev(rules);
		return NULL;
	}
	return rules;
}

int
ph_conform_list(const PhConformRule *const *themes)
{
	for (size_t i = 0; themes[i] != NULL; i++)
		for (const PhConformRule *rule = themes[i]; rule->name != NULL; rule++)
			printf("%-22s %-8s  %s\n", rule->name, rule->promise, rule->checks);
	return PH_EXIT_OK;
}

int
ph_conform_try(const PhArguments *arguments,
               const PhConformRule *const *themes,
               char **command,
               bool speed)
{
	g_auto(GStrv) rules = wanted_rules(arguments, themes);
	g_autoptr(GError) error = NULL;
	Output output = { .tap = ph_arguments_has(arguments, "tap") };
	PhConformTotals totals = { 0 };
	uint64_t timeout = DEFAULT_TIMEOUT;
	PhConformPlan plan = { .themes = themes,
		               .command = command,
		               .rules = (const char *const *) rules,
		               .speed = speed,
		               .tell = tell,
		               .user_data = &output };

	if (rules == NULL && ph_arguments_has(arguments, "rule"))
		return PH_EXIT_USAGE;
	if (!ph_slice_to_u64(ph_slice(ph_conform_argument(arguments, "timeout", "600")), 1000000,
	                     &timeout)) {
		fprintf(stderr, "posthorn: --timeout takes a number of seconds\n");
		return PH_EXIT_USAGE;
	}
	plan.timeout_seconds = (unsigned) timeout;
	if (output.tap)
		printf("TAP version 13\n1..%u\n", ph_conform_count(&plan));
	if (!ph_conform_run(&plan, &totals, &error)) {
		fprintf(stderr, "posthorn: %s\n", error->message);
		return PH_EXIT_FAILED;
	}
	if (!output.tap)
		printf("%u passed, %u failed, %u skipped\n", totals.n_passed, totals.n_failed,
		       totals.n_skipped);
	return totals.n_failed == 0 && totals.n_passed + totals.n_skipped > 0 ? PH_EXIT_OK
	                                                                      : PH_EXIT_FAILED;
}
