/* name-server.c: a name server's address from text
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config/name-server.h"

#include <posthorn/slice.h>

#include <arpa/inet.h>
#include <string.h>

enum {
	DEFAULT_PORT = 53,
};

static bool
is_address(const char *text)
{
	uint8_t octets[sizeof(struct in6_addr)];

	return inet_pton(AF_INET, text, octets) == 1 || inet_pton(AF_INET6, text, octets) == 1;
}

static bool
parse_port(const char *text, uint32_t *port_out)
{
	if (*text == '\0')
		return true;
	return *text == ':' && ph_slice_to_u32(ph_slice(text + 1), G_MAXUINT16, port_out)
	       && *port_out != 0;
}

char *
ph_name_server_parse(const char *text)
{
	bool is_bracketed = text[0] == '[';
	const char *host_at = is_bracketed ? text + 1 : text;
	const char *end = strchr(host_at, is_bracketed ? ']' : ':');
	g_autofree char *host = NULL;
	uint32_t port = DEFAULT_PORT;

	if (is_address(text))
		return g_strdup_printf("%s@%u", text, port);
	if (end == NULL)
		return NULL;
	host = g_strndup(host_at, (gsize) (end - host_at));
	if (!is_address(host) || !parse_port(is_bracketed ? end + 1 : end, &port))
		return NULL;
	return g_strdup_printf("%s@%u", host, port);
}
