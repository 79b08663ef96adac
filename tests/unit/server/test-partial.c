/* test-partial.c: what was served in part survives, is found, withdrawn, bounded, and checked
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>

#include "server/partial.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

static char *
make_folder(void)
{
	g_autoptr(GError) error = NULL;
	char *folder = g_dir_make_tmp("partial-XXXXXX", &error);

	g_assert_no_error(error);
	return folder;
}

static void
remove_folder(char *folder)
{
	g_autofree char *file = g_build_filename(folder, "partial-deliveries", NULL);

	g_remove(file);
	g_assert_cmpint(g_rmdir(folder), ==, 0);
	g_free(folder);
}

static PhPartial *
open_good(const char *folder)
{
	g_autoptr(GError) error = NULL;
	PhPartial *partial = ph_partial_open(folder, &error);

	g_assert_no_error(error);
	return partial;
}

static PhPartialEntry
entry_for(const char *name, uint32_t kind)
{
	PhPartialEntry entry = { .hint = ph_partial_hint("a@example.org", 100), .kind = kind };
	uint8_t digest[32] = { 1, 2, 3 };

	ph_partial_key(digest, name, entry.key);
	memset(entry.transaction, name[0], sizeof entry.transaction);
	return entry;
}

static void
remember(PhPartial *partial, const char *name, uint32_t kind)
{
	g_autoptr(GError) error = NULL;
	PhPartialEntry entry = entry_for(name, kind);

	g_assert_true(ph_partial_remember(partial, &entry, 1, &error));
	g_assert_no_error(error);
}

static uint32_t
find(PhPartial *partial, const char *name)
{
	PhPartialEntry entry = entry_for(name, 0);

	if (!ph_partial_find(partial, &entry))
		return 0;
	g_assert_cmpint(entry.transaction[15], ==, name[0]);
	return entry.kind;
}

static void
test_survives(void)
{
	char *folder = make_folder();
	PhPartial *partial = open_good(folder);
	uint32_t hint = ph_partial_hint("a@example.org", 100);

	g_assert_false(ph_partial_expects(partial, hint));
	remember(partial, "alice", PH_PARTIAL_SERVED);
	remember(partial, "bob", PH_PARTIAL_UNCERTAIN);
	g_assert_true(ph_partial_expects(partial, hint));
	g_assert_false(ph_partial_expects(partial, ph_partial_hint("a@example.org", 101)));
	ph_partial_free(partial);
	partial = open_good(folder);
	g_assert_true(ph_partial_expects(partial, hint));
	g_assert_cmpuint(find(partial, "alice"), ==, PH_PARTIAL_SERVED);
	g_assert_cmpuint(find(partial, "bob"), ==, PH_PARTIAL_UNCERTAIN);
	g_assert_cmpuint(find(partial, "carol"), ==, 0);
	ph_partial_free(partial);
	remove_folder(folder);
}

static void
test_withdrawn(void)
{
	char *folder = make_folder();
	PhPartial *partial = open_good(folder);

	remember(partial, "alice", PH_PARTIAL_SERVED);
	remember(partial, "alice", PH_PARTIAL_FORGOTTEN);
	g_assert_cmpuint(find(partial, "alice"), ==, 0);
	g_assert_false(ph_partial_expects(partial, ph_partial_hint("a@example.org", 100)));
	ph_partial_free(partial);
	partial = open_good(folder);
	g_assert_cmpuint(find(partial, "alice"), ==, 0);
	ph_partial_free(partial);
	remove_folder(folder);
}

static void
test_torn(void)
{
	char *folder = make_folder();
	g_autofree char *file = g_build_filename(folder, "partial-deliveries", NULL);
	PhPartial *partial = open_good(folder);
	int fd = -1;

	remember(partial, "alice", PH_PARTIAL_SERVED);
	remember(partial, "bob", PH_PARTIAL_SERVED);
	ph_partial_free(partial);
	fd = g_open(file, O_RDWR, 0);
	g_assert_cmpint(ftruncate(fd, 72 + 50), ==, 0);
	close(fd);
	partial = open_good(folder);
	g_assert_cmpuint(find(partial, "alice") != 0, !=, find(partial, "bob") != 0);
	remember(partial, "carol", PH_PARTIAL_SERVED);
	ph_partial_free(partial);
	partial = open_good(folder);
	g_assert_cmpuint(find(partial, "carol"), ==, PH_PARTIAL_SERVED);
	ph_partial_free(partial);
	remove_folder(folder);
}

static void
test_bounded(void)
{
	char *folder = make_folder();
	PhPartial *partial = open_good(folder);
	PhPartialEntry *entries = g_new0(PhPartialEntry, PH_PARTIAL_MAX);
	g_autoptr(GError) error = NULL;

	for (uint32_t i = 0; i < PH_PARTIAL_MAX; i++) {
		entries[i].kind = PH_PARTIAL_SERVED;
		memcpy(entries[i].key, &i, sizeof i);
	}
	g_assert_true(ph_partial_remember(partial, entries, PH_PARTIAL_MAX, &error));
	g_assert_no_error(error);
	entries[0].key[31] = 1;
	g_assert_false(ph_partial_remember(partial, entries, 1, &error));
	g_assert_error(error, PH_ERROR, PH_ERROR_LIMIT);
	g_free(entries);
	ph_partial_free(partial);
	remove_folder(folder);
}

static void
test_keys(void)
{
	uint8_t one[32];
	uint8_t two[32];
	uint8_t digest[32] = { 0 };

	ph_partial_key(digest, "alice", one);
	ph_partial_key(digest, "alicf", two);
	g_assert_cmpint(memcmp(one, two, sizeof one), !=, 0);
	digest[0] = 1;
	ph_partial_key(digest, "alice", two);
	g_assert_cmpint(memcmp(one, two, sizeof one), !=, 0);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/server/partial/survives-a-restart", test_survives);
	g_test_add_func("/server/partial/is-withdrawn-when-all-are-served", test_withdrawn);
	g_test_add_func("/server/partial/uses-a-torn-file-up-to-the-damage", test_torn);
	g_test_add_func("/server/partial/is-bounded", test_bounded);
	g_test_add_func("/server/partial/keys-differ-by-message-and-recipient", test_keys);
	return g_test_run();
}
