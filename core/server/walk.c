/* walk.c: follows an address through aliases and lists to those who get its mail
 *
 * Aliases may point to aliases: depth and number are bounded, and an address that was seen on the
 * way is not expanded again, but counts as the user of that name. A member that cannot be delivered
 * makes the whole address fail, because a 250 would promise that everybody gets it.
 *
 * An alias NAME is a list when "owner-NAME" exists too: its members get the mail from that sender
 * (RFC 5321 section 3.9.2).
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/log.h>
#include <posthorn/slice.h>

#include "base/clock.h"
#include "login/chain.h"
#include "server/aliases.h"
#include "server/router-private.h"
#include "server/srs.h"

#include <string.h>

enum {
	DEPTH_MAX = 10,
	NOTE_MEMBERS = 10, /* that a note names */
};

/* Walk: one address being resolved. */
typedef struct {
	PhRouter *router;
	GArray *found;   /* PhResolved, of this walk only */
	GPtrArray *seen; /* (nullable) addresses of aliases on the way */
	unsigned depth;
	const char *owner;        /* (nullable) of the innermost list */
	const char *via;          /* (nullable) the innermost alias */
	const PhRoute *forwarder; /* of @via */
	const char *detail;       /* (nullable) cut from the address under way */
	PhAsks *asks;             /* (nullable) of one that does not wait for directories */
	PhRouteNoteFunc note;     /* (nullable) told of each step */
	void *note_data;
} Walk;

typedef PhVerify (*ExpandFunc)(PhAliases *aliases,
                               const char *address,
                               PhListFunc func,
                               void *user_data,
                               GError **error);

static PhRcpt walk_address(Walk *walk, const char *address);

static void note(const Walk *walk, const char *step, const char *format, ...) G_GNUC_PRINTF(3, 4);

static void
note(const Walk *walk, const char *step, const char *format, ...)
{
	g_autofree char *text = NULL;
	va_list args;

	if (walk->note == NULL)
		return;
	va_start(args, format);
	text = g_strdup_vprintf(format, args);
	va_end(args);
	walk->note(walk->depth, step, text, walk->note_data);
}

static PhRcpt
add_found(Walk *walk, const PhRoute *route, PhIdentity *identity, const char *address)
{
	PhResolved resolved = { .route = route,
		                .identity = identity != NULL ? ph_identity_ref(identity) : NULL,
		                .address = g_strdup(address) };
	bool is_remote = identity == NULL && ph_route_sends_on(route);

	resolved.detour.sender = g_strdup(walk->owner);
	if (is_remote) {
		resolved.detour.via = g_strdup(walk->via);
		resolved.detour.forwarder = walk->forwarder;
	} else if (route->keeps_detail) {
		resolved.detour.detail = g_strdup(walk->detail);
	}
	g_array_append_val(walk->found, resolved);
	if (walk->note != NULL)
		walk->note(walk->depth, NULL, NULL, walk->note_data);
	return walk->found->len <= PH_ROUTE_MEMBERS_MAX ? PH_RCPT_OK : PH_RCPT_UNKNOWN;
}

/* --- directories ------------------------------------------------------------------------------ */

static void
log_failure(PhSection *section, const char *address, const GError *error)
{
	ph_log_section(section, PH_LOG_WARNING, "lookup-failed",
	               "who gets this mail cannot be said now", PH_LOG_TEXT("address", address),
	               PH_LOG_FAILURE(error), PH_LOG_END);
}

static bool
add_member(const char *address, void *user_data)
{
	GPtrArray *members = user_data;

	g_ptr_array_add(members, g_strdup(address));
	return members->len <= PH_ROUTE_MEMBERS_MAX;
}

static PhVerify
call_aliases(const PhRoute *route, ExpandFunc func, const char *address, GPtrArray *members)
{
	g_autoptr(GError) error = NULL;
	PhVerify result = PH_VERIFY_UNKNOWN_USER;

	if (route->aliases == NULL)
		return result;
	result = func(route->aliases, address, add_member, members, &error);
	if (result == PH_VERIFY_ERROR)
		log_failure(route->params.section, address, error);
	return result;
}

/* --- aliases and lists ------------------------------------------------------------------------ */

static bool
was_seen(const Walk *walk, const char *address)
{
	for (guint i = 0; walk->seen != NULL && i < walk->seen->len; i++)
		if (strcmp(walk->seen->pdata[i], address) == 0)
			return true;
	return false;
}

