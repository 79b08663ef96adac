/* resolver-record.c: one record of the DNS as text, and names as the DNS wants them
 *
 * Pure functions over octets that a stranger sent. Names come without compression; RFC 1035
 * section 3.1 bounds them.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "net/resolver.h"

#include <arpa/inet.h>
#include <string.h>

enum {
	NAME_MAX_OCTETS = 255,
	LABEL_MAX = 63,
	V4_OCTETS = 4,
	V6_OCTETS = 16,
};

/* What would be ambiguous in a name is written as \DDD (RFC 1035 section 5.1). */
static void
append_label(PhSlice label, GString *out)
{
	for (size_t i = 0; i < label.length; i++) {
		unsigned char c = (unsigned char) label.data[i];

		if (g_ascii_isalnum((char) c) || c == '-' || c == '_' || c == '/' || c == '*')
			g_string_append_c(out, g_ascii_tolower((char) c));
		else
			g_string_append_printf(out, "\\%03u", (unsigned) c);
	}
}

/* A name that fills @data to its end. */
static bool
decode_name(PhSlice data, GString *out)
{
	size_t at = 0;

	while (at < data.length && at < NAME_MAX_OCTETS) {
		size_t n = (unsigned char) data.data[at++];

		if (n == 0)
			return at == data.length;
		if (n > LABEL_MAX || n > data.length - at)
			return false;
		if (at > 1)
			g_string_append_c(out, '.');
		append_label(PH_SLICE(data.data + at, n), out);
		at += n;
	}
	return false;
}

static bool
decode_address(PhSlice data, int family, size_t octets, GString *out)
{
	char text[INET6_ADDRSTRLEN] = "";

	if (data.length != octets || inet_ntop(family, data.data, text, sizeof text) == NULL)
		return false;
	g_string_append(out, text);
	return true;
}

static bool
decode_strings(PhSlice data, GString *out)
{
	size_t at = 0;

	while (at < data.length) {
		size_t n = (unsigned char) data.data[at++];

		if (n > data.length - at)
			return false;
		g_string_append_len(out, data.data + at, (gssize) n);
		at += n;
	}
	return data.length > 0;
}

static uint16_t
number_at(PhSlice data, size_t at)
{
	const uint8_t *octets = (const uint8_t *) data.data + at;

	return (uint16_t) (octets[0] << 8 | octets[1]);
}

/* Numbers of two octets, then a name. */
static bool
decode_service(PhSlice data, size_t n_numbers, PhDnsRecord *record, GString *out)
{
	size_t head = 2 * n_numbers;

	if (data.length <= head)
		return false;
	record->preference = number_at(data, 0);
	if (n_numbers > 1) {
		record->weight = number_at(data, 2);
		record->port = number_at(data, 4);
	}
	return decode_name(PH_SLICE(data.data + head, data.length - head), out);
}

static bool
decode(uint32_t type, PhSlice data, PhDnsRecord *record, GString *text)
{
	switch (type) {
	case PH_DNS_A:
		return decode_address(data, AF_INET, V4_OCTETS, text);
	case PH_DNS_AAAA:
		return decode_address(data, AF_INET6, V6_OCTETS, text);
	case PH_DNS_NS:
	case PH_DNS_CNAME:
	case PH_DNS_PTR:
		return decode_name(data, text);
	case PH_DNS_MX:
		return decode_service(data, 1, record, text);
	case PH_DNS_SRV:
		return decode_service(data, 3, record, text);
	case PH_DNS_TXT:
		return decode_strings(data, text);
	default:
		return true;
	}
}

bool
ph_dns_record_decode(uint32_t type, PhSlice data, PhDnsRecord *record_out, GString *text)
{
	size_t start = text->len;
	PhDnsRecord record = { .data = data };

	if (!decode(type, data, &record, text)) {
		g_string_truncate(text, start);
		return false;
	}
	record.text.length = text->len - start;
	g_string_append_c(text, '\0');
	*record_out = record;
	return true;
}

bool
ph_dns_name_is_valid(const char *name)
{
	size_t length = strlen(name);
	size_t label = 0;

	if (length > 0 && name[length - 1] == '.')
		length--;
	if (length == 0 || length > NAME_MAX_OCTETS - 2)
		return false;
	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char) name[i];

		if (c == '.' && label == 0)
			return false;
		label = c == '.' ? 0 : label + 1;
		if (label > LABEL_MAX || c <= ' ' || c >= 0x7f || c == '\\')
			return false;
	}
	return label > 0;
}

static void
append_reverse_v6(const uint8_t *octets, GString *out)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = V6_OCTETS; i > 0; i--) {
		const char nibbles[] = { digits[octets[i - 1] & 15], '.',
			                 digits[octets[i - 1] >> 4], '.' };

		g_string_append_len(out, nibbles, sizeof nibbles);
	}
}

bool
ph_resolver_reverse_name(const char *address, const char *zone, GString *out)
{
	uint8_t octets[V6_OCTETS];

	if (inet_pton(AF_INET, address, octets) == 1) {
		g_string_append_printf(out, "%u.%u.%u.%u.%s", octets[3], octets[2], octets[1],
		                       octets[0], zone != NULL ? zone : "in-addr.arpa");
		return true;
	}
	if (inet_pton(AF_INET6, address, octets) != 1)
		return false;
	append_reverse_v6(octets, out);
	g_string_append(out, zone != NULL ? zone : "ip6.arpa");
	return true;
}
