/* test-outline.c: the supervisor reads addresses, users and programs without loading a plugin
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>

#include "base/log.h"
#include "server/outline.h"

#include <glib/gstdio.h>

static const char config[] =
	"[server]\ndata = mail\nlog = json\nlog-level = warning\nuser = posthorn\n"
	"[listener mx]\nplugin = no-such-plugin\naddress = *:25 , [::1]:26\n"
	"[listener imap]\nplugin = imap\naddress = unix:/run/imap\n"
	"[filter scan]\nplugin = pipe\ncommand = /usr/bin/scan --quiet -\n"
	"[wrong\nnonsense\n";

static PhOutline *
read_outline(const char *text)
{
	g_autofree char *folder = g_dir_make_tmp("posthorn-XXXXXX", NULL);
	g_autofree char *path = g_build_filename(folder, "posthorn.conf", NULL);
	g_autofree char *data = g_build_filename(folder, "mail", NULL);
	g_autofree char *control = g_build_filename(folder, "mail/control.sock", NULL);
	g_autoptr(GError) error = NULL;
	PhOutline *outline = NULL;

	g_assert_true(g_file_set_contents(path, text, -1, NULL));
	outline = ph_outline_read(path, &error);
	g_assert_no_error(error);
	g_assert_cmpstr(outline->path, ==, path);
	if (outline->data != NULL) {
		g_assert_cmpstr(outline->data, ==, data);
		g_assert_cmpstr(outline->control, ==, control);
	}
	g_unlink(path);
	g_rmdir(folder);
	return outline;
}

static void
test_reads(void)
{
	g_autoptr(PhOutline) outline = read_outline(config);
	const PhOutlineAddress *addresses =
		(const PhOutlineAddress *) (void *) outline->addresses->data;

	g_assert_cmpuint(outline->log_sink, ==, PH_LOG_TO_JSON);
	g_assert_cmpuint(outline->log_level, ==, PH_LOG_WARNING);
	g_assert_cmpstr(outline->user, ==, "posthorn");
	g_assert_cmpuint(outline->addresses->len, ==, 3);
	g_assert_cmpstr(addresses[0].name, ==, "mx");
	g_assert_cmpstr(addresses[0].text, ==, "*:25");
	g_assert_cmpstr(addresses[1].text, ==, "[::1]:26");
	g_assert_cmpstr(addresses[2].name, ==, "imap");
	g_assert_cmpstr(addresses[2].text, ==, "unix:/run/imap");
	g_assert_cmpstr(outline->programs[0], ==, "/usr/bin/scan");
	g_assert_null(outline->programs[1]);
}

static void
test_nonsense(void)
{
	g_autoptr(PhOutline) outline = read_outline("\001\002=\n[[[\naddress = x\n");

	g_assert_cmpuint(outline->addresses->len, ==, 0);
	g_assert_null(outline->control);
}

static void
test_missing(void)
{
	g_autoptr(GError) error = NULL;

	g_assert_null(ph_outline_read("/nowhere/posthorn.conf", &error));
	g_assert_error(error, PH_ERROR, PH_ERROR_NOT_FOUND);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/server/outline/what-the-supervisor-needs-is-read", test_reads);
	g_test_add_func("/server/outline/nonsense-is-left-out", test_nonsense);
	g_test_add_func("/server/outline/a-missing-file-is-an-error", test_missing);
	return g_test_run();
}
