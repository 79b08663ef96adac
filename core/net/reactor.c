/* reactor.c: one epoll for everything, polled by the workers themselves; the clock; drain and stop
 *
 * Every descriptor is armed one-shot, so that a report goes to exactly one thread, which runs the
 * session at once. What is ready without a report (a wake, a yield, a due time) goes through the
 * workers' queue. The clock thread turns the timer wheel, looks after the pool while nobody polls,
 * and sleeps otherwise.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "net/reactor.h"

#include <posthorn/error.h>

#include "base/log.h"
#include "net/deadline.h"
#include "net/listener.h"
#include "net/stats.h"
#include "net/workers.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
	reports_a_poll = 4,
	busy_tick_us = 2000,
	busy_ticks = 32, /* that often without need, then the clock sleeps */
	rest_us = 100 * 1000,
	longest_sleep_us = 600 * 1000 * 1000,
	default_max_sessions = 100 * 1000,
	generation_shift = 32,
};

struct PhReactor {
	PhHome home; /* first */
	PhReactorParams params;
	int epoll_fd;
	int rouse_fd;
	PhWorkers *workers;
	PhWheel *wheel;
	_Atomic size_t n_sessions;
	_Atomic bool draining;
	bool started;

	pthread_mutex_t lock; /* guards the next four */
	GPtrArray *listeners; /* (owned) by number; NULL where one was closed */
	PhWake *drained;      /* (owned, nullable) */
	int64_t drain_until_us;
	bool resting; /* some listener waits for resources */

	pthread_t clock;
	pthread_mutex_t clock_lock; /* guards clock_stopping; the condition's */
	pthread_cond_t clock_cond;
	_Atomic bool clock_sleeps;
	_Atomic bool clock_stopping;
};

static PhReactor *default_reactor;

PhReactor *
ph_reactor_default(void)
{
	return default_reactor;
}

PhHome *
ph_reactor_home(PhReactor *reactor)
{
	return &reactor->home;
}

PhWorkers *
ph_reactor_workers(PhReactor *reactor)
{
	return reactor->workers;
}

/* --- the clock --- */

static void
wake_clock(PhReactor *reactor)
{
	if (!atomic_exchange(&reactor->clock_sleeps, false))
		return;
	pthread_mutex_lock(&reactor->clock_lock);
	pthread_cond_signal(&reactor->clock_cond);
	pthread_mutex_unlock(&reactor->clock_lock);
}

static void
sleep_until(PhReactor *reactor, int64_t until_us, bool may_be_woken)
{
	struct timespec until = { 0, 0 };

	until_us = MIN(until_us, ph_net_now_us() + longest_sleep_us);
	until.tv_sec = until_us / G_USEC_PER_SEC;
	until.tv_nsec = until_us % G_USEC_PER_SEC * 1000;
	pthread_mutex_lock(&reactor->clock_lock);
	if (may_be_woken)
		while (atomic_load(&reactor->clock_sleeps) && !atomic_load(&reactor->clock_stopping)
		       && pthread_cond_timedwait(&reactor->clock_cond, &reactor->clock_lock, &until)
		                  == 0)
			continue;
	else if (!atomic_load(&reactor->clock_stopping))
		pthread_cond_timedwait(&reactor->clock_cond, &reactor->clock_lock, &until);
	pthread_mutex_unlock(&reactor->clock_lock);
}

static void arm_listener(PhReactor *reactor, PhListener *listener);

static PhListener *
listener_at(PhReactor *reactor, guint i)
{
	PhListener *listener = NULL;

	pthread_mutex_lock(&reactor->lock);
	if (i < reactor->listeners->len)
		listener = g_ptr_array_index(reactor->listeners, i);
	if (listener != NULL)
		(void) ph_listener_ref(listener);
	pthread_mutex_unlock(&reactor->lock);
	return listener;
}

static guint
count_listeners(PhReactor *reactor)
{
	guint n = 0;

	pthread_mutex_lock(&reactor->lock);
	n = reactor->listeners->len;
	pthread_mutex_unlock(&reactor->lock);
	return n;
}

