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
#include "cli/conform-tool.h"
#include "plugin/instance.h"

#include <errno.h>
#include <ftw.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	OPEN_FILES = 32, /* while a folder is removed */
};

#define POWER_LIBRARY "libpowerloss.so"

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

/* --- the run ---------------------------------------------------------------------------------------- */

/* The library that watches a process for the rules about power: beside the folder of plugins, where it
 * is installed, or in the build. Returns: (owned) "" when there is none. */
static char *
find_power_library(void)
{
	static const char *const places[] = { "../" POWER_LIBRARY,
		                              "../tests/powerloss/" POWER_LIBRARY };
	g_autoptr(PhRegistry) registry = ph_registry_new();
	const char *const *folders = ph_registry_folders(registry);

	for (size_t i = 0; folders[i] != NULL; i++) {
		for (size_t k = 0; k < G_N_ELEMENTS(places); k++) {
			g_autofree char *path = g_build_filename(folders[i], places[k], NULL);

			if (access(path, R_OK) == 0)
				return g_canonicalize_filename(path, NULL);
		}
	}
	return g_strdup("");
}

static char **
command_for(const PhArguments *arguments, const char *scratch)
{
	g_autofree char *library = find_power_library();
	g_autoptr(GStrvBuilder) words = g_strv_builder_new();
	g_autofree char *program = g_file_read_link("/proc/self/exe", NULL);
	g_autofree char *run = g_strdup_printf("%08x", g_random_int());

	g_strv_builder_add_many(words, program != NULL ? program : "posthorn", "conform-part",
	                        "--config", ph_arguments_config(arguments), "--data", scratch,
	                        "--scale", ph_conform_argument(arguments, "scale", "1"),
	                        "--memory-limit",
	                        ph_conform_argument(arguments, "memory-limit", "0"), "--foreign",
	                        ph_conform_argument(arguments, "foreign", ""), "--power-library",
	                        ph_conform_argument(arguments, "power-library", library),
	                        "--ignore-sync", ph_conform_argument(arguments, "ignore-sync", ""),
	                        "--run", run, "--", ph_arguments_rest(arguments)[0], NULL);
	return g_strv_builder_end(words);
}

static int
run_store(const PhArguments *arguments)
{
	g_auto(PhConformTool) tool = { .word = "store" };
	g_autofree char *scratch = NULL;
	g_auto(GStrv) command = NULL;
	g_autoptr(GError) error = NULL;
	int status = PH_EXIT_FAILED;

	if (ph_arguments_has(arguments, "list"))
		return ph_conform_list(ph_conform_themes);
	if (ph_arguments_rest(arguments)[0] == NULL) {
		fprintf(stderr, "posthorn: name the [store SECTION] to try\n");
		return PH_EXIT_USAGE;
	}
	if (ph_conform_tool_open(&tool, ph_arguments_config(arguments), NULL,
	                         ph_arguments_rest(arguments)[0], &error))
		scratch = make_scratch(tool.config, &error);
	if (scratch == NULL) {
		fprintf(stderr, "posthorn: %s\n", error->message);
		return PH_EXIT_FAILED;
	}
	command = command_for(arguments, scratch);
	status = ph_conform_try(arguments, ph_conform_themes, command,
	                        ph_arguments_has(arguments, "speed"));
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

/* NULL when it was not given or is empty. */
static const char *
given(const PhArguments *arguments, const char *name)
{
	const char *value = ph_arguments_get(arguments, name);

	return value != NULL && value[0] != '\0' ? value : NULL;
}

static int
run_part(const PhArguments *arguments)
{
	const char *const *rest = ph_arguments_rest(arguments);
	g_auto(PhConformTool) tool = { .word = "store" };
	g_auto(GStrv) command = command_again();
	g_autoptr(GError) error = NULL;
	PhConformStore store = {
		.scale = parse_scale(ph_conform_argument(arguments, "scale", "1")),
		.memory_limit = parse_size(ph_conform_argument(arguments, "memory-limit", "0")),
		.foreign = given(arguments, "foreign"),
		.power_library = given(arguments, "power-library"),
		.ignore_sync = given(arguments, "ignore-sync"),
		.run = ph_conform_argument(arguments, "run", "0"),
		.command = command,
	};

	if (!ph_conform_tool_open(&tool, ph_arguments_config(arguments),
	                          ph_arguments_get(arguments, "data"), rest[0], &error)
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

#define COMMON_OPTIONS                                                                            \
	PH_COMMAND_CONFIG,                                                                        \
		{ "scale", 's', "F", "times the whole counts and sizes: 0.01 for a try" },        \
		{ "memory-limit", 'm', "SIZE", "how much a process may grow: 64M" },              \
		{ "power-library", 0, "FILE", "instead of the one that is installed" },           \
		{ "ignore-sync", 0, "KIND:TEXT", "syncs that the rules about power do not see" }, \
	{                                                                                         \
		"foreign", 'f', "COMMAND",                                                        \
			"delivers to USER DOMAIN below folder DATA as another program would"      \
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
