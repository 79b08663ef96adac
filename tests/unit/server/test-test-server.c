/* test-test-server.c: a whole server from a config in memory, spoken to without sockets
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/testing.h>

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

static const char login_config[] =
	"[server]\nhostname = mail.example.org\ndata = data\n"
	"[directory people]\nplugin = passwd-file\npath = users\n"
	"[listener mx]\nplugin = smtp\naddress = 127.0.0.1:0\ndirectory = people\n"
	"mechanisms = plain\nplaintext-auth = always\n"
	"[route local]\ndomains = example.org\ntransport = discard-for-tests\n";

static void
test_mistakes_are_told(void)
{
	g_autofree char *folder = g_dir_make_tmp("posthorn-XXXXXX", NULL);
	g_autofree char *data = g_build_filename(folder, "data", NULL);
	g_autofree char *users = g_build_filename(folder, "users", NULL);
	g_autoptr(GError) error = NULL;

	g_assert_cmpint(g_mkdir(data, 0700), ==, 0);
	g_assert_true(g_file_set_contents_full(users, "anna:{PLAIN}secret\n", -1,
	                                       G_FILE_SET_CONTENTS_NONE, 0600, NULL));
	g_assert_null(ph_test_server_new(login_config, folder, &error));
	g_assert_error(error, PH_ERROR, PH_ERROR_INVALID);
	g_assert_nonnull(strstr(error->message, "discard-for-tests"));
	g_unlink(users);
	g_rmdir(data);
	g_rmdir(folder);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/server/test-server/mistakes-of-the-config-are-told",
	                test_mistakes_are_told);
	return g_test_run();
}
