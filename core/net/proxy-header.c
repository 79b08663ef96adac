/* proxy-header.c: the PROXY protocol, versions 1 and 2, as load balancers speak it
 *
 * Version 1 is a line of at most 107 octets; version 2 is binary with a length. Checksums and
 * other TLVs of version 2 are skipped. Unix addresses count as a local connection's.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "net/proxy-header.h"

#include <posthorn/slice.h>

#include <arpa/inet.h>
#include <string.h>

enum {
	V1_MAX = 107,
	V2_FIXED = 16,
	V2_INET = 12,
	V2_INET6 = 36
};

static const char v2_signature[12] = "\r\n\r\n\0\r\nQUIT\n";

static bool
parse_port(PhSlice text, in_port_t *port_out)
{
	uint32_t port = 0;

	if (text.length > 5 || (text.length > 1 && text.data[0] == '0')
	    || !ph_slice_to_u32(text, 65535, &port))
		return false;
	*port_out = htons((uint16_t) port);
	return true;
}

static bool
parse_end(PhSlice address, PhSlice port, int family, PhProxyEnd *out)
{
	char text[INET6_ADDRSTRLEN + 1];

	if (address.length == 0 || address.length >= sizeof text
	    || ph_slice_find(address, '\0') >= 0)
		return false;
	memcpy(text, address.data, address.length);
	text[address.length] = '\0';
	memset(out, 0, sizeof *out);
	out->any.sa_family = (sa_family_t) family;
	if (family == AF_INET)
		return inet_pton(family, text, &out->v4.sin_addr) == 1
		       && parse_port(port, &out->v4.sin_port);
	return inet_pton(family, text, &out->v6.sin6_addr) == 1
	       && parse_port(port, &out->v6.sin6_port);
}

/* The line without CRLF, behind "PROXY ". */
static bool
parse_v1_line(PhSlice line, PhProxyHeader *header)
{
	PhSlice word = ph_slice_split(&line, ' ');
	PhSlice source;
	PhSlice target;
	PhSlice source_port;
	int family = 0;

	if (ph_slice_is(word, "UNKNOWN")) {
		header->is_local = true;
		return true;
	}
	if (ph_slice_is(word, "TCP4"))
		family = AF_INET;
	else if (ph_slice_is(word, "TCP6"))
		family = AF_INET6;
	else
		return false;
	source = ph_slice_split(&line, ' ');
	target = ph_slice_split(&line, ' ');
	source_port = ph_slice_split(&line, ' ');
	return parse_end(source, source_port, family, &header->peer)
	       && parse_end(target, line, family, &header->local);
}

static PhProxyResult
parse_v1(PhSlice octets, PhProxyHeader *header)
{
	PhSlice window = PH_SLICE(octets.data, MIN(octets.length, (size_t) V1_MAX));
	ssize_t lf = ph_slice_find(window, '\n');
	const size_t start = strlen("PROXY ");

	if (lf < 0)
		return octets.length >= V1_MAX ? PH_PROXY_INVALID : PH_PROXY_INCOMPLETE;
	if ((size_t) lf < start + 1 || octets.data[lf - 1] != '\r')
		return PH_PROXY_INVALID;
	header->used = (size_t) lf + 1;
	if (!parse_v1_line(PH_SLICE(octets.data + start, (size_t) lf - 1 - start), header))
		return PH_PROXY_INVALID;
	return PH_PROXY_OK;
}

static void
take_inet(const uint8_t *body, PhProxyHeader *header)
{
	header->peer.v4.sin_family = AF_INET;
	memcpy(&header->peer.v4.sin_addr, body, 4);
	memcpy(&header->peer.v4.sin_port, body + 8, 2);
	header->local.v4.sin_family = AF_INET;
	memcpy(&header->local.v4.sin_addr, body + 4, 4);
	memcpy(&header->local.v4.sin_port, body + 10, 2);
}

static void
take_inet6(const uint8_t *body, PhProxyHeader *header)
{
	header->peer.v6.sin6_family = AF_INET6;
	memcpy(&header->peer.v6.sin6_addr, body, 16);
	memcpy(&header->peer.v6.sin6_port, body + 32, 2);
	header->local.v6.sin6_family = AF_INET6;
	memcpy(&header->local.v6.sin6_addr, body + 16, 16);
	memcpy(&header->local.v6.sin6_port, body + 34, 2);
}

/* @family: high half AF (0 unspecified, 1 inet, 2 inet6, 3 unix), low half transport. */
static bool
parse_v2_body(uint8_t family, const uint8_t *body, size_t length, PhProxyHeader *header)
{
	switch (family) {
	case 0x11:
		if (length < V2_INET)
			return false;
		take_inet(body, header);
		return true;
	case 0x21:
		if (length < V2_INET6)
			return false;
		take_inet6(body, header);
		return true;
	case 0x00:
	case 0x31:
		header->is_local = true;
		return true;
	default:
		return false;
	}
}

static PhProxyResult
parse_v2(PhSlice octets, PhProxyHeader *header)
{
	uint8_t head[V2_FIXED];
	size_t length = 0;

	if (octets.length < V2_FIXED)
		return PH_PROXY_INCOMPLETE;
	memcpy(head, octets.data, sizeof head);
	length = (size_t) head[14] << 8 | head[15];
	if ((head[12] & 0xf0) != 0x20 || (head[12] & 0x0f) > 1
	    || V2_FIXED + length > PH_PROXY_HEADER_MAX)
		return PH_PROXY_INVALID;
	if (octets.length < V2_FIXED + length)
		return PH_PROXY_INCOMPLETE;
	header->used = V2_FIXED + length;
	if ((head[12] & 0x0f) == 0) {
		header->is_local = true;
		return PH_PROXY_OK;
	}
	if (!parse_v2_body(head[13], (const uint8_t *) octets.data + V2_FIXED, length, header))
		return PH_PROXY_INVALID;
	return PH_PROXY_OK;
}

static bool
begins_as(PhSlice octets, const char *wanted, size_t length)
{
	return memcmp(octets.data, wanted, MIN(octets.length, length)) == 0;
}

PhProxyResult
ph_proxy_header_parse(PhSlice octets, PhProxyHeader *header_out)
{
	PhProxyHeader header = { .used = 0 };
	PhProxyResult result = PH_PROXY_INVALID;

	if (octets.length == 0)
		return PH_PROXY_INCOMPLETE;
	if (begins_as(octets, v2_signature, sizeof v2_signature))
		result = parse_v2(octets, &header);
	else if (begins_as(octets, "PROXY ", strlen("PROXY ")))
		result = octets.length < strlen("PROXY ") ? PH_PROXY_INCOMPLETE
		                                          : parse_v1(octets, &header);
	if (result == PH_PROXY_OK)
		*header_out = header;
	return result;
}