/* What happens at a time but is no session's: rests, drains. Returns: when to look again. */
static int64_t
look_at_listeners(PhReactor *reactor, int64_t now_us)
{
	bool resting = false;
	int64_t drain_us = 0;
	int64_t next = INT64_MAX;

	pthread_mutex_lock(&reactor->lock);
	resting = reactor->resting;
	reactor->resting = false;
	drain_us = reactor->drain_until_us;
	if (drain_us != 0 && now_us >= drain_us)
		reactor->drain_until_us = 0;
	pthread_mutex_unlock(&reactor->lock);
	if (drain_us != 0 && now_us >= drain_us)
		ph_slot_post_all(&reactor->home, NULL, PH_BIT_ABORT);
	else if (drain_us != 0)
		next = drain_us;
	for (guint i = 0; i < count_listeners(reactor); i++) {
		PhListener *listener = listener_at(reactor, i);

		if (listener == NULL)
			continue;
		if (resting)
			arm_listener(reactor, listener);
		next = MIN(next, ph_listener_look_at_old(listener, &reactor->home, now_us));
		ph_listener_unref(listener);
	}
	return next;
}

static bool
is_resting(PhReactor *reactor)
{
	bool resting = false;

	pthread_mutex_lock(&reactor->lock);
	resting = reactor->resting;
	pthread_mutex_unlock(&reactor->lock);
	return resting;
}

static void *
run_clock(void *data)
{
	PhReactor *reactor = data;
	unsigned quiet = 0;

	while (!atomic_load(&reactor->clock_stopping)) {
		int64_t now = ph_net_now_us();
		int64_t next = look_at_listeners(reactor, now);

		ph_wheel_visit(reactor->wheel, now);
		ph_workers_look_after(reactor->workers, now);
		quiet = ph_workers_is_busy(reactor->workers) ? 0 : quiet + 1;
		if (quiet < busy_ticks) {
			sleep_until(reactor, now + busy_tick_us, false);
			continue;
		}
		if (is_resting(reactor))
			next = MIN(next, now + rest_us);
		atomic_store(&reactor->clock_sleeps, true);
		/* Whoever adds to the wheel or becomes busy from here on wakes the clock. */
		next = MIN(next, ph_wheel_next(reactor->wheel));
		if (ph_workers_is_busy(reactor->workers))
			atomic_store(&reactor->clock_sleeps, false);
		sleep_until(reactor, next, true);
		atomic_store(&reactor->clock_sleeps, false);
		quiet = busy_ticks / 2;
	}
	return NULL;
}

/* --- home of sessions --- */

static void
take_ready(PhHome *home, PhReady *ready)
{
	ph_workers_push(((PhReactor *) home)->workers, ready);
}

static bool
arm_session(PhHome *home, PhSession *session, uint32_t events)
{
	PhReactor *reactor = (PhReactor *) home;
	struct epoll_event event = { .events = events,
		                     .data.u64 = (uint64_t) session->generation << generation_shift
		                                 | session->slot->index };
	int operation = session->added ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

	session->added = true;
	return epoll_ctl(reactor->epoll_fd, operation, session->plain.fd, &event) == 0;
}

static void
take_due(PhHome *home, PhSlot *slot, int64_t due_us)
{
	PhReactor *reactor = (PhReactor *) home;

	if (ph_wheel_add(reactor->wheel, slot, due_us))
		wake_clock(reactor);
}

static void
complete_drain(PhReactor *reactor)
{
	PhWake *drained = NULL;

	pthread_mutex_lock(&reactor->lock);
	if (atomic_load(&reactor->n_sessions) == 0)
		drained = g_steal_pointer(&reactor->drained);
	pthread_mutex_unlock(&reactor->lock);
	if (drained != NULL)
		ph_wake_complete(drained);
}

static void
session_gone(PhHome *home, PhSession *session)
{
	PhReactor *reactor = (PhReactor *) home;

	ph_listener_session_gone(session);
	ph_counter_add(ph_net_stats.open, -1);
	if (atomic_fetch_sub(&reactor->n_sessions, 1) == 1 && atomic_load(&reactor->draining))
		complete_drain(reactor);
}

/* --- reports --- */

static uint32_t
bits_of(uint32_t events)
{
	uint32_t bits = PH_BIT_POLLED;

	if (events & EPOLLIN)
		bits |= PH_BIT_IN;
	if (events & EPOLLOUT)
		bits |= PH_BIT_OUT;
	if (events & EPOLLRDHUP)
		bits |= PH_BIT_HALF;
	if (events & (EPOLLERR | EPOLLHUP))
		bits |= PH_BIT_GONE;
	return bits;
}

