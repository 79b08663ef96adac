/* test-compress.c: what the compress store writes, and what it makes of damaged and invented octets
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/secret.h>
#include <posthorn/slice.h>

#include "compress.h"

#include <string.h>

enum {
	LEVEL = 3,
};

static PhContent *
make_text(size_t length)
{
	char *text = g_malloc(length + 1);

	for (size_t i = 0; i < length; i++)
		text[i] = (char) ('a' + (i * 7 + i / 251) % 26);
	return ph_content_new_take(text, length);
}

static char *
read_all(PhContent *content, GError **error)
{
	uint64_t length = ph_content_length(content);
	g_autofree char *octets = g_malloc(length + 1);

	if (ph_content_read(content, 0, octets, length, error) != (ssize_t) length)
		return NULL;
	return g_steal_pointer(&octets);
}

static void
assert_same(PhContent *a, PhContent *b)
{
	g_autofree char *left = read_all(a, NULL);
	g_autofree char *right = read_all(b, NULL);

	g_assert_cmpuint(ph_content_length(a), ==, ph_content_length(b));
	g_assert_true(memcmp(left, right, ph_content_length(a)) == 0);
}

static void
test_shrinks(void)
{
	static const size_t sizes[] = { 1000, FRAME, FRAME + 1, 10 * FRAME, 10 * FRAME + 5 };

	for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
		g_autoptr(GError) error = NULL;
		g_autoptr(PhContent) text = make_text(sizes[i]);
		g_autoptr(PhContent) packed = container_pack(text, LEVEL, &error);
		g_autoptr(PhContent) back = container_unpack(packed, &error);

		g_assert_no_error(error);
		g_assert_cmpuint(ph_content_length(packed), <, sizes[i] / 2);
		assert_same(text, back);
	}
}

static void
test_noise_is_kept(void)
{
	static const size_t sizes[] = { 0, 1, 100, FRAME, 20 * FRAME };

	for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
		g_autoptr(GError) error = NULL;
		char *noise = g_malloc(sizes[i] + 1);
		g_autoptr(PhContent) content = ph_content_new_take(noise, sizes[i]);
		g_autoptr(PhContent) packed = NULL;
		g_autoptr(PhContent) back = NULL;

		ph_secret_random(noise, sizes[i]);
		packed = container_pack(content, LEVEL, &error);
		g_assert_cmpuint(ph_content_length(packed), ==, sizes[i] + HEADER);
		back = container_unpack(packed, &error);
		g_assert_no_error(error);
		assert_same(content, back);
	}
}

/* Mail from before there was compression. */
static void
test_old_mail(void)
{
	static const char *const old[] = { "", "x", "From: a", "From: a\r\n\r\nb\r\n" };

	for (size_t i = 0; i < G_N_ELEMENTS(old); i++) {
		g_autoptr(GError) error = NULL;
		g_autoptr(PhContent) stored = ph_content_new_copy(ph_slice(old[i]));
		g_autoptr(PhContent) back = container_unpack(stored, &error);

		g_assert_no_error(error);
		assert_same(stored, back);
	}
}

/* Is this refused as CORRUPT, at once or when it is read, or the same message still? */
static bool
is_refused_or(const char *octets, size_t length, PhContent *message)
{
	g_autoptr(PhContent) stored = ph_content_new_copy(PH_SLICE(octets, length));
	g_autoptr(GError) error = NULL;
	g_autoptr(PhContent) back = container_unpack(stored, &error);
	g_autofree char *got = back != NULL ? read_all(back, &error) : NULL;
	g_autofree char *expected = read_all(message, NULL);

	if (got == NULL)
		return g_error_matches(error, PH_ERROR, PH_ERROR_CORRUPT);
	return ph_content_length(back) == ph_content_length(message)
	       && memcmp(got, expected, ph_content_length(message)) == 0;
}

static void
flip_each(size_t size, size_t step)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(PhContent) text = make_text(size);
	g_autoptr(PhContent) packed = container_pack(text, LEVEL, &error);
	g_autofree char *octets = read_all(packed, &error);
	size_t length = ph_content_length(packed);

	for (size_t i = HEADER; i < length; i += step) {
		for (int bit = 0; bit < 8; bit++) {
			octets[i] = (char) (octets[i] ^ (1 << bit));
			g_assert_true(is_refused_or(octets, length, text));
			octets[i] = (char) (octets[i] ^ (1 << bit));
		}
	}
	for (size_t i = HEADER; i < length; i += step)
		g_assert_true(is_refused_or(octets, i, text));
}

static void
test_damage(void)
{
	flip_each(1500, 1);
	flip_each((size_t) 3 * FRAME, 31);
}

static void
put(char *at, uint64_t value, size_t size)
{
	value = GUINT64_TO_LE(value);
	memcpy(at, &value, size);
}

static void
test_lies(void)
{
	/* length, frames, bits, what is stored */
	static const uint64_t lies[][4] = {
		{ 0, 0, 17, 100 },
		{ 1, 0, 17, 100 },
		{ 1, 2, 17, 100 },
		{ UINT64_MAX, 1, 17, 100 },
		{ INT64_MAX, UINT32_MAX, 17, 100 },
		{ (uint64_t) UINT32_MAX << 17, UINT32_MAX, 17, 100 },
		{ (uint64_t) 16 << 17, 16, 17, HEADER + TRAILER + 16 * 5 - 1 },
		{ 100, 1, 0, 100 },
		{ 100, 1, 63, 100 },
		{ 100, 1, 64, 100 },
		{ 100, 1, UINT32_MAX, 100 },
		{ 100, 1, 17, HEADER + TRAILER - 1 },
		{ 100, 1, 17, 0 },
	};
	char trailer[TRAILER];
	Layout layout;

	for (size_t i = 0; i < G_N_ELEMENTS(lies); i++) {
		put(trailer, lies[i][0], 8);
		put(trailer + 8, lies[i][1], 4);
		put(trailer + 12, lies[i][2], 4);
		g_assert_false(container_layout(PH_SLICE(trailer, TRAILER), lies[i][3], &layout));
	}
	put(trailer, (uint64_t) 16 << 17, 8);
	put(trailer + 8, 16, 4);
	put(trailer + 12, 17, 4);
	g_assert_true(container_layout(PH_SLICE(trailer, TRAILER), HEADER + TRAILER + 80, &layout));
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/compress/text-shrinks-and-comes-back", test_shrinks);
	g_test_add_func("/compress/what-does-not-shrink-is-kept-as-it-is", test_noise_is_kept);
	g_test_add_func("/compress/mail-from-before-is-read-as-it-is", test_old_mail);
	g_test_add_func("/compress/damage-is-found", test_damage);
	g_test_add_func("/compress/impossible-layouts-are-refused", test_lies);
	return g_test_run();
}
