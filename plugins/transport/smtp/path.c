/* path.c: from a domain to the addresses that its mail is offered to
 *
 * RFC 5321 section 5.1: the hosts of the MX records by preference, those of equal preference in
 * random order; without any, the domain itself. RFC 7505: a single MX of the root says that there
 * is no mail. Hosts at and behind our own name are left out, so that mail never comes back here.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/plugin.h>

#include "hop.h"

#include <arpa/inet.h>
#include <string.h>

static void
clear_host(gpointer pointer)
{
	g_free(((Host *) pointer)->name);
}

void
path_init(Path *path)
{
	*path = (Path){ .is_secure = true };
	path->hosts = g_array_new(FALSE, FALSE, sizeof(Host));
	g_array_set_clear_func(path->hosts, clear_host);
	path->addresses = g_ptr_array_new_with_free_func(g_free);
}

void
path_clear(Path *path)
{
	if (path->hosts == NULL)
		return;
	g_array_unref(path->hosts);
	g_ptr_array_unref(path->addresses);
	path->hosts = NULL;
}

const char *
path_address(const Path *path)
{
	return path->addresses->pdata[path->address_at - 1];
}

const char *
path_host(const Path *path)
{
	return g_array_index(path->hosts, Host, path->host_at).name;
}

static void
add_host(Path *path, const char *name, uint16_t preference)
{
	Host host = { .name = g_strdup(name), .preference = preference };

	ph_secret_random(&host.chance, sizeof host.chance);
	g_array_append_val(path->hosts, host);
}

/* --- the order -------------------------------------------------------------------------------- */

static gint
compare_hosts(gconstpointer a, gconstpointer b)
{
	const Host *left = a;
	const Host *right = b;

	if (left->preference != right->preference)
		return left->preference < right->preference ? -1 : 1;
	return left->chance < right->chance ? -1 : left->chance > right->chance;
}

bool
path_order(GArray *hosts, const char *own)
{
	unsigned limit = G_MAXUINT;

	for (guint i = 0; i < hosts->len; i++) {
		const Host *host = &g_array_index(hosts, Host, i);

		if (g_ascii_strcasecmp(host->name, own) == 0)
			limit = MIN(limit, host->preference);
	}
	for (guint i = hosts->len; i > 0; i--)
		if (g_array_index(hosts, Host, i - 1).preference >= limit)
			g_array_remove_index(hosts, i - 1);
	g_array_sort(hosts, compare_hosts);
	if (hosts->len > PATH_HOSTS_MAX)
		g_array_set_size(hosts, PATH_HOSTS_MAX);
	return hosts->len > 0;
}

/* --- the hosts -------------------------------------------------------------------------------- */

static void
fail_lookup(Hop *hop, const PhResolverAnswer *answer, const char *what)
{
	if (answer->status == PH_RESOLVER_BOGUS)
		failure_set(&hop->failure, 451, "4.7.0", "DNSSEC validation failed for '%s'", what);
	else
		failure_set(&hop->failure, 451, "4.4.3", "no answer from the DNS for '%s'", what);
}

static bool
is_null_mx(const PhResolverAnswer *answer)
{
	return answer->n_records == 1 && answer->records[0].text.length == 0;
}

static void
take_hosts(Hop *hop, const PhResolverAnswer *answer)
{
	Path *path = &hop->path;

	path->has_mx = true;
	for (size_t i = 0; i < answer->n_records; i++)
		if (answer->records[i].text.length > 0)
			add_host(path, answer->records[i].text.data, answer->records[i].preference);
	if (path_order(path->hosts, ph_section_hostname(hop->relay->section))) {
		path_next(hop);
		return;
	}
	failure_set(&hop->failure, 554, "5.4.6", "the mail exchanger of '%s' is this host itself",
	            hop->destination->domain);
	hop_unreachable(hop);
}

static void
mx_answered(const PhResolverAnswer *answer, void *user_data)
{
	Hop *hop = user_data;
	const char *domain = hop->destination->domain;

	hop->path.is_secure = hop->path.is_secure && answer->is_secure;
	switch ((PhResolverStatus) answer->status) {
	case PH_RESOLVER_OK:
		if (!is_null_mx(answer)) {
			take_hosts(hop, answer);
			return;
		}
		failure_set(&hop->failure, 556, "5.1.10", "'%s' does not take mail", domain);
		break;
	case PH_RESOLVER_NO_DATA:
		add_host(&hop->path, answer->name, 0);
		path_next(hop);
		return;
	case PH_RESOLVER_NO_NAME:
	case PH_RESOLVER_INVALID:
		failure_set(&hop->failure, 550, "5.1.2", "there is no domain '%s'", domain);
		break;
	case PH_RESOLVER_FAILED:
	case PH_RESOLVER_TIMEOUT:
	case PH_RESOLVER_LIMIT:
	case PH_RESOLVER_BOGUS:
		fail_lookup(hop, answer, domain);
		break;
	}
	hop_unreachable(hop);
}

static void
add_address(Path *path, const char *address)
{
	if (path->addresses->len < PATH_ADDRESSES_MAX)
		g_ptr_array_add(path->addresses, g_strdup(address));
}

