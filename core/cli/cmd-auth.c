/* cmd-auth.c: `posthorn auth test USER`: which directory answers what, and how quickly
 *
 * Every directory of the chain is asked, in order, until one has the last word. Nothing that is kept is
 * used, nothing is counted against the user. The password is never shown.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/slice.h>

#include "cli/commands.h"
#include "cli/directory-tool.h"
#include "login/chain.h"
#include "login/prepare.h"
#include "plugin/instance.h"
#include "server/process-spawn.h"
#include "server/process.h"

#include <stdio.h>

enum {
	US_PER_MS = 1000,
};

typedef struct {
	PhRegistry *registry;
	PhConfig *config;
	const PhListenerSettings *listener;
	const char *listener_name;
} Tool;

static void
tool_close(Tool *tool)
{
	ph_config_unref(tool->config);
	ph_registry_free(tool->registry);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Tool, tool_close)

/* The listener of that name, or the first that has directories. */
static bool
find_listener(Tool *tool, const char *name, GError **error)
{
	PhSection *const *all = ph_config_all_sections(tool->config);

	for (size_t i = 0; all[i] != NULL; i++) {
		if (!ph_section_is_listener(all[i])
		    || (name != NULL && strcmp(name, ph_section_name(all[i])) != 0))
			continue;
		tool->listener = ph_section_listener(all[i]);
		tool->listener_name = ph_section_name(all[i]);
		if (tool->listener->directory != NULL)
			return true;
	}
	ph_error_set(error, PH_ERROR_NOT_FOUND, "there is no %s%s%s with a directory",
	             name != NULL ? "[listener " : "[listener]", name != NULL ? name : "",
	             name != NULL ? "]" : "");
	return false;
}

static bool
tool_open(Tool *tool, const PhArguments *arguments, GError **error)
{
	const char *path = ph_arguments_config(arguments);
	g_autoptr(PhMistakes) mistakes = ph_mistakes_new(path);

	tool->registry = ph_registry_new();
	tool->config = ph_config_load(path, ph_registry_source(tool->registry), mistakes);
	if (tool->config == NULL) {
		g_autofree char *text = ph_mistakes_text(mistakes);

		ph_error_set(error, PH_ERROR_INVALID, "the config has mistakes:\n%s",
		             g_strchomp(text));
		return false;
	}
	ph_process_use_own();
	return find_listener(tool, ph_arguments_get(arguments, "listener"), error)
	       && ph_process_take_group(ph_config_group(tool->config), error);
}

/* --- one directory -------------------------------------------------------------------------------- */

static const char *
word_of(PhVerify result, bool has_password)
{
	switch (result) {
	case PH_VERIFY_OK:
		return has_password ? "right" : "known";
	case PH_VERIFY_WRONG:
		return "wrong password";
	case PH_VERIFY_UNKNOWN_USER:
		return "unknown";
	case PH_VERIFY_DISABLED:
		return "disabled";
	case PH_VERIFY_ERROR:
		break;
	}
	return "error";
}

static void
print_list(const char *name, const char *const *values)
{
	g_autofree char *text =
		values != NULL ? g_strjoinv(", ", (char **) (uintptr_t) values) : NULL;

	if (text != NULL && text[0] != '\0')
		printf("    %s: %s\n", name, text);
}

static void
print_identity(const PhIdentity *identity)
{
	printf("    address: %s\n", ph_identity_address(identity));
	if (ph_identity_full_name(identity) != NULL)
		printf("    name: %s\n", ph_identity_full_name(identity));
	if (ph_identity_home(identity) != NULL)
		printf("    home: %s\n", ph_identity_home(identity));
	if (ph_identity_quota_octets(identity) > 0)
		printf("    quota: %" G_GUINT64_FORMAT " octets\n",
		       ph_identity_quota_octets(identity));
	print_list("groups", ph_identity_groups(identity));
	print_list("aliases", ph_identity_aliases(identity));
	print_list("senders", ph_identity_senders(identity));
}

static PhVerify
ask_one(PhSection *section,
        const char *user,
        const PhSecret *secret,
        PhIdentity **identity_out,
        GError **error)
{
	const PhDirectory *table = ph_section_table(section);
	void *instance = ph_section_instance(section);

	if (secret == NULL)
		return table->lookup(instance, user, identity_out, error);
	if (table->verify == NULL)
		return PH_VERIFY_UNKNOWN_USER;
	return table->verify(instance, user, secret, identity_out, error);
}

static PhVerify
try_one(PhSection *section, const char *user, const PhSecret *secret)
{
	g_autoptr(PhIdentity) identity = NULL;
	g_autoptr(GError) error = NULL;
	PhVerify result = PH_VERIFY_ERROR;
	gint64 began_us = g_get_monotonic_time();

	if (ph_instances_create_one(section, &error)) {
		began_us = g_get_monotonic_time();
		result = ask_one(section, user, secret, &identity, &error);
	}
	printf("  %-16s %-14s %8.1f ms%s%s\n", ph_section_name(section),
	       word_of(result, secret != NULL),
	       (double) (g_get_monotonic_time() - began_us) / US_PER_MS, error != NULL ? "  " : "",
	       error != NULL ? error->message : "");
	if (identity != NULL)
		print_identity(identity);
	if (ph_section_instance(section) != NULL)
		ph_instances_release_one(section);
	return result;
}

/* Returns: did a directory say yes? */
static bool
walk(const Tool *tool, const char *user, const PhSecret *secret)
{
	PhVerify result = PH_VERIFY_UNKNOWN_USER;

	printf("[listener %s]\n", tool->listener_name);
	for (PhSection *const *one = tool->listener->directory; *one != NULL; one++) {
		result = try_one(*one, user, secret);
		if (ph_chain_stops(*one, result))
			break;
	}
	return result == PH_VERIFY_OK;
}

static int
run_test(const PhArguments *arguments)
{
	const char *name = ph_arguments_rest(arguments)[0];
	g_auto(Tool) tool = { .registry = NULL };
	g_autofree char *user = ph_prepare_name(ph_slice(name));
	g_autoptr(PhSecret) given = NULL;
	g_autoptr(PhSecret) secret = NULL;
	g_autoptr(GError) error = NULL;
	bool good = false;

	if (user == NULL)
		ph_error_set(&error, PH_ERROR_INVALID, "'%s' cannot be a user's name", name);
	else if (tool_open(&tool, arguments, &error)
	         && ph_arguments_has(arguments, "password-stdin"))
		given = ph_read_password(user, true, &error);
	if (given != NULL)
		secret = ph_prepare_secret(ph_secret_slice(given));
	if (error == NULL) {
		good = walk(&tool, user, secret);
		return good ? PH_EXIT_OK : PH_EXIT_FAILED;
	}
	fprintf(stderr, "posthorn: %s\n", error->message);
	return PH_EXIT_FAILED;
}

static const PhCommandOption test_options[] = {
	PH_COMMAND_CONFIG,
	{ "listener", 'l', "NAME", "whose directories are asked; the first that has some" },
	{ "password-stdin", 's', NULL,
	  "verify the password on standard input; without it the user is only looked up" },
	PH_COMMAND_END,
};

const PhCommand ph_command_auth_test = {
	.name = "auth test",
	.synopsis = "USER",
	.summary = "Show which directory answers what about a user",
	.details =
		"Asks the directories of a listener in their order until one has the last word, and "
		"says what each answered and how long it took. The password is never shown.\nExit "
		"status 0 when the user is let in (or found, without a password).",
	.options = test_options,
	.min_rest = 1,
	.max_rest = 1,
	.run = run_test,
};