/* Is there anybody of this name? */
static PhRcpt
exists(const Walk *walk, const PhRoute *route, const char *address)
{
	g_autoptr(GPtrArray) in_file = g_ptr_array_new_with_free_func(g_free);
	PhVerify known = call_aliases(route, ph_aliases_expand, address, in_file);
	PhRcpt otherwise = PH_RCPT_UNKNOWN;

	if (known != PH_VERIFY_UNKNOWN_USER)
		return known == PH_VERIFY_OK ? PH_RCPT_OK : PH_RCPT_TEMPORARY;
	for (size_t i = 0; i < route->params.n_directories; i++) {
		g_autoptr(PhIdentity) identity = NULL;
		g_autoptr(GPtrArray) members = NULL;
		PhSection *directory = route->directories[i];
		uint32_t result = ph_asks_user(walk->asks, directory, address, &identity);

		if (result == PH_VERIFY_UNKNOWN_USER)
			result = ph_asks_members(walk->asks, directory, address, &members);
		if (result == PH_ASKS_LATER)
			return PH_RCPT_LATER;
		if (result == PH_VERIFY_OK)
			return PH_RCPT_OK;
		if (result == PH_VERIFY_ERROR)
			otherwise = PH_RCPT_TEMPORARY;
		if (ph_chain_stops(directory, result))
			break;
	}
	return otherwise;
}

/* "owner-list@domain" when that exists. The owner's own address is no list. */
static PhRcpt
find_owner(const Walk *walk, const PhRoute *route, const char *alias, char **owner_out)
{
	g_autofree char *owner = NULL;
	PhRcpt result = PH_RCPT_UNKNOWN;

	if (ph_slice_starts_nocase(ph_slice(alias), "owner-"))
		return PH_RCPT_UNKNOWN;
	owner = g_strconcat("owner-", alias, NULL);
	if (strlen(owner) < PH_ROUTE_ADDRESS)
		result = exists(walk, route, owner);
	if (result == PH_RCPT_OK)
		*owner_out = g_steal_pointer(&owner);
	return result;
}

static void
note_members(const Walk *walk, const char *alias, const GPtrArray *members)
{
	g_autoptr(GString) text = NULL;

	if (walk->note == NULL)
		return;
	text = g_string_new(NULL);
	for (guint i = 0; i < members->len && i < NOTE_MEMBERS; i++)
		g_string_append_printf(text, "%s%s", i > 0 ? ", " : "",
		                       (const char *) members->pdata[i]);
	if (members->len > NOTE_MEMBERS)
		g_string_append_printf(text, " and %u more", members->len - NOTE_MEMBERS);
	note(walk, "alias", "%s stands for %s", alias, text->str);
}

static PhRcpt
walk_each(Walk *walk, const char *domain, const GPtrArray *members)
{
	PhRcpt result = PH_RCPT_OK;

	for (guint i = 0; i < members->len && result == PH_RCPT_OK; i++) {
		PhRouteText text;

		if (ph_route_complete(&text, members->pdata[i], domain))
			result = walk_address(walk, text.octets);
		else
			result = PH_RCPT_UNKNOWN;
	}
	return result;
}

static PhRcpt
walk_members(Walk *walk, const PhRoute *route, const char *alias, const GPtrArray *members)
{
	const char *at = strrchr(alias, '@');
	Walk before = *walk;
	g_autofree char *owner = NULL;
	PhRcpt result = PH_RCPT_OK;

	note_members(walk, alias, members);
	if (walk->depth >= DEPTH_MAX || members->len > PH_ROUTE_MEMBERS_MAX) {
		note(walk, "no", "aliases lead on too far or to too many");
		return PH_RCPT_UNKNOWN;
	}
	if (walk->seen == NULL)
		walk->seen = g_ptr_array_new_with_free_func(g_free);
	g_ptr_array_add(walk->seen, g_strdup(alias));
	result = find_owner(walk, route, alias, &owner);
	if (result == PH_RCPT_LATER || result == PH_RCPT_TEMPORARY)
		return result;
	if (owner != NULL) {
		note(walk, "list", "%s exists, so it is a list: that is the sender from here",
		     owner);
		walk->owner = owner;
	}
	walk->via = alias;
	walk->forwarder = route->srs != NULL ? route : NULL;
	walk->detail = NULL;
	walk->depth++;
	result = walk_each(walk, at != NULL ? at + 1 : "", members);
	walk->depth--;
	walk->owner = before.owner;
	walk->via = before.via;
	walk->forwarder = before.forwarder;
	walk->detail = before.detail;
	return result;
}

