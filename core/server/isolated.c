/* isolated.c: the process that runs one isolated plugin
 *
 * It knows [server] and its own section of the config, nothing else; loads one plugin; gives up what
 * it does not need before the plugin's code gets to run; and ends when the worker closes the link.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "server/isolated.h"

#include <posthorn/error.h>
#include <posthorn/log.h>
#include <posthorn/plugin.h>
#include <posthorn/slice.h>

#include "base/limits.h"
#include "base/log.h"
#include "isolate/child.h"
#include "plugin/instance.h"
#include "plugin/registry.h"
#include "server/isolated-filter.h"
#include "server/outline.h"
#include "server/process-spawn.h"
#include "server/sandbox.h"
#include "server/supervisor.h"

#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	EXIT_GOOD = 0,
	EXIT_BAD = 1
};

static const char *
name_section(PhSection *section)
{
	return ph_section_name(section);
}

static void
prepare_process(void)
{
	(void) prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	(void) signal(SIGPIPE, SIG_IGN);
	(void) signal(SIGHUP, SIG_IGN);
	(void) signal(SIGINT, SIG_IGN);
	(void) umask(077);
	ph_log_set_section_describer(name_section);
}

/* What stands on standard input, up to the largest config. */
static GString *
read_input(void)
{
	GString *text = g_string_new(NULL);
	char buffer[4096];
	ssize_t n = 0;

	while (text->len < PH_LIMIT_CONFIG_FILE
	       && (n = read(STDIN_FILENO, buffer, sizeof buffer)) > 0)
		g_string_append_len(text, buffer, n);
	return text;
}

static int
refuse(PhMistakes *mistakes)
{
	g_autofree char *text = ph_mistakes_text(mistakes);

	(void) !write(STDERR_FILENO, text, strlen(text));
	return PH_WORKER_BAD_CONFIG;
}

/* Memory that is written to; what is only mapped from files does not count. */
static void
limit_memory(const PhSection *section)
{
	uint64_t most = ph_section_plugin(section)->isolate_memory.octets;
	const struct rlimit limit = { most, most };

	if (most > 0 && !ph_sandbox_is_sanitized())
		(void) setrlimit(RLIMIT_DATA, &limit);
}

static int
serve(PhSection *section, PhMistakes *mistakes)
{
	g_autoptr(GError) error = NULL;
	bool good = false;

	if (!ph_instances_create_one(section, &error)) {
		ph_mistakes_add(mistakes, section->line, "[%s %s] (plugin '%s'): %s", section->word,
		                section->name, section->offer->name,
		                error != NULL ? error->message : "it failed and did not say why");
		return refuse(mistakes);
	}
	good = ph_isolate_serve(section, PH_SPAWN_CHANNEL_FD);
	ph_instances_release_one(section);
	return good ? EXIT_GOOD : EXIT_BAD;
}

static PhSection *
find_section(const PhConfig *config, const char *title)
{
	PhSlice name = ph_slice(title);
	g_autofree char *word = ph_slice_dup(ph_slice_split(&name, ' '));
	g_autofree char *rest = ph_slice_dup(name);

	return ph_config_section(config, word, rest);
}

int
ph_isolated_run(const char *title, const char *folder, bool privileged)
{
	g_autoptr(PhMistakes) mistakes = ph_mistakes_new("config");
	g_autoptr(PhRegistry) registry = ph_registry_new();
	g_autoptr(PhConfig) config = NULL;
	g_autoptr(GString) text = NULL;
	PhSection *section = NULL;
	PhSandbox *sandbox = NULL;
	int status = EXIT_BAD;

	prepare_process();
	ph_isolated_filter_open();
	if (privileged)
		ph_registry_trust_root(registry);
	text = read_input();
	config = ph_config_parse_for_tool(PH_SLICE(text->str, text->len), folder,
	                                  ph_registry_source(registry), mistakes);
	section = config != NULL ? find_section(config, title) : NULL;
	if (section == NULL || (privileged && !ph_section_is_privileged(section)))
		return refuse(mistakes);
	(void) ph_log_open(ph_outline_log_sink(ph_config_server(config)->log),
	                   ph_server_log_level(ph_config_server(config)));
	limit_memory(section);
	sandbox = ph_sandbox_enter_one(section, ph_registry_folders(registry));
	status = serve(section, mistakes);
	ph_sandbox_free(sandbox);
	return status;
}
