/* fuzz-slice.c: the helpers over octet slices, against GLib where it has the same
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	PhSlice text = PH_SLICE((const char *) data, size);
	PhSlice rest = text;
	g_autofree char *copy = ph_slice_dup(text);
	g_autofree char *upper = g_ascii_strup(copy, (gssize) size);
	uint64_t value = 0;
	size_t octets = 0;

	g_assert_cmpint(ph_slice_is_utf8(text), ==, g_utf8_validate_len(copy, size, NULL));
	while (rest.length > 0) {
		size_t before = rest.length;
		PhSlice word = ph_slice_split(&rest, ' ');

		octets += word.length + (before > word.length ? 1 : 0);
		g_assert_cmpuint(ph_slice_trim(word).length, <=, word.length);
		(void) ph_slice_to_u64(word, UINT64_MAX, &value);
	}
	g_assert_cmpuint(octets, ==, size);
	if (memchr(data, 0, size) == NULL) {
		g_assert_true(ph_slice_is_nocase(text, upper));
		g_assert_cmpuint(ph_slice_hash_nocase(text), ==,
		                 ph_slice_hash_nocase(ph_slice(upper)));
	}
	if (ph_slice_to_u64(text, UINT64_MAX, &value))
		g_assert_cmpuint(value, ==, g_ascii_strtoull(copy, NULL, 10));
	return 0;
}
