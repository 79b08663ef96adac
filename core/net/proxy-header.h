/* proxy-header.h: the PROXY protocol, versions 1 and 2, as load balancers speak it
 *
 * A pure parser over the first octets of a connection. It must only be used on listeners whose
 * peer is trusted to say who the client is.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_NET_PROXY_HEADER_H
#define PH_NET_PROXY_HEADER_H

#include <posthorn/types.h>

#include <netinet/in.h>
#include <sys/socket.h>

enum {
	PH_PROXY_HEADER_MAX = 4096 /* octets of a header that is accepted, TLVs included */
};

typedef enum {
	PH_PROXY_OK = 0,
	PH_PROXY_INCOMPLETE = 1, /* call again when more has arrived */
	PH_PROXY_INVALID = 2,    /* no PROXY header: close */
} PhProxyResult;

/* PhProxyEnd: one end of the connection; the family is AF_UNSPEC when it is not told. */
typedef union {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
} PhProxyEnd;

/* PhProxyHeader: @is_local: UNKNOWN or LOCAL: the connection is the proxy's own; both ends are
 * AF_UNSPEC and the socket's addresses hold. */
typedef struct {
	size_t used; /* octets of the header: the client's begin behind them */
	bool is_local;
	PhProxyEnd peer;
	PhProxyEnd local;
} PhProxyHeader;

/* ph_proxy_header_parse: @octets: (borrowed) what was received so far, from the first octet on.
 * @header_out: written for OK only. Linear; never looks behind the header. Thread: any. */
PhProxyResult ph_proxy_header_parse(PhSlice octets, PhProxyHeader *header_out);

#endif
