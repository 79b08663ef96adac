/* filter-delivery.h: asks a route's filters before each delivery to a recipient
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_SERVER_FILTER_DELIVERY_H
#define PH_SERVER_FILTER_DELIVERY_H

#include "server/filter-chain.h"

/* ph_filter_deliver: takes the delivery: each of its targets becomes a mail of its own, that passes the
 * filters and is then handed to the transport of its route. @targets: indexes of the mail's, borrowed
 * from the delivery. */
void ph_filter_deliver(PhDelivery *delivery, const PhFilterChain *chain, const uint32_t *targets);

#endif
