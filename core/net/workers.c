/* workers.c: the threads that run sessions, and the one queue they share
 *
 * The pool starts with one thread a processor. It grows, one thread a look, when nobody polls, work
 * is there, and either fewer threads than processors are outside of blocking calls, or the oldest
 * entry of the queue has waited 5 ms and those outside are fewer than four a processor: they may
 * wait for something that no bracket shows, but where they all compute more threads only cost
 * switches. A call counts as blocking once it has lasted 1 ms.
 *
 * At most one thread a processor polls: further ones would only take turns at waking up. Who finds
 * so many polling is spare: it sleeps until the pool would grow, or the last one that polls goes
 * into a blocking call; after 10 s it ends.
 *
 * The queue's lock is a pthread mutex, because the thread sanitizer cannot see GLib's.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "net/workers.h"

#include <posthorn/error.h>

#include "net/net.h"
#include "net/session.h"
#include "net/stats.h"
#include "net/tls-context.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>

/* ThreadSanitizer puts what it knows of a thread onto that thread's stack. */
#if defined(__SANITIZE_THREAD__)
enum {
	stack_octets = 2 * 1024 * 1024
};
#else
enum {
	stack_octets = 256 * 1024
};
#endif

enum {
	blocking_us = 1000,
	oldest_us = 5000,
	outside_most = 4, /* a processor, when work is late */
	idle_ms = 10 * 1000,
	default_max = 64,
	kept_back = 4,   /* one thread in so many never enters what hangs when a back end does */
	queue_turns = 4, /* entries of the queue before reports are looked at again */
	slow_calls = 4,  /* after one that has lasted, so many are expected to */
};

typedef struct PhWorker PhWorker;

struct PhWorker {
	PhWorkers *workers;
	PhWorker *next;           /* under the lock */
	_Atomic int64_t since_us; /* of the blocking call it is in; 0: in none */
	unsigned depth;
	bool first; /* stays when there is nothing to do */
	PhScratch *scratch;
};

typedef struct {
	PhReady ready; /* first */
	void (*func)(void *user_data);
	void *user_data;
} Job;

struct PhWorkers {
	PhWorkersParams params;
	pthread_mutex_t lock; /* guards the queue and the list of threads */
	pthread_cond_t ended;
	pthread_cond_t spare;     /* one of those that sleep is to poll */
	_Atomic unsigned n_spare; /* that sleep and were not called yet; changed under the lock */
	unsigned n_called;        /* that were and have not noticed */
	_Atomic int n_slow;       /* calls to come for which a spare thread is called at once */
	PhReady *first;
	PhReady **last_link;
	_Atomic unsigned n_ready;
	_Atomic unsigned n_threads;
	_Atomic unsigned n_idle;
	_Atomic unsigned n_rousing; /* threads that push: the pool must stay */
	_Atomic bool roused;        /* a rouse is under way */
	_Atomic bool stopping;
	PhWorker *threads;
};

static _Thread_local PhWorker *this_worker;

PhWorkers *
ph_workers_new(const PhWorkersParams *params)
{
	PhWorkers *workers = g_new0(PhWorkers, 1);

	workers->params = *params;
	if (workers->params.max_threads == 0)
		workers->params.max_threads = default_max;
	if (workers->params.processors == 0)
		workers->params.processors = g_get_num_processors();
	workers->params.processors = MIN(workers->params.processors, workers->params.max_threads);
	workers->last_link = &workers->first;
	pthread_mutex_init(&workers->lock, NULL);
	pthread_cond_init(&workers->ended, NULL);
	pthread_cond_init(&workers->spare, NULL);
	return workers;
}

/* --- the queue --- */

/* One thread is enough: it rouses the next when it finds more than it takes. */
static void
rouse_one(PhWorkers *workers)
{
	if (atomic_load(&workers->n_idle) == 0)
		return;
	if (!atomic_exchange(&workers->roused, true))
		workers->params.rouse(workers->params.owner);
}

void
ph_workers_push(PhWorkers *workers, PhReady *ready)
{
	ready->next = NULL;
	ready->since_us = ph_net_now_us();
	pthread_mutex_lock(&workers->lock);
	*workers->last_link = ready;
	workers->last_link = &ready->next;
	atomic_fetch_add(&workers->n_ready, 1);
	/* once the lock can be taken all may end and go, while we are still here */
	atomic_fetch_add(&workers->n_rousing, 1);
	pthread_mutex_unlock(&workers->lock);
	rouse_one(workers);
	atomic_fetch_sub(&workers->n_rousing, 1);
}

static PhReady *
pop(PhWorkers *workers)
{
	PhReady *ready = NULL;

	if (atomic_load(&workers->n_ready) == 0)
		return NULL;
	pthread_mutex_lock(&workers->lock);
	ready = workers->first;
	if (ready != NULL) {
		workers->first = ready->next;
		if (workers->first == NULL)
			workers->last_link = &workers->first;
		atomic_fetch_sub(&workers->n_ready, 1);
	}
	pthread_mutex_unlock(&workers->lock);
	return ready;
}

