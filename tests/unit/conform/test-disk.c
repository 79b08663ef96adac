/* test-disk.c: what was synced outlives the power, and nothing else does
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>

#include "conform/disk.h"

#include <glib/gstdio.h>

/* What is in the file after the trace and a power cut; "-": it is not there. @before: (nullable) in
 * file "old" when it begins. ROOT in the trace is the folder. */
static char *
after(const char *before, const char *trace, double survival, const char *name)
{
	g_autofree char *made = g_dir_make_tmp("posthorn-disk-XXXXXX", NULL);
	g_autofree char *folder = g_canonicalize_filename(made, NULL);
	g_autofree char *old = g_build_filename(folder, "old", NULL);
	g_autofree char *path = g_build_filename(folder, name, NULL);
	g_auto(GStrv) parts = g_strsplit(trace, "ROOT", -1);
	g_autofree char *text = g_strjoinv(folder, parts);
	g_autoptr(PhDisk) disk = NULL;
	g_autoptr(GError) error = NULL;
	PhDiskEvents events;
	char *found = NULL;

	if (before != NULL)
		g_assert_true(g_file_set_contents(old, before, -1, NULL));
	disk = ph_disk_read(folder, &error);
	g_assert_no_error(error);
	g_assert_true(ph_disk_play(disk, ph_slice(text), &events, &error));
	g_assert_no_error(error);
	ph_disk_lose_power(disk, survival, 7);
	g_assert_true(ph_disk_write(disk, &error));
	g_assert_no_error(error);
	if (!g_file_get_contents(path, &found, NULL, NULL))
		found = g_strdup("-");
	(void) g_unlink(path);
	(void) g_unlink(old);
	(void) g_rmdir(folder);
	return found;
}

static void
expect(const char *found, const char *expected)
{
	g_assert_cmpstr(found, ==, expected);
}

static void
test_content(void)
{
	g_autofree char *unsynced = after("abc", "file 1 ROOT/old\nwrite 1 0 3\nxyz", 0, "old");
	g_autofree char *lucky = after("abc", "file 1 ROOT/old\nwrite 1 0 3\nxyz", 1, "old");
	g_autofree char *synced =
		after("abc", "file 1 ROOT/old\nwrite 1 1 3\nxyzsync 1\nwrite 1 0 1\n?", 0, "old");
	g_autofree char *cut =
		after("abc", "file 1 ROOT/old\ncut 1 1\nsync 1\ncut 1 0\n", 0, "old");

	expect(unsynced, "abc");
	expect(lucky, "xyz");
	expect(synced, "axyz");
	expect(cut, "a");
}

static void
test_names(void)
{
	const char *nameless = "make 1 ROOT/new\nwrite 1 0 2\nhisync 1\n";
	const char *named = "make 1 ROOT/new\nwrite 1 0 2\nhisync 1\nnames ROOT\n";
	const char *empty = "make 1 ROOT/new\nwrite 1 0 2\nhinames ROOT\n";
	const char *blank = "blank 1\nwrite 1 0 2\nhisync 1\nname 1 ROOT/new\nnames ROOT\n";
	g_autofree char *a = after(NULL, nameless, 0, "new");
	g_autofree char *b = after(NULL, named, 0, "new");
	g_autofree char *c = after(NULL, empty, 0, "new");
	g_autofree char *d = after(NULL, blank, 0, "new");

	expect(a, "-");
	expect(b, "hi");
	expect(c, "");
	expect(d, "hi");
}

static void
test_renames(void)
{
	g_autofree char *lost = after("abc", "rename ROOT/old\tROOT/new\n", 0, "new");
	g_autofree char *stays = after("abc", "gone ROOT/old\n", 0, "old");
	g_autofree char *done = after("abc", "rename ROOT/old\tROOT/new\nnames ROOT\n", 0, "new");
	g_autofree char *gone = after("abc", "gone ROOT/old\nnames ROOT\n", 0, "old");
	g_autofree char *linked = after("abc", "link ROOT/old\tROOT/new\nnames ROOT\n", 0, "new");
	g_autofree char *all = after("abc", "rename ROOT/old\tROOT/new\nall\n", 0, "new");

	expect(lost, "-");
	expect(stays, "abc");
	expect(done, "abc");
	expect(gone, "-");
	expect(linked, "abc");
	expect(all, "abc");
}

/* The trace of a process that was killed ends anywhere. */
static void
test_torn(void)
{
	g_autofree char *line = after("abc", "file 1 ROOT/old\nsyn", 0, "old");
	g_autofree char *octets = after("abc", "file 1 ROOT/old\nwrite 1 0 9\nxyz", 1, "old");

	expect(line, "abc");
	expect(octets, "abc");
}

static void
test_no_trace(void)
{
	g_autofree char *made = g_dir_make_tmp("posthorn-disk-XXXXXX", NULL);
	g_autoptr(PhDisk) disk = ph_disk_read(made, NULL);
	g_autoptr(GError) error = NULL;
	PhDiskEvents events;

	g_assert_false(ph_disk_play(disk, ph_slice("jump 1\n"), &events, &error));
	g_assert_error(error, PH_ERROR, PH_ERROR_INVALID);
	(void) g_rmdir(made);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/conform/disk/only-synced-content-stays", test_content);
	g_test_add_func("/conform/disk/a-name-needs-its-folder-synced", test_names);
	g_test_add_func("/conform/disk/renames-links-and-removals", test_renames);
	g_test_add_func("/conform/disk/a-torn-trace-ends-there", test_torn);
	g_test_add_func("/conform/disk/what-is-no-trace-is-refused", test_no_trace);
	return g_test_run();
}
