/* test-content.c: every form reads the same octets; ranges, joins, pieces; the spool's two homes
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/content.h>
#include <posthorn/error.h>
#include <posthorn/slice.h>

#include "base/spool.h"

#include <string.h>
#include <unistd.h>

static const char text[] = "The quick brown fox jumps over the lazy dog\r\n";

enum {
	text_length = sizeof text - 1,
};

static PhContent *
make_file(const char *octets, size_t length)
{
	g_autofree char *name = NULL;
	int fd = g_file_open_tmp("posthorn-XXXXXX", &name, NULL);

	g_assert_cmpint(write(fd, "skip", 4), ==, 4);
	g_assert_cmpint(write(fd, octets, length), ==, (ssize_t) length);
	unlink(name);
	return ph_content_new_file(fd, 4, length);
}

static unsigned n_freed;

static ssize_t
read_text(void *handle, uint64_t offset, char *buffer, size_t length, GError **error)
{
	length = MIN(length, 7);
	memcpy(buffer, text + offset, MIN(length, text_length - offset));
	return (ssize_t) MIN(length, text_length - offset);
}

static void
note_free(void *handle)
{
	n_freed++;
}

static const PhContentTable table = { sizeof table, read_text, note_free };

static bool
append(PhSlice piece, void *user_data, GError **error)
{
	g_string_append_len(user_data, piece.data, (gssize) piece.length);
	return true;
}

static void
assert_range(PhContent *content, uint64_t offset, uint64_t length)
{
	g_autoptr(GString) got = g_string_new(NULL);
	g_autoptr(GError) error = NULL;
	size_t from = (size_t) MIN(offset, (uint64_t) text_length);
	size_t n = (size_t) MIN(length, (uint64_t) text_length - from);

	g_assert_true(ph_content_each(content, offset, length, append, got, &error));
	g_assert_no_error(error);
	g_assert_cmpmem(got->str, got->len, text + from, n);
}

static void
assert_reads(PhContent *content)
{
	char buffer[text_length + 10];

	g_assert_cmpuint(ph_content_length(content), ==, text_length);
	for (size_t offset = 0; offset <= text_length + 1; offset++)
		for (size_t length = 0; length <= text_length + 1; length += 5)
			assert_range(content, offset, length);
	assert_range(content, 3, UINT64_MAX);
	assert_range(content, UINT64_MAX, UINT64_MAX);
	g_assert_cmpint(ph_content_read(content, text_length, buffer, 1, NULL), ==, 0);
	g_assert_cmpint(ph_content_read(content, UINT64_MAX, buffer, 1, NULL), ==, 0);
}

static void
test_forms(void)
{
	g_autoptr(PhContent) copy = ph_content_new_copy(PH_SLICE(text, text_length));
	g_autoptr(PhContent) taken = ph_content_new_take(g_strdup(text), text_length);
	g_autoptr(PhContent) file = make_file(text, text_length);
	PhContent *custom = ph_content_new_custom(&table, NULL, text_length);

	assert_reads(copy);
	assert_reads(taken);
	assert_reads(file);
	assert_reads(custom);
	n_freed = 0;
	g_assert_true(ph_content_ref(custom) == custom);
	ph_content_unref(custom);
	g_assert_cmpuint(n_freed, ==, 0);
	ph_content_unref(custom);
	g_assert_cmpuint(n_freed, ==, 1);
}

static void
test_range(void)
{
	g_autofree char *padded = g_strdup_printf("padding%spadding", text);
	g_autoptr(PhContent) whole = make_file(padded, strlen(padded));
	g_autoptr(PhContent) half = ph_content_new_range(whole, 5, UINT64_MAX);
	g_autoptr(PhContent) range = ph_content_new_range(half, 2, text_length);
	g_autoptr(PhContent) none = ph_content_new_range(half, UINT64_MAX, UINT64_MAX);
	uint64_t offset = 0;
	PhSlice octets = PH_SLICE_EMPTY;
	int fd = -1;

	g_clear_pointer(&whole, ph_content_unref);
	g_clear_pointer(&half, ph_content_unref);
	assert_reads(range);
	g_assert_true(ph_content_file(range, &fd, &offset));
	g_assert_cmpuint(offset, ==, 4 + 7);
	g_assert_false(ph_content_peek(range, &octets));
	g_assert_cmpuint(ph_content_length(none), ==, 0);
}

static void
test_joined(void)
{
	g_autoptr(PhContent) empty = ph_content_new_copy(PH_SLICE_EMPTY);
	g_autoptr(PhContent) first = ph_content_new_copy(PH_SLICE(text, 10));
	g_autoptr(PhContent) second = make_file(text + 10, 20);
	g_autoptr(PhContent) third = ph_content_new_copy(PH_SLICE(text + 30, text_length - 30));
	PhContent *const parts[] = { empty, first, empty, second, third, empty };
	g_autoptr(PhContent) joined = ph_content_new_joined(parts, G_N_ELEMENTS(parts));
	g_autoptr(PhContent) alone = ph_content_new_joined(&second, 1);
	g_autoptr(PhContent) nothing = ph_content_new_joined(NULL, 0);
	uint64_t offset = 0;
	int fd = -1;

	assert_reads(joined);
	g_assert_false(ph_content_file(joined, &fd, &offset));
	g_assert_true(ph_content_file(alone, &fd, &offset));
	g_assert_cmpuint(ph_content_length(nothing), ==, 0);
}

/* Piece by piece, with where each piece lies. */
static bool
note_piece(PhSlice piece, void *user_data, GError **error)
{
	g_ptr_array_add(user_data, (void *) (uintptr_t) piece.data);
	return true;
}

