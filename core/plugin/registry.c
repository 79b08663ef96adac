/* registry.c: kind and name to an offer, opening only the files that are asked for
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "plugin/registry.h"

#include <posthorn/error.h>
#include <posthorn/slice.h>

#include "base/lock.h"
#include "base/path.h"
#include "config/sections.h"
#include "plugin/adopt.h"
#include "plugin/loader.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

struct PhRegistry {
	PhOfferSource source;
	char **folders;
	uid_t user;
	bool root_only;
};

/* Adopted plugins of the process by real path. */
static PhLock adopted_lock = PH_LOCK_INIT;
static GHashTable *adopted_by_path;

#define SUFFIX ".so"

static const PhAdopted *
open_plugin(const char *path, uid_t user, GError **error)
{
	char real[PATH_MAX] = "";
	PhAdopted *adopted = NULL;
	const PhPlugin *plugin = NULL;
	PH_LOCKED(&adopted_lock);

	if (adopted_by_path == NULL)
		adopted_by_path = g_hash_table_new(ph_str_hash, g_str_equal);
	if (realpath(path, real) == NULL) {
		ph_error_set_errno(error, errno, "cannot open the plugin '%s'", path);
		return NULL;
	}
	adopted = g_hash_table_lookup(adopted_by_path, real);
	if (adopted != NULL)
		return adopted;
	plugin = ph_loader_open(path, user, error);
	if (plugin == NULL)
		return NULL;
	adopted = ph_adopt(plugin, path, error);
	if (adopted != NULL)
		g_hash_table_insert(adopted_by_path, g_strdup(real), adopted);
	return adopted;
}

static const PhOfferInfo *
offer_of(const PhAdopted *adopted, uint32_t kind, const char *name)
{
	for (size_t i = 0; i < adopted->n_offers; i++)
		if (adopted->offers[i].kind == kind && strcmp(adopted->offers[i].name, name) == 0)
			return &adopted->offers[i];
	return NULL;
}

static const PhOfferInfo *
find_in_file(const PhRegistry *registry,
             const char *path,
             uint32_t kind,
             const char *name,
             GError **error)
{
	const PhAdopted *adopted = open_plugin(path, registry->user, error);
	const PhOfferInfo *offer = adopted != NULL ? offer_of(adopted, kind, name) : NULL;

	if (adopted != NULL && offer == NULL)
		ph_error_set(error, PH_ERROR_INVALID,
		             "the plugin file '%s' makes no offer '%s' of kind %s; see: posthorn "
		             "plugins",
		             path, name, ph_kind_name(kind));
	return offer;
}

/* "/path/file.so:name"; without the name it is the file's only offer of the kind. */
static const PhOfferInfo *
find_by_path(const PhRegistry *registry, uint32_t kind, const char *text, GError **error)
{
	const char *colon = strrchr(text, ':');
	g_autofree char *path = colon != NULL ? g_strndup(text, (size_t) (colon - text)) : NULL;

	if (colon == NULL || text[0] != '/') {
		ph_error_set(error, PH_ERROR_INVALID,
		             "'%s' is no plugin; write a name, or /absolute/path.so:NAME", text);
		return NULL;
	}
	return find_in_file(registry, path, kind, colon + 1, error);
}

static char *
list_folders(const PhRegistry *registry)
{
	GString *list = g_string_new("");

	for (size_t i = 0; registry->folders[i] != NULL; i++)
		g_string_append_printf(
			list, "%s%s%s", i > 0 ? ", " : "", registry->folders[i],
			access(registry->folders[i], F_OK) == 0 ? "" : " (no such directory)");
	return g_string_free(list, FALSE);
}

static const PhOfferInfo *
find(void *user_data, uint32_t kind, const char *name, GError **error)
{
	const PhRegistry *registry = user_data;
	g_autofree char *file = NULL;
	g_autofree char *list = NULL;

	if (strchr(name, '/') != NULL)
		return find_by_path(registry, kind, name, error);
	file = g_strdup_printf("%s-%s" SUFFIX, ph_kind_name(kind), name);
	for (size_t i = 0; registry->folders[i] != NULL; i++) {
		g_autofree char *path = g_build_filename(registry->folders[i], file, NULL);

		if (access(path, F_OK) == 0)
			return find_in_file(registry, path, kind, name, error);
	}
	list = list_folders(registry);
	ph_error_set(error, PH_ERROR_NOT_FOUND, "there is no %s plugin '%s' in %s",
	             ph_kind_name(kind), name, list);
	return NULL;
}

static int
compare_names(gconstpointer a, gconstpointer b)
{
	return strcmp(*(const char *const *) a, *(const char *const *) b);
}

