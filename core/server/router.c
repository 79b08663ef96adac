/* router.c: finds for an address the route and the users behind it
 *
 * Aliases may point to aliases: depth and number are bounded, and an address that was seen on the
 * way is not followed again. A member that cannot be delivered makes the whole address fail,
 * because a 250 would promise that everybody gets it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "server/router.h"

#include <posthorn/address.h>
#include <posthorn/error.h>
#include <posthorn/log.h>
#include <posthorn/slice.h>

#include "plugin/call.h"

#include <string.h>

enum {
	ADDRESS_MAX = PH_LOCAL_PART_MAX + PH_DOMAIN_MAX + 2,
	DEPTH_MAX = 10,
};

struct PhRouter {
	gint refs;
	PhPartial *partial;
	GPtrArray *routes;   /* PhRoute */
	GHashTable *domains; /* lower-case name to PhRoute */
	PhRoute *others;     /* "*" */
	PhRunnerFunc runner;
	void *runner_data;
};

/* Walk: one address being resolved. */
typedef struct {
	PhRouter *router;
	GArray *found;   /* PhResolved, of this walk only */
	GPtrArray *seen; /* (nullable) addresses of aliases on the way */
	unsigned depth;
} Walk;

/* Text: an address being built. */
typedef struct {
	char octets[ADDRESS_MAX];
} Text;

static PhRcpt walk_address(Walk *walk, const char *address);

static void
free_route(void *data)
{
	PhRoute *route = data;

	g_strfreev(route->domains);
	g_free(route->postmaster);
	g_free(route->catch_all);
	g_free(route->separators);
	g_free(route->directories);
	g_clear_pointer(&route->catch_all_identity, ph_identity_unref);
	g_free(route);
}

