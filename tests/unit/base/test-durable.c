/* test-durable.c: replaced files are whole, renames and folders are made
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/durable.h>
#include <posthorn/error.h>
#include <posthorn/slice.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static void
test_replace(void)
{
	g_autofree char *folder = g_dir_make_tmp("posthorn-XXXXXX", NULL);
	g_autofree char *path = g_build_filename(folder, "a", NULL);
	g_autofree char *content = NULL;
	g_autoptr(GError) error = NULL;
	struct stat info;
	int fd = open(folder, O_RDONLY | O_DIRECTORY);
	PhRename move = { fd, fd, "a", "b", true };

	g_assert_true(ph_durable_replace(fd, "a", ph_slice("one"), 0640, &error));
	g_assert_true(ph_durable_replace(AT_FDCWD, path, ph_slice("two"), 0640, &error));
	g_assert_no_error(error);
	g_assert_true(g_file_get_contents(path, &content, NULL, NULL));
	g_assert_cmpstr(content, ==, "two");
	g_assert_cmpint(stat(path, &info), ==, 0);
	g_assert_cmpint(info.st_mode & 07777, ==, 0640);
	g_assert_true(ph_durable_rename(&move, &error));
	g_assert_true(ph_durable_replace(fd, "a", ph_slice("3"), 0600, &error));
	g_assert_false(ph_durable_rename(&move, &error));
	g_assert_error(error, PH_ERROR, PH_ERROR_EXISTS);
	g_assert_true(ph_durable_unlink(fd, "a", NULL));
	g_assert_true(ph_durable_unlink(fd, "b", NULL));
	g_assert_true(ph_durable_unlink(fd, "b", NULL));
	close(fd);
	g_assert_cmpint(rmdir(folder), ==, 0); /* no temporary file is left */
}

static void
test_folders(void)
{
	g_autofree char *folder = g_dir_make_tmp("posthorn-XXXXXX", NULL);
	g_autofree char *deep = g_build_filename(folder, "x", "y", "z", NULL);
	g_autofree char *middle = g_build_filename(folder, "x", "y", NULL);
	g_autofree char *top = g_build_filename(folder, "x", NULL);
	g_autofree char *below_file = g_build_filename(folder, "x", "y", "z", "f", "g", NULL);
	g_autofree char *file = g_build_filename(folder, "x", "y", "z", "f", NULL);
	g_autoptr(GError) error = NULL;

	g_assert_true(ph_durable_make_folder(deep, 0700, &error));
	g_assert_true(ph_durable_make_folder(deep, 0700, &error));
	g_assert_true(g_file_set_contents(file, "", 0, NULL));
	g_assert_false(ph_durable_make_folder(below_file, 0700, &error));
	g_assert_error(error, PH_ERROR, PH_ERROR_TEMPORARY);
	g_assert_true(ph_durable_unlink(AT_FDCWD, file, NULL));
	rmdir(deep);
	rmdir(middle);
	rmdir(top);
	rmdir(folder);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/base/durable/files-are-replaced-whole", test_replace);
	g_test_add_func("/base/durable/folders-are-made-with-parents", test_folders);
	return g_test_run();
}
