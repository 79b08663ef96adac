/* clock.h: monotonic and wall time in microseconds, and a clock that tests can hold and move
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_BASE_CLOCK_H
#define POSTHORN_BASE_CLOCK_H

#include <posthorn/types.h>

/* ph_clock_us: monotonic; never goes back. For deadlines and measuring. Thread: any. */
uint64_t ph_clock_us(void);

/* ph_clock_wall_us: since 1970; may jump. For dates that people see. Thread: any. */
PhTime ph_clock_wall_us(void);

/* ph_clock_text: "2026-11-22T01:02:03.000004Z" into @buffer of PH_CLOCK_TEXT octets. */
enum {
	PH_CLOCK_TEXT = 28
};

void ph_clock_text(PhTime time, char buffer[PH_CLOCK_TEXT]);

/* Tests only: ph_clock_hold stops both clocks at these values, ph_clock_move adds to both,
 * ph_clock_release lets them run again. */
void ph_clock_hold(uint64_t monotonic_us, PhTime wall_us);
void ph_clock_move(uint64_t by_us);
void ph_clock_release(void);

#endif
