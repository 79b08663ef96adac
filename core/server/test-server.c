/* test-server.c: a whole server without sockets, for wire tests and fuzzers
 *
 * The same generation as the worker's, on a config in memory; sessions are test sessions of the
 * net layer and run in the caller's thread.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/slice.h>
#include <posthorn/testing.h>

#include "net/resolver.h"
#include "net/testing.h"
#include "plugin/registry.h"
#include "server/generation.h"

#include <string.h>

struct PhTestServer {
	PhRegistry *registry;
	PhRuntime runtime;
	PhGeneration *generation;
};

static const PhDuration no_delay = { 1 };
static const PhDuration some_memory = { 60 * G_USEC_PER_SEC };

static bool
load(PhTestServer *server, const char *config_text, const char *folder, GError **error)
{
	g_autoptr(PhMistakes) mistakes = ph_mistakes_new("test");
	g_autoptr(PhConfig) config = NULL;
	g_autofree char *text = NULL;

	config = ph_config_parse(ph_slice(config_text), folder,
	                         ph_registry_source(server->registry), mistakes);
	if (config != NULL) {
		server->runtime.partial = ph_partial_open(ph_config_server(config)->data, error);
		if (server->runtime.partial == NULL)
			return false;
		server->generation = ph_generation_new(&server->runtime, config, NULL, mistakes);
	}
	if (server->generation != NULL)
		return true;
	text = ph_mistakes_text(mistakes);
	g_set_error(error, PH_ERROR, PH_ERROR_INVALID, "%s", g_strchomp(text));
	return false;
}

PhTestServer *
ph_test_server_new(const char *config_text, const char *folder, GError **error)
{
	PhTestServer *server = g_new0(PhTestServer, 1);

	server->registry = ph_registry_new();
	server->runtime.backoff = ph_backoff_new(no_delay, no_delay, some_memory);
	if (load(server, config_text, folder, error))
		return server;
	ph_test_server_free(server);
	return NULL;
}

void
ph_test_server_free(PhTestServer *server)
{
	if (server == NULL)
		return;
	ph_resolver_stop();
	ph_generation_unref(server->generation);
	ph_partial_free(server->runtime.partial);
	ph_backoff_free(server->runtime.backoff);
	ph_registry_free(server->registry);
	g_free(server);
}

/* The listener whose name the connection's name begins with; the first one for "". */
static PhSection *
find_listener(const PhTestServer *server, const char *name)
{
	PhSection *const *all = ph_config_all_sections(ph_generation_config(server->generation));
	PhSection *found = NULL;

	for (size_t i = 0; all[i] != NULL; i++) {
		const char *own = ph_section_name(all[i]);

		if (!ph_section_is_listener(all[i]))
			continue;
		if (name[0] == '\0')
			return all[i];
		if (g_str_has_prefix(name, own)
		    && (found == NULL || strlen(own) > strlen(ph_section_name(found))))
			found = all[i];
	}
	return found;
}

PhTestSession *
ph_test_server_connect(const char *name, void *server_pointer, GError **error)
{
	PhTestServer *server = server_pointer;
	PhSection *section = find_listener(server, name);
	PhListenerParams params;

	if (section == NULL
	    || !ph_generation_listener(server->generation, ph_section_name(section), &params)) {
		g_set_error(error, PH_ERROR, PH_ERROR_NOT_FOUND,
		            "no listener's name is what '%s' begins with", name);
		return NULL;
	}
	return ph_test_session_new_listener(&params, NULL);
}

PhSection *
ph_test_server_section(PhTestServer *server, const char *word, const char *name)
{
	return ph_config_section(ph_generation_config(server->generation), word, name);
}
