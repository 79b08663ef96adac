/* fuzz-server.c: whole sessions of a whole server: IMAP and POP3 after login, SMTP with AUTH
 *
 * A server from a config, with users, a router and a store in a folder of its own. The first octet
 * says which protocol, the second how the input is cut into packets. IMAP and POP3 sessions begin logged
 * in, IMAP's with two messages in INBOX; what an input leaves in the account is taken away first, so
 * that an input that failed does so again alone.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>
#include <posthorn/testing.h>

#include "base/log.h"
#include "base/spool.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static PhTestServer *server;

static const char config[] = "[server]\n"
			     "hostname = mail.example.org\n"
			     "data = .\n"
			     "message-size-limit = 64K\n"
			     "[directory people]\n"
			     "plugin = passwd-file\n"
			     "path = users\n"
			     "[store mail]\n"
			     "plugin = sqlite\n"
			     "path = {user}.sqlite\n"
			     "[route local]\n"
			     "domains = example.org\n"
			     "transport = store\n"
			     "store = mail\n"
			     "directory = people\n"
			     "[listener imap]\n"
			     "plugin = imap\n"
			     "address = 127.0.0.1:0\n"
			     "store = mail\n"
			     "directory = people\n"
			     "mechanisms = plain, login\n"
			     "plaintext-auth = always\n"
			     "[listener pop3]\n"
			     "plugin = pop3\n"
			     "address = 127.0.0.1:0\n"
			     "store = mail\n"
			     "directory = people\n"
			     "mechanisms = plain, login\n"
			     "plaintext-auth = always\n"
			     "[listener smtp]\n"
			     "plugin = smtp\n"
			     "address = 127.0.0.1:0\n"
			     "directory = people\n"
			     "mechanisms = plain, login\n"
			     "plaintext-auth = always\n";

/* What each protocol's session begins with. */
static const struct {
	const char *name;
	const char *before;
} protocols[] = {
	{ "imap", "a LOGIN u p\r\na SELECT INBOX\r\na STORE 1:* FLAGS (\\Deleted)\r\na CLOSE\r\n"
	          "a DELETE x/y\r\na DELETE x\r\na DELETE y\r\na CREATE x\r\n"
	          "a APPEND INBOX (\\Seen) {31+}\r\nSubject: a\r\nX: =?a?q?=?=\r\n\r\nb\r\n\r\n"
	          "a APPEND INBOX {62+}\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
	          "\r\nt\r\n--b--\r\n\r\na SELECT INBOX\r\n" },
	{ "pop3", "USER u\r\nPASS p\r\n" },
	{ "smtp", "EHLO c.example\r\n" },
};

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	g_autofree char *folder =
		g_strdup_printf("%s/posthorn-fuzz-XXXXXX",
	                        g_file_test("/dev/shm", G_FILE_TEST_IS_DIR) ? "/dev/shm" : "/tmp");
	g_autofree char *users = NULL;
	g_autoptr(GError) error = NULL;
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	g_assert_nonnull(g_mkdtemp_full(folder, 0700));
	users = g_build_filename(folder, "users", NULL);
	g_assert_true(g_file_set_contents(users, "u@example.org:{PLAIN}p\n", -1, NULL));
	(void) g_chmod(users, 0600);
	g_assert_cmpint(chdir(folder), ==, 0);
	ph_log_set_fd(null);
	ph_spool_set_directory(folder);
	server = ph_test_server_new(config, folder, &error);
	g_assert_no_error(error);
	return 0;
}

static void
feed(PhTestSession *session, PhSlice octets)
{
	ph_test_session_send(session, octets);
	(void) ph_test_session_run(session);
	ph_test_session_drop_output(session, ph_test_session_output(session).length);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t which = size > 0 ? data[0] % G_N_ELEMENTS(protocols) : 0;
	size_t step = size > 1 ? 1 + data[1] : 1;
	PhTestSession *session = ph_test_server_connect(protocols[which].name, server, NULL);

	feed(session, ph_slice(protocols[which].before));
	for (size_t at = 2; at < size && !ph_test_session_is_closed(session); at += step)
		feed(session, PH_SLICE((const char *) data + at, MIN(step, size - at)));
	ph_test_session_free(session);
	return 0;
}
