/* offer.h: what the two offers of this folder have in common
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef OFFER_H
#define OFFER_H

#include <posthorn/plugin.h>

#include "hop.h"

#define OFFER_LIMITS(connections)                                                               \
	PH_OPTION_INTEGER(Settings, max_connections, "500", 1, 100000,                          \
	                  "most connections of this section at once; further mail waits"),      \
		PH_OPTION_INTEGER(Settings, connections_per_destination, connections, 1, 10000, \
	                          "most connections to one destination at once"),               \
		PH_OPTION_INTEGER(Settings, max_recipients, "100", 1, 10000,                    \
	                          "most recipients in one transaction; further ones follow in " \
	                          "another"),                                                   \
		PH_OPTION_INTEGER(Settings, max_messages, "100", 1, 1000000,                    \
	                          "most messages over one connection"),                         \
		PH_OPTION_DURATION(Settings, idle_time, "5s",                                   \
	                           "how long a connection is kept for the next message"),       \
		PH_OPTION_DURATION(Settings, max_age, "5min", "how long one connection is used")

/* RFC 5321 section 4.5.3.2. */
#define OFFER_TIMES                                                                           \
	PH_OPTION_DURATION(Settings, connect_timeout, "30s",                                  \
	                   "most time for connecting, and for the TLS handshake"),            \
		PH_OPTION_DURATION(Settings, greeting_timeout, "5min",                        \
	                           "most time for the greeting"),                             \
		PH_OPTION_DURATION(Settings, helo_timeout, "5min",                            \
	                           "most time for the answers to EHLO, STARTTLS and AUTH"),   \
		PH_OPTION_DURATION(Settings, mail_timeout, "5min",                            \
	                           "most time for the answers to MAIL and RSET"),             \
		PH_OPTION_DURATION(Settings, rcpt_timeout, "5min",                            \
	                           "most time for the answer to RCPT"),                       \
		PH_OPTION_DURATION(Settings, data_timeout, "2min",                            \
	                           "most time for the answer to DATA"),                       \
		PH_OPTION_DURATION(Settings, block_timeout, "3min",                           \
	                           "most time for the next 64 KiB of a message to be taken"), \
		PH_OPTION_DURATION(Settings, end_timeout, "10min",                            \
	                           "most time for the answer to a whole message")

void offer_destroy(void *instance);
void offer_begin(void *instance, PhDelivery *delivery);
size_t offer_destination(void *instance, const char *address, char *buffer, size_t size);

#endif
