/* cmd-check.c: `posthorn check`: every mistake of a config, as `serve` would find them
 *
 * Does what `serve` does before it opens a socket: reads the file, opens the plugins that it names,
 * creates every section's instance, and destroys them again.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

#include "base/json.h"
#include "base/log.h"
#include "cli/commands.h"
#include "plugin/registry.h"
#include "server/generation.h"
#include "server/outline.h"
#include "server/process-spawn.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

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

/* What no check can know: whether systemd will pass the sockets that the config takes from it. */
static void
note_sockets(const PhConfig *config, const char *path, GString *notes)
{
	PhSection *const *all = ph_config_all_sections(config);

	for (size_t i = 0; all[i] != NULL; i++) {
		const PhListenerSettings *settings =
			ph_section_is_listener(all[i]) ? ph_section_listener(all[i]) : NULL;

		for (size_t j = 0; settings != NULL && settings->address[j] != NULL; j++)
			if (g_str_has_prefix(settings->address[j], "systemd:"))
				g_string_append_printf(
					notes,
					"%s:%u: note: '%s' is a socket that only systemd can pass; "
					"'serve' fails where it does not, which cannot be seen "
					"here\n",
					path, ph_section_key_line(all[i], "address"),
					settings->address[j]);
	}
}

/* What a plugin says in the log while it is made is a warning about its section. */
static bool
take_log_line(PhSection *section, const PhLogEvent *event, void *user_data)
{
	g_autofree char *title = section != NULL ? ph_section_title(section) : NULL;
	g_autoptr(GString) fields = g_string_new(NULL);

	if (title == NULL || event->level > PH_LOG_WARNING)
		return false;
	for (const PhLogField *field = event->fields; field->name != NULL; field++) {
		g_string_append_printf(fields, "%s%s ", fields->len > 0 ? ", " : "", field->name);
		if (field->text != NULL)
			g_string_append_printf(fields, "'%.*s'", (int) field->length, field->text);
		else
			g_string_append_printf(fields, "%" PRId64, field->number);
	}
	ph_mistakes_warn(user_data, section->line, "%s: %s%s%s%s", title, event->sentence,
	                 fields->len > 0 ? " (" : "", fields->str, fields->len > 0 ? ")" : "");
	return true;
}

/* Everything that `serve` does before it opens a socket, and back. */
static void
check(const char *path, bool with_addresses, PhMistakes *mistakes, GString *notes)
{
	static const PhRuntime runtime = { .reactor = NULL };
	g_autoptr(PhRegistry) registry = ph_registry_new();
	const PhOfferSource *source = ph_registry_source(registry);
	g_autoptr(PhConfig) config = with_addresses
	                                     ? ph_config_load_to_check(path, source, mistakes)
	                                     : ph_config_load(path, source, mistakes);

	if (config == NULL)
		return;
	note_sockets(config, path, notes);
	ph_log_set_catcher(take_log_line, mistakes);
	ph_generation_unref(ph_generation_new(&runtime, config, NULL, mistakes));
	ph_log_set_catcher(NULL, NULL);
}

static int
wait_for(pid_t pid)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return PH_EXIT_FAILED;
	return WIFEXITED(status) ? WEXITSTATUS(status) : PH_EXIT_FAILED;
}

/* The files that the config names are opened by [server] user, or by a root that has no
 * capabilities: root checks as that one. Returns: false when nothing is to be given up. */
static bool
check_as_user(const char *path, bool as_json, bool with_addresses, int *status_out)
{
	g_autoptr(PhOutline) outline = geteuid() == 0 ? ph_outline_read(path, NULL) : NULL;
	g_autofree char *program = g_file_read_link("/proc/self/exe", NULL);
	const char *argv[] = { program, "check", "--config", path, NULL, NULL, NULL };
	size_t n = 4;
	PhSpawnUser user = { .name = NULL };
	PhSpawn spawn = { .argv = argv,
		          .user = &user,
		          .channel = -1,
		          .input = -1,
		          .output = -1,
		          .errors = -1 };
	bool change = false;
	pid_t pid = -1;

	if (as_json)
		argv[n++] = "--json";
	if (!with_addresses)
		argv[n++] = "--no-addresses";
	if (outline == NULL || program == NULL || prctl(PR_CAPBSET_READ, CAP_DAC_OVERRIDE) != 1
	    || !ph_spawn_user(outline->user, outline->group, &user, &change, NULL))
		return false;
	if (!change || user.uid == 0)
		spawn.user = NULL;
	pid = ph_spawn(&spawn, NULL);
	if (pid < 0)
		return false;
	*status_out = wait_for(pid);
	return true;
}

static int
run(const PhArguments *arguments)
{
	const char *path = ph_arguments_config(arguments);
	g_autoptr(PhMistakes) mistakes = ph_mistakes_new(path);
	g_autoptr(GString) notes = g_string_new(NULL);
	bool as_json = ph_arguments_has(arguments, "json");
	bool with_addresses = !ph_arguments_has(arguments, "no-addresses");
	int status = PH_EXIT_FAILED;

	if (check_as_user(path, as_json, with_addresses, &status))
		return status;
	check(path, with_addresses, mistakes, notes);
	if (as_json)
		print_json(mistakes);
	else
		print_text(mistakes);
	if (!as_json)
		printf("%s", notes->str);
	return ph_mistakes_n_errors(mistakes) == 0 ? PH_EXIT_OK : PH_EXIT_FAILED;
}

static const PhCommandOption options[] = {
	PH_COMMAND_CONFIG,
	PH_COMMAND_JSON,
	{ "no-addresses", 0, NULL,
	  "do not ask whether this machine has the addresses of listeners: another has them now" },
	PH_COMMAND_END,
};

const PhCommand ph_command_check = {
	.name = "check",
	.synopsis = "",
	.summary = "Find every mistake in a config file",
	.details =
		"Mistakes go to standard error as FILE:LINE: what is wrong; what to do. Warnings are\n"
		"no failure. What passes is what `posthorn serve` starts with.",
	.options = options,
	.run = run,
};
