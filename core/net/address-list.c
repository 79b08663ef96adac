/* address-list.c: sets of IP networks, as options list them
 *
 * Every address is held as 16 octets, IPv4 as ::ffff:a.b.c.d, so that one comparison serves both.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "net/address-list.h"

#include <posthorn/error.h>
#include <posthorn/slice.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

typedef struct {
	uint8_t octets[16];
	uint32_t bits;
} Network;

struct PhAddressList {
	GArray *networks; /* of Network */
	bool has_unix;
};

enum {
	MAPPED_BITS = 96
};

static const uint8_t mapped_prefix[12] = { [10] = 0xff, [11] = 0xff };

static bool
parse_address(const char *text, Network *out)
{
	memset(out, 0, sizeof *out);
	if (inet_pton(AF_INET, text, out->octets + sizeof mapped_prefix) == 1) {
		memcpy(out->octets, mapped_prefix, sizeof mapped_prefix);
		out->bits = 32;
		return true;
	}
	out->bits = 128;
	return inet_pton(AF_INET6, text, out->octets) == 1;
}

static bool
bits_equal(const uint8_t *a, const uint8_t *b, uint32_t bits)
{
	uint32_t whole = bits / 8;
	uint8_t mask = (uint8_t) (0xff00U >> (bits % 8));

	if (memcmp(a, b, whole) != 0)
		return false;
	return mask == 0 || ((a[whole] ^ b[whole]) & mask) == 0;
}

/* Are all bits behind the prefix zero? */
static bool
is_aligned(const Network *network)
{
	Network cut = *network;

	for (uint32_t i = network->bits; i < 128; i++)
		cut.octets[i / 8] &= (uint8_t) ~(0x80U >> (i % 8));
	return memcmp(cut.octets, network->octets, sizeof cut.octets) == 0;
}

static bool
parse_network(const char *text, Network *out)
{
	PhSlice rest = ph_slice(text);
	PhSlice head = ph_slice_split(&rest, '/');
	bool has_prefix = head.length < strlen(text);
	g_autofree char *address = NULL;
	uint32_t prefix = 0;

	if (head.length > INET6_ADDRSTRLEN)
		return false;
	address = ph_slice_dup(head);
	if (!parse_address(address, out))
		return false;
	if (has_prefix && !ph_slice_to_u32(rest, out->bits, &prefix))
		return false;
	if (has_prefix)
		out->bits = out->bits == 32 ? MAPPED_BITS + prefix : prefix;
	else
		out->bits = 128;
	return is_aligned(out);
}

static bool
add_word(PhAddressList *set, const char *word, GError **error)
{
	Network network;

	if (strcmp(word, "unix") == 0) {
		set->has_unix = true;
		return true;
	}
	if (!parse_network(word, &network)) {
		g_set_error(error, PH_ERROR, PH_ERROR_INVALID,
		            "'%s' is not an address or a network such as 192.0.2.0/24 "
		            "(bits behind the prefix must be zero)",
		            word);
		return false;
	}
	g_array_append_val(set->networks, network);
	return true;
}

PhAddressList *
ph_address_list_new(const char *const *texts, GError **error)
{
	g_autoptr(PhAddressList) set = g_new0(PhAddressList, 1);

	set->networks = g_array_new(FALSE, FALSE, sizeof(Network));
	for (size_t i = 0; texts != NULL && texts[i] != NULL; i++) {
		if (i >= PH_ADDRESS_LIST_NETWORKS) {
			g_set_error(error, PH_ERROR, PH_ERROR_LIMIT,
			            "more than %d networks in one list", PH_ADDRESS_LIST_NETWORKS);
			return NULL;
		}
		if (!add_word(set, texts[i], error))
			return NULL;
	}
	return g_steal_pointer(&set);
}

void
ph_address_list_free(PhAddressList *set)
{
	if (set == NULL)
		return;
	g_array_unref(set->networks);
	g_free(set);
}

static bool
octets_of(const struct sockaddr *address, uint8_t *octets)
{
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;

	if (address->sa_family == AF_INET) {
		memcpy(&v4, address, sizeof v4);
		memcpy(octets, mapped_prefix, sizeof mapped_prefix);
		memcpy(octets + sizeof mapped_prefix, &v4.sin_addr, 4);
		return true;
	}
	if (address->sa_family == AF_INET6) {
		memcpy(&v6, address, sizeof v6);
		memcpy(octets, &v6.sin6_addr, 16);
		return true;
	}
	return false;
}

bool
ph_address_list_has(const PhAddressList *set, const struct sockaddr *address)
{
	uint8_t octets[16];

	if (address->sa_family == AF_UNIX)
		return set->has_unix;
	if (!octets_of(address, octets))
		return false;
	for (guint i = 0; i < set->networks->len; i++) {
		const Network *network = &g_array_index(set->networks, Network, i);

		if (bits_equal(octets, network->octets, network->bits))
			return true;
	}
	return false;
}

bool
ph_address_list_is_empty(const PhAddressList *set)
{
	return set->networks->len == 0 && !set->has_unix;
}
