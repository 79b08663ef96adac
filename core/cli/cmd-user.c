/* cmd-user.c: adds, removes and lists users of a directory
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>

#include "cli/commands.h"
#include "cli/control-client.h"
#include "cli/directory-tool.h"

#include <stdio.h>
#include <string.h>

static int
fail(const GError *error)
{
	fprintf(stderr, "posthorn: %s\n", error->message);
	return g_error_matches(error, PH_ERROR, PH_ERROR_TEMPORARY) ? PH_EXIT_TEMPORARY
	                                                            : PH_EXIT_FAILED;
}

static bool
can_set(const PhDirectory *table)
{
	return table->set != NULL;
}

static bool
can_remove(const PhDirectory *table)
{
	return table->remove != NULL;
}

static bool
can_list(const PhDirectory *table)
{
	return table->list != NULL;
}

/* The running server, if there is one, asks its directories anew. */
static void
forget_kept(const PhArguments *arguments)
{
	g_autoptr(GString) answer = g_string_new(NULL);

	(void) ph_control_ask(ph_arguments_config(arguments), "forget", true, answer, NULL);
}

static bool
is_among(const char *const *domains, const char *ascii)
{
	for (size_t i = 0; domains != NULL && domains[i] != NULL; i++) {
		g_autofree char *other = g_hostname_to_ascii(domains[i]);

		if (strcmp(domains[i], "*") == 0
		    || (other != NULL && g_ascii_strcasecmp(other, ascii) == 0))
			return true;
	}
	return false;
}

/* Mail for an address whose domain no route has does not come in. */
static void
warn_of_domain(const PhConfig *config, const char *name)
{
	PhSection *const *all = ph_config_all_sections(config);
	const char *at = strrchr(name, '@');
	g_autofree char *ascii = at != NULL ? g_hostname_to_ascii(at + 1) : NULL;
	bool has_route = false;

	for (size_t i = 0; ascii != NULL && all[i] != NULL; i++) {
		if (!ph_section_is_route(all[i]))
			continue;
		has_route = true;
		if (is_among(ph_section_route(all[i])->domains, ascii))
			return;
	}
	if (has_route && ascii != NULL)
		fprintf(stderr,
		        "posthorn: warning: no [route] has '%s' among its 'domains'; mail for "
		        "'%s' is not taken until one has\n",
		        at + 1, name);
}

/* Adds the user, or changes the password of one that is there. */
static int
set_password(const PhArguments *arguments, bool create, const char *what)
{
	const char *name = ph_arguments_rest(arguments)[0];
	const char *scheme = ph_arguments_get(arguments, "scheme");
	g_auto(PhDirectoryTool) tool = { .registry = NULL };
	g_autoptr(PhSecret) secret = NULL;
	g_autofree char *hash = NULL;
	g_autoptr(GError) error = NULL;

	if (!ph_directory_tool_open(&tool, ph_arguments_config(arguments),
	                            ph_arguments_get(arguments, "directory"), can_set, what,
	                            &error))
		return fail(error);
	secret = ph_read_password(name, ph_arguments_has(arguments, "stdin"), &error);
	if (secret == NULL)
		return fail(error);
	if (scheme == NULL && (tool.table->flags & PH_DIRECTORY_HASHES) != 0)
		scheme = "PLAIN";
	hash = ph_password_hash(scheme, secret, &error);
	if (hash == NULL || !tool.table->set(tool.instance, name, hash, create, &error))
		return fail(error);
	forget_kept(arguments);
	printf("%s '%s' in directory '%s'.\n", create ? "Added" : "Changed the password of", name,
	       ph_section_name(tool.section));
	if (create)
		warn_of_domain(tool.config, name);
	return PH_EXIT_OK;
}

static int
run_add(const PhArguments *arguments)
{
	return set_password(arguments, true, "add users");
}

static int
run_passwd(const PhArguments *arguments)
{
	return set_password(arguments, false, "change passwords");
}

static int
run_remove(const PhArguments *arguments)
{
	const char *name = ph_arguments_rest(arguments)[0];
	g_auto(PhDirectoryTool) tool = { .registry = NULL };
	g_autoptr(GError) error = NULL;

	if (!ph_directory_tool_open(&tool, ph_arguments_config(arguments),
	                            ph_arguments_get(arguments, "directory"), can_remove,
	                            "remove users", &error)
	    || !tool.table->remove(tool.instance, name, &error))
		return fail(error);
	forget_kept(arguments);
	printf("Removed '%s' from directory '%s'; the user's mail stays where it is.\n", name,
	       ph_section_name(tool.section));
	return PH_EXIT_OK;
}

static bool
print_name(const char *address, void *user_data)
{
	bool *first = user_data;

	if (first == NULL) {
		printf("%s\n", address);
		return true;
	}
	printf("%s\"%s\"", *first ? "" : ",", address);
	*first = false;
	return true;
}

static int
run_list(const PhArguments *arguments)
{
	g_auto(PhDirectoryTool) tool = { .registry = NULL };
	g_autoptr(GError) error = NULL;
	bool as_json = ph_arguments_has(arguments, "json");
	bool first = true;

	if (!ph_directory_tool_open(&tool, ph_arguments_config(arguments),
	                            ph_arguments_get(arguments, "directory"), can_list,
	                            "list users", &error))
		return fail(error);
	printf("%s", as_json ? "[" : "");
	if (!tool.table->list(tool.instance, print_name, as_json ? &first : NULL, &error))
		return fail(error);
	printf("%s", as_json ? "]\n" : "");
	return PH_EXIT_OK;
}

#define DIRECTORY_OPTION                                         \
	{                                                        \
		"directory", 'd', "NAME",                        \
			"the [directory NAME] to use; the only " \
			"one that can, when not given"           \
	}

static const PhCommandOption set_options[] = {
	PH_COMMAND_CONFIG,
	DIRECTORY_OPTION,
	{ "stdin", 's', NULL, "read the password from standard input instead of the terminal" },
	{ "scheme", 0, "NAME", "how to store it: ARGON2ID, BLF-CRYPT, SHA512-CRYPT, ..." },
	PH_COMMAND_END,
};
static const PhCommandOption remove_options[] = {
	PH_COMMAND_CONFIG,
	DIRECTORY_OPTION,
	PH_COMMAND_END,
};
static const PhCommandOption list_options[] = {
	PH_COMMAND_CONFIG,
	DIRECTORY_OPTION,
	PH_COMMAND_JSON,
	PH_COMMAND_END,
};

const PhCommand ph_command_user_add = {
	.name = "user add",
	.synopsis = "NAME",
	.summary = "Add a user with a password",
	.details = "NAME is an address (anna@example.org), or a plain name on a server without "
		   "domains.\nThe password is asked for on the terminal. The server knows the new "
		   "user at once.",
	.options = set_options,
	.min_rest = 1,
	.max_rest = 1,
	.run = run_add,
};

const PhCommand ph_command_user_remove = {
	.name = "user remove",
	.synopsis = "NAME",
	.summary = "Remove a user; the mail stays",
	.options = remove_options,
	.min_rest = 1,
	.max_rest = 1,
	.run = run_remove,
};

const PhCommand ph_command_user_list = {
	.name = "user list",
	.synopsis = "",
	.summary = "List the users of a directory",
	.options = list_options,
	.run = run_list,
};

const PhCommand ph_command_passwd = {
	.name = "passwd",
	.synopsis = "NAME",
	.summary = "Change a user's password",
	.options = set_options,
	.min_rest = 1,
	.max_rest = 1,
	.run = run_passwd,
};
