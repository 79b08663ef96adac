/* plugin-files.c: are the files of plugins still those that were opened?
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "server/plugin-files.h"

#include <sys/stat.h>

GHashTable *
ph_plugin_files_new(void)
{
	return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
}

/* What changes when a file is written or another takes its place. Returns: (owned). */
static char *
mark_of(const char *path)
{
	struct stat status;

	if (stat(path, &status) != 0)
		return g_strdup("gone");
	return g_strdup_printf("%" G_GUINT64_FORMAT ":%" G_GUINT64_FORMAT ":%" G_GINT64_FORMAT
	                       ".%09ld:%" G_GINT64_FORMAT,
	                       (guint64) status.st_dev, (guint64) status.st_ino,
	                       (gint64) status.st_mtim.tv_sec, status.st_mtim.tv_nsec,
	                       (gint64) status.st_size);
}

bool
ph_plugin_files_same(GHashTable *files, const PhConfig *config, char **path_out)
{
	PhSection *const *sections = ph_config_sections(config);

	for (size_t i = 0; sections[i] != NULL; i++) {
		const char *path = sections[i]->offer->path;
		g_autofree char *mark = mark_of(path);
		const char *known = g_hash_table_lookup(files, path);

		if (known == NULL) {
			g_hash_table_insert(files, g_strdup(path), g_steal_pointer(&mark));
		} else if (g_strcmp0(known, mark) != 0) {
			if (path_out != NULL)
				*path_out = g_strdup(path);
			return false;
		}
	}
	return true;
}
