/* test-path.c: nothing leaves the folder; only trusted files are opened
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "base/path.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct {
	char *folder;
	char *file;
	char *link;
	int fd;
} Fixture;

static void
set_up(Fixture *f, gconstpointer data)
{
	f->folder = g_dir_make_tmp("posthorn-XXXXXX", NULL);
	f->file = g_build_filename(f->folder, "file", NULL);
	f->link = g_build_filename(f->folder, "link", NULL);
	g_assert_true(g_file_set_contents(f->file, "x", 1, NULL));
	g_assert_cmpint(chmod(f->file, 0644), ==, 0);
	g_assert_cmpint(symlink("/etc/passwd", f->link), ==, 0);
	f->fd = open(f->folder, O_RDONLY | O_DIRECTORY);
}

static void
tear_down(Fixture *f, gconstpointer data)
{
	close(f->fd);
	unlink(f->file);
	unlink(f->link);
	rmdir(f->folder);
	g_free(f->folder);
	g_free(f->file);
	g_free(f->link);
}

static void
test_below(Fixture *f, gconstpointer data)
{
	static const char *const bad[] = { "../x", "/etc/passwd", "link", "a/../../x", ".." };
	int fd = ph_path_open_below(f->fd, "file", O_RDONLY, 0, NULL);

	g_assert_cmpint(fd, >=, 0);
	g_assert_cmpint(fcntl(fd, F_GETFD) & FD_CLOEXEC, ==, FD_CLOEXEC);
	close(fd);
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autoptr(GError) error = NULL;

		g_assert_cmpint(ph_path_open_below(f->fd, bad[i], O_RDONLY, 0, &error), ==, -1);
		g_assert_nonnull(error);
	}
}

static void
test_trusted(Fixture *f, gconstpointer data)
{
	g_autoptr(GError) error = NULL;
	int fd = ph_path_open_trusted(f->file, getuid(), &error);

	g_assert_no_error(error);
	g_assert_cmpint(fd, >=, 0);
	close(fd);
	g_assert_cmpint(chmod(f->file, 0664), ==, 0);
	g_assert_cmpint(ph_path_open_trusted(f->file, getuid(), &error), ==, -1);
	g_assert_error(error, PH_ERROR, PH_ERROR_DENIED);
	g_clear_error(&error);
	g_assert_cmpint(chmod(f->file, 0644), ==, 0);
	g_assert_cmpint(chmod(f->folder, 0770), ==, 0);
	g_assert_cmpint(ph_path_open_trusted(f->file, getuid(), &error), ==, -1);
	g_assert_nonnull(strstr(error->message, "chmod go-w"));
	g_clear_error(&error);
	g_assert_cmpint(chmod(f->folder, 0700), ==, 0);
	g_assert_cmpint(ph_path_open_trusted(f->folder, getuid(), &error), ==, -1);
	g_assert_error(error, PH_ERROR, PH_ERROR_INVALID);
	g_clear_error(&error);
	g_assert_cmpint(ph_path_open_trusted("file", getuid(), &error), ==, -1);
	g_assert_nonnull(error);
}

static void
test_owner(Fixture *f, gconstpointer data)
{
	g_autoptr(GError) error = NULL;

	if (getuid() != 0) {
		g_test_skip("needs root to give a file away");
		return;
	}
	g_assert_cmpint(chown(f->file, 12345, 12345), ==, 0);
	g_assert_cmpint(ph_path_open_trusted(f->file, 0, &error), ==, -1);
	g_assert_error(error, PH_ERROR, PH_ERROR_DENIED);
	g_clear_error(&error);
	g_assert_cmpint(chown(f->folder, 12345, 12345), ==, 0);
	g_assert_cmpint(ph_path_open_trusted(f->file, 54321, &error), ==, -1);
	g_assert_error(error, PH_ERROR, PH_ERROR_DENIED);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add("/base/path/below-never-leaves", Fixture, NULL, set_up, test_below, tear_down);
	g_test_add("/base/path/trusted-by-mode", Fixture, NULL, set_up, test_trusted, tear_down);
	g_test_add("/base/path/trusted-by-owner", Fixture, NULL, set_up, test_owner, tear_down);
	return g_test_run();
}