static void
test_memory_is_not_copied(void)
{
	g_autoptr(PhContent) head = ph_content_new_copy(PH_SLICE(text, 10));
	g_autoptr(PhContent) body = ph_content_new_copy(PH_SLICE(text + 10, text_length - 10));
	PhContent *const inner_parts[] = { head, body };
	g_autoptr(PhContent) inner = ph_content_new_joined(inner_parts, 2);
	PhContent *const outer_parts[] = { head, inner };
	g_autoptr(PhContent) outer = ph_content_new_joined(outer_parts, 2);
	g_autoptr(GPtrArray) pieces = g_ptr_array_new();
	PhSlice first = PH_SLICE_EMPTY;
	PhSlice last = PH_SLICE_EMPTY;

	g_assert_true(ph_content_peek(head, &first) && ph_content_peek(body, &last));
	g_assert_true(ph_content_each(outer, 4, text_length - 4, note_piece, pieces, NULL));
	g_assert_cmpuint(pieces->len, ==, 3);
	g_assert_true(pieces->pdata[0] == first.data + 4);
	g_assert_true(pieces->pdata[1] == first.data);
	g_assert_true(pieces->pdata[2] == last.data);
}

static void
test_short_file(void)
{
	g_autoptr(PhContent) file = make_file(text, text_length);
	g_autoptr(GError) error = NULL;
	char buffer[100];
	uint64_t offset = 0;
	int fd = -1;

	g_assert_true(ph_content_file(file, &fd, &offset));
	g_assert_cmpint(ftruncate(fd, 10), ==, 0);
	g_assert_cmpint(ph_content_read(file, 0, buffer, text_length, &error), ==, -1);
	g_assert_error(error, PH_ERROR, PH_ERROR_CORRUPT);
}

static void
test_spool(void)
{
	static const size_t lengths[] = {
		0, 1, 65535, 65536, 65537, 200000, 4 << 20, (4 << 20) + 1
	};

	for (size_t i = 0; i < G_N_ELEMENTS(lengths); i++)
		for (size_t step = 1000; step <= 300000; step *= 17) {
			g_autofree char *octets = g_malloc0(lengths[i] + 1);
			g_autofree char *again = g_malloc0(lengths[i] + 1);
			g_autoptr(GError) error = NULL;
			g_autoptr(PhContent) content = NULL;
			PhSpool *spool = ph_spool_new();
			uint64_t offset = 0;
			int fd = -1;

			for (size_t k = 0; k < lengths[i]; k++)
				octets[k] = (char) (k * 7 + k / 251);
			for (size_t at = 0; at < lengths[i]; at += step)
				g_assert_true(ph_spool_write(
					spool, PH_SLICE(octets + at, MIN(step, lengths[i] - at)),
					&error));
			g_assert_cmpuint(ph_spool_length(spool), ==, lengths[i]);
			content = ph_spool_finish(spool, &error);
			g_assert_no_error(error);
			g_assert_cmpuint(ph_content_length(content), ==, lengths[i]);
			g_assert_cmpint(ph_content_read(content, 0, again, lengths[i], &error), ==,
			                (ssize_t) lengths[i]);
			g_assert_cmpmem(again, lengths[i], octets, lengths[i]);
			/* Memory up to 4 MiB, then a file. */
			g_assert_true(ph_content_file(content, &fd, &offset)
			              == (lengths[i] > 4 << 20));
		}
}