static void
arm_number(PhReactor *reactor, int fd, uint32_t number, int operation)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLONESHOT, .data.u64 = number };

	if (fd >= 0)
		(void) epoll_ctl(reactor->epoll_fd, operation, fd, &event);
}

static void
arm_listener(PhReactor *reactor, PhListener *listener)
{
	if (!ph_listener_is_paused(listener))
		arm_number(reactor, ph_listener_fd(listener), ph_listener_number(listener),
		           EPOLL_CTL_MOD);
}

static PhAccept
accept_one(PhReactor *reactor, PhListener *listener, PhSession **session_out)
{
	bool refuse_all = false;
	PhAccept result = PH_ACCEPT_NONE;

	refuse_all = atomic_load(&reactor->draining)
	             || atomic_load(&reactor->n_sessions) >= reactor->params.max_sessions;
	result = ph_listener_accept(listener, &reactor->home, refuse_all, session_out);
	if (result == PH_ACCEPT_SESSION) {
		ph_counter_add(ph_net_stats.accepted, 1);
		ph_reactor_count_session(reactor);
	}
	return result;
}

static void
let_rest(PhReactor *reactor)
{
	pthread_mutex_lock(&reactor->lock);
	reactor->resting = true;
	pthread_mutex_unlock(&reactor->lock);
	wake_clock(reactor);
}

/* The listener is armed before the new session runs, so that others are accepted meanwhile. */
static void
accept_and_run(PhReactor *reactor, uint32_t number, PhScratch *scratch)
{
	PhListener *listener = listener_at(reactor, number - 1);
	PhSession *session = NULL;
	PhAccept result = PH_ACCEPT_NONE;

	if (listener == NULL)
		return;
	if (!ph_listener_is_paused(listener)) {
		result = accept_one(reactor, listener, &session);
		if (result == PH_ACCEPT_REST)
			let_rest(reactor);
		else
			arm_listener(reactor, listener);
	}
	ph_listener_unref(listener);
	if (session != NULL)
		(void) ph_connection_run(session, 0, scratch);
}

/* Leaves a report to its session; runs it when @scratch is given and nobody else does. */
static void
report(const struct epoll_event *event, PhScratch *scratch)
{
	PhSlot *slot = ph_slot_at((uint32_t) event->data.u64);
	uint32_t generation = (uint32_t) (event->data.u64 >> generation_shift);
	uint32_t bits = 0;

	if (slot == NULL)
		return;
	if (scratch == NULL)
		ph_slot_post(slot, generation, bits_of(event->events));
	else if (ph_slot_claim(slot, generation, bits_of(event->events), &bits))
		(void) ph_connection_run(slot->session, bits, scratch);
}

static bool
is_session(const struct epoll_event *event)
{
	return event->data.u64 >> generation_shift != 0;
}

static void
poll_reports(void *owner, PhScratch *scratch, int timeout_ms)
{
	PhReactor *reactor = owner;
	struct epoll_event events[reports_a_poll];
	const struct epoll_event *mine = NULL;
	int n = epoll_wait(reactor->epoll_fd, events, reports_a_poll, timeout_ms);

	if (timeout_ms != 0 && ph_workers_polled(reactor->workers))
		wake_clock(reactor);
	for (int i = 0; i < n; i++) {
		if (events[i].data.u64 == 0)
			ph_workers_roused(reactor->workers);
		else if (mine == NULL)
			mine = &events[i];
		else if (is_session(&events[i]))
			report(&events[i], NULL);
		else
			accept_and_run(reactor, (uint32_t) events[i].data.u64, scratch);
	}
	if (mine == NULL)
		return;
	if (is_session(mine))
		report(mine, scratch);
	else
		accept_and_run(reactor, (uint32_t) mine->data.u64, scratch);
}

static void
rouse(void *owner)
{
	static const uint64_t one = 1;
	PhReactor *reactor = owner;

	/* Edge-triggered and never read: each write is reported to one thread. */
	if (write(reactor->rouse_fd, &one, sizeof one) < 0)
		g_assert(errno == EAGAIN);
}