/* A domain that is an address itself: "[192.0.2.1]" or "[ipv6:2001:db8::1]". */
static bool
take_literal(Hop *hop, const char *domain)
{
	static const char v6[] = "[ipv6:";
	const char *begin =
		g_ascii_strncasecmp(domain, v6, strlen(v6)) == 0 ? domain + strlen(v6) : domain + 1;
	size_t length = strlen(begin);
	g_autofree char *address = g_strndup(begin, length > 0 ? length - 1 : 0);
	uint8_t octets[sizeof(struct in6_addr)];

	if (inet_pton(AF_INET, address, octets) != 1 && inet_pton(AF_INET6, address, octets) != 1) {
		failure_set(&hop->failure, 550, "5.1.2", "'%s' is no address to send to", domain);
		return false;
	}
	add_host(&hop->path, domain, 0);
	add_address(&hop->path, address);
	return true;
}

static void
begin_at_domain(Hop *hop)
{
	const char *domain = hop->destination->domain;
	g_autofree char *ascii = NULL;

	if (domain[0] == '[') {
		if (take_literal(hop, domain))
			path_next(hop);
		else
			hop_unreachable(hop);
		return;
	}
	ascii = g_hostname_to_ascii(domain);
	if (ascii == NULL || domain[0] == '\0') {
		failure_set(&hop->failure, 550, "5.1.2", "'%s' is no domain", domain);
		hop_unreachable(hop);
		return;
	}
	ph_resolver_ask(hop->relay->section, ascii, PH_DNS_MX, mx_answered, hop);
}

void
path_begin(Hop *hop)
{
	const Rule *rule = hop->destination->rule;
	const NextHop *next = &hop->relay->next_hop;

	if (rule != NULL && rule->has_next_hop)
		next = &rule->next_hop;
	if (next->host == NULL) {
		begin_at_domain(hop);
		return;
	}
	add_host(&hop->path, next->host, 0);
	if (next->is_address || next->is_unix)
		add_address(&hop->path, next->host);
	path_next(hop);
}

/* --- the addresses ---------------------------------------------------------------------------- */

static void ask_family(Hop *hop, uint32_t family);

/* Behind @family; 0: nothing more is asked. */
static uint32_t
next_family(uint32_t order, uint32_t family)
{
	if (family == 0)
		return order == IP_V4_FIRST || order == IP_V4 ? PH_DNS_A : PH_DNS_AAAA;
	if (order == IP_ANY && family == PH_DNS_AAAA)
		return PH_DNS_A;
	return order == IP_V4_FIRST && family == PH_DNS_A ? PH_DNS_AAAA : 0;
}

static void
addresses_answered(const PhResolverAnswer *answer, void *user_data)
{
	Hop *hop = user_data;
	Path *path = &hop->path;
	uint32_t next = next_family(hop->relay->settings->ip, path->family);
	bool is_unclear = answer->status >= PH_RESOLVER_FAILED;

	path->is_secure = path->is_secure && answer->is_secure;
	if (is_unclear) {
		path->was_unclear = true;
		fail_lookup(hop, answer, path_host(path));
		hop_keep_failure(hop);
	}
	for (size_t i = 0; i < answer->n_records; i++)
		add_address(path, answer->records[i].text.data);
	if (next != 0) {
		ask_family(hop, next);
		return;
	}
	path->family = 0;
	if (path->addresses->len == 0)
		path->host_at++;
	path_next(hop);
}

static void
ask_family(Hop *hop, uint32_t family)
{
	hop->path.family = family;
	ph_resolver_ask(hop->relay->section, path_host(&hop->path), family, addresses_answered,
	                hop);
}

/* No host is left. What was tried has said why; else none of them has an address. */
static void
end_of_path(Hop *hop)
{
	if (hop->failure.code == 0)
		failure_set(&hop->failure, 550, "5.4.4", "no mail exchanger of '%s' has an address",
		            hop->destination->domain);
	hop_unreachable(hop);
}

static uint32_t
most_hosts(const Hop *hop)
{
	uint32_t most = (uint32_t) hop->relay->settings->max_hosts;

	return most > 0 ? most : PATH_ADDRESSES_MAX;
}

bool
path_has_more(const Hop *hop)
{
	const Path *path = &hop->path;

	return path->n_tried < most_hosts(hop)
	       && (path->address_at < path->addresses->len || path->host_at + 1 < path->hosts->len);
}

void
path_next(Hop *hop)
{
	Path *path = &hop->path;

	if (path->address_at > 0 && path->address_at == path->addresses->len) {
		g_ptr_array_set_size(path->addresses, 0);
		path->address_at = 0;
		path->host_at++;
	}
	if (path->host_at >= path->hosts->len || path->n_tried >= most_hosts(hop)) {
		end_of_path(hop);
	} else if (path->address_at < path->addresses->len) {
		path->address_at++;
		path->n_tried++;
		hop_found(hop);
	} else {
		ask_family(hop, next_family(hop->relay->settings->ip, 0));
	}
}
