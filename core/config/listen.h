/* listen.h: addresses to listen on and networks, from text
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_CONFIG_LISTEN_H
#define POSTHORN_CONFIG_LISTEN_H

#include <posthorn/types.h>

#include <sys/socket.h>

/* PhListenAddress: "192.0.2.1:25", "[2001:db8::1]:25", "*:25", "unix:/path" or "systemd:NAME". */
typedef struct {
	struct sockaddr_storage socket; /* AF_INET, AF_INET6 or AF_UNIX; AF_UNSPEC for systemd */
	socklen_t length;
	bool is_any; /* "*": IPv6 and IPv4 together; socket is [::]:PORT */
	uint16_t port;
	char systemd_name[64]; /* FileDescriptorName= of the socket unit */
} PhListenAddress;

/* ph_listen_parse: false with what is wrong appended to @problem. Pure. */
bool ph_listen_parse(const char *text, PhListenAddress *address_out, GString *problem);

/* ph_listen_collide: would the second bind fail? Port 0 never does. */
bool ph_listen_collide(const PhListenAddress *a, const PhListenAddress *b);

/* PhNetwork: "192.0.2.0/24", "2001:db8::/32", a single address, or "unix". */
typedef struct {
	uint8_t octets[16]; /* IPv4 as ::ffff:a.b.c.d */
	uint8_t bits;       /* of the 128 */
	bool is_unix;
} PhNetwork;

bool ph_network_parse(const char *text, PhNetwork *network_out, GString *problem);

#endif
