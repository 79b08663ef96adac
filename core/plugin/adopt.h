/* adopt.h: a plugin's tables as the core's own copies, checked and completed
 *
 * Whatever the plugin was built with, the copies have this core's layout: the rest of the core reads
 * every member. A member that the plugin's table is too short for, or that is NULL, gets the core's
 * default where there is one:
 *
 * | kind      | member                            | default |
 * |-----------|-----------------------------------|---------|
 * | protocol  | octets                            | abort: it is only called when asked for |
 * |           | step, resumed, notified, tls_started | go on with the next input |
 * |           | timeout, drain                    | close |
 * | mechanism | create, destroy, begin, end       | nothing; instance and state are NULL |
 * | filter    | begin, end, cancel                | nothing; the state is NULL |
 * | transport | destroy                           | nothing |
 * | store     | refresh, sync, compact            | done |
 * |           | forget                            | nothing |
 *
 * Other optional members stay NULL: that says what the plugin does not offer.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_PLUGIN_ADOPT_H
#define PH_PLUGIN_ADOPT_H

#include <posthorn/plugin.h>

#include "config/section.h"

/* PhAdopted: one plugin. Lives for ever. */
typedef struct {
	PhPlugin plugin; /* with options and offers in this core's stride */
	char *path;
	PhOfferInfo *offers;
	size_t n_offers;
} PhAdopted;

/* ph_adopt: @plugin: its ABI was checked. Returns: (owned, for ever) or NULL with a sentence that
 * names @path. Thread: load or main. */
PhAdopted *ph_adopt(const PhPlugin *plugin, const char *path, GError **error);

/* ph_adopt_table: a completed copy of one vtable. Returns: (owned) or NULL. */
void *ph_adopt_table(uint32_t kind, const void *table, GError **error);

/* ph_adopt_create, _destroy: call these members of a completed table, whatever its kind. */
bool ph_adopt_create(const PhOfferInfo *offer,
                     PhSection *section,
                     const void *settings,
                     void **instance_out,
                     GError **error);
void ph_adopt_destroy(const PhOfferInfo *offer, void *instance);

/* ph_adopt_size: of a completed table of that kind. */
size_t ph_adopt_size(uint32_t kind);

#endif