PhRouter *
ph_router_new(PhPartial *partial)
{
	PhRouter *router = g_new0(PhRouter, 1);

	router->refs = 1;
	router->partial = partial;
	router->routes = g_ptr_array_new_with_free_func(free_route);
	router->domains = g_hash_table_new(ph_str_hash, g_str_equal);
	return router;
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
add_domain(PhRouter *router, PhRoute *route, char *domain, GError **error)
{
	bool is_taken = strcmp(domain, "*") == 0 ? router->others != NULL
	                                         : g_hash_table_contains(router->domains, domain);

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
	route->directories = g_new0(PhRouteDirectory, params->n_directories + 1);
	if (params->n_directories > 0)
		memcpy(route->directories, params->directories,
		       params->n_directories * sizeof *route->directories);
	for (size_t i = 0; i < n; i++)
		if (!add_domain(router, route, route->domains[i], error))
			return false;
	return make_catch_all(route, error);
}

/* --- resolving -------------------------------------------------------------------------------- */

static const PhRoute *
find_route(const PhRouter *router, const char *address)
{
	const char *at = strrchr(address, '@');
	const PhRoute *route = NULL;

	if (at == NULL)
		return router->others;
	route = g_hash_table_lookup(router->domains, at + 1);
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
	g_autofree char *text = ph_slice_dup(address);
	const PhRoute *route = strchr(text, '@') != NULL ? find_route(router, text) : NULL;

	return route == NULL || is_open(route);
}

/* The route that takes mail for <postmaster> and for names without a domain: the first that has
 * users. */
static const PhRoute *
first_local(const PhRouter *router)
{
	for (guint i = 0; i < router->routes->len; i++) {
		const PhRoute *route = router->routes->pdata[i];

		if (route->params.n_directories > 0 || route->catch_all != NULL)
			return route;
	}
	return router->routes->len > 0 ? router->routes->pdata[0] : NULL;
}

static const char *
first_domain(const PhRoute *route)
{
	for (char **domain = route->domains; *domain != NULL; domain++)
		if (strcmp(*domain, "*") != 0)
			return *domain;
	return "";
}

/* "user" becomes "user@domain"; an address stays. false when it does not fit. */
static bool
complete(Text *text, const char *name, const char *domain)
{
	bool is_whole = strchr(name, '@') != NULL || domain[0] == '\0';
	int n = g_snprintf(text->octets, sizeof text->octets, "%s%s%s", name, is_whole ? "" : "@",
	                   is_whole ? "" : domain);

	return n >= 0 && (size_t) n < sizeof text->octets;
}

static bool
add_found(Walk *walk, const PhRoute *route, PhIdentity *identity, const char *address)
{
	PhResolved resolved = { .route = route,
		                .identity = identity != NULL ? ph_identity_ref(identity) : NULL,
		                .address = g_strdup(address) };

	g_array_append_val(walk->found, resolved);
	return walk->found->len <= PH_ROUTE_MEMBERS_MAX;
}

static void
log_failure(const PhRouteDirectory *directory, const char *address, const GError *error)
{
	ph_log_section(directory->section, PH_LOG_WARNING, "lookup-failed",
	               "the directory could not answer", PH_LOG_TEXT("address", address),
	               PH_LOG_FAILURE(error), PH_LOG_END);
}

static PhVerify
call_lookup(const PhRouteDirectory *directory, const char *address, PhIdentity **identity_out)
{
	g_autoptr(GError) error = NULL;
	PhVerify result = PH_VERIFY_ERROR;
	PhCall call;

	if (!ph_call_begin(&call, directory->section, &error)) {
		log_failure(directory, address, error);
		return PH_VERIFY_ERROR;
	}
	result = directory->table->lookup(directory->instance, address, identity_out, &error);
	ph_call_end(&call, result != PH_VERIFY_ERROR);
	if (result == PH_VERIFY_ERROR)
		log_failure(directory, address, error);
	return result;
}

static bool
add_member(const char *address, void *user_data)
{
	GPtrArray *members = user_data;

	g_ptr_array_add(members, g_strdup(address));
	return members->len <= PH_ROUTE_MEMBERS_MAX;
}

static PhVerify
call_expand(const PhRouteDirectory *directory, const char *address, GPtrArray *members)
{
	g_autoptr(GError) error = NULL;
	PhVerify result = PH_VERIFY_ERROR;
	PhCall call;

	if (directory->table->expand == NULL)
		return PH_VERIFY_UNKNOWN_USER;
	if (!ph_call_begin(&call, directory->section, &error)) {
		log_failure(directory, address, error);
		return PH_VERIFY_ERROR;
	}
	result =
		directory->table->expand(directory->instance, address, add_member, members, &error);
	ph_call_end(&call, result != PH_VERIFY_ERROR);
	if (result == PH_VERIFY_ERROR)
		log_failure(directory, address, error);
	return result;
}

static bool
was_seen(const Walk *walk, const char *address)
{
	for (guint i = 0; walk->seen != NULL && i < walk->seen->len; i++)
		if (strcmp(walk->seen->pdata[i], address) == 0)
			return true;
	return false;
}

/* An alias that leads back to itself adds nobody, which is fine as long as somebody else gets the
 * mail: the caller sees an empty result otherwise. */
static PhRcpt
walk_members(Walk *walk, const char *alias, const GPtrArray *members)
{
	const char *at = strrchr(alias, '@');
	PhRcpt result = PH_RCPT_OK;

	if (walk->depth >= DEPTH_MAX || members->len > PH_ROUTE_MEMBERS_MAX)
		return PH_RCPT_UNKNOWN;
	if (walk->seen == NULL)
		walk->seen = g_ptr_array_new_with_free_func(g_free);
	g_ptr_array_add(walk->seen, g_strdup(alias));
	walk->depth++;
	for (guint i = 0; i < members->len && result == PH_RCPT_OK; i++) {
		Text text;

		if (!complete(&text, members->pdata[i], at != NULL ? at + 1 : ""))
			result = PH_RCPT_UNKNOWN;
		else if (!was_seen(walk, text.octets))
			result = walk_address(walk, text.octets);
	}
	walk->depth--;
	return result;
}

/* Asks the route's directories for exactly this address: a user, or an alias. */
static PhRcpt
ask_directories(Walk *walk, const PhRoute *route, const char *key, const char *address)
{
	for (size_t i = 0; i < route->params.n_directories; i++) {
		const PhRouteDirectory *directory = &route->directories[i];
		g_autoptr(PhIdentity) identity = NULL;
		g_autoptr(GPtrArray) members = NULL;
		PhVerify result = call_lookup(directory, key, &identity);

		if (result == PH_VERIFY_OK)
			return add_found(walk, route, identity, address) ? PH_RCPT_OK
			                                                 : PH_RCPT_UNKNOWN;
		if (result == PH_VERIFY_DISABLED)
			return PH_RCPT_DISABLED;
		if (result == PH_VERIFY_ERROR)
			return PH_RCPT_TEMPORARY;
		members = g_ptr_array_new_with_free_func(g_free);
		result = call_expand(directory, key, members);
		if (result == PH_VERIFY_ERROR)
			return PH_RCPT_TEMPORARY;
		if (result == PH_VERIFY_OK)
			return walk_members(walk, key, members);
	}
	return PH_RCPT_UNKNOWN;
}

/* "user+detail@domain" to "user@domain"; false when there is no detail. */
static bool
strip_detail(const PhRoute *route, const char *address, Text *text)
{
	const char *at = strrchr(address, '@');
	size_t length = strcspn(address, route->separators);

	if (route->separators[0] == '\0' || length == 0 || address[length] == '\0')
		return false;
	if (at != NULL && address + length > at)
		return false;
	g_snprintf(text->octets, sizeof text->octets, "%.*s%s", (int) length, address,
	           at != NULL ? at : "");
	return true;
}

static bool
is_postmaster(const char *address)
{
	PhSlice rest = ph_slice(address);

	return ph_slice_is_nocase(ph_slice_split(&rest, '@'), "postmaster");
}

static PhRcpt
fall_back(Walk *walk, const PhRoute *route, const char *address)
{
	PhRcpt result = PH_RCPT_UNKNOWN;
	const char *at = strrchr(address, '@');
	Text text;

	if (is_postmaster(address) && complete(&text, route->postmaster, at != NULL ? at + 1 : "")
	    && strcmp(text.octets, address) != 0)
		result = ask_directories(walk, route, text.octets, address);
	if (result == PH_RCPT_UNKNOWN && route->catch_all != NULL)
		result = ask_directories(walk, route, route->catch_all, address);
	return result;
}

static PhRcpt
walk_route(Walk *walk, const PhRoute *route, const char *address)
{
	PhRcpt result;
	Text text;

	if (route->params.n_directories == 0)
		return add_found(walk, route, route->catch_all_identity, address) ? PH_RCPT_OK
		                                                                  : PH_RCPT_UNKNOWN;
	result = ask_directories(walk, route, address, address);
	if (result == PH_RCPT_UNKNOWN && strip_detail(route, address, &text))
		result = ask_directories(walk, route, text.octets, address);
	if (result == PH_RCPT_UNKNOWN)
		result = fall_back(walk, route, address);
	return result;
}

static PhRcpt
walk_address(Walk *walk, const char *address)
{
	const PhRoute *route = find_route(walk->router, address);

	if (route == NULL)
		return PH_RCPT_NO_ROUTE;
	return walk_route(walk, route, address);
}

/* A name without domain belongs to the first route with users. */
static PhRcpt
walk_name(Walk *walk, const char *name)
{
	const PhRoute *route = first_local(walk->router);
	Text text;

	if (route == NULL)
		return PH_RCPT_NO_ROUTE;
	if (!complete(&text, name, first_domain(route)))
		return PH_RCPT_UNKNOWN;
	return walk_route(walk, route, text.octets);
}

static void
clear_resolved(void *data)
{
	PhResolved *resolved = data;

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

PhRcpt
ph_router_resolve(PhRouter *router, PhSlice address, GArray *found)
{
	guint before = found->len;
	Walk walk = { .router = router, .found = found };
	PhRcpt result = PH_RCPT_UNKNOWN;
	Text text;

	if (address.length >= sizeof text.octets)
		return PH_RCPT_UNKNOWN;
	memcpy(text.octets, address.data, address.length);
	text.octets[address.length] = '\0';
	if (strchr(text.octets, '@') != NULL)
		result = walk_address(&walk, text.octets);
	else
		result = walk_name(&walk, text.octets);
	g_clear_pointer(&walk.seen, g_ptr_array_unref);
	if (result == PH_RCPT_OK && found->len == before)
		result = PH_RCPT_UNKNOWN;
	if (result != PH_RCPT_OK)
		g_array_set_size(found, before);
	return result;
}

PhRcpt
ph_router_members(PhRouter *router, PhSlice address, PhRouteMemberFunc func, void *user_data)
{
	g_autofree char *name = ph_slice_dup(address);
	const PhRoute *route =
		strchr(name, '@') != NULL ? find_route(router, name) : first_local(router);
	Text text;

	if (route == NULL)
		return PH_RCPT_NO_ROUTE;
	if (!complete(&text, name, first_domain(route)))
		return PH_RCPT_UNKNOWN;
	for (size_t i = 0; i < route->params.n_directories; i++) {
		g_autoptr(GPtrArray) members = g_ptr_array_new_with_free_func(g_free);
		PhVerify result = call_expand(&route->directories[i], text.octets, members);

		if (result == PH_VERIFY_ERROR)
			return PH_RCPT_TEMPORARY;
		if (result != PH_VERIFY_OK)
			continue;
		for (guint m = 0; m < members->len; m++)
			if (!func(members->pdata[m], user_data))
				break;
		return PH_RCPT_OK;
	}
	return PH_RCPT_UNKNOWN;
}
