/* directory-tool.c: opens a directory that users can be changed in, without the server
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "cli/directory-tool.h"

#include <posthorn/error.h>
#include <posthorn/slice.h>

#include "base/log.h"
#include "plugin/instance.h"
#include "server/process-spawn.h"
#include "server/process.h"

#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

enum {
	PASSWORD_MAX = 1024
};

typedef bool (*Can)(const PhDirectory *table);

static void
append_name(GString *names, PhSection *section)
{
	g_string_append_printf(names, "%s'%s'", names->len > 0 ? ", " : "",
	                       ph_section_name(section));
}

static bool
is_candidate(PhSection *section, const char *name, Can can)
{
	if (ph_section_kind(section) != PH_KIND_DIRECTORY)
		return false;
	if (name != NULL && strcmp(ph_section_name(section), name) != 0)
		return false;
	return can(ph_section_table(section));
}

static PhSection *
choose(const PhConfig *config, const char *name, Can can, const char *what, GError **error)
{
	PhSection *const *all = ph_config_all_sections(config);
	g_autoptr(GString) names = g_string_new(NULL);
	PhSection *found = NULL;
	unsigned n = 0;

	for (size_t i = 0; all[i] != NULL; i++) {
		if (!is_candidate(all[i], name, can))
			continue;
		append_name(names, all[i]);
		found = all[i];
		n++;
	}
	if (n == 1)
		return found;
	if (n > 1)
		g_set_error(error, PH_ERROR, PH_ERROR_INVALID,
		            "several directories can %s: %s; choose one with --directory", what,
		            names->str);
	else if (name != NULL)
		g_set_error(error, PH_ERROR, PH_ERROR_UNSUPPORTED,
		            "there is no [directory %s] that can %s", name, what);
	else
		g_set_error(error, PH_ERROR, PH_ERROR_UNSUPPORTED,
		            "no [directory] of this config can %s", what);
	return NULL;
}

/* With what it stands on. */
/* The first `user add` need not hear that there is no users file yet. */
static bool
pass_over(PhSection *section, const PhLogEvent *event, void *user_data)
{
	return strcmp(event->event, "file-missing") == 0;
}

static bool
create_instance(PhDirectoryTool *tool, GError **error)
{
	bool created = false;

	ph_log_set_catcher(pass_over, NULL);
	created = ph_instances_create_one(tool->section, error);
	ph_log_set_catcher(NULL, NULL);
	if (!created)
		return false;
	tool->instance = ph_section_instance(tool->section);
	return true;
}

bool
ph_directory_tool_open(PhDirectoryTool *tool,
                       const char *config,
                       const char *name,
                       Can can,
                       const char *what,
                       GError **error)
{
	g_autoptr(PhMistakes) mistakes = ph_mistakes_new(config);

	ph_process_use_own();
	tool->registry = ph_registry_new();
	tool->config = ph_config_load(config, ph_registry_source(tool->registry), mistakes);
	if (tool->config == NULL) {
		g_autofree char *text = ph_mistakes_text(mistakes);

		g_set_error(error, PH_ERROR, PH_ERROR_INVALID, "the config has mistakes:\n%s",
		            g_strchomp(text));
		return false;
	}
	tool->section = choose(tool->config, name, can, what, error);
	if (tool->section == NULL)
		return false;
	tool->table = ph_section_table(tool->section);
	return ph_process_take_group(ph_config_group(tool->config), error)
	       && create_instance(tool, error);
}

void
ph_directory_tool_close(PhDirectoryTool *tool)
{
	if (tool->instance != NULL)
		ph_instances_release_one(tool->section);
	ph_config_unref(tool->config);
	ph_registry_free(tool->registry);
	*tool = (PhDirectoryTool){ .registry = NULL };
}

/* --- passwords ------------------------------------------------------------------------------ */

/* One line without its end into @buffer. Returns: its length, -1 when there is none or it is too
 * long. */
static ssize_t
read_line(FILE *file, char *buffer)
{
	size_t length = 0;

	if (fgets(buffer, PASSWORD_MAX + 2, file) == NULL)
		return -1;
	length = strlen(buffer);
	while (length > 0 && (buffer[length - 1] == '\n' || buffer[length - 1] == '\r'))
		length--;
	return length > PASSWORD_MAX ? -1 : (ssize_t) length;
}

static PhSecret *
read_secret(FILE *file, GError **error)
{
	char buffer[PASSWORD_MAX + 2] = "";
	ssize_t length = read_line(file, buffer);
	PhSecret *secret = NULL;

	if (length > 0)
		secret = ph_secret_new(PH_SLICE(buffer, (size_t) length));
	else
		g_set_error(error, PH_ERROR, PH_ERROR_INVALID,
		            "a password has 1 to %d octets, in one line", PASSWORD_MAX);
	ph_secret_wipe(buffer, sizeof buffer);
	return secret;
}

static PhSecret *
ask(FILE *terminal, const char *prompt, const char *user, GError **error)
{
	struct termios shown;
	struct termios hidden;
	PhSecret *secret = NULL;
	bool can_hide = tcgetattr(fileno(terminal), &shown) == 0;

	hidden = shown;
	hidden.c_lflag &= ~(tcflag_t) ECHO;
	fprintf(terminal, "%s %s: ", prompt, user);
	(void) fflush(terminal);
	if (can_hide)
		(void) tcsetattr(fileno(terminal), TCSAFLUSH, &hidden);
	secret = read_secret(terminal, error);
	if (can_hide)
		(void) tcsetattr(fileno(terminal), TCSAFLUSH, &shown);
	fprintf(terminal, "\n");
	return secret;
}

PhSecret *
ph_read_password(const char *user, bool from_stdin, GError **error)
{
	FILE *terminal = NULL;
	g_autoptr(PhSecret) first = NULL;
	g_autoptr(PhSecret) second = NULL;

	if (from_stdin)
		return read_secret(stdin, error);
	terminal = fopen("/dev/tty", "r+e");
	if (terminal == NULL) {
		g_set_error(error, PH_ERROR, PH_ERROR_INVALID,
		            "there is no terminal to ask on; give the password on standard input "
		            "with --stdin");
		return NULL;
	}
	first = ask(terminal, "Password for", user, error);
	if (first != NULL)
		second = ask(terminal, "Once more for", user, error);
	(void) fclose(terminal);
	if (second == NULL)
		return NULL;
	if (!ph_secret_equal(ph_secret_slice(first), ph_secret_slice(second))) {
		g_set_error(error, PH_ERROR, PH_ERROR_INVALID, "the two passwords differ");
		return NULL;
	}
	return g_steal_pointer(&first);
}