/* Calls @func for every KIND-NAME.so, sorted within each folder. */
static void
each_file(const PhRegistry *registry,
          void (*func)(const char *path, void *user_data),
          void *user_data)
{
	for (size_t i = 0; registry->folders[i] != NULL; i++) {
		g_autoptr(GDir) folder = g_dir_open(registry->folders[i], 0, NULL);
		g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
		const char *entry = NULL;

		while (folder != NULL && (entry = g_dir_read_name(folder)) != NULL)
			if (g_str_has_suffix(entry, SUFFIX))
				g_ptr_array_add(names, g_strdup(entry));
		g_ptr_array_sort(names, compare_names);
		for (guint j = 0; j < names->len; j++) {
			g_autofree char *path =
				g_build_filename(registry->folders[i], names->pdata[j], NULL);

			func(path, user_data);
		}
	}
}

typedef struct {
	GPtrArray *names;
	const char *prefix;
} NameJob;

static void
add_name(const char *path, void *user_data)
{
	NameJob *job = user_data;
	g_autofree char *base = g_path_get_basename(path);

	if (g_str_has_prefix(base, job->prefix))
		g_ptr_array_add(job->names,
		                g_strndup(base + strlen(job->prefix),
		                          strlen(base) - strlen(job->prefix) - strlen(SUFFIX)));
}

static char **
names(void *user_data, uint32_t kind)
{
	g_autofree char *prefix = g_strdup_printf("%s-", ph_kind_name(kind));
	NameJob job = { g_ptr_array_new(), prefix };

	each_file(user_data, add_name, &job);
	g_ptr_array_add(job.names, NULL);
	return (char **) g_ptr_array_free(job.names, FALSE);
}

/* An installation that was staged below another folder (DESTDIR) has its plugins there. */
static void
add_staged(GPtrArray *folders, const char *program)
{
	g_autofree char *folder = g_path_get_dirname(program);
	size_t length = strlen(folder);
	size_t n_bin = strlen(PH_BIN_DIR);

	if (length > n_bin && strcmp(folder + length - n_bin, PH_BIN_DIR) == 0)
		g_ptr_array_add(folders, g_strdup_printf("%.*s%s", (int) (length - n_bin), folder,
		                                         PH_PLUGIN_DIR));
}

/* The folders when the config names none. */
static char **
default_folders(void)
{
	char program[PATH_MAX] = "";
	ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
	GPtrArray *folders = g_ptr_array_new();

	if (n > 0 && g_str_has_prefix(program, PH_BUILD_ROOT "/"))
		g_ptr_array_add(folders, g_strdup(PH_BUILD_ROOT "/plugins"));
	if (n > 0)
		add_staged(folders, program);
	g_ptr_array_add(folders, g_strdup(PH_PLUGIN_DIR));
	g_ptr_array_add(folders, NULL);
	return (char **) g_ptr_array_free(folders, FALSE);
}

static void
open_source(void *user_data, const char *const *folders, uid_t user)
{
	PhRegistry *registry = user_data;
	g_autoptr(GPtrArray) given = g_ptr_array_new_with_free_func(g_free);

	registry->user = registry->root_only ? 0 : user;
	for (size_t i = 0; folders != NULL && folders[i] != NULL; i++)
		if (folders[i][0] == '/')
			g_ptr_array_add(given, g_strdup(folders[i]));
	if (given->len == 0)
		return;
	g_ptr_array_add(given, NULL);
	g_strfreev(registry->folders);
	registry->folders = (char **) g_ptr_array_free(g_steal_pointer(&given), FALSE);
}

PhRegistry *
ph_registry_new(void)
{
	PhRegistry *registry = g_new0(PhRegistry, 1);

	registry->folders = default_folders();
	registry->user = geteuid();
	registry->source = (PhOfferSource){ open_source, find, names, registry };
	return registry;
}

void
ph_registry_trust_root(PhRegistry *registry)
{
	registry->root_only = true;
	registry->user = 0;
}

void
ph_registry_free(PhRegistry *registry)
{
	if (registry == NULL)
		return;
	g_strfreev(registry->folders);
	g_free(registry);
}

const PhOfferSource *
ph_registry_source(PhRegistry *registry)
{
	return &registry->source;
}

const char *const *
ph_registry_folders(const PhRegistry *registry)
{
	return (const char *const *) registry->folders;
}

typedef struct {
	PhRegistry *registry;
	PhRegistryFunc func;
	void *user_data;
} EachJob;

static void
pass_file(const char *path, void *user_data)
{
	const EachJob *job = user_data;
	g_autoptr(GError) error = NULL;
	const PhAdopted *adopted = open_plugin(path, job->registry->user, &error);

	if (adopted == NULL)
		job->func(path, NULL, error, job->user_data);
	for (size_t i = 0; adopted != NULL && i < adopted->n_offers; i++)
		job->func(path, &adopted->offers[i], NULL, job->user_data);
}

void
ph_registry_each(PhRegistry *registry, PhRegistryFunc func, void *user_data)
{
	EachJob job = { registry, func, user_data };

	each_file(registry, pass_file, &job);
}
