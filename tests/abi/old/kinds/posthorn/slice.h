/* slice.h: small pure helpers over octet slices: ASCII case, trimming, checked numbers
 *
 * Nothing here allocates unless it says so, and nothing depends on the locale. Numbers are
 * decimal digits only (no sign, no blanks); a number that does not fit is an error, never a wrap.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_SLICE_H
#define POSTHORN_SLICE_H

#include <posthorn/types.h>

#include <string.h>
#include <sys/types.h>

G_BEGIN_DECLS

/* Thread: any, for all. None keeps a pointer. */

static inline PhSlice
ph_slice(const char *text)
{
	return PH_SLICE(text, text != NULL ? strlen(text) : 0);
}

static inline bool
ph_slice_equal(PhSlice a, PhSlice b)
{
	return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

static inline bool
ph_slice_is(PhSlice a, const char *text)
{
	return ph_slice_equal(a, ph_slice(text));
}

/* ph_slice_from: what is left after the first @n octets (clamped). */
static inline PhSlice
ph_slice_from(PhSlice a, size_t n)
{
	return n >= a.length ? PH_SLICE_EMPTY : PH_SLICE(a.data + n, a.length - n);
}

/* Equality and prefix with ASCII letters folded. */
PH_PUBLIC bool ph_slice_equal_nocase(PhSlice a, PhSlice b);
PH_PUBLIC bool ph_slice_is_nocase(PhSlice a, const char *text);
PH_PUBLIC bool ph_slice_starts_nocase(PhSlice a, const char *prefix);

/* ph_slice_trim: without leading and trailing space and tab. */
PH_PUBLIC PhSlice ph_slice_trim(PhSlice a);

/* ph_slice_find: index of the first @c, or -1. */
PH_PUBLIC ssize_t ph_slice_find(PhSlice a, char c);

/* ph_slice_split: cuts off and returns what stands before the first @c; @rest then begins after
 * it, and is empty when @c is not there. @rest: (inout). */
PH_PUBLIC PhSlice ph_slice_split(PhSlice *rest, char c);

/* ph_slice_dup: NUL-terminated copy (owned). The caller has bounded the length. */
PH_PUBLIC char *ph_slice_dup(PhSlice a);

/* ph_slice_hash: seeded once per process with random octets, so that a peer cannot choose
 * colliding keys. Fold: ASCII case does not matter. */
PH_PUBLIC uint32_t ph_slice_hash(PhSlice a);
PH_PUBLIC uint32_t ph_slice_hash_nocase(PhSlice a);

/* The same for NUL-terminated keys of a GHashTable; use these instead of g_str_hash for keys
 * that a peer may choose. */
PH_PUBLIC guint ph_str_hash(gconstpointer key);

/* Numbers: false when empty, not all digits, or above @max. @value_out is written on success. */
PH_PUBLIC bool ph_slice_to_u64(PhSlice a, uint64_t max, uint64_t *value_out);
PH_PUBLIC bool ph_slice_to_u32(PhSlice a, uint32_t max, uint32_t *value_out);

/* ph_slice_is_utf8: well-formed UTF-8 (no overlong form, no surrogate, at most U+10FFFF) and no
 * NUL. */
PH_PUBLIC bool ph_slice_is_utf8(PhSlice a);

/* ph_slice_is_ascii: no octet above 127 and no NUL. */
PH_PUBLIC bool ph_slice_is_ascii(PhSlice a);

G_END_DECLS

#endif
