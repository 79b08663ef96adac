/* router.c: the routes of a configuration, and which of them takes an address
 *
 * What happens to an address inside its route is walk.c's.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/log.h>
#include <posthorn/slice.h>

#include "base/clock.h"
#include "config/route-rules.h"
#include "login/cache.h"
#include "login/chain.h"
#include "server/aliases.h"
#include "server/filter-chain.h"
#include "server/router-private.h"
#include "server/srs.h"

#include <string.h>

static void
free_route(void *data)
{
	PhRoute *route = data;

	g_strfreev(route->domains);
	g_free(route->postmaster);
	g_free(route->catch_all);
	g_free(route->separators);
	g_free(route->directories);
	ph_aliases_free(route->aliases);
	ph_srs_free(route->srs);
	g_clear_pointer(&route->catch_all_identity, ph_identity_unref);
	ph_filter_chain_free(route->params.filters);
	g_free(route);
}

PhRouter *
ph_router_new(PhPartial *partial)
{
	PhRouter *router = g_new0(PhRouter, 1);

	/* Of instances that are gone: this one's may lie where they were. */
	ph_cache_forget();
	router->refs = 1;
	router->partial = partial;
	router->routes = g_ptr_array_new_with_free_func(free_route);
	router->domains = g_hash_table_new(ph_str_hash, g_str_equal);
	router->renamed = g_hash_table_new_full(ph_str_hash, g_str_equal, g_free, g_free);
	return router;
}

bool
ph_router_hold_filters(PhRouter *router,
                       void *(*hold)(void *owner),
                       void (*release)(void *owner),
                       void *owner)
{
	bool has_filters = false;

	for (guint i = 0; i < router->routes->len; i++) {
		const PhRoute *route = router->routes->pdata[i];
		PhFilterChain *chain = route->params.filters;

		if (chain == NULL)
			continue;
		chain->hold = hold;
		chain->release = release;
		chain->owner = owner;
		has_filters = true;
	}
	return has_filters;
}

PhRouter *
ph_router_ref(PhRouter *router)
{
	g_atomic_int_inc(&router->refs);
	return router;
}

void
ph_router_unref(PhRouter *router)
{
	if (router == NULL || !g_atomic_int_dec_and_test(&router->refs))
		return;
	g_hash_table_unref(router->domains);
	g_hash_table_unref(router->renamed);
	g_ptr_array_unref(router->routes);
	g_free(router);
}

PhPartial *
ph_router_partial(const PhRouter *router)
{
	return router->partial;
}

void
ph_router_set_runner(PhRouter *router, PhRunnerFunc runner, void *runner_data)
{
	router->runner = runner;
	router->runner_data = runner_data;
}

void
ph_router_run(const PhRouter *router, void (*func)(void *user_data), void *user_data)
{
	if (router->runner != NULL)
		router->runner(func, user_data, router->runner_data);
	else
		func(user_data);
}

PhSection *
ph_router_store(const PhRouter *router, const PhSection *section)
{
	for (guint i = 0; i < router->routes->len; i++) {
		const PhRoute *route = router->routes->pdata[i];

		if (route->params.section == section)
			return route->params.store;
	}
	return NULL;
}

/* --- building --------------------------------------------------------------------------------- */

static bool
is_known(const PhRouter *router, const char *domain)
{
	return g_hash_table_contains(router->domains, domain)
	       || g_hash_table_contains(router->renamed, domain);
}

static bool
add_domain(PhRouter *router, PhRoute *route, char *domain, GError **error)
{
	bool is_taken =
		strcmp(domain, "*") == 0 ? router->others != NULL : is_known(router, domain);

	if (is_taken) {
		g_set_error(error, PH_ERROR, PH_ERROR_INVALID,
		            "domain '%s' is in two routes; remove it from one", domain);
		return false;
	}
	if (strcmp(domain, "*") == 0)
		router->others = route;
	else
		g_hash_table_insert(router->domains, domain, route);
	return true;
}

/* Without a directory nobody else can say who the catch-all is. */
static bool
make_catch_all(PhRoute *route, GError **error)
{
	PhIdentityValues values = { .size = sizeof values };
	PhAddress address;

	if (route->catch_all == NULL || route->params.n_directories > 0)
		return true;
	if (ph_address_parse_mailbox(ph_slice(route->catch_all), PH_ADDRESS_ALLOW_UTF8, &address)
	    == PH_ADDRESS_OK) {
		values.user = address.local;
		values.domain = address.domain;
	} else {
		values.user = route->catch_all;
		values.domain = "";
	}
	route->catch_all_identity = ph_identity_new(&values, error);
	return route->catch_all_identity != NULL;
}