/* --- one address ------------------------------------------------------------------------------ */

static PhRcpt
found_user(Walk *walk,
           const PhRoute *route,
           PhSection *directory,
           PhIdentity *identity,
           const char *address)
{
	note(walk, "user", "[directory %s] knows %s", ph_section_name(directory),
	     ph_identity_address(identity));
	return add_found(walk, route, identity, address);
}

/* What one directory says: a user, or an alias unless it was expanded already. @ends_out: it has the last
 * word. */
static PhRcpt
ask_directory(Walk *walk,
              const PhRoute *route,
              PhSection *directory,
              const char *key,
              const char *address,
              bool *ends_out)
{
	g_autoptr(PhIdentity) identity = NULL;
	g_autoptr(GPtrArray) members = NULL;
	uint32_t result = ph_asks_user(walk->asks, directory, key, &identity);

	*ends_out = true;
	if (result == PH_VERIFY_OK)
		return found_user(walk, route, directory, identity, address);
	if (result == PH_VERIFY_DISABLED)
		return PH_RCPT_DISABLED;
	if (result == PH_VERIFY_UNKNOWN_USER && !was_seen(walk, key))
		result = ph_asks_members(walk->asks, directory, key, &members);
	if (result == PH_ASKS_LATER)
		return PH_RCPT_LATER;
	if (result == PH_VERIFY_OK)
		return walk_members(walk, route, key, members);
	*ends_out = ph_chain_stops(directory, result);
	return result == PH_VERIFY_ERROR ? PH_RCPT_TEMPORARY : PH_RCPT_UNKNOWN;
}

/* Asks the route's directories for exactly this address. When one that others may speak after could not
 * answer, and none of them knows the address, nobody can say that it does not exist. */
static PhRcpt
ask_directories(Walk *walk, const PhRoute *route, const char *key, const char *address)
{
	PhRcpt otherwise = PH_RCPT_UNKNOWN;
	bool ends = false;

	for (size_t i = 0; i < route->params.n_directories && !ends; i++) {
		PhRcpt result =
			ask_directory(walk, route, route->directories[i], key, address, &ends);

		if (ends)
			return result;
		if (result == PH_RCPT_TEMPORARY)
			otherwise = result;
	}
	return otherwise;
}

/* The alias file goes before the directories. */
static PhRcpt
ask_all(Walk *walk, const PhRoute *route, const char *key, const char *address)
{
	g_autoptr(GPtrArray) members = NULL;
	PhVerify result;

	if (route->aliases != NULL && !was_seen(walk, key)) {
		members = g_ptr_array_new_with_free_func(g_free);
		result = call_aliases(route, ph_aliases_expand, key, members);
		if (result == PH_VERIFY_ERROR)
			return PH_RCPT_TEMPORARY;
		if (result == PH_VERIFY_OK)
			return walk_members(walk, route, key, members);
	}
	return ask_directories(walk, route, key, address);
}

/* "user+detail@domain" to "user@domain"; the detail's length, 0 when there is none. */
static size_t
strip_detail(const PhRoute *route, const char *address, PhRouteText *text, const char **detail_out)
{
	const char *at = strrchr(address, '@');
	size_t length = strcspn(address, route->separators);
	const char *end = at != NULL ? at : address + strlen(address);

	if (route->separators[0] == '\0' || length == 0 || address[length] == '\0')
		return 0;
	if (address + length >= end)
		return 0;
	g_snprintf(text->octets, sizeof text->octets, "%.*s%s", (int) length, address,
	           at != NULL ? at : "");
	*detail_out = address + length + 1;
	return (size_t) (end - *detail_out) + 1;
}

static PhRcpt
ask_without_detail(Walk *walk, const PhRoute *route, const char *address)
{
	const char *start = NULL;
	g_autofree char *detail = NULL;
	PhRcpt result;
	PhRouteText text;
	size_t n = strip_detail(route, address, &text, &start);

	if (n == 0)
		return PH_RCPT_UNKNOWN;
	detail = g_strndup(start, n - 1);
	note(walk, "detail", "%s is %s with the detail '%s'", address, text.octets, detail);
	walk->detail = detail[0] != '\0' ? detail : NULL;
	result = ask_all(walk, route, text.octets, address);
	walk->detail = NULL;
	return result;
}

