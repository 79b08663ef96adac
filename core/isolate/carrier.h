/* carrier.h: calls into isolated processes that no thread waits for
 *
 * One thread a section takes the answers. Who asks sends the question itself when a process is free, else
 * the question waits in turn.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef PH_ISOLATE_CARRIER_H
#define PH_ISOLATE_CARRIER_H

#include "isolate/isolate.h"

typedef struct PhCarrier PhCarrier;

/* PhErrand: what is asked. write: the request behind its operation. done: once, from any thread, maybe
 * before ph_carrier_ask returns: @call: (nullable) NULL with @error (owned); else @reply stands in it, and
 * it is to be ended with ph_isolate_end. */
typedef struct {
	uint64_t operation;
	uint64_t deadline_us;
	void (*write)(PhPacket *packet, void *user_data);
	void (*done)(PhIsolateCall *call, uint64_t reply, GError *error, void *user_data);
	void *user_data;
} PhErrand;

/* ph_carrier_new: starts nothing yet. */
PhCarrier *ph_carrier_new(PhPool *pool);

/* ph_carrier_free: @carrier: (owned, nullable) what is under way fails first. */
void ph_carrier_free(PhCarrier *carrier);

/* ph_carrier_ask: Blocks: no. */
void ph_carrier_ask(PhCarrier *carrier, const PhErrand *errand);

/* ph_carrier_adopt: a call that was sent and not answered yet; of the errand `done` and `user_data` count.
 * Blocks: no. */
void ph_carrier_adopt(PhCarrier *carrier, const PhIsolateCall *call, const PhErrand *errand);

/* ph_carrier_freed: a process is free: who waits may go on. @carrier: (nullable) Thread: any. */
void ph_carrier_freed(PhCarrier *carrier);

#endif
