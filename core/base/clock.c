/* clock.c: monotonic and wall time in microseconds, and the test clock
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "base/clock.h"

#include <stdatomic.h>
#include <time.h>

static const int64_t second_us = 1000000;
static atomic_bool is_held;
static _Atomic uint64_t held_us;
static _Atomic int64_t held_wall_us;

static int64_t
read_clock(clockid_t id)
{
	struct timespec now = { 0 };

	(void) clock_gettime(id, &now);
	return (int64_t) now.tv_sec * second_us + now.tv_nsec / 1000;
}

uint64_t
ph_clock_us(void)
{
	if (G_UNLIKELY(atomic_load_explicit(&is_held, memory_order_relaxed)))
		return atomic_load(&held_us);
	return (uint64_t) read_clock(CLOCK_MONOTONIC);
}

PhTime
ph_clock_wall_us(void)
{
	if (G_UNLIKELY(atomic_load_explicit(&is_held, memory_order_relaxed)))
		return atomic_load(&held_wall_us);
	return read_clock(CLOCK_REALTIME);
}

void
ph_clock_text(PhTime when, char buffer[PH_CLOCK_TEXT])
{
	time_t seconds = (time_t) (when / second_us);
	struct tm parts = { 0 };

	(void) gmtime_r(&seconds, &parts);
	(void) g_snprintf(buffer, PH_CLOCK_TEXT, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ",
	                  parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday, parts.tm_hour,
	                  parts.tm_min, parts.tm_sec, (int) (when % second_us));
}

void
ph_clock_hold(uint64_t monotonic_us, PhTime wall_us)
{
	atomic_store(&held_us, monotonic_us);
	atomic_store(&held_wall_us, wall_us);
	atomic_store(&is_held, true);
}

void
ph_clock_move(uint64_t by_us)
{
	atomic_fetch_add(&held_us, by_us);
	atomic_fetch_add(&held_wall_us, (int64_t) by_us);
}

void
ph_clock_release(void)
{
	atomic_store(&is_held, false);
}
