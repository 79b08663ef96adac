/* calls.h: the counts behind call.h, one for each section (inside the plugin folder and status)
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_PLUGIN_CALLS_H
#define PH_PLUGIN_CALLS_H

#include "base/counters.h"
#include "config/section.h"

/* ph_calls_new: @concurrency, @timeout: 0 for none. */
PhCalls *ph_calls_new(uint32_t concurrency, PhDuration timeout);
PhCalls *ph_calls_ref(PhCalls *calls);
void ph_calls_unref(PhCalls *calls);

/* ph_calls_buckets: latencies as in counters.h. */
void ph_calls_buckets(const PhCalls *calls, int64_t buckets_out[PH_HISTOGRAM_BUCKETS]);

/* ph_calls_timeout: of one call; 0 for none. */
PhDuration ph_calls_timeout(const PhCalls *calls);

/* ph_calls_limit: new limits after a reload that kept the instance. */
void ph_calls_limit(PhCalls *calls, uint32_t concurrency, PhDuration timeout);

#endif