/* Content of 3 MiB, gathered. */
static PhContent *
gather_large(void)
{
	g_autofree char *octets = g_malloc0(3 << 20);
	g_autoptr(GError) error = NULL;
	g_autoptr(PhSpool) spool = ph_spool_new();

	g_assert_true(ph_spool_write(spool, PH_SLICE(octets, 3 << 20), &error));
	return ph_spool_finish(g_steal_pointer(&spool), &error);
}

static void
test_spools_share_memory(void)
{
	g_autoptr(GPtrArray) held =
		g_ptr_array_new_with_free_func((GDestroyNotify) ph_content_unref);
	uint64_t offset = 0;
	int fd = -1;

	for (int round = 0; round < 2; round++) {
		do
			g_ptr_array_add(held, gather_large());
		while (!ph_content_file(g_ptr_array_index(held, held->len - 1), &fd, &offset)
		       && held->len < 100);
		g_assert_cmpuint(held->len, ==, 11); /* ten in 32 MiB, and a file */
		g_ptr_array_set_size(held, 0);
	}
}

/* What a message takes of the memory that all share. */
static void
test_spool_takes_little(void)
{
	static const struct {
		size_t length;
		size_t lent;
	} rows[] = {
		{ 64 << 10, 0 },
		{ (64 << 10) + 1, 64 << 10 },
		{ 128 << 10, 64 << 10 },
		{ (128 << 10) + 1, 192 << 10 },
		{ (256 << 10) + 1, 448 << 10 },
		{ 4 << 20, (4 << 20) - (64 << 10) },
		{ (4 << 20) + 1, 0 },
	};

	g_autofree char *octets = g_malloc0((4 << 20) + 1);

	g_assert_cmpuint(ph_spool_lent(), ==, 0);
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autoptr(GError) error = NULL;
		PhSpool *spool = ph_spool_new();
		PhContent *content = NULL;

		g_assert_true(ph_spool_write(spool, PH_SLICE(octets, rows[i].length), &error));
		g_assert_cmpuint(ph_spool_lent(), ==, rows[i].lent);
		content = ph_spool_finish(spool, &error);
		g_assert_cmpuint(ph_content_length(content), ==, rows[i].length);
		g_assert_cmpuint(ph_spool_lent(), ==, rows[i].lent);
		ph_content_unref(content);
		g_assert_cmpuint(ph_spool_lent(), ==, 0);
	}
}

static void
test_spool_fails(void)
{
	g_autoptr(PhSpool) spool = ph_spool_new();
	g_autofree char *octets = g_malloc0(5000000);
	g_autoptr(GError) error = NULL;

	ph_spool_set_directory("/proc/no-such-directory");
	g_assert_false(ph_spool_write(spool, PH_SLICE(octets, 5000000), &error));
	g_assert_error(error, PH_ERROR, PH_ERROR_TEMPORARY);
	ph_spool_set_directory(NULL);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/base/content/every-form-reads-the-same", test_forms);
	g_test_add_func("/base/content/a-range-keeps-its-whole", test_range);
	g_test_add_func("/base/content/joined-parts-read-as-one", test_joined);
	g_test_add_func("/base/content/what-lies-in-memory-is-not-copied",
	                test_memory_is_not_copied);
	g_test_add_func("/base/content/a-file-that-shrank-is-corrupt", test_short_file);
	g_test_add_func("/base/content/a-spool-gives-back-what-it-got", test_spool);
	g_test_add_func("/base/content/spools-share-memory", test_spools_share_memory);
	g_test_add_func("/base/content/a-spool-takes-little-of-what-is-common",
	                test_spool_takes_little);
	g_test_add_func("/base/content/a-spool-without-disk-fails-temporarily", test_spool_fails);
	return g_test_run();
}
