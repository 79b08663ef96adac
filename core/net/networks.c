/* networks.c: sets of networks for plugins, and who a session's peer is said to be
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "net/address-list.h"
#include "net/session.h"

#include <arpa/inet.h>
#include <string.h>

PhNetworks *
ph_networks_new(const char *const *texts, GError **error)
{
	return ph_address_list_new(texts, error);
}

void
ph_networks_free(PhNetworks *networks)
{
	ph_address_list_free(networks);
}

static void
make_address(const PhPeer *peer, struct sockaddr_storage *out)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *) out;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *) out;

	memset(out, 0, sizeof *out);
	if (!peer->is_ip) {
		out->ss_family = AF_UNIX;
	} else if (peer->is_v6) {
		v6->sin6_family = AF_INET6;
		memcpy(&v6->sin6_addr, peer->octets, sizeof v6->sin6_addr);
	} else {
		v4->sin_family = AF_INET;
		memcpy(&v4->sin_addr, peer->octets, sizeof v4->sin_addr);
	}
}

bool
ph_session_is_from(const PhSession *session, const PhNetworks *networks)
{
	struct sockaddr_storage address;

	make_address(&session->peer, &address);
	return ph_address_list_has(networks, (const struct sockaddr *) &address);
}

bool
ph_session_set_client(PhSession *session, const char *address, uint16_t port)
{
	PhPeer peer = { .is_ip = 1, .port = port };

	if (inet_pton(AF_INET6, address, peer.octets) == 1)
		peer.is_v6 = 1;
	else if (inet_pton(AF_INET, address, peer.octets) != 1)
		return false;
	ph_session_set_peer(session, &peer);
	return true;
}
