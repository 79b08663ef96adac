/* cmd-conform.c: `posthorn conform store SECTION`: tries a store against its contract
 *
 * The store gets a data directory of its own below the config's, which is removed afterwards, so
 * that nothing of a real user is touched. `conform-part` is what the kit starts for each rule.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/slice.h>

#include "cli/commands.h"
#include "config/config.h"
#include "conform/conform.h"
#include "plugin/instance.h"
#include "plugin/registry.h"

#include <errno.h>
#include <ftw.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	DEFAULT_TIMEOUT = 600,
	OPEN_FILES = 32, /* while a folder is removed */
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

/* Tool: a config whose store is to be tried. */
typedef struct {
	PhRegistry *registry;
	PhConfig *config;
	PhSection *section;
} Tool;

static void
tool_close(Tool *tool)
{
	if (tool->section != NULL)
		ph_instances_release_one(tool->section);
	ph_config_unref(tool->config);
	ph_registry_free(tool->registry);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Tool, tool_close)

/* @data: (nullable) instead of the config's. */
static bool
tool_open(Tool *tool, const char *path, const char *data, const char *name, GError **error)
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
	tool->section = ph_config_section(tool->config, "store", name);
	if (tool->section == NULL)
		ph_error_set(error, PH_ERROR_NOT_FOUND, "there is no [store %s] in '%s'", name,
		             path);
	return tool->section != NULL;
}

/* --- the data directory of the run --------------------------------------------------------------- */

static char *
make_scratch(const PhConfig *config, GError **error)
{
	const char *data = ph_config_server(config)->data;
	g_autofree char *scratch = g_build_filename(data, "conform-XXXXXX", NULL);

	if (!ph_config_make_data(config, error))
		return NULL;
	if (g_mkdtemp(scratch) != NULL)
		return g_steal_pointer(&scratch);
	ph_error_set_errno(error, errno, "cannot make a folder in '%s'", data);
	return NULL;
}

static int
remove_one(const char *path, const struct stat *status, int kind, struct FTW *place)
{
	return remove(path);
}