static bool
is_postmaster(const char *address)
{
	PhSlice rest = ph_slice(address);

	return ph_slice_is_nocase(ph_slice_split(&rest, '@'), "postmaster");
}

/* A catch-all may be a user here or an address elsewhere. */
static PhRcpt
ask_catch_all(Walk *walk, const PhRoute *route, const char *address)
{
	g_autoptr(GPtrArray) members = NULL;
	PhRcpt result = PH_RCPT_UNKNOWN;

	if (route->catch_all == NULL)
		return PH_RCPT_UNKNOWN;
	note(walk, "catch-all", "nobody has this name, so %s gets it", route->catch_all);
	result = ask_directories(walk, route, route->catch_all, address);
	if (result != PH_RCPT_UNKNOWN || strchr(route->catch_all, '@') == NULL
	    || was_seen(walk, address))
		return result;
	members = g_ptr_array_new_with_free_func(g_free);
	g_ptr_array_add(members, g_strdup(route->catch_all));
	return walk_members(walk, route, address, members);
}

static PhRcpt
fall_back(Walk *walk, const PhRoute *route, const char *address)
{
	PhRcpt result = PH_RCPT_UNKNOWN;
	const char *at = strrchr(address, '@');
	g_autoptr(GPtrArray) members = NULL;
	PhRouteText text;
	PhVerify known;

	if (is_postmaster(address)
	    && ph_route_complete(&text, route->postmaster, at != NULL ? at + 1 : "")
	    && strcmp(text.octets, address) != 0) {
		note(walk, "postmaster", "every domain has one: here %s", text.octets);
		result = ask_all(walk, route, text.octets, address);
	}
	if (result != PH_RCPT_UNKNOWN)
		return result;
	if (route->aliases != NULL && !was_seen(walk, address)) {
		members = g_ptr_array_new_with_free_func(g_free);
		known = call_aliases(route, ph_aliases_rest, address, members);
		if (known == PH_VERIFY_ERROR)
			return PH_RCPT_TEMPORARY;
		if (known == PH_VERIFY_OK)
			return walk_members(walk, route, address, members);
	}
	return ask_catch_all(walk, route, address);
}

/* A bounce to a sender that was rewritten here goes back to the true one. */
static PhRcpt
walk_srs(Walk *walk, const PhRoute *route, const char *address)
{
	g_autofree char *sender = ph_srs_reverse(route->srs, address, ph_clock_wall_us());
	g_autoptr(GPtrArray) members = NULL;

	if (sender == NULL) {
		note(walk, "no", "this rewritten sender is not ours, or too old");
		return PH_RCPT_UNKNOWN;
	}
	note(walk, "srs", "%s was made here for %s", address, sender);
	members = g_ptr_array_new_with_free_func(g_free);
	g_ptr_array_add(members, g_strdup(sender));
	return walk_members(walk, route, address, members);
}

/* A route with users: what the expansion of an alias came to is the answer; a name that was expanded
 * on the way already, and is no user's, adds nobody. */
static PhRcpt
walk_users(Walk *walk, const PhRoute *route, const char *address)
{
	bool is_again = was_seen(walk, address);
	PhRcpt result = ask_all(walk, route, address, address);

	if (result != PH_RCPT_UNKNOWN || (!is_again && was_seen(walk, address)))
		return result;
	if (is_again)
		return PH_RCPT_OK;
	result = ask_without_detail(walk, route, address);
	if (result == PH_RCPT_UNKNOWN)
		result = fall_back(walk, route, address);
	if (result == PH_RCPT_UNKNOWN)
		note(walk, "no", "nobody has the name %s", address);
	return result;
}

static PhRcpt
walk_route(Walk *walk, const PhRoute *route, const char *address)
{
	PhRcpt result = PH_RCPT_UNKNOWN;

	note(walk, "route", "[route %s] takes %s", ph_section_name(route->params.section), address);
	if (route->srs != NULL && ph_srs_is(address) && !was_seen(walk, address))
		return walk_srs(walk, route, address);
	if (route->params.n_directories > 0)
		return walk_users(walk, route, address);
	if (route->aliases != NULL && !was_seen(walk, address)) {
		result = ask_all(walk, route, address, address);
		if (result != PH_RCPT_UNKNOWN || was_seen(walk, address))
			return result;
	}
	return add_found(walk, route, route->catch_all_identity, address);
}

