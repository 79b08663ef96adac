/* carrier.c: calls into isolated processes that no thread waits for
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "isolate/carrier.h"

#include <posthorn/error.h>

#include "base/clock.h"
#include "base/lock.h"

#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
	WAITING_MAX = 2000,
	EVENTS = 32,
	BUSY_MS = 50,   /* how often deadlines are looked at while something is under way */
	IDLE_MS = 1000, /* and else: who sends does not rouse the thread */
};

/* One call. */
typedef struct {
	PhErrand errand;
	PhIsolateCall call;
} Carried;

struct PhCarrier {
	PhPool *pool;
	pthread_t thread;
	int epoll;
	int wake; /* eventfd; its event has no Carried */
	atomic_uint n_waiting;
	PhLock lock; /* guards what follows */
	bool is_started;
	bool stops;
	GQueue waiting;     /* of Carried */
	GPtrArray *running; /* of Carried */
};

PhCarrier *
ph_carrier_new(PhPool *pool)
{
	PhCarrier *carrier = g_new0(PhCarrier, 1);

	carrier->pool = pool;
	carrier->epoll = -1;
	carrier->wake = -1;
	ph_lock_init(&carrier->lock);
	g_queue_init(&carrier->waiting);
	carrier->running = g_ptr_array_new();
	return carrier;
}

static void
rouse(const PhCarrier *carrier)
{
	const uint64_t one = 1;

	if (write(carrier->wake, &one, sizeof one) < 0)
		return; /* it is roused already */
}

static void
fail(Carried *carried, const char *why)
{
	GError *error = NULL;

	ph_error_set(&error, PH_ERROR_TEMPORARY, "%s", why);
	carried->errand.done(NULL, 0, error, carried->errand.user_data);
	g_free(carried);
}

/* --- sending ------------------------------------------------------------------------------------- */

static bool
watch(PhCarrier *carrier, Carried *carried)
{
	struct epoll_event event = { .events = EPOLLIN, .data = { .ptr = carried } };
	PH_LOCKED(&carrier->lock);

	if (epoll_ctl(carrier->epoll, EPOLL_CTL_ADD, carried->call.link->fd, &event) != 0)
		return false;
	g_ptr_array_add(carrier->running, carried);
	return true;
}

/* @carried: (owned) that was sent. */
static void
await(PhCarrier *carrier, Carried *carried)
{
	if (watch(carrier, carried))
		return;
	carried->call.is_good = false; /* its answer would be taken for another's */
	ph_isolate_end(&carried->call);
	fail(carried, "the isolated process cannot be listened to");
}

/* @carried: (owned) whose link was taken. */
static void
launch(PhCarrier *carrier, Carried *carried)
{
	GError *error = NULL;

	carried->errand.write(&carried->call.link->packet, carried->errand.user_data);
	if (!ph_isolate_send(&carried->call, &error)) {
		ph_isolate_end(&carried->call);
		carried->errand.done(NULL, 0, error, carried->errand.user_data);
		g_free(carried);
	} else {
		await(carrier, carried);
	}
}

/* --- the thread ------------------------------------------------------------------------------------ */

/* The call is over. @error: (owned, nullable) then there is no reply. */
static void
finish(PhCarrier *carrier, Carried *carried, uint64_t reply, GError *error)
{
	ph_lock_take(&carrier->lock);
	(void) epoll_ctl(carrier->epoll, EPOLL_CTL_DEL, carried->call.link->fd, NULL);
	(void) g_ptr_array_remove_fast(carrier->running, carried);
	ph_lock_drop(&carrier->lock);
	if (error != NULL)
		ph_isolate_end(&carried->call);
	carried->errand.done(error == NULL ? &carried->call : NULL, reply, error,
	                     carried->errand.user_data);
	g_free(carried);
}

static void
take(PhCarrier *carrier, Carried *carried)
{
	GError *error = NULL;
	uint64_t reply = 0;

	if (ph_isolate_take(&carried->call, &reply, &error))
		finish(carrier, carried, reply, error);
}

/* One that is late; it is still in the array: only this thread takes it out. */
static Carried *
find_late(PhCarrier *carrier, uint64_t now_us)
{
	PH_LOCKED(&carrier->lock);

	for (guint i = 0; i < carrier->running->len; i++) {
		Carried *carried = carrier->running->pdata[i];

		if (now_us >= carried->call.deadline_us)
			return carried;
	}
	return NULL;
}

static void
look_at_deadlines(PhCarrier *carrier)
{
	uint64_t now_us = ph_clock_us();
	Carried *late = NULL;

	while ((late = find_late(carrier, now_us)) != NULL)
		take(carrier, late);
}

/* The first that waits, when a process is free for it or its time is over. */
static Carried *
next_waiting(PhCarrier *carrier)
{
	Carried *first = NULL;
	PH_LOCKED(&carrier->lock);

	first = g_queue_peek_head(&carrier->waiting);
	if (first == NULL
	    || (!ph_isolate_try(&first->call, carrier->pool, first->errand.operation,
	                        first->errand.deadline_us)
	        && ph_clock_us() < first->errand.deadline_us))
		return NULL;
	atomic_fetch_sub(&carrier->n_waiting, 1);
	return g_queue_pop_head(&carrier->waiting);
}

