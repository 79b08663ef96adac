/* lock.h: mutexes and conditions that thread checkers understand
 *
 * GLib's own locks are built on bare system calls, which race detectors cannot see. These are
 * POSIX's, with static initialisers and a scoped form:
 *
 *	PH_LOCKED(&thing->lock);     held until the end of the block
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_BASE_LOCK_H
#define POSTHORN_BASE_LOCK_H

#include <posthorn/types.h>

#include <pthread.h>
#include <time.h>

typedef struct {
	pthread_mutex_t mutex;
} PhLock;

typedef struct {
	pthread_cond_t cond; /* waits on the monotonic clock */
} PhSignal;

#define PH_LOCK_INIT                      \
	{                                 \
		PTHREAD_MUTEX_INITIALIZER \
	}

static inline void
ph_lock_init(PhLock *lock)
{
	int status = pthread_mutex_init(&lock->mutex, NULL);

	g_assert(status == 0);
}

static inline void
ph_lock_clear(PhLock *lock)
{
	(void) pthread_mutex_destroy(&lock->mutex);
}

static inline void
ph_lock_take(PhLock *lock)
{
	int status = pthread_mutex_lock(&lock->mutex);

	g_assert(status == 0);
}

static inline void
ph_lock_drop(PhLock *lock)
{
	int status = pthread_mutex_unlock(&lock->mutex);

	g_assert(status == 0);
}

typedef PhLock *PhLockHeld;

static inline void
ph_lock_held_end(PhLockHeld *held)
{
	ph_lock_drop(*held);
}

static inline PhLockHeld
ph_lock_held(PhLock *lock)
{
	ph_lock_take(lock);
	return lock;
}

/* PH_LOCKED: takes @lock until the block ends. */
#define PH_LOCKED(lock)                                                                          \
	PhLockHeld G_PASTE(held_, __LINE__) __attribute__((cleanup(ph_lock_held_end), unused)) = \
		ph_lock_held(lock)

static inline void
ph_signal_init(PhSignal *sig)
{
	pthread_condattr_t attr;
	int status = pthread_condattr_init(&attr);

	status |= pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	status |= pthread_cond_init(&sig->cond, &attr);
	status |= pthread_condattr_destroy(&attr);
	g_assert(status == 0);
}

static inline void
ph_signal_clear(PhSignal *sig)
{
	(void) pthread_cond_destroy(&sig->cond);
}

static inline void
ph_signal_one(PhSignal *sig)
{
	(void) pthread_cond_signal(&sig->cond);
}

static inline void
ph_signal_all(PhSignal *sig)
{
	(void) pthread_cond_broadcast(&sig->cond);
}

static inline void
ph_signal_wait(PhSignal *sig, PhLock *lock)
{
	(void) pthread_cond_wait(&sig->cond, &lock->mutex);
}

/* ph_signal_wait_until: false when @deadline_us (CLOCK_MONOTONIC) has passed. */
static inline bool
ph_signal_wait_until(PhSignal *sig, PhLock *lock, uint64_t deadline_us)
{
	const uint64_t second_us = 1000000;
	struct timespec at = { .tv_sec = (time_t) (deadline_us / second_us),
		               .tv_nsec = (long) (deadline_us % second_us) * 1000 };

	return pthread_cond_timedwait(&sig->cond, &lock->mutex, &at) == 0;
}

#endif