static bool
has_reports(void *owner)
{
	PhReactor *reactor = owner;
	struct pollfd poll_epoll = { .fd = reactor->epoll_fd, .events = POLLIN };

	return poll(&poll_epoll, 1, 0) == 1;
}

/* --- life --- */

static unsigned
count_processors(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	if (sched_getaffinity(0, sizeof set, &set) != 0)
		return g_get_num_processors();
	return (unsigned) MAX(CPU_COUNT(&set), 1);
}

static bool
open_descriptors(PhReactor *reactor, GError **error)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET, .data.u64 = 0 };

	reactor->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	reactor->rouse_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ph_listener_open_reserve();
	if (reactor->epoll_fd < 0 || reactor->rouse_fd < 0
	    || epoll_ctl(reactor->epoll_fd, EPOLL_CTL_ADD, reactor->rouse_fd, &event) != 0) {
		g_set_error(error, PH_ERROR, PH_ERROR_TEMPORARY, "epoll cannot be set up: %s",
		            g_strerror(errno));
		return false;
	}
	return true;
}

static void
unref_listener(gpointer listener)
{
	if (listener != NULL) {
		ph_listener_shut(listener);
		ph_listener_unref(listener);
	}
}

static void
init_locks(PhReactor *reactor)
{
	pthread_condattr_t attributes;

	pthread_mutex_init(&reactor->lock, NULL);
	pthread_mutex_init(&reactor->clock_lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&reactor->clock_cond, &attributes);
	pthread_condattr_destroy(&attributes);
}

PhReactor *
ph_reactor_new(const PhReactorParams *params, GError **error)
{
	PhReactor *reactor = g_new0(PhReactor, 1);
	PhWorkersParams pool = { .owner = reactor,
		                 .poll = poll_reports,
		                 .rouse = rouse,
		                 .has_reports = has_reports };

	ph_net_stats_init();
	ph_log_set_session_describer(ph_session_describe);
	reactor->home = (PhHome){ .ready = take_ready,
		                  .arm = arm_session,
		                  .due = take_due,
		                  .gone = session_gone };
	reactor->params = *params;
	if (reactor->params.max_sessions == 0)
		reactor->params.max_sessions = default_max_sessions;
	if (reactor->params.max_output > 0)
		ph_output_set_max_total(reactor->params.max_output);
	pool.processors = params->processors > 0 ? params->processors : count_processors();
	pool.max_threads = params->max_workers;
	init_locks(reactor);
	reactor->listeners = g_ptr_array_new_with_free_func(unref_listener);
	reactor->workers = ph_workers_new(&pool);
	reactor->wheel = ph_wheel_new(ph_net_now_us());
	if (!open_descriptors(reactor, error))
		g_clear_pointer(&reactor, ph_reactor_free);
	return reactor;
}

bool
ph_reactor_start(PhReactor *reactor, GError **error)
{
	default_reactor = reactor;
	if (!ph_workers_start(reactor->workers, error))
		return false;
	if (pthread_create(&reactor->clock, NULL, run_clock, reactor) != 0) {
		g_set_error(error, PH_ERROR, PH_ERROR_TEMPORARY, "clock thread cannot be started");
		return false;
	}
	reactor->started = true;
	return true;
}

static void
wait_for_sessions(PhReactor *reactor, int64_t until_us)
{
	pthread_mutex_lock(&reactor->clock_lock);
	while (atomic_load(&reactor->n_sessions) > 0 && ph_net_now_us() < until_us) {
		struct timespec soon = { 0, 0 };
		int64_t next_us = ph_net_now_us() + busy_tick_us;

		soon.tv_sec = next_us / G_USEC_PER_SEC;
		soon.tv_nsec = next_us % G_USEC_PER_SEC * 1000;
		pthread_cond_timedwait(&reactor->clock_cond, &reactor->clock_lock, &soon);
	}
	pthread_mutex_unlock(&reactor->clock_lock);
}