static void
launch_waiting(PhCarrier *carrier)
{
	Carried *next = NULL;

	while ((next = next_waiting(carrier)) != NULL) {
		if (next->call.link != NULL)
			launch(carrier, next);
		else
			fail(next, "no process of the isolated plugin was free in time");
	}
}

/* True: go on. */
static bool
look_around(PhCarrier *carrier, int *sleep_ms_out)
{
	PH_LOCKED(&carrier->lock);

	*sleep_ms_out =
		carrier->running->len > 0 || carrier->waiting.length > 0 ? BUSY_MS : IDLE_MS;
	return !carrier->stops;
}

static void
drain(const PhCarrier *carrier)
{
	uint64_t count = 0;

	if (read(carrier->wake, &count, sizeof count) < 0)
		return; /* nobody roused it */
}

static void *
carry(void *data)
{
	PhCarrier *carrier = data;
	struct epoll_event events[EVENTS];
	int sleep_ms = 0;

	while (look_around(carrier, &sleep_ms)) {
		int n = epoll_wait(carrier->epoll, events, EVENTS, sleep_ms);

		for (int i = 0; i < n; i++) {
			if (events[i].data.ptr == NULL)
				drain(carrier);
			else
				take(carrier, events[i].data.ptr);
		}
		look_at_deadlines(carrier);
		launch_waiting(carrier);
	}
	return NULL;
}

/* --- asking ---------------------------------------------------------------------------------------- */

static bool
open_descriptors(PhCarrier *carrier)
{
	struct epoll_event event = { .events = EPOLLIN, .data = { .ptr = NULL } };

	if (carrier->epoll < 0)
		carrier->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (carrier->wake < 0) {
		carrier->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		(void) epoll_ctl(carrier->epoll, EPOLL_CTL_ADD, carrier->wake, &event);
	}
	return carrier->epoll >= 0 && carrier->wake >= 0;
}

/* Under the lock. */
static bool
start_once(PhCarrier *carrier)
{
	if (!carrier->is_started)
		carrier->is_started =
			open_descriptors(carrier)
			&& pthread_create(&carrier->thread, NULL, carry, carrier) == 0;
	return carrier->is_started;
}

typedef enum {
	PLACE_FREE = 1, /* the call has a link */
	PLACE_WAITS = 2,
	PLACE_FULL = 3,
} Place;

static Place
find_place(PhCarrier *carrier, Carried *carried)
{
	PH_LOCKED(&carrier->lock);

	if (!start_once(carrier))
		return PLACE_FULL;
	if (carrier->waiting.length == 0
	    && ph_isolate_try(&carried->call, carrier->pool, carried->errand.operation,
	                      carried->errand.deadline_us))
		return PLACE_FREE;
	if (carrier->waiting.length >= WAITING_MAX)
		return PLACE_FULL;
	g_queue_push_tail(&carrier->waiting, carried);
	atomic_fetch_add(&carrier->n_waiting, 1);
	return PLACE_WAITS;
}

void
ph_carrier_ask(PhCarrier *carrier, const PhErrand *errand)
{
	Carried *carried = g_new0(Carried, 1);

	carried->errand = *errand;
	switch (find_place(carrier, carried)) {
	case PLACE_FREE:
		launch(carrier, carried);
		break;
	case PLACE_WAITS:
		rouse(carrier); /* one may have become free meanwhile */
		break;
	case PLACE_FULL:
		fail(carried, "too many questions wait for the isolated plugin");
		break;
	}
}

void
ph_carrier_adopt(PhCarrier *carrier, const PhIsolateCall *call, const PhErrand *errand)
{
	Carried *carried = g_new0(Carried, 1);

	carried->errand = *errand;
	carried->call = *call;
	ph_lock_take(&carrier->lock);
	(void) start_once(carrier);
	ph_lock_drop(&carrier->lock);
	await(carrier, carried);
}

void
ph_carrier_freed(PhCarrier *carrier)
{
	if (carrier != NULL && atomic_load(&carrier->n_waiting) > 0)
		rouse(carrier);
}

void
ph_carrier_free(PhCarrier *carrier)
{
	static const char why[] = "the section is no more";

	if (carrier == NULL)
		return;
	ph_lock_take(&carrier->lock);
	carrier->stops = true;
	ph_lock_drop(&carrier->lock);
	if (carrier->is_started) {
		rouse(carrier);
		(void) pthread_join(carrier->thread, NULL);
	}
	while (carrier->running->len > 0) {
		GError *error = NULL;

		ph_error_set(&error, PH_ERROR_TEMPORARY, "%s", why);
		finish(carrier, carrier->running->pdata[0], 0, error);
	}
	while (carrier->waiting.length > 0)
		fail(g_queue_pop_head(&carrier->waiting), why);
	if (carrier->epoll >= 0)
		(void) close(carrier->epoll);
	if (carrier->wake >= 0)
		(void) close(carrier->wake);
	g_ptr_array_unref(carrier->running);
	ph_lock_clear(&carrier->lock);
	g_free(carrier);
}
