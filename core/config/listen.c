/* listen.c: addresses to listen on and networks, from text
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config/listen.h"

#include <posthorn/slice.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

static const char unix_prefix[] = "unix:";
static const char systemd_prefix[] = "systemd:";

static bool
parse_unix(const char *path, PhListenAddress *address, GString *problem)
{
	struct sockaddr_un *un = (struct sockaddr_un *) (void *) &address->socket;

	if (path[0] != '/' || strlen(path) >= sizeof un->sun_path) {
		g_string_append_printf(problem,
		                       "has the socket path '%s'; it must be absolute and at most "
		                       "%zu octets",
		                       path, sizeof un->sun_path - 1);
		return false;
	}
	un->sun_family = AF_UNIX;
	(void) g_strlcpy(un->sun_path, path, sizeof un->sun_path);
	address->length = (socklen_t) sizeof *un;
	return true;
}

static bool
parse_systemd(const char *name, PhListenAddress *address, GString *problem)
{
	if (name[0] == '\0' || strlen(name) >= sizeof address->systemd_name
	    || strchr(name, ':') != NULL) {
		g_string_append_printf(problem,
		                       "has 'systemd:%s'; write systemd:NAME with the "
		                       "FileDescriptorName= of the socket unit",
		                       name);
		return false;
	}
	(void) g_strlcpy(address->systemd_name, name, sizeof address->systemd_name);
	return true;
}

static void
set_inet(PhListenAddress *address, const struct in_addr *in)
{
	struct sockaddr_in *to = (struct sockaddr_in *) (void *) &address->socket;

	to->sin_family = AF_INET;
	to->sin_addr = *in;
	to->sin_port = htons(address->port);
	address->length = (socklen_t) sizeof *to;
}

static void
set_inet6(PhListenAddress *address, const struct in6_addr *in6)
{
	struct sockaddr_in6 *to = (struct sockaddr_in6 *) (void *) &address->socket;

	to->sin6_family = AF_INET6;
	to->sin6_addr = *in6;
	to->sin6_port = htons(address->port);
	address->length = (socklen_t) sizeof *to;
}

static bool
parse_host(const char *host, PhListenAddress *address)
{
	size_t n = strlen(host);
	struct in_addr in;
	struct in6_addr in6;

	if (strcmp(host, "*") == 0) {
		address->is_any = true;
		set_inet6(address, &in6addr_any);
		return true;
	}
	if (inet_pton(AF_INET, host, &in) == 1) {
		set_inet(address, &in);
		return true;
	}
	if (n > 2 && host[0] == '[' && host[n - 1] == ']') {
		g_autofree char *inner = g_strndup(host + 1, n - 2);

		if (inet_pton(AF_INET6, inner, &in6) == 1) {
			set_inet6(address, &in6);
			return true;
		}
	}
	return false;
}

bool
ph_listen_parse(const char *text, PhListenAddress *address_out, GString *problem)
{
	PhListenAddress address = { 0 };
	const char *colon = strrchr(text, ':');
	g_autofree char *host = NULL;
	uint32_t port = 0;

	if (g_str_has_prefix(text, unix_prefix)) {
		if (!parse_unix(text + strlen(unix_prefix), &address, problem))
			return false;
	} else if (g_str_has_prefix(text, systemd_prefix)) {
		if (!parse_systemd(text + strlen(systemd_prefix), &address, problem))
			return false;
	} else {
		host = colon != NULL ? g_strndup(text, (size_t) (colon - text)) : g_strdup("");
		if (colon == NULL || !ph_slice_to_u32(ph_slice(colon + 1), UINT16_MAX, &port)) {
			g_string_append_printf(problem,
			                       "has '%s', which has no port from 0 to 65535 behind "
			                       "its last ':'; write such as *:143",
			                       text);
			return false;
		}
		address.port = (uint16_t) port;
		if (!parse_host(host, &address)) {
			g_string_append_printf(problem,
			                       "has '%s'; write IP:PORT, [IPv6]:PORT, *:PORT, "
			                       "unix:/path or systemd:NAME (host names are not "
			                       "looked up)",
			                       text);
			return false;
		}
	}
	*address_out = address;
	return true;
}

static bool
is_wild(const PhListenAddress *address)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *) (const void *) &address->socket;
	const struct sockaddr_in6 *in6 =
		(const struct sockaddr_in6 *) (const void *) &address->socket;

	if (address->socket.ss_family == AF_INET)
		return in->sin_addr.s_addr == htonl(INADDR_ANY);
	return IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr);
}

bool
ph_listen_collide(const PhListenAddress *a, const PhListenAddress *b)
{
	if (a->systemd_name[0] != '\0' || b->systemd_name[0] != '\0')
		return strcmp(a->systemd_name, b->systemd_name) == 0;
	if (a->socket.ss_family == AF_UNIX || b->socket.ss_family == AF_UNIX)
		return a->length == b->length && memcmp(&a->socket, &b->socket, a->length) == 0;
	if (a->port != b->port || a->port == 0)
		return false;
	if (a->is_any || b->is_any)
		return true;
	if (a->socket.ss_family != b->socket.ss_family)
		return false;
	return is_wild(a) || is_wild(b) || memcmp(&a->socket, &b->socket, a->length) == 0;
}

bool
ph_network_parse(const char *text, PhNetwork *network_out, GString *problem)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	PhSlice rest = ph_slice(text);
	PhSlice host = ph_slice_split(&rest, '/');
	g_autofree char *address = ph_slice_dup(host);
	PhNetwork network = { .is_unix = strcmp(text, "unix") == 0 };
	bool is_four = inet_pton(AF_INET, address, network.octets + sizeof mapped) == 1;
	uint32_t max = is_four ? 32 : 128;
	uint32_t bits = max;
	bool good = network.is_unix || is_four || inet_pton(AF_INET6, address, network.octets) == 1;

	if (is_four)
		memcpy(network.octets, mapped, sizeof mapped);
	if (good && host.length < strlen(text))
		good = ph_slice_to_u32(rest, max, &bits);
	if (!good) {
		g_string_append_printf(problem,
		                       "has '%s'; write networks such as 192.0.2.0/24, "
		                       "2001:db8::/32 or unix",
		                       text);
		return false;
	}
	network.bits = (uint8_t) (bits + (is_four ? 96 : 0));
	*network_out = network;
	return true;
}