static void
run_job(PhReady *ready, PhScratch *scratch)
{
	Job *job = (Job *) ready;

	job->func(job->user_data);
	g_free(job);
}

void
ph_workers_push_job(PhWorkers *workers, void (*func)(void *), void *user_data)
{
	Job *job = g_new0(Job, 1);

	job->ready.run = run_job;
	job->func = func;
	job->user_data = user_data;
	ph_workers_push(workers, &job->ready);
}

/* --- spare threads --- */

static struct timespec
after_ms(int64_t ms)
{
	struct timespec time = { 0, 0 };

	clock_gettime(CLOCK_REALTIME, &time);
	time.tv_nsec += ms % 1000 * 1000 * 1000;
	time.tv_sec += ms / 1000 + time.tv_nsec / 1000000000;
	time.tv_nsec %= 1000000000;
	return time;
}

/* Sleeps until it is called. Returns: false when it was not for long. */
static bool
be_spare(PhWorkers *workers)
{
	struct timespec until = after_ms(idle_ms);
	bool called = false;

	pthread_mutex_lock(&workers->lock);
	atomic_fetch_add(&workers->n_spare, 1);
	while (workers->n_called == 0 && !atomic_load(&workers->stopping)
	       && pthread_cond_timedwait(&workers->spare, &workers->lock, &until) == 0)
		continue;
	called = workers->n_called > 0;
	if (called)
		workers->n_called--;
	else
		atomic_fetch_sub(&workers->n_spare, 1);
	pthread_mutex_unlock(&workers->lock);
	return called;
}

static bool
call_spare(PhWorkers *workers)
{
	bool called = false;

	if (atomic_load(&workers->n_spare) == 0)
		return false;
	pthread_mutex_lock(&workers->lock);
	called = atomic_load(&workers->n_spare) > 0;
	if (called) {
		atomic_fetch_sub(&workers->n_spare, 1);
		workers->n_called++;
	}
	pthread_mutex_unlock(&workers->lock);
	if (called)
		pthread_cond_signal(&workers->spare);
	return called;
}

/* --- a thread --- */

/* Waits for reports. Returns: false when it had nothing to do for long and is not needed. */
static bool
wait_for_work(PhWorker *worker)
{
	PhWorkers *workers = worker->workers;
	int64_t before = 0;

	if (!worker->first && atomic_load(&workers->n_idle) >= workers->params.processors)
		return be_spare(workers);
	atomic_fetch_add(&workers->n_idle, 1);
	if (atomic_load(&workers->n_ready) == 0 && !atomic_load(&workers->stopping)) {
		before = worker->first ? 0 : ph_net_now_us();
		workers->params.poll(workers->params.owner, worker->scratch,
		                     worker->first ? -1 : idle_ms);
	} else {
		atomic_fetch_sub(&workers->n_idle, 1);
	}
	if (worker->first || before == 0)
		return true;
	return ph_net_now_us() - before < (int64_t) idle_ms * 1000
	       || atomic_load(&workers->n_ready) > 0;
}

static void
work(PhWorker *worker)
{
	PhWorkers *workers = worker->workers;
	unsigned turns = 0;

	while (!atomic_load(&workers->stopping)) {
		PhReady *ready = pop(workers);

		if (ready == NULL) {
			if (!wait_for_work(worker))
				return;
			turns = 0;
			continue;
		}
		if (atomic_load(&workers->n_ready) > 0)
			rouse_one(workers);
		ready->run(ready, worker->scratch);
		if (++turns % queue_turns == 0)
			workers->params.poll(workers->params.owner, worker->scratch, 0);
	}
}

bool
ph_workers_polled(PhWorkers *workers)
{
	return atomic_fetch_sub(&workers->n_idle, 1) == 1;
}

void
ph_workers_roused(PhWorkers *workers)
{
	atomic_store(&workers->roused, false);
	if (atomic_load(&workers->n_ready) > 1)
		rouse_one(workers);
}

static void
end_thread(PhWorker *worker)
{
	PhWorkers *workers = worker->workers;
	PhWorker **link = &workers->threads;

	ph_scratch_free(worker->scratch);
	pthread_mutex_lock(&workers->lock);
	while (*link != worker)
		link = &(*link)->next;
	*link = worker->next;
	atomic_fetch_sub(&workers->n_threads, 1);
	ph_counter_add(ph_net_stats.workers, -1);
	pthread_cond_broadcast(&workers->ended);
	pthread_mutex_unlock(&workers->lock);
	g_free(worker);
}

static void *
begin_thread(void *data)
{
	PhWorker *worker = data;

	this_worker = worker;
	work(worker);
	ph_tls_end_thread();
	end_thread(worker);
	return NULL;
}

static bool
add_thread(PhWorkers *workers, bool first)
{
	PhWorker *worker = g_new0(PhWorker, 1);
	pthread_attr_t attributes;
	sigset_t all;
	sigset_t before;
	pthread_t thread;
	int result = 0;

	worker->workers = workers;
	worker->first = first;
	worker->scratch = ph_scratch_new();
	pthread_mutex_lock(&workers->lock);
	worker->next = workers->threads;
	workers->threads = worker;
	atomic_fetch_add(&workers->n_threads, 1);
	ph_counter_add(ph_net_stats.workers, 1);
	pthread_mutex_unlock(&workers->lock);
	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attributes, stack_octets);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	result = pthread_create(&thread, &attributes, begin_thread, worker);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	if (result != 0)
		end_thread(worker);
	return result == 0;
}