static void
remove_scratch(const char *scratch)
{
	if (nftw(scratch, remove_one, OPEN_FILES, FTW_DEPTH | FTW_PHYS) != 0)
		fprintf(stderr, "posthorn: could not remove '%s'\n", scratch);
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

/* --- the run ---------------------------------------------------------------------------------------- */

static const char *
given_or(const PhArguments *arguments, const char *name, const char *otherwise)
{
	const char *given = ph_arguments_get(arguments, name);

	return given != NULL ? given : otherwise;
}

static char **
command_for(const PhArguments *arguments, const char *scratch)
{
	g_autoptr(GStrvBuilder) words = g_strv_builder_new();
	g_autofree char *program = g_file_read_link("/proc/self/exe", NULL);
	g_autofree char *run = g_strdup_printf("%08x", g_random_int());

	g_strv_builder_add_many(words, program != NULL ? program : "posthorn", "conform-part",
	                        "--config", ph_arguments_config(arguments), "--data", scratch,
	                        "--scale", given_or(arguments, "scale", "1"), "--memory-limit",
	                        given_or(arguments, "memory-limit", "0"), "--foreign",
	                        given_or(arguments, "foreign", ""), "--run", run, "--",
	                        ph_arguments_rest(arguments)[0], NULL);
	return g_strv_builder_end(words);
}

static char **
wanted_rules(const PhArguments *arguments)
{
	const char *names = ph_arguments_get(arguments, "rule");
	char **rules = names != NULL ? g_strsplit(names, ",", -1) : NULL;

	for (size_t i = 0; rules != NULL && rules[i] != NULL; i++) {
		if (ph_conform_find(rules[i]) != NULL)
			continue;
		fprintf(stderr, "posthorn: there is no rule '%s'; --list names them\n", rules[i]);
		g_strfreev(rules);
		return NULL;
	}
	return rules;
}

static int
run_plan(const PhArguments *arguments, const char *scratch)
{
	g_auto(GStrv) command = command_for(arguments, scratch);
	g_auto(GStrv) rules = wanted_rules(arguments);
	g_autoptr(GError) error = NULL;
	Output output = { .tap = ph_arguments_has(arguments, "tap") };
	PhConformTotals totals = { 0 };
	uint64_t timeout = DEFAULT_TIMEOUT;
	PhConformPlan plan = { .command = command,
		               .rules = (const char *const *) rules,
		               .speed = ph_arguments_has(arguments, "speed"),
		               .tell = tell,
		               .user_data = &output };

	if (rules == NULL && ph_arguments_has(arguments, "rule"))
		return PH_EXIT_USAGE;
	if (!ph_slice_to_u64(ph_slice(given_or(arguments, "timeout", "600")), 1000000, &timeout)) {
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

static int
list_rules(void)
{
	for (size_t i = 0; ph_conform_themes[i] != NULL; i++)
		for (const PhConformRule *rule = ph_conform_themes[i]; rule->name != NULL; rule++)
			printf("%-22s %-8s  %s\n", rule->name, rule->promise, rule->checks);
	return PH_EXIT_OK;
}

static int
run_store(const PhArguments *arguments)
{
	g_auto(Tool) tool = { .registry = NULL };
	g_autofree char *scratch = NULL;
	g_autoptr(GError) error = NULL;
	int status = PH_EXIT_FAILED;

	if (ph_arguments_has(arguments, "list"))
		return list_rules();
	if (ph_arguments_rest(arguments)[0] == NULL) {
		fprintf(stderr, "posthorn: name the [store SECTION] to try\n");
		return PH_EXIT_USAGE;
	}
	if (tool_open(&tool, ph_arguments_config(arguments), NULL, ph_arguments_rest(arguments)[0],
	              &error))
		scratch = make_scratch(tool.config, &error);
	if (scratch == NULL) {
		fprintf(stderr, "posthorn: %s\n", error->message);
		return PH_EXIT_FAILED;
	}
	status = run_plan(arguments, scratch);
	if (ph_arguments_has(arguments, "keep"))
		fprintf(stderr, "The data is kept in %s\n", scratch);
	else
		remove_scratch(scratch);
	return status;
}

/* --- one rule, in its own process ---------------------------------------------------------------- */

static double
parse_scale(const char *text)
{
	double scale = g_ascii_strtod(text, NULL);

	return scale > 0 && scale <= 1000 ? scale : 1;
}

/* "64M": digits and K, M or G. */
static uint64_t
parse_size(const char *text)
{
	size_t digits = strspn(text, "0123456789");
	uint64_t n = 0;

	if (!ph_slice_to_u64(PH_SLICE(text, digits), UINT32_MAX, &n))
		return 0;
	switch (text[digits]) {
	case 'K':
		return n << 10;
	case 'M':
		return n << 20;
	case 'G':
		return n << 30;
	default:
		return n;
	}
}

/* What stands before the section's name belongs to this process; what follows is the role. */
static char **
command_again(void)
{
	g_autofree char *text = NULL;
	gsize length = 0;
	g_autoptr(GStrvBuilder) words = g_strv_builder_new();
	bool after_dashes = false;

	if (!g_file_get_contents("/proc/self/cmdline", &text, &length, NULL))
		return g_strv_builder_end(words);
	for (gsize at = 0; at < length; at += strlen(text + at) + 1) {
		g_strv_builder_add(words, text + at);
		if (after_dashes)
			break;
		after_dashes = strcmp(text + at, "--") == 0;
	}
	return g_strv_builder_end(words);
}

static int
run_part(const PhArguments *arguments)
{
	const char *const *rest = ph_arguments_rest(arguments);
	const char *foreign = given_or(arguments, "foreign", "");
	g_auto(Tool) tool = { .registry = NULL };
	g_auto(GStrv) command = command_again();
	g_autoptr(GError) error = NULL;
	PhConformStore store = {
		.scale = parse_scale(given_or(arguments, "scale", "1")),
		.memory_limit = parse_size(given_or(arguments, "memory-limit", "0")),
		.foreign = foreign[0] != '\0' ? foreign : NULL,
		.run = given_or(arguments, "run", "0"),
		.command = command,
	};

	if (!tool_open(&tool, ph_arguments_config(arguments), ph_arguments_get(arguments, "data"),
	               rest[0], &error)
	    || !ph_instances_create_one(tool.section, &error)) {
		fprintf(stderr, "posthorn: %s\n", error->message);
		return PH_EXIT_FAILED;
	}
	(void) signal(SIGPIPE, SIG_DFL);
	store.table = ph_section_table(tool.section);
	store.instance = ph_section_instance(tool.section);
	store.data = ph_section_data(tool.section);
	return ph_conform_part(&store, STDOUT_FILENO, rest + 1);
}

#define COMMON_OPTIONS                                                                       \
	PH_COMMAND_CONFIG,                                                                   \
		{ "scale", 's', "F", "times the whole counts and sizes: 0.01 for a try" },   \
		{ "memory-limit", 'm', "SIZE", "how much a process may grow: 64M" },         \
	{                                                                                    \
		"foreign", 'f', "COMMAND",                                                   \
			"delivers to USER DOMAIN below folder DATA as another program would" \
	}

static const PhCommandOption store_options[] = {
	COMMON_OPTIONS,
	{ "rule", 'r', "NAMES", "only these rules, separated by commas" },
	{ "speed", 0, NULL, "measure too" },
	{ "timeout", 0, "SECONDS", "for one rule (600)" },
	{ "tap", 't', NULL, "print TAP for test harnesses" },
	{ "keep", 'k', NULL, "leave the data for a look at it" },
	{ "list", 'l', NULL, "name the rules and end" },
	PH_COMMAND_END,
};

static const PhCommandOption part_options[] = {
	COMMON_OPTIONS,
	{ "data", 0, "FOLDER", "instead of the config's [server] data" },
	{ "run", 0, "WORD", "part of user names" },
	PH_COMMAND_END,
};

const PhCommand ph_command_conform_store = {
	.name = "conform store",
	.synopsis = "[SECTION]",
	.summary = "Try a store against the contract, rule by rule",
	.details =
		"Runs every rule of the store contract against [store SECTION] in a data directory of\n"
		"its own: one line a rule with the promise, what was tried and how many checks were\n"
		"made, then a summary. The status is 0 only when no rule failed. A store whose path\n"
		"does not begin with {data} leaves accounts named conform-... behind.",
	.options = store_options,
	.max_rest = 1,
	.run = run_store,
};

const PhCommand ph_command_conform_part = {
	.name = "conform-part",
	.synopsis = "SECTION ROLE...",
	.summary = "What the conformance kit starts for one rule",
	.options = part_options,
	.min_rest = 2,
	.max_rest = 16,
	.hidden = true,
	.run = run_part,
};
