/* registry.h: kind and name to an offer, opening only the files that are asked for
 *
 * A plugin's file is KIND-NAME.so in one of the folders; the first folder that has it wins. Only
 * files that are named are opened. A file with several offers, or with another name, is named by
 * its path: `plugin = /absolute/path.so:NAME`.
 *
 * Folders: [server] plugin-path when given; else the build directory's, when the running program
 * lies in it, that of the staged installation that it lies in, and the installation's.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_PLUGIN_REGISTRY_H
#define PH_PLUGIN_REGISTRY_H

#include "config/section.h"

typedef struct PhRegistry PhRegistry;

/* ph_registry_new: with the default folders. Plugins that were opened are shared by all
 * registries of the process. Thread: load or main, for all. */
PhRegistry *ph_registry_new(void);
void ph_registry_free(PhRegistry *registry);

/* ph_registry_trust_root: nobody else may own plugin files, whatever the config says. */
void ph_registry_trust_root(PhRegistry *registry);

/* ph_registry_source: for ph_config_load(). Borrowed. */
const PhOfferSource *ph_registry_source(PhRegistry *registry);

/* ph_registry_folders: NULL behind the last. Borrowed. */
const char *const *ph_registry_folders(const PhRegistry *registry);

/* ph_registry_each: opens every plugin file in the folders and passes its offers, or the error
 * with @offer NULL. For `posthorn plugins`, which nobody with secrets runs. */
typedef void (*PhRegistryFunc)(const char *path,
                               const PhOfferInfo *offer,
                               const GError *error,
                               void *user_data);
void ph_registry_each(PhRegistry *registry, PhRegistryFunc func, void *user_data);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PhRegistry, ph_registry_free)

#endif
