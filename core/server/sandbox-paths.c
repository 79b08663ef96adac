/* sandbox-paths.c: the files that a config names
 *
 * Values of path options are read where the plugin only reads (directories, mechanisms, protocols)
 * and written where it keeps mail (stores, transports, filters). Of a template the part before the
 * first placeholder counts.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/directory.h>

#include "config/sections.h"
#include "server/sandbox.h"

#include <string.h>

static void
clear_grant(gpointer pointer)
{
	g_free(((PhGrant *) pointer)->path);
}

/* @path: (owned). */
static void
grant(GArray *grants, char *path, bool may_write)
{
	PhGrant added = { .path = path, .may_write = may_write };

	g_array_append_val(grants, added);
}

/* The folder of a file: it may be replaced by another of the same name. */
static void
grant_folder_of(GArray *grants, const char *file)
{
	if (file != NULL)
		grant(grants, g_path_get_dirname(file), false);
}

static char *
fixed_part(const char *path_template)
{
	const char *brace = strchr(path_template, '{');
	g_autofree char *head = NULL;

	if (brace == NULL)
		return g_strdup(path_template);
	head = g_strndup(path_template, (gsize) (brace - path_template));
	if (g_str_has_suffix(head, "/"))
		return g_steal_pointer(&head);
	return g_path_get_dirname(head);
}

char *
ph_sandbox_folder_of(const PhSection *section)
{
	const PhOption *row = section->offer->options;

	for (; section->settings != NULL && row->key != NULL; row++) {
		const char *value = NULL;

		if (row->type != PH_OPTION_TYPE_PATH && row->type != PH_OPTION_TYPE_TEMPLATE)
			continue;
		memcpy(&value, (const char *) section->settings + row->offset, sizeof value);
		if (value != NULL && value[0] == '/')
			return fixed_part(value);
	}
	return NULL;
}

static bool
writes(uint32_t kind)
{
	return kind == PH_KIND_STORE || kind == PH_KIND_TRANSPORT || kind == PH_KIND_FILTER;
}

/* A directory that keeps a database makes files beside it; one that stores passwords anew too. */
static bool
writes_beside(const PhSection *section)
{
	const PhDirectory *table =
		section->kind == PH_KIND_DIRECTORY ? section->offer->table : NULL;

	return table != NULL
	       && ((table->flags & PH_DIRECTORY_WRITES) != 0
	           || ph_section_plugin(section)->rehash != NULL);
}

static void
grant_option(GArray *grants, const PhSection *section, const PhOption *row)
{
	const char *member = (const char *) section->settings + row->offset;
	const char *value = NULL;

	if (row->type != PH_OPTION_TYPE_PATH && row->type != PH_OPTION_TYPE_TEMPLATE)
		return;
	memcpy(&value, member, sizeof value);
	if (value == NULL || value[0] != '/')
		return;
	if (writes(section->kind))
		grant(grants, fixed_part(value), true);
	else
		grant(grants, g_path_get_dirname(value), writes_beside(section));
}

static void
grant_section(GArray *grants, const PhSection *section)
{
	const PhOption *row = section->offer->options;

	if (ph_section_is_route(section))
		grant_folder_of(grants, ph_section_route(section)->aliases);
	for (; section->settings != NULL && row->key != NULL; row++)
		grant_option(grants, section, row);
}

static void
grant_search_index(GArray *grants, const PhSection *section)
{
	const PhPluginSettings *settings =
		section->kind == PH_KIND_STORE ? ph_section_plugin(section) : NULL;

	if (settings != NULL && settings->search_index != NULL)
		grant(grants, fixed_part(settings->search_index), true);
}

static void
grant_sections(GArray *grants, const PhConfig *config)
{
	PhSection *const *sections = ph_config_sections(config);

	for (size_t i = 0; sections[i] != NULL; i++) {
		grant_section(grants, sections[i]);
		grant_search_index(grants, sections[i]);
	}
}

static void
grant_listeners(GArray *grants, const PhConfig *config)
{
	PhSection *const *sections = ph_config_sections(config);

	for (size_t i = 0; sections[i] != NULL; i++)
		if (ph_section_is_listener(sections[i]))
			grant_folder_of(grants, ph_section_listener(sections[i])->client_ca);
}

/* What every process needs. */
static GArray *
grant_system(const char *const *folders)
{
	static const char *const system_folders[] = { "/usr", "/lib", "/lib64", "/bin",
		                                      "/etc", "/run", "/proc",  "/sys" };
	GArray *grants = g_array_new(FALSE, FALSE, sizeof(PhGrant));

	g_array_set_clear_func(grants, clear_grant);
	for (size_t i = 0; i < G_N_ELEMENTS(system_folders); i++)
		grant(grants, g_strdup(system_folders[i]), false);
	grant(grants, g_strdup("/dev"), true);
	for (size_t i = 0; folders != NULL && folders[i] != NULL; i++)
		grant(grants, g_strdup(folders[i]), false);
	return grants;
}

GArray *
ph_sandbox_grants_one(const PhSection *section, const char *const *folders)
{
	GArray *grants = grant_system(folders);

	grant_section(grants, section);
	/* What PAM's modules and the name service keep: caches, counters of failures. */
	if (ph_section_is_privileged(section)) {
		grant(grants, g_strdup("/var"), false);
		grant(grants, g_strdup("/run"), true);
	}
	return grants;
}

GArray *
ph_sandbox_grants(const PhConfig *config, const char *const *folders)
{
	GArray *grants = grant_system(folders);
	const PhConfigTls *tls = NULL;

	grant(grants, g_strdup(ph_config_folder(config)), false);
	grant(grants, g_strdup(ph_config_server(config)->data), true);
	if (ph_config_needs_queue(config))
		grant(grants, g_strdup(ph_config_queue(config)->path), true);
	for (size_t i = 0; (tls = ph_config_tls(config, i)) != NULL; i++) {
		grant_folder_of(grants, tls->settings->certificate);
		grant_folder_of(grants, tls->settings->key);
	}
	grant_folder_of(grants, ph_config_resolver(config)->trust_anchor);
	grant_folder_of(grants, ph_config_resolver(config)->hosts);
	grant_listeners(grants, config);
	grant_sections(grants, config);
	return grants;
}
