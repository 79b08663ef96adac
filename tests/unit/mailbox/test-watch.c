/* test-watch.c: hints come, to all who asked, and none after the end
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/watch.h>

#include <glib/gstdio.h>
#include <string.h>

static void
count(void *user_data)
{
	g_atomic_int_inc((gint *) user_data);
}

static void
wait_until_more(gint *counter, gint than)
{
	for (int i = 0; i < 500 && g_atomic_int_get(counter) <= than; i++)
		g_usleep(10000);
	g_assert_cmpint(g_atomic_int_get(counter), >, than);
}

static void
test_hints(void)
{
	g_autofree char *folder = g_dir_make_tmp("posthorn-watch-XXXXXX", NULL);
	g_autofree char *file = g_build_filename(folder, "x", NULL);
	gint counts[2] = { 0, 0 };
	gint before = 0;
	PhWatch *first = ph_watch_new(folder, count, &counts[0]);
	PhWatch *second = ph_watch_new(folder, count, &counts[1]);

	g_assert_nonnull(first);
	g_assert_nonnull(second);
	g_assert_true(g_file_set_contents(file, "1", 1, NULL));
	wait_until_more(&counts[0], 0);
	wait_until_more(&counts[1], 0);
	ph_watch_free(first);
	before = g_atomic_int_get(&counts[0]);
	g_usleep(50000);
	(void) g_unlink(file);
	wait_until_more(&counts[1], g_atomic_int_get(&counts[1]) > 0 ? 1 : 0);
	g_assert_cmpint(g_atomic_int_get(&counts[0]), ==, before);
	ph_watch_free(second);
	(void) g_rmdir(folder);
	g_assert_null(ph_watch_new(folder, count, &counts[0]));
}

static void
note(PhWatchKind kind, const char *name, void *user_data)
{
	static const char marks[] = { '+', '<', '-', '?', '!' };

	g_string_append_printf(user_data, "%c%s ", marks[kind], name);
}

static void
do_nothing(void *user_data)
{
}

static void
test_names(void)
{
	g_autofree char *folder = g_dir_make_tmp("posthorn-watch-XXXXXX", NULL);
	g_autofree char *x = g_build_filename(folder, "x", NULL);
	g_autofree char *y = g_build_filename(folder, "y", NULL);
	g_autoptr(GString) seen = g_string_new("");
	PhWatch *watch = ph_watch_names(folder, note, do_nothing, seen);

	g_assert_nonnull(watch);
	g_assert_cmpint(g_mkdir(x, 0700), ==, 0);
	g_assert_cmpint(g_rename(x, y), ==, 0);
	g_assert_cmpint(g_rmdir(y), ==, 0);
	ph_watch_catch_up(); /* nothing is waited for */
	g_assert_cmpstr(seen->str, ==, "+x <x +y -y ");
	g_string_truncate(seen, 0);
	for (int i = 0; i < 20000; i++) {
		g_assert_cmpint(g_mkdir(x, 0700), ==, 0);
		g_assert_cmpint(g_rmdir(x), ==, 0);
	}
	ph_watch_catch_up();
	/* all were told, or that some were not */
	g_assert_true(strchr(seen->str, '?') != NULL || seen->len == 20000 * strlen("+x -x "));
	ph_watch_free(watch);
	(void) g_rmdir(folder);
}

/* The watch stays with what was there. */
static void
test_gone(void)
{
	g_autofree char *folder = g_dir_make_tmp("posthorn-watch-XXXXXX", NULL);
	g_autofree char *old = g_strconcat(folder, ".old", NULL);
	g_autofree char *x = g_build_filename(folder, "x", NULL);
	g_autoptr(GString) seen = g_string_new("");
	PhWatch *watch = ph_watch_names(folder, note, do_nothing, seen);

	g_assert_nonnull(watch);
	g_assert_cmpint(g_rename(folder, old), ==, 0);
	g_assert_cmpint(g_mkdir(folder, 0700), ==, 0);
	g_assert_cmpint(g_mkdir(x, 0700), ==, 0);
	ph_watch_catch_up();
	g_assert_cmpstr(seen->str, ==, "! ");
	g_assert_cmpint(g_rmdir(old), ==, 0);
	ph_watch_catch_up();
	g_assert_cmpstr(seen->str, ==, "! ! ! "); /* it was removed, and the watch with it */
	ph_watch_free(watch);
	(void) g_rmdir(x);
	(void) g_rmdir(folder);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/mailbox/watch/hints-come-until-the-end", test_hints);
	g_test_add_func("/mailbox/watch/names-are-told-in-order-or-as-lost", test_names);
	g_test_add_func("/mailbox/watch/what-became-of-the-folder-is-told", test_gone);
	return g_test_run();
}
