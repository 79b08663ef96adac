/* test-memory.c: who is turned away, who passes, and what is forgotten
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "memory.h"

#include <glib/gstdio.h>

typedef struct {
	char *folder;
	char *path;
	MemoryRules rules;
	Memory *memory;
} Fixture;

static void
set_up(Fixture *fixture, gconstpointer data)
{
	fixture->folder = g_dir_make_tmp("greylist-XXXXXX", NULL);
	fixture->path = g_build_filename(fixture->folder, "file", NULL);
	fixture->rules = (MemoryRules){ .path = fixture->path,
		                        .delay = 60,
		                        .window = 600,
		                        .lifetime = 6000,
		                        .allow = 3,
		                        .limit = 50 };
	fixture->memory = memory_new(&fixture->rules);
}

static void
tear_down(Fixture *fixture, gconstpointer data)
{
	g_autofree char *log = g_strconcat(fixture->path, "-wal", NULL);
	g_autofree char *index = g_strconcat(fixture->path, "-shm", NULL);

	memory_free(fixture->memory);
	g_remove(log);
	g_remove(index);
	g_remove(fixture->path);
	g_rmdir(fixture->folder);
	g_free(fixture->path);
	g_free(fixture->folder);
}

static int64_t
wait_for(Fixture *fixture, const char *network, const char *to, int64_t now)
{
	Triplet triplet = { .network = network, .sender = "s@x.example", .recipient = to };
	g_autoptr(GError) error = NULL;
	int64_t wait = -1;

	g_assert_true(memory_ask(fixture->memory, &triplet, now, &wait, &error));
	g_assert_no_error(error);
	return wait;
}

static void
test_delay(Fixture *fixture, gconstpointer data)
{
	g_assert_cmpint(wait_for(fixture, "n", "a", 1000), ==, 60);
	g_assert_cmpint(wait_for(fixture, "n", "a", 1059), ==, 1);
	g_assert_cmpint(wait_for(fixture, "m", "a", 1060), ==, 60);
	g_assert_cmpint(wait_for(fixture, "n", "b", 1060), ==, 60);
	g_assert_cmpint(wait_for(fixture, "n", "a", 1060), ==, 0);
	g_assert_cmpint(wait_for(fixture, "n", "a", 7060), ==, 0);
	g_assert_cmpint(wait_for(fixture, "n", "a", 7060 + 6001), ==, 60);
}

static void
test_window(Fixture *fixture, gconstpointer data)
{
	g_assert_cmpint(wait_for(fixture, "n", "a", 1000), ==, 60);
	g_assert_cmpint(wait_for(fixture, "n", "a", 1601), ==, 60);
	g_assert_cmpint(wait_for(fixture, "n", "a", 1661), ==, 0);
	g_assert_cmpint(wait_for(fixture, "n", "c", 1661), ==, 60);
	g_assert_cmpint(wait_for(fixture, "n", "c", 1000), ==, 60);
	g_assert_cmpint(wait_for(fixture, "n", "c", 1060), ==, 0);
}

static void
test_allow(Fixture *fixture, gconstpointer data)
{
	g_assert_cmpint(wait_for(fixture, "n", "a", 1000), ==, 60);
	for (int64_t now = 1060; now < 1063; now++)
		g_assert_cmpint(wait_for(fixture, "n", "a", now), ==, 0);
	g_assert_cmpint(wait_for(fixture, "n", "new", 1063), ==, 0);
	g_assert_cmpint(wait_for(fixture, "m", "new", 1063), ==, 60);
	g_assert_cmpint(wait_for(fixture, "n", "newer", 1064 + 6001), ==, 60);
}

static void
test_restart(Fixture *fixture, gconstpointer data)
{
	g_assert_cmpint(wait_for(fixture, "n", "a", 1000), ==, 60);
	memory_free(fixture->memory);
	fixture->memory = memory_new(&fixture->rules);
	g_assert_cmpint(wait_for(fixture, "n", "a", 1060), ==, 0);
}

static void
test_limit(Fixture *fixture, gconstpointer data)
{
	for (int i = 0; i < 100; i++) {
		g_autofree char *to = g_strdup_printf("r%d", i);

		g_assert_cmpint(wait_for(fixture, "n", to, 1000 + i), ==, 60);
	}
	g_assert_cmpint(wait_for(fixture, "n", "r0", 1110), ==, 60);
}

static void
test_broken(Fixture *fixture, gconstpointer data)
{
	Triplet triplet = { .network = "n", .sender = "s", .recipient = "r" };
	g_autoptr(GError) error = NULL;
	int64_t wait = 0;

	g_assert_true(g_file_set_contents(fixture->path, "this is no database at all", -1, NULL));
	g_assert_false(memory_ask(fixture->memory, &triplet, 1000, &wait, &error));
	g_assert_nonnull(error);
}

static void
assert_network(const char *address, const char *expected)
{
	g_autoptr(GString) out = g_string_new(NULL);

	memory_network(address, out);
	g_assert_cmpstr(out->str, ==, expected);
}

static void
test_network(void)
{
	assert_network("192.0.2.77", "192.0.2.0");
	assert_network("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::");
	assert_network("other", "other");
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add("/greylist/memory/turns-a-first-try-away", Fixture, NULL, set_up, test_delay,
	           tear_down);
	g_test_add("/greylist/memory/wants-the-second-in-time", Fixture, NULL, set_up, test_window,
	           tear_down);
	g_test_add("/greylist/memory/trusts-who-came-often", Fixture, NULL, set_up, test_allow,
	           tear_down);
	g_test_add("/greylist/memory/survives-a-restart", Fixture, NULL, set_up, test_restart,
	           tear_down);
	g_test_add("/greylist/memory/is-bounded", Fixture, NULL, set_up, test_limit, tear_down);
	g_test_add("/greylist/memory/tells-of-a-broken-file", Fixture, NULL, set_up, test_broken,
	           tear_down);
	g_test_add_func("/greylist/memory/takes-networks-for-clients", test_network);
	return g_test_run();
}
