/* routes.c: makes a generation's router from its configuration
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "server/routes.h"

#include <posthorn/secret.h>

#include "server/filter-chain.h"

#define DAY_US (UINT64_C(86400) * 1000000)

enum {
	DAYS = 1000, /* that a rewritten sender can live at most */
};

static bool
add_route(PhRouter *router, PhSection *section, GError **error)
{
	const PhRouteSettings *settings = ph_section_route(section);
	PhRouteParams params = { .section = section,
		                 .domains = settings->domains,
		                 .postmaster = settings->postmaster,
		                 .catch_all = settings->catch_all,
		                 .separators = settings->separators,
		                 .store = settings->store,
		                 .transport = ph_section_table(section),
		                 .instance = ph_section_instance(section),
		                 .accept_from = settings->accept_from,
		                 .aliases = settings->aliases,
		                 .domain_aliases = settings->domain_aliases,
		                 .keeps_detail = settings->detail_mailbox };

	if (settings->srs_secret != NULL) {
		params.srs_secret = ph_secret_slice(settings->srs_secret);
		params.srs_lifetime = (uint32_t) CLAMP(settings->srs_lifetime.us / DAY_US, 1, DAYS);
	}
	params.directories = settings->directory;
	while (params.directories != NULL && params.directories[params.n_directories] != NULL)
		params.n_directories++;
	if (settings->filters != NULL)
		params.filters = ph_filter_chain_new(settings->filters);
	if (ph_router_add(router, &params, error))
		return true;
	g_prefix_error(error, "[route %s]: ", ph_section_name(section));
	return false;
}

PhRouter *
ph_routes_build(const PhConfig *config, PhPartial *partial, GError **error)
{
	PhRouter *router = ph_router_new(partial);
	PhSection *const *sections = ph_config_all_sections(config);

	for (size_t i = 0; sections[i] != NULL; i++)
		if (ph_section_is_route(sections[i]) && !add_route(router, sections[i], error)) {
			ph_router_unref(router);
			return NULL;
		}
	return router;
}