bool
ph_reactor_stop(PhReactor *reactor, PhDuration grace)
{
	int64_t until = ph_net_now_us() + (int64_t) grace.us;
	bool ended = true;

	if (!reactor->started)
		return true;
	atomic_store(&reactor->draining, true);
	for (guint i = 0; i < count_listeners(reactor); i++) {
		g_autoptr(PhListener) listener = listener_at(reactor, i);

		if (listener != NULL)
			ph_listener_set_paused(listener, true);
	}
	ph_slot_post_all(&reactor->home, NULL, PH_BIT_ABORT);
	wait_for_sessions(reactor, until);
	ended = ph_workers_stop(reactor->workers, until);
	atomic_store(&reactor->clock_stopping, true);
	pthread_mutex_lock(&reactor->clock_lock);
	pthread_cond_broadcast(&reactor->clock_cond);
	pthread_mutex_unlock(&reactor->clock_lock);
	pthread_join(reactor->clock, NULL);
	reactor->started = false;
	if (default_reactor == reactor)
		default_reactor = NULL;
	return ended && atomic_load(&reactor->n_sessions) == 0;
}

void
ph_reactor_free(PhReactor *reactor)
{
	if (reactor == NULL)
		return;
	ph_workers_free(reactor->workers);
	ph_wheel_free(reactor->wheel);
	g_ptr_array_unref(reactor->listeners);
	if (reactor->epoll_fd >= 0)
		(void) close(reactor->epoll_fd);
	if (reactor->rouse_fd >= 0)
		(void) close(reactor->rouse_fd);
	pthread_mutex_destroy(&reactor->lock);
	pthread_mutex_destroy(&reactor->clock_lock);
	pthread_cond_destroy(&reactor->clock_cond);
	g_free(reactor);
}

void
ph_reactor_drain(PhReactor *reactor, PhDuration deadline, PhWake *done)
{
	atomic_store(&reactor->draining, true);
	for (guint i = 0; i < count_listeners(reactor); i++) {
		g_autoptr(PhListener) listener = listener_at(reactor, i);

		if (listener != NULL)
			ph_listener_set_paused(listener, true);
	}
	pthread_mutex_lock(&reactor->lock);
	reactor->drained = done;
	reactor->drain_until_us = ph_net_now_us() + (int64_t) deadline.us;
	pthread_mutex_unlock(&reactor->lock);
	ph_slot_post_all(&reactor->home, NULL, PH_BIT_DRAIN);
	wake_clock(reactor);
	complete_drain(reactor);
}

size_t
ph_reactor_sessions(const PhReactor *reactor)
{
	return atomic_load(&reactor->n_sessions);
}

void
ph_reactor_count_session(PhReactor *reactor)
{
	ph_counter_add(ph_net_stats.open, 1);
	atomic_fetch_add(&reactor->n_sessions, 1);
}

void
ph_workers_submit(PhReactor *reactor, void (*func)(void *), void *user_data)
{
	ph_workers_push_job(reactor->workers, func, user_data);
}

/* --- listeners --- */

PhListener *
ph_reactor_add_listener(PhReactor *reactor, int fd, const PhListenerParams *params, GError **error)
{
	PhListener *listener = NULL;

	pthread_mutex_lock(&reactor->lock);
	listener = ph_listener_new(reactor, reactor->listeners->len + 1, fd, params);
	g_ptr_array_add(reactor->listeners, listener);
	pthread_mutex_unlock(&reactor->lock);
	arm_number(reactor, fd, ph_listener_number(listener), EPOLL_CTL_ADD);
	return listener;
}

void
ph_listener_pause(PhListener *listener)
{
	ph_listener_set_paused(listener, true);
}

void
ph_listener_resume(PhListener *listener)
{
	ph_listener_set_paused(listener, false);
	arm_listener(ph_listener_reactor(listener), listener);
}

void
ph_listener_close(PhListener *listener)
{
	PhReactor *reactor = ph_listener_reactor(listener);

	ph_listener_set_paused(listener, true);
	pthread_mutex_lock(&reactor->lock);
	reactor->listeners->pdata[ph_listener_number(listener) - 1] = NULL;
	pthread_mutex_unlock(&reactor->lock);
	ph_listener_shut(listener);
	ph_listener_unref(listener);
}

void
ph_listener_drain_old(PhListener *listener, PhDuration deadline)
{
	PhReactor *reactor = ph_listener_reactor(listener);

	ph_listener_set_old_deadline(listener, ph_net_now_us() + (int64_t) deadline.us);
	ph_listener_post_old(listener, &reactor->home, PH_BIT_DRAIN);
	wake_clock(reactor);
}