static bool
add_renamed(PhRouter *router, const PhRoute *route, const char *text, GError **error)
{
	g_autofree char *from = NULL;
	g_autofree char *to = NULL;

	if (!ph_route_rule_domain(text, &from, &to)) {
		ph_error_set(error, PH_ERROR_INVALID, "'%s' is not of the form OTHER -> DOMAIN",
		             text);
		return false;
	}
	if (g_hash_table_lookup(router->domains, to) != route) {
		ph_error_set(error, PH_ERROR_INVALID,
		             "'%s' leads to a domain that the same route does not serve", text);
		return false;
	}
	if (is_known(router, from)) {
		ph_error_set(error, PH_ERROR_INVALID,
		             "domain '%s' is served already and cannot be another's name", from);
		return false;
	}
	g_hash_table_insert(router->renamed, g_steal_pointer(&from), g_steal_pointer(&to));
	return true;
}

static bool
add_extras(PhRouter *router, PhRoute *route, GError **error)
{
	const PhRouteParams *params = &route->params;
	const char *const *renamed = params->domain_aliases;

	route->keeps_detail = params->keeps_detail;
	if (params->srs_secret.length > 0)
		route->srs = ph_srs_new(params->srs_secret, params->srs_lifetime);
	if (params->aliases != NULL) {
		route->aliases = ph_aliases_open(params->section, params->aliases, error);
		if (route->aliases == NULL)
			return false;
	}
	for (; renamed != NULL && *renamed != NULL; renamed++)
		if (!add_renamed(router, route, *renamed, error))
			return false;
	return true;
}

bool
ph_router_add(PhRouter *router, const PhRouteParams *params, GError **error)
{
	PhRoute *route = g_new0(PhRoute, 1);
	size_t n =
		params->domains != NULL ? g_strv_length((char **) (uintptr_t) params->domains) : 0;

	g_ptr_array_add(router->routes, route);
	route->params = *params;
	route->domains = g_new0(char *, n + 1);
	for (size_t i = 0; i < n; i++)
		route->domains[i] = g_ascii_strdown(params->domains[i], -1);
	route->postmaster =
		g_strdup(params->postmaster != NULL ? params->postmaster : "postmaster");
	route->catch_all = g_strdup(params->catch_all);
	route->separators = g_strdup(params->separators != NULL ? params->separators : "");
	route->directories = g_new0(PhSection *, params->n_directories + 1);
	if (params->n_directories > 0)
		memcpy(route->directories, params->directories,
		       params->n_directories * sizeof *route->directories);
	for (size_t i = 0; i < n; i++)
		if (!add_domain(router, route, route->domains[i], error))
			return false;
	return add_extras(router, route, error) && make_catch_all(route, error);
}

/* --- resolving -------------------------------------------------------------------------------- */

const PhRoute *
ph_router_find(const PhRouter *router, const char *address)
{
	const char *at = strrchr(address, '@');
	const PhRoute *route = NULL;
	const char *other = NULL;

	if (at == NULL)
		return router->others;
	route = g_hash_table_lookup(router->domains, at + 1);
	if (route == NULL && g_hash_table_size(router->renamed) > 0) {
		other = g_hash_table_lookup(router->renamed, at + 1);
		route = other != NULL ? g_hash_table_lookup(router->domains, other) : NULL;
	}
	return route != NULL ? route : router->others;
}

static bool
is_open(const PhRoute *route)
{
	const PhRouteParams *params = &route->params;

	if (params->accept_from != PH_ACCEPT_BY_DEFAULT)
		return params->accept_from == PH_ACCEPT_ANYONE;
	return params->n_directories > 0 || (params->transport->flags & PH_TRANSPORT_COMMITS) != 0;
}

bool
ph_router_is_open(const PhRouter *router, PhSlice address)
{
	const PhRoute *route = NULL;
	char text[PH_ROUTE_ADDRESS];

	if (address.length >= sizeof text)
		return true;
	memcpy(text, address.data, address.length);
	text[address.length] = '\0';
	route = strchr(text, '@') != NULL ? ph_router_find(router, text) : NULL;
	return route == NULL || is_open(route);
}

const PhRoute *
ph_router_first_local(const PhRouter *router)
{
	for (guint i = 0; i < router->routes->len; i++) {
		const PhRoute *route = router->routes->pdata[i];

		if (route->params.n_directories > 0 || route->catch_all != NULL)
			return route;
	}
	return router->routes->len > 0 ? router->routes->pdata[0] : NULL;
}

const char *
ph_route_first_domain(const PhRoute *route)
{
	for (char **domain = route->domains; *domain != NULL; domain++)
		if (strcmp(*domain, "*") != 0)
			return *domain;
	return "";
}

void
ph_detour_copy(const PhDetour *from, PhDetour *to)
{
	*to = (PhDetour){ .sender = g_strdup(from->sender),
		          .via = g_strdup(from->via),
		          .detail = g_strdup(from->detail),
		          .forwarder = from->forwarder };
}

void
ph_detour_clear(PhDetour *detour)
{
	g_free(detour->sender);
	g_free(detour->via);
	g_free(detour->detail);
	*detour = (PhDetour){ NULL };
}

static void
clear_resolved(void *data)
{
	PhResolved *resolved = data;

	ph_detour_clear(&resolved->detour);

	g_clear_pointer(&resolved->identity, ph_identity_unref);
	g_clear_pointer(&resolved->address, g_free);
}