/* A domain that is another name of one is written as that. */
static bool
rename_domain(const Walk *walk, const char *address, PhRouteText *text)
{
	const char *at = strrchr(address, '@');
	const char *domain = at != NULL ? g_hash_table_lookup(walk->router->renamed, at + 1) : NULL;

	if (domain == NULL)
		return false;
	if (g_snprintf(text->octets, sizeof text->octets, "%.*s@%s", (int) (at - address), address,
	               domain)
	    >= (int) sizeof text->octets)
		return false;
	note(walk, "domain", "%s is another name of %s", at + 1, domain);
	return true;
}

static PhRcpt
walk_address(Walk *walk, const char *address)
{
	PhRouteText text;
	bool is_renamed = rename_domain(walk, address, &text);
	const char *name = is_renamed ? text.octets : address;
	const PhRoute *route = ph_router_find(walk->router, name);

	if (route == NULL) {
		note(walk, "no", "we do not take mail for that domain: no [route] names it");
		return PH_RCPT_NO_ROUTE;
	}
	return walk_route(walk, route, name);
}

/* A name without domain belongs to the first route with users. */
static PhRcpt
walk_name(Walk *walk, const char *name)
{
	const PhRoute *route = ph_router_first_local(walk->router);
	PhRouteText text;

	if (route == NULL)
		return PH_RCPT_NO_ROUTE;
	if (!ph_route_complete(&text, name, ph_route_first_domain(route)))
		return PH_RCPT_UNKNOWN;
	return walk_route(walk, route, text.octets);
}

static PhRcpt
run_walk(Walk *walk, PhSlice address)
{
	guint before = walk->found->len;
	PhRcpt result = PH_RCPT_UNKNOWN;
	PhRouteText text;

	if (address.length >= sizeof text.octets)
		return PH_RCPT_UNKNOWN;
	memcpy(text.octets, address.data, address.length);
	text.octets[address.length] = '\0';
	if (strchr(text.octets, '@') != NULL)
		result = walk_address(walk, text.octets);
	else
		result = walk_name(walk, text.octets);
	g_clear_pointer(&walk->seen, g_ptr_array_unref);
	if (result == PH_RCPT_OK && walk->found->len == before)
		result = PH_RCPT_UNKNOWN;
	if (result != PH_RCPT_OK)
		g_array_set_size(walk->found, before);
	return result;
}

PhRcpt
ph_router_resolve(PhRouter *router, PhSlice address, GArray *found)
{
	Walk walk = { .router = router, .found = found };

	return run_walk(&walk, address);
}

PhRcpt
ph_router_resolve_later(PhRouter *router, PhSlice address, GArray *found, PhAsks *asks)
{
	Walk walk = { .router = router, .found = found, .asks = asks };

	return run_walk(&walk, address);
}

PhRcpt
ph_router_explain(PhRouter *router,
                  PhSlice address,
                  GArray *found,
                  PhRouteNoteFunc func,
                  void *user_data)
{
	Walk walk = { .router = router, .found = found, .note = func, .note_data = user_data };

	return run_walk(&walk, address);
}

/* --- for mail that was resolved before -------------------------------------------------------- */

PhRcpt
ph_router_find_user(const PhRoute *route, const char *address, PhIdentity **identity_out)
{
	g_autoptr(GError) error = NULL;

	if (route->catch_all_identity != NULL
	    && strcmp(ph_identity_address(route->catch_all_identity), address) == 0) {
		*identity_out = ph_identity_ref(route->catch_all_identity);
		return PH_RCPT_OK;
	}
	switch (ph_chain_lookup(route->directories, address, identity_out, &error)) {
	case PH_VERIFY_OK:
		return PH_RCPT_OK;
	case PH_VERIFY_DISABLED:
		return PH_RCPT_DISABLED;
	case PH_VERIFY_ERROR:
		log_failure(route->params.section, address, error);
		return PH_RCPT_TEMPORARY;
	case PH_VERIFY_WRONG:
	case PH_VERIFY_UNKNOWN_USER:
		break;
	}
	return PH_RCPT_UNKNOWN;
}
