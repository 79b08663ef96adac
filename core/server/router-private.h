/* router-private.h: the inside of a router, for router.c and walk.c
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_SERVER_ROUTER_PRIVATE_H
#define PH_SERVER_ROUTER_PRIVATE_H

#include <posthorn/address.h>

#include "server/router.h"

enum {
	PH_ROUTE_ADDRESS = PH_LOCAL_PART_MAX + PH_DOMAIN_MAX + 2, /* octets with the NUL */
};

struct PhRouter {
	gint refs;
	PhPartial *partial;
	GPtrArray *routes;   /* PhRoute */
	GHashTable *domains; /* lower-case name to PhRoute */
	GHashTable *renamed; /* lower-case name to the domain whose other name it is */
	PhRoute *others;     /* "*" */
	PhRunnerFunc runner;
	void *runner_data;
	PhQueueRun *queue; /* (nullable) */
};

/* PhRouteText: an address being built. */
typedef struct {
	char octets[PH_ROUTE_ADDRESS];
} PhRouteText;

/* ph_router_find: the route by the address's domain; NULL when none takes it. */
const PhRoute *ph_router_find(const PhRouter *router, const char *address);

/* ph_router_first_local: the route that takes mail for <postmaster> and for names without a domain:
 * the first that has users. ph_route_first_domain: "" for none. */
const PhRoute *ph_router_first_local(const PhRouter *router);
const char *ph_route_first_domain(const PhRoute *route);

/* ph_route_complete: "user" becomes "user@domain"; an address stays. false when it does not fit. */
bool ph_route_complete(PhRouteText *text, const char *name, const char *domain);

/* ph_route_sends_on: is its mail for other servers, and not for users known here? */
bool ph_route_sends_on(const PhRoute *route);

#endif
