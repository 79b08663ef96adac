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

#endif /* POSTHORN_TESTS_SANITIZE_TSAN_H */
