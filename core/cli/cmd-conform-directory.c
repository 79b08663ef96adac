/* cmd-conform-directory.c: `posthorn conform directory SECTION`: a directory against its contract
 *
 * Each rule runs in a process of its own: `conform-directory-part`.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "cli/commands.h"
#include "cli/conform-tool.h"
#include "conform/directories.h"
#include "login/chain.h"
#include "plugin/instance.h"
#include "server/process.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static PhSection *tried; /* by the process of one rule */

static char **
command_for(const PhArguments *arguments)
{
	static const char *const names[] = { "user", "password" };
	g_autoptr(GStrvBuilder) words = g_strv_builder_new();
	g_autofree char *program = g_file_read_link("/proc/self/exe", NULL);

	g_strv_builder_add_many(words, program != NULL ? program : "posthorn",
	                        "conform-directory-part", "--config",
	                        ph_arguments_config(arguments), NULL);
	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autofree char *option = g_strconcat("--", names[i], NULL);

		if (ph_arguments_get(arguments, names[i]) != NULL)
			g_strv_builder_add_many(words, option,
			                        ph_arguments_get(arguments, names[i]), NULL);
	}
	if (ph_arguments_has(arguments, "change"))
		g_strv_builder_add(words, "--change");
	g_strv_builder_add_many(words, "--", ph_arguments_rest(arguments)[0], NULL);
	return g_strv_builder_end(words);
}

static int
run_directory(const PhArguments *arguments)
{
	g_auto(PhConformTool) tool = { .word = "directory" };
	g_auto(GStrv) command = NULL;
	g_autoptr(GError) error = NULL;
	const char *name = ph_arguments_rest(arguments)[0];

	if (ph_arguments_has(arguments, "list"))
		return ph_conform_list(ph_conform_directory_themes);
	if (name == NULL || ph_arguments_get(arguments, "user") == NULL) {
		fprintf(stderr,
		        "posthorn: name the [directory SECTION] to try and a --user of it\n");
		return PH_EXIT_USAGE;
	}
	if (!ph_conform_tool_open(&tool, ph_arguments_config(arguments), NULL, name, &error)) {
		fprintf(stderr, "posthorn: %s\n", error->message);
		return PH_EXIT_FAILED;
	}
	command = command_for(arguments);
	return ph_conform_try(arguments, ph_conform_directory_themes, command, false);
}

/* --- the process of one rule ------------------------------------------------------------------------ */

static void
write_octet(void *user_data)
{
	const int *fd = user_data;

	if (write(*fd, "", 1) < 0)
		return; /* the reader is gone */
}

static PhVerify
ask(const char *user, const char *password)
{
	PhSection *chain[] = { tried, NULL };
	PhChainWalk one = { .at = chain };
	g_autoptr(PhSecret) secret = password != NULL ? ph_secret_new(ph_slice(password)) : NULL;
	g_autoptr(PhIdentity) identity = NULL;
	g_autoptr(GError) error = NULL;
	PhVerify result = PH_VERIFY_ERROR;
	int ends[2] = { -1, -1 };
	char octet = 0;

	if (pipe(ends) != 0)
		return PH_VERIFY_ERROR;
	while (!ph_chain_walk(&one, user, secret, &identity, &result, &error)) {
		ph_chain_walk_wake(&one, ph_wake_new_func(write_octet, &ends[1]));
		if (read(ends[0], &octet, 1) != 1)
			break;
	}
	ph_chain_walk_clear(&one);
	(void) close(ends[0]);
	(void) close(ends[1]);
	return result;
}

static int
run_part(const PhArguments *arguments)
{
	const char *const *rest = ph_arguments_rest(arguments);
	g_auto(PhConformTool) tool = { .word = "directory" };
	g_autoptr(GError) error = NULL;
	PhConformDirectory directory = {
		.user = ph_arguments_get(arguments, "user"),
		.password = ph_arguments_get(arguments, "password"),
		.may_change = ph_arguments_has(arguments, "change"),
		.ask = ask,
	};

	ph_process_use_own();
	(void) signal(SIGPIPE, SIG_IGN);
	if (!ph_conform_tool_open(&tool, ph_arguments_config(arguments), NULL, rest[0], &error)
	    || !ph_instances_create_one(tool.section, &error)) {
		fprintf(stderr, "posthorn: %s\n", error->message);
		return PH_EXIT_FAILED;
	}
	tried = tool.section;
	directory.table = ph_section_table(tool.section);
	directory.instance = ph_section_instance(tool.section);
	return ph_conform_directory_part(&directory, STDOUT_FILENO, rest + 1);
}

#define COMMON_OPTIONS                                                                 \
	PH_COMMAND_CONFIG, { "user", 'u', "NAME", "a user who is there" },             \
		{ "password", 'p', "TEXT", "its password; without it none is tried" }, \
	{                                                                              \
		"change", 0, NULL, "let the kit add and remove a user of its own"      \
	}

static const PhCommandOption directory_options[] = {
	COMMON_OPTIONS,
	{ "rule", 'r', "NAMES", "only these rules, separated by commas" },
	{ "timeout", 0, "SECONDS", "for one rule (600)" },
	{ "tap", 't', NULL, "print TAP for test harnesses" },
	{ "list", 'l', NULL, "name the rules and end" },
	PH_COMMAND_END,
};

static const PhCommandOption part_options[] = {
	COMMON_OPTIONS,
	PH_COMMAND_END,
};

const PhCommand ph_command_conform_directory = {
	.name = "conform directory",
	.synopsis = "[SECTION]",
	.summary = "Try a directory against the contract, rule by rule",
	.details =
		"Runs every rule of the directory contract against [directory SECTION]: one line a\n"
		"rule with what was tried and how many checks were made, then a summary. What the\n"
		"directory cannot do is skipped. Nothing is changed without --change. Give the\n"
		"password of a user made for this alone: others see the command line. The status is\n"
		"0 only when no rule failed.",
	.options = directory_options,
	.max_rest = 1,
	.run = run_directory,
};

const PhCommand ph_command_conform_directory_part = {
	.name = "conform-directory-part",
	.synopsis = "SECTION ROLE...",
	.summary = "What the conformance kit starts for one rule",
	.options = part_options,
	.min_rest = 2,
	.max_rest = 16,
	.hidden = true,
	.run = run_part,
};
