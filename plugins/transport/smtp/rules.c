/* rules.c: next hops and rules for domains, as they are written in the config
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/address.h>
#include <posthorn/error.h>
#include <posthorn/slice.h>

#include "relay.h"

#include <arpa/inet.h>
#include <string.h>

static bool
is_address(const char *text)
{
	uint8_t octets[sizeof(struct in6_addr)];

	return inet_pton(AF_INET, text, octets) == 1 || inet_pton(AF_INET6, text, octets) == 1;
}

static bool
parse_port(PhSlice text, uint16_t *port_out)
{
	uint32_t port = 0;

	if (!ph_slice_to_u32(text, G_MAXUINT16, &port) || port == 0)
		return false;
	*port_out = (uint16_t) port;
	return true;
}

static bool
split_host(const char *text, NextHop *out)
{
	bool is_bracketed = text[0] == '[';
	const char *begin = is_bracketed ? text + 1 : text;
	const char *end = strchr(begin, is_bracketed ? ']' : ':');

	if (end == NULL && is_bracketed)
		return false;
	if (end == NULL || is_address(text)) {
		out->host = g_strdup(text);
		return true;
	}
	out->host = g_strndup(begin, (gsize) (end - begin));
	if (is_bracketed)
		end++;
	return *end == '\0' || (*end == ':' && parse_port(ph_slice(end + 1), &out->port));
}

bool
next_hop_parse(const char *text, NextHop *out)
{
	NextHop hop = { .is_unix = g_str_has_prefix(text, "unix:/") };
	bool good = true;

	if (hop.is_unix)
		hop.host = g_strdup(text);
	else
		good = split_host(text, &hop);
	if (good && !hop.is_unix) {
		hop.is_address = is_address(hop.host);
		good = hop.is_address
		       || ph_domain_parse(ph_slice(hop.host), PH_ADDRESS_ALLOW_UTF8, NULL)
		                  == PH_ADDRESS_OK;
	}
	if (good)
		*out = hop;
	else
		next_hop_clear(&hop);
	return good;
}

void
next_hop_clear(NextHop *hop)
{
	g_clear_pointer(&hop->host, g_free);
}

static const char *const tls_words[] = { "none", "may", "require", "verify" };

static bool
parse_tls(PhSlice value, int *tls_out)
{
	for (size_t i = 0; i < G_N_ELEMENTS(tls_words); i++)
		if (ph_slice_is_nocase(value, tls_words[i])) {
			*tls_out = (int) i;
			return true;
		}
	return false;
}

static bool
parse_next(PhSlice value, Rule *rule)
{
	g_autofree char *text = ph_slice_dup(value);

	if (rule->has_next_hop)
		next_hop_clear(&rule->next_hop);
	rule->has_next_hop = next_hop_parse(text, &rule->next_hop);
	return rule->has_next_hop;
}

static bool
parse_word(PhSlice word, Rule *rule)
{
	PhSlice value = word;
	PhSlice name = ph_slice_split(&value, '=');

	if (ph_slice_is_nocase(name, "tls"))
		return parse_tls(value, &rule->tls);
	if (ph_slice_is_nocase(name, "next-hop"))
		return parse_next(value, rule);
	if (ph_slice_is_nocase(name, "port"))
		return parse_port(value, &rule->port);
	return ph_slice_is_nocase(name, "connections")
	       && ph_slice_to_u32(value, G_MAXUINT16, &rule->n_hops) && rule->n_hops > 0;
}

static bool
parse_domain(PhSlice word, Rule *rule)
{
	rule->is_suffix = ph_slice_starts_nocase(word, "*.");
	if (rule->is_suffix)
		word = ph_slice_from(word, 1);
	g_free(rule->domain);
	rule->domain = g_ascii_strdown(word.data, (gssize) word.length);
	return word.length > 1;
}

bool
rule_parse(const char *text, Rule *out, GError **error)
{
	Rule rule = { .tls = -1 };
	PhSlice rest = ph_slice(text);
	bool good = parse_domain(ph_slice_split(&rest, ' '), &rule);
	PhSlice word = PH_SLICE_EMPTY;

	while (good && rest.length > 0) {
		word = ph_slice_split(&rest, ' ');
		good = word.length == 0 || parse_word(word, &rule);
	}
	if (good) {
		*out = rule;
		return true;
	}
	rule_clear(&rule);
	ph_error_set(error, PH_ERROR_INVALID,
	             "'destinations' has '%s'; write a domain, then any of tls=none, tls=may, "
	             "tls=require, tls=verify, next-hop=HOST:PORT, port=NUMBER, connections=NUMBER",
	             text);
	return false;
}

void
rule_clear(Rule *rule)
{
	g_clear_pointer(&rule->domain, g_free);
	next_hop_clear(&rule->next_hop);
}

bool
rule_matches(const Rule *rule, const char *domain)
{
	if (rule->is_suffix)
		return g_str_has_suffix(domain, rule->domain)
		       && strlen(domain) > strlen(rule->domain);
	return strcmp(rule->domain, domain) == 0;
}
