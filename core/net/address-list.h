/* address-list.h: sets of IP networks, as options list them
 *
 * Members are "192.0.2.1", "192.0.2.0/24", "2001:db8::/32", or "unix" for peers on local sockets.
 * An IPv4 address and the same address mapped into IPv6 are one and the same.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_NET_ADDRESS_LIST_H
#define PH_NET_ADDRESS_LIST_H

#include <posthorn/types.h>

#include <sys/socket.h>

enum {
	PH_ADDRESS_LIST_NETWORKS = 10000 /* networks in one list */
};

/* PhAddressList: immutable. Thread: any. */
typedef struct PhAddressList PhAddressList;

/* ph_address_list_new: @texts: (nullable) NULL-terminated. Returns: (owned); NULL with INVALID that
 * names the word which is no network. Bits behind the prefix must be zero. */
PhAddressList *ph_address_list_new(const char *const *texts, GError **error);
void ph_address_list_free(PhAddressList *set);

/* ph_address_list_has: is this address in one of the networks? An unknown family is not. */
bool ph_address_list_has(const PhAddressList *set, const struct sockaddr *address);
bool ph_address_list_is_empty(const PhAddressList *set);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PhAddressList, ph_address_list_free)

#endif
