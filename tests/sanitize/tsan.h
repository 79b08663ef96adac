/* tsan.h: what a build with ThreadSanitizer includes first
 *
 * The reference counts of GLib are functions inside the library, where the checker does not see
 * that the last release comes after all others. Here they are the atomic operations themselves.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_TESTS_SANITIZE_TSAN_H
#define POSTHORN_TESTS_SANITIZE_TSAN_H

#include <glib.h>

#undef g_atomic_ref_count_inc
#define g_atomic_ref_count_inc(count) g_atomic_int_inc(count)
#undef g_atomic_ref_count_dec
#define g_atomic_ref_count_dec(count) g_atomic_int_dec_and_test(count)

/* GLib's mutexes are futexes that the checker does not see: POSIX ones stand for them. */
#include <pthread.h>

#define GMutex             pthread_mutex_t
#define g_mutex_init(m)    ((void) pthread_mutex_init((m), NULL))
#define g_mutex_clear(m)   ((void) pthread_mutex_destroy(m))
#define g_mutex_lock(m)    ((void) pthread_mutex_lock(m))
#define g_mutex_unlock(m)  ((void) pthread_mutex_unlock(m))
#define g_mutex_trylock(m) (pthread_mutex_trylock(m) == 0)

typedef pthread_mutex_t ph_tsan_locker;
typedef ph_tsan_locker *ph_tsan_locker_autoptr;

static inline ph_tsan_locker *
ph_tsan_locker_new(pthread_mutex_t *mutex)
{
	(void) pthread_mutex_lock(mutex);
	return mutex;
}

static inline void
glib_autoptr_cleanup_ph_tsan_locker(ph_tsan_locker **locker)
{
	if (*locker != NULL)
		(void) pthread_mutex_unlock(*locker);
}

#define GMutexLocker       ph_tsan_locker
#define g_mutex_locker_new ph_tsan_locker_new

#endif /* POSTHORN_TESTS_SANITIZE_TSAN_H */
