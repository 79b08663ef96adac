/* routes.h: makes a generation's router from its configuration
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_SERVER_ROUTES_H
#define PH_SERVER_ROUTES_H

#include "config/config.h"
#include "server/router.h"

/* ph_routes_build: from all [route] sections, whose instances must have been created.
 * @partial: (borrowed for the router's life, nullable). Returns: (owned). Thread: load. */
PhRouter *ph_routes_build(const PhConfig *config, PhPartial *partial, GError **error);

#endif
