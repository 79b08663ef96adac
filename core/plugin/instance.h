/* instance.h: what plugins create for the sections of a config, shared between generations
 *
 * An instance is made for a section of one config, its origin. When a reload brings a section with
 * the same plugin, the same values of the plugin's keys and the same sections below it, the new
 * section holds the same instance: a store keeps its open accounts. An instance is destroyed when
 * no section holds it any more; it keeps the config of its origin, and the instances below it,
 * alive.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_PLUGIN_INSTANCE_H
#define PH_PLUGIN_INSTANCE_H

#include "config/config.h"

/* ph_instances_create: `load` (once a process) and `create` for every section that a listener or
 * route needs, in order. @previous: (nullable) the config in use, whose instances may be shared.
 * Returns: false when one failed; each failure is a mistake with its section's line, and nothing is
 * held then. Thread: load or main. */
bool ph_instances_create(PhConfig *config, PhConfig *previous, PhMistakes *mistakes);

/* ph_instances_create_one: the same for one section, whoever needs it, and what it stands on; for
 * tools. ph_instances_release_one: gives it back. */
bool ph_instances_create_one(PhSection *section, GError **error);
void ph_instances_release_one(PhSection *section);

/* ph_instances_release: no new call will use @config's sections. Thread: main. */
void ph_instances_release(PhConfig *config);

/* PhIsolator: who runs the plugins of sections with `isolate` elsewhere. create: an instance and a
 * table (owned, adopted) in the place of the plugin's. Thread: load or main. */
typedef struct {
	bool (*create)(PhSection *section, void **instance_out, void **table_out, GError **error);
	void (*destroy)(void *instance);
} PhIsolator;

/* ph_instances_set_isolator: @isolator: (borrowed, for ever). Without one such plugins run in this
 * process. Thread: load. */
void ph_instances_set_isolator(const PhIsolator *isolator);

/* ph_section_origin: the section that the instance was created for: the same object for all
 * generations that share it. The section itself when it holds none. Thread: any. */
PhSection *ph_section_origin(PhSection *section);

/* ph_section_is_shared: does it hold an instance of an earlier generation? */
bool ph_section_is_shared(const PhSection *section);

#endif
