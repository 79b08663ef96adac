/* plugin-files.h: are the files of plugins still those that were opened?
 *
 * Code is never unloaded: a replaced file needs a new process.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_SERVER_PLUGIN_FILES_H
#define PH_SERVER_PLUGIN_FILES_H

#include "config/config.h"

/* ph_plugin_files_new: Returns: (owned) an empty memory. */
GHashTable *ph_plugin_files_new(void);

/* ph_plugin_files_same: notes the files of plugins that it does not know yet. False: one of the
 * others has changed; @path_out: (out, owned, nullable) which. Thread: main. */
bool ph_plugin_files_same(GHashTable *files, const PhConfig *config, char **path_out);

#endif
