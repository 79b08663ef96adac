/* loader.c: owner and mode check, dlopen through the checked descriptor, ABI check
 *
 * The file is opened once; what was checked is what is loaded. The descriptor stays open, because
 * the dynamic linker knows a library by the name it was opened under ("/proc/self/fd/7"), and that
 * name must not come to mean another file.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "plugin/loader.h"

#include "base/path.h"

#include <dlfcn.h>
#include <string.h>
#include <unistd.h>

enum {
	ROW_MAX = 4096
}; /* no version of a row struct is larger */

bool
ph_loader_check_abi(const PhAbi *abi, const char *path, GError **error)
{
	const char *wrong = NULL;

	if (abi->magic != PH_ABI_MAGIC) {
		ph_error_set(
			error, PH_ERROR_INVALID,
			"'%s' is no Posthorn plugin: its descriptor does not begin with PH_ABI",
			path);
		return false;
	}
	if (abi->major != PH_ABI_MAJOR) {
		ph_error_set(
			error, PH_ERROR_UNSUPPORTED,
			"'%s' was built for plugin ABI %u.%u, this server has %u.%u; build the "
			"plugin again with this server's headers",
			path, (unsigned int) abi->major, (unsigned int) abi->minor,
			(unsigned int) PH_ABI_MAJOR, (unsigned int) PH_ABI_MINOR);
		return false;
	}
	if (abi->plugin_size < G_STRUCT_OFFSET(PhPlugin, load) || abi->plugin_size > ROW_MAX)
		wrong = "descriptor";
	else if (abi->offer_size < G_STRUCT_OFFSET(PhOffer, not_isolated)
	         || abi->offer_size > ROW_MAX)
		wrong = "offers";
	else if (abi->option_size < sizeof(PhOption) || abi->option_size > ROW_MAX)
		wrong = "options";
	if (wrong != NULL)
		ph_error_set(
			error, PH_ERROR_UNSUPPORTED,
			"'%s' was built with %s of a size that this server does not know; build "
			"the plugin again with this server's headers",
			path, wrong);
	return wrong == NULL;
}

/* What the dynamic linker said, as one sentence about the file. */
static void
tell_linker(const char *path, GError **error)
{
	const char *said = dlerror();
	const char *after = said != NULL ? strstr(said, ": ") : NULL;

	if (said == NULL)
		said = "the dynamic linker does not say why";
	if (strstr(said, "version `POSTHORN_") != NULL)
		ph_error_set(error, PH_ERROR_UNSUPPORTED,
		             "'%s' needs a newer Posthorn than this one (%s)", path, PH_VERSION);
	else if (strstr(said, "undefined symbol: ph_") != NULL)
		ph_error_set(error, PH_ERROR_UNSUPPORTED,
		             "'%s' uses the function '%s', which this server does not have; build "
		             "the plugin for this version",
		             path, strstr(said, "ph_"));
	else
		ph_error_set(error, PH_ERROR_INVALID, "cannot load '%s': %s", path,
		             after != NULL && g_str_has_prefix(said, "/proc/self/fd/") ? after + 2
		                                                                       : said);
}

const PhPlugin *
ph_loader_open(const char *path, uid_t user, GError **error)
{
	const PhPlugin *plugin = NULL;
	g_autofree char *name = NULL;
	void *handle = NULL;
	int fd = ph_path_open_trusted(path, user, error);

	if (fd < 0)
		return NULL;
	name = g_strdup_printf("/proc/self/fd/%d", fd);
	handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
	if (handle == NULL) {
		tell_linker(path, error);
		(void) close(fd);
		return NULL;
	}
	plugin = dlsym(handle, "ph_plugin");
	if (plugin == NULL) {
		ph_error_set(error, PH_ERROR_INVALID,
		             "'%s' is no Posthorn plugin: it does not export 'ph_plugin'", path);
		return NULL;
	}
	return ph_loader_check_abi(&plugin->abi, path, error) ? plugin : NULL;
}