bool
ph_workers_start(PhWorkers *workers, GError **error)
{
	for (unsigned i = 0; i < workers->params.processors; i++)
		if (!add_thread(workers, true)) {
			g_set_error(error, PH_ERROR, PH_ERROR_TEMPORARY,
			            "worker threads cannot be started");
			return false;
		}
	return true;
}

bool
ph_workers_stop(PhWorkers *workers, int64_t until_us)
{
	bool ended = false;

	atomic_store(&workers->stopping, true);
	pthread_mutex_lock(&workers->lock);
	pthread_cond_broadcast(&workers->spare);
	while (workers->threads != NULL && ph_net_now_us() < until_us) {
		struct timespec soon = after_ms(5);

		/* Each rouse frees one thread from polling; those in a call end by themselves. */
		workers->params.rouse(workers->params.owner);
		pthread_cond_timedwait(&workers->ended, &workers->lock, &soon);
	}
	ended = workers->threads == NULL;
	pthread_mutex_unlock(&workers->lock);
	return ended;
}

void
ph_workers_free(PhWorkers *workers)
{
	PhReady *ready = NULL;

	if (workers == NULL)
		return;
	while (atomic_load(&workers->n_rousing) > 0)
		g_thread_yield();
	while ((ready = pop(workers)) != NULL)
		if (ready->run == run_job)
			g_free(ready);
	pthread_mutex_destroy(&workers->lock);
	pthread_cond_destroy(&workers->ended);
	pthread_cond_destroy(&workers->spare);
	g_free(workers);
}

/* --- growth --- */

bool
ph_workers_is_busy(const PhWorkers *workers)
{
	return atomic_load(&workers->n_idle) == 0;
}

unsigned
ph_workers_count(const PhWorkers *workers)
{
	return atomic_load(&workers->n_threads);
}

unsigned
ph_workers_limit(const PhWorkers *workers)
{
	return workers->params.max_threads;
}

/* Under the lock: threads that are awake and outside of a call that has lasted. */
static unsigned
count_outside(const PhWorkers *workers, int64_t now_us)
{
	unsigned n = 0;

	for (const PhWorker *worker = workers->threads; worker != NULL; worker = worker->next) {
		int64_t since = atomic_load_explicit(&worker->since_us, memory_order_relaxed);

		n += since == 0 || now_us - since < blocking_us;
	}
	return n - MIN(n, atomic_load(&workers->n_spare));
}

void
ph_workers_look_after(PhWorkers *workers, int64_t now_us)
{
	unsigned outside = 0;
	bool waiting = false;
	bool late = false;

	if (!ph_workers_is_busy(workers) || atomic_load(&workers->stopping)
	    || (ph_workers_count(workers) >= workers->params.max_threads
	        && atomic_load(&workers->n_spare) == 0))
		return;
	pthread_mutex_lock(&workers->lock);
	outside = count_outside(workers, now_us);
	waiting = workers->first != NULL;
	late = waiting && now_us - workers->first->since_us >= oldest_us;
	pthread_mutex_unlock(&workers->lock);
	if (outside >= workers->params.processors * (late ? outside_most : 1))
		return;
	if (!waiting && !workers->params.has_reports(workers->params.owner))
		return;
	if (!call_spare(workers))
		(void) add_thread(workers, false);
}

/* Most calls are over before another thread would run: it is called at once while some have lasted,
 * else by the clock when this one does. */
static bool
expects_slow(PhWorkers *workers)
{
	return atomic_load_explicit(&workers->n_slow, memory_order_relaxed) > 0
	       && atomic_fetch_sub(&workers->n_slow, 1) > 0;
}

void
ph_workers_enter_blocking(void)
{
	PhWorker *worker = this_worker;

	if (worker == NULL || worker->depth++ > 0)
		return;
	atomic_store_explicit(&worker->since_us, ph_net_now_us(), memory_order_relaxed);
	if (atomic_load(&worker->workers->n_idle) == 0 && expects_slow(worker->workers))
		(void) call_spare(worker->workers);
}

void
ph_workers_leave_blocking(void)
{
	PhWorker *worker = this_worker;
	int64_t since_us = 0;

	if (worker == NULL || --worker->depth > 0)
		return;
	since_us = atomic_load_explicit(&worker->since_us, memory_order_relaxed);
	if (ph_net_now_us() - since_us >= blocking_us)
		atomic_store_explicit(&worker->workers->n_slow, slow_calls, memory_order_relaxed);
	atomic_store_explicit(&worker->since_us, 0, memory_order_relaxed);
}

uint32_t
ph_workers_gate(void)
{
	const PhWorkers *workers = this_worker != NULL ? this_worker->workers : NULL;
	uint32_t all = workers != NULL ? workers->params.max_threads : 0;

	return all > 0 ? MAX(all - all / kept_back, 1) : 0;
}