GArray *
ph_resolved_array_new(void)
{
	GArray *array = g_array_sized_new(FALSE, TRUE, sizeof(PhResolved), 1);

	g_array_set_clear_func(array, clear_resolved);
	return array;
}

bool
ph_route_complete(PhRouteText *text, const char *name, const char *domain)
{
	bool is_whole = strchr(name, '@') != NULL || domain[0] == '\0';
	int n = g_snprintf(text->octets, sizeof text->octets, "%s%s%s", name, is_whole ? "" : "@",
	                   is_whole ? "" : domain);

	return n >= 0 && (size_t) n < sizeof text->octets;
}

bool
ph_route_sends_on(const PhRoute *route)
{
	const PhRouteParams *params = &route->params;

	return params->n_directories == 0 && (params->transport->flags & PH_TRANSPORT_COMMITS) == 0;
}

/* A sender of a domain that is served here needs no other name. */
char *
ph_router_forward_sender(const PhRouter *router, const PhDetour *detour, const char *sender)
{
	const char *at = detour->via != NULL ? strrchr(detour->via, '@') : NULL;
	const PhRoute *own = ph_router_find(router, sender);
	char *made = NULL;

	if (detour->forwarder != NULL && at != NULL && (own == NULL || own == router->others))
		made = ph_srs_forward(detour->forwarder->srs, sender, at + 1, ph_clock_wall_us());
	return made != NULL ? made : g_strdup(sender);
}

static bool
gather_member(const char *address, void *user_data)
{
	GPtrArray *members = user_data;

	g_ptr_array_add(members, g_strdup(address));
	return members->len <= PH_ROUTE_MEMBERS_MAX;
}

/* The alias file's members of one level. */
static PhRcpt
gather_from_file(const PhRoute *route, const char *address, GPtrArray **members_out)
{
	g_autoptr(GPtrArray) members = g_ptr_array_new_with_free_func(g_free);
	PhVerify result = ph_aliases_expand(route->aliases, address, gather_member, members, NULL);

	if (result == PH_VERIFY_OK)
		*members_out = g_steal_pointer(&members);
	if (result == PH_VERIFY_ERROR)
		return PH_RCPT_TEMPORARY;
	return result == PH_VERIFY_OK ? PH_RCPT_OK : PH_RCPT_UNKNOWN;
}

/* The members of one level, from the alias file or the directories. */
static PhRcpt
gather_members(const PhRoute *route, const char *address, GPtrArray **members_out)
{
	g_autoptr(GError) error = NULL;
	PhRcpt result = PH_RCPT_UNKNOWN;

	if (route->aliases != NULL)
		result = gather_from_file(route, address, members_out);
	if (result != PH_RCPT_UNKNOWN)
		return result;
	switch (ph_chain_expand(route->directories, address, members_out, &error)) {
	case PH_VERIFY_OK:
		return PH_RCPT_OK;
	case PH_VERIFY_ERROR:
		ph_log_section(route->params.section, PH_LOG_WARNING, "lookup-failed",
		               "a directory could not answer", PH_LOG_TEXT("address", address),
		               PH_LOG_FAILURE(error), PH_LOG_END);
		return PH_RCPT_TEMPORARY;
	case PH_VERIFY_WRONG:
	case PH_VERIFY_UNKNOWN_USER:
	case PH_VERIFY_DISABLED:
		break;
	}
	return PH_RCPT_UNKNOWN;
}

PhRcpt
ph_router_members(PhRouter *router, PhSlice address, PhRouteMemberFunc func, void *user_data)
{
	g_autofree char *name = ph_slice_dup(address);
	const PhRoute *route = strchr(name, '@') != NULL ? ph_router_find(router, name)
	                                                 : ph_router_first_local(router);
	g_autoptr(GPtrArray) members = NULL;
	PhRcpt result = PH_RCPT_NO_ROUTE;
	PhRouteText text;

	if (route == NULL)
		return PH_RCPT_NO_ROUTE;
	if (!ph_route_complete(&text, name, ph_route_first_domain(route)))
		return PH_RCPT_UNKNOWN;
	result = gather_members(route, text.octets, &members);
	for (guint i = 0; result == PH_RCPT_OK && i < members->len; i++)
		if (!func(members->pdata[i], user_data))
			break;
	return result;
}

/* --- for the queue ---------------------------------------------------------------------------- */

void
ph_router_set_queue(PhRouter *router, PhQueueRun *queue)
{
	router->queue = queue;
}

PhQueueRun *
ph_router_queue(const PhRouter *router)
{
	return router->queue;
}

const PhRoute *
ph_router_by_name(const PhRouter *router, const char *section)
{
	for (guint i = 0; i < router->routes->len; i++) {
		const PhRoute *route = router->routes->pdata[i];

		if (route->params.section != NULL
		    && strcmp(ph_section_name(route->params.section), section) == 0)
			return route;
	}
	return NULL;
}
