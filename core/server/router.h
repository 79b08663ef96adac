/* router.h: finds for an address the route and the users behind it
 *
 * A router is built once for each generation of the configuration from its [route] sections, in
 * the order of the file, and is immutable then. It is counted: mails under way keep it.
 *
 * Resolving goes in this order: the route by the domain ("*" takes what no other has); the route's
 * alias file; the user in its directories; aliases and lists there, each member routed again; the
 * user before the separator; postmaster, which every domain has (RFC 5321 section 4.5.1); the alias
 * file's entry for the whole domain; the catch-all. Directories are asked as for a login: in order, by
 * the rules of their sections, and what they said a short while ago is not asked again.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_SERVER_ROUTER_H
#define PH_SERVER_ROUTER_H

#include <posthorn/directory.h>
#include <posthorn/transport.h>

#include "net/services.h"
#include "server/asks.h"
#include "server/partial.h"

/* PhRouteParams: one [route]; strings are copied, the rest is borrowed for the router's life. */
typedef struct {
	PhSection *section;
	const char *const *domains; /* NULL-terminated, any case; "*": every other */
	const char *postmaster;     /* (nullable) user or address; NULL: "postmaster" */
	const char *catch_all;      /* (nullable) address that gets what nobody else takes */
	const char *separators;     /* (nullable) characters between user and detail: "+" */
	PhSection *store;           /* (nullable) */
	PhSection *const *directories;
	size_t n_directories;
	const PhTransport *transport; /* completed */
	void *instance;
	PhFilterChain *filters;            /* (owned by the route, nullable) */
	uint32_t accept_from;              /* PhAcceptFrom */
	const char *aliases;               /* (nullable) path: aliases.h */
	const char *const *domain_aliases; /* (nullable) "other -> domain" */
	PhSlice srs_secret;                /* empty: senders stay as they are */
	uint32_t srs_lifetime;             /* days */
	bool keeps_detail;                 /* user+detail: the transport is told */
} PhRouteParams;

/* PhAcceptFrom: whose mail a route takes. By default one that knows its users (a directory), or whose
 * mail ends here, takes everybody's; one that only sends on takes that of trusted submitters. */
typedef enum {
	PH_ACCEPT_BY_DEFAULT = 0,
	PH_ACCEPT_ANYONE = 1,
	PH_ACCEPT_TRUSTED = 2,
} PhAcceptFrom;

typedef struct PhRoute PhRoute;

struct PhRoute {
	PhRouteParams params;
	char **domains;
	char *postmaster;
	char *catch_all;
	char *separators;
	PhSection **directories;
	PhIdentity *catch_all_identity; /* when the route has no directory */
	struct PhAliases *aliases;      /* (nullable) */
	struct PhSrs *srs;              /* (nullable) */
	bool keeps_detail;
};

/* ph_router_new: @partial: (borrowed for the router's life, nullable). */
PhRouter *ph_router_new(PhPartial *partial);

/* ph_router_add: Errors: INVALID for a domain that an earlier route has, or a bad catch-all.
 * Thread: load. */
bool ph_router_add(PhRouter *router, const PhRouteParams *params, GError **error);
PhRouter *ph_router_ref(PhRouter *router);
void ph_router_unref(PhRouter *router);
PhPartial *ph_router_partial(const PhRouter *router);

/* ph_router_set_runner: where blocking transports run; without it, on the submitter's thread. */
typedef void (*PhRunnerFunc)(void (*func)(void *user_data), void *user_data, void *runner_data);
void ph_router_set_runner(PhRouter *router, PhRunnerFunc runner, void *runner_data);
void ph_router_run(const PhRouter *router, void (*func)(void *user_data), void *user_data);

/* PhDetour: how a recipient was reached, when its mail differs from that of others. */
typedef struct {
	char *sender;             /* (nullable) a list's owner, who gets its bounces */
	char *via;                /* (nullable) the alias or list that sends it to another server */
	char *detail;             /* (nullable) of user+detail, for the route that delivers it */
	const PhRoute *forwarder; /* (nullable) of @via, when its SRS covers foreign senders */
} PhDetour;

void ph_detour_copy(const PhDetour *from, PhDetour *to);
void ph_detour_clear(PhDetour *detour);

/* ph_router_hold_filters: what the routes' filters belong to, while they are asked. Returns: are there
 * any? */
bool ph_router_hold_filters(PhRouter *router,
                            void *(*hold)(void *owner),
                            void (*release)(void *owner),
                            void *owner);

/* ph_router_set_queue: (borrowed, nullable) where mail goes that is not delivered at once:
 * server/queue-run.h. */
typedef struct PhQueueRun PhQueueRun;
void ph_router_set_queue(PhRouter *router, PhQueueRun *queue);
PhQueueRun *ph_router_queue(const PhRouter *router);

/* ph_router_by_name: the route of that section, NULL when there is none. ph_router_find_user: the user of
 * an address that was resolved before, as the route's directories describe it now; nobody's when the
 * route has none. @identity_out: (out, owned). Thread: worker. Blocks: yes. */
const PhRoute *ph_router_by_name(const PhRouter *router, const char *section);
PhRcpt ph_router_find_user(const PhRoute *route, const char *address, PhIdentity **identity_out);

/* PhResolved: one final recipient. Owned by the array that ph_router_resolve() fills. */
typedef struct {
	const PhRoute *route; /* borrowed from the router */
	PhIdentity *identity; /* (nullable) */
	char *address;
	PhDetour detour;
} PhResolved;

/* ph_router_resolve: @found: (borrowed) array of PhResolved that the final recipients are added to,
 * unchanged unless the answer is PH_RCPT_OK. Thread: worker. Blocks: yes. */
PhRcpt ph_router_resolve(PhRouter *router, PhSlice address, GArray *found);
GArray *ph_resolved_array_new(void);

/* ph_router_resolve_later: the same, but PH_RCPT_LATER when a directory needs time: ask again with the same
 * @asks when ph_asks_wake() is completed. Blocks: in directories that do. */
PhRcpt ph_router_resolve_later(PhRouter *router, PhSlice address, GArray *found, PhAsks *asks);

/* ph_router_is_open: does the address's own route take mail from anybody? True when there is none:
 * resolving says so. Thread: any. */
bool ph_router_is_open(const PhRouter *router, PhSlice address);
/* ph_router_explain: the same, telling of each step. @step: one word; NULL: a final recipient was
 * added to @found, and @text is NULL too. @depth: how many aliases lead there. */
typedef void (*PhRouteNoteFunc)(unsigned depth,
                                const char *step,
                                const char *text,
                                void *user_data);
PhRcpt ph_router_explain(PhRouter *router,
                         PhSlice address,
                         GArray *found,
                         PhRouteNoteFunc func,
                         void *user_data);

/* ph_router_forward_sender: the sender with which mail of @sender goes on to a recipient that was
 * reached by @detour. Returns: (owned). */
char *ph_router_forward_sender(const PhRouter *router, const PhDetour *detour, const char *sender);

/* ph_router_members: see ph_route_expand(). */
PhRcpt ph_router_members(PhRouter *router,
                         PhSlice address,
                         PhRouteMemberFunc func,
                         void *user_data);

/* ph_router_store: the store of a route section of this router; NULL when absent. */
PhSection *ph_router_store(const PhRouter *router, const PhSection *route);

#endif
