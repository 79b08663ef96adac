/* store-delivery.c: local delivery through a whole server: all or nothing is promised, once
 *
 * A server from a config in memory, SMTP in, POP3 out. An account is made to fail by a file that
 * is no database where its own should be.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>
#include <posthorn/testing.h>

#include <glib/gstdio.h>
#include <string.h>

typedef struct {
	char *folder;
	PhTestServer *server;
} Fixture;

static const char users[] = "alice@example.org:{PLAIN}secret\n"
			    "bob@example.org:{PLAIN}secret\n";

static const char config[] = "[server]\n"
			     "hostname = mail.example.org\n"
			     "data = data\n"
			     "plugin-path = %s/plugins\n"
			     "[directory people]\n"
			     "plugin = passwd-file\n"
			     "path = users\n"
			     "[store mail]\n"
			     "plugin = sqlite\n"
			     "path = {data}/mail/{user}\n"
			     "[route local]\n"
			     "domains = example.org\n"
			     "transport = store\n"
			     "store = mail\n"
			     "directory = people\n"
			     "[listener smtp]\n"
			     "plugin = smtp\n"
			     "address = 127.0.0.1:0\n"
			     "[listener pop3]\n"
			     "plugin = pop3\n"
			     "address = 127.0.0.1:0\n"
			     "plaintext-auth = always\n"
			     "store = mail\n"
			     "directory = people\n"
			     "mechanisms = plain\n";

static void
start(Fixture *fixture)
{
	g_autofree char *text = g_strdup_printf(config, g_getenv("POSTHORN_BUILD_DIR"));
	g_autoptr(GError) error = NULL;

	fixture->server = ph_test_server_new(text, fixture->folder, &error);
	g_assert_no_error(error);
}

static void
set_up(Fixture *fixture, gconstpointer data)
{
	g_autofree char *file = NULL;
	g_autofree char *below = NULL;
	g_autoptr(GError) error = NULL;

	fixture->folder = g_dir_make_tmp("delivery-XXXXXX", &error);
	g_assert_no_error(error);
	file = g_build_filename(fixture->folder, "users", NULL);
	below = g_build_filename(fixture->folder, "data", NULL);
	g_assert_true(g_file_set_contents(file, users, -1, &error));
	g_assert_cmpint(g_mkdir_with_parents(below, 0700), ==, 0);
	start(fixture);
}

static void
remove_tree(const char *path)
{
	GDir *folder = g_dir_open(path, 0, NULL);
	const char *name = NULL;

	while (folder != NULL && (name = g_dir_read_name(folder)) != NULL) {
		g_autofree char *below = g_build_filename(path, name, NULL);

		remove_tree(below);
	}
	if (folder != NULL)
		g_dir_close(folder);
	g_remove(path);
}

static void
tear_down(Fixture *fixture, gconstpointer data)
{
	ph_test_server_free(fixture->server);
	remove_tree(fixture->folder);
	g_free(fixture->folder);
}

/* Sends one line or more; returns all that came back (owned). */
static char *
say(PhTestSession *session, const char *text)
{
	PhSlice output;
	char *answer = NULL;

	ph_test_session_send(session, ph_slice(text));
	g_assert_true(ph_test_session_run(session));
	output = ph_test_session_output(session);
	answer = ph_slice_dup(output);
	ph_test_session_drop_output(session, output.length);
	return answer;
}

static PhTestSession *
open_session(Fixture *fixture, const char *listener)
{
	g_autoptr(GError) error = NULL;
	PhTestSession *session = ph_test_server_connect(listener, fixture->server, &error);

	g_assert_no_error(error);
	return session;
}

/* The answer to the end of the message (owned). */
static char *
deliver(Fixture *fixture, const char *envelope, const char *octets)
{
	g_autoptr(PhTestSession) session = open_session(fixture, "smtp");
	g_autofree char *hello = say(session, "EHLO client.example.net\r\n");
	g_autofree char *ready = say(session, envelope);

	g_assert_nonnull(strstr(ready, "354 "));
	return say(session, octets);
}

/* What a user's maildrop says to @command (owned). */
static char *
fetch(Fixture *fixture, const char *user, const char *command)
{
	g_autoptr(PhTestSession) session = open_session(fixture, "pop3");
	g_autofree char *login = g_strdup_printf("USER %s@example.org\r\nPASS secret\r\n", user);
	g_autofree char *greeting = say(session, login);

	return say(session, command);
}

static void
assert_count(Fixture *fixture, const char *user, unsigned n)
{
	g_autofree char *expected = g_strdup_printf("+OK %u ", n);
	g_autofree char *got = fetch(fixture, user, "STAT\r\n");

	g_assert_true(g_str_has_prefix(got, expected));
}

static const char to_both[] = "MAIL FROM:<\"john doe\"@example.com>\r\n"
			      "RCPT TO:<alice@example.org>\r\nRCPT TO:<bob@example.org>\r\n"
			      "DATA\r\n";

static void
test_trace(Fixture *fixture, gconstpointer data)
{
	g_autofree char *answer = deliver(fixture, to_both, "Subject: a\r\n\r\nb\r\n.\r\n");
	g_autofree char *got = NULL;

	g_assert_true(g_str_has_prefix(answer, "250 2.0.0 "));
	got = fetch(fixture, "bob", "RETR 1\r\n");
	g_assert_nonnull(strstr(got, " octets\r\nReturn-Path: <\"john doe\"@example.com>\r\n"
	                             "Received: from client.example.net ("));
	g_assert_true(g_str_has_suffix(got, "\r\nSubject: a\r\n\r\nb\r\n.\r\n"));
	g_assert_null(strstr(got, "for <"));
}

static void
test_large(Fixture *fixture, gconstpointer data)
{
	GString *octets = g_string_new("Subject: large\r\n\r\n");
	g_autofree char *answer = NULL;
	g_autofree char *got = NULL;

	for (unsigned i = 0; i < 20000; i++)
		g_string_append_printf(octets, "line %u of many\r\n", i);
	g_string_append(octets, ".\r\n");
	answer = deliver(fixture, to_both, octets->str);
	g_assert_true(g_str_has_prefix(answer, "250 2.0.0 "));
	got = fetch(fixture, "alice", "RETR 1\r\n");
	g_assert_true(g_str_has_suffix(got, octets->str));
	g_string_free(octets, TRUE);
}

/* Puts a file that is no database where bob's should be, or takes it away. */
static void
break_bob(Fixture *fixture, bool is_broken)
{
	g_autofree char *mail = g_build_filename(fixture->folder, "data", "mail", NULL);
	g_autofree char *bob = g_build_filename(mail, "bob", NULL);
	g_autoptr(GError) error = NULL;

	g_assert_cmpint(g_mkdir_with_parents(mail, 0700), ==, 0);
	if (is_broken)
		g_assert_true(g_file_set_contents(bob, "no database", -1, &error));
	else
		g_assert_cmpint(g_remove(bob), ==, 0);
}

static void
try_both(Fixture *fixture, const char *octets, const char *expected)
{
	g_autofree char *answer = deliver(fixture, to_both, octets);

	g_assert_true(g_str_has_prefix(answer, expected));
}

static void
test_retry(Fixture *fixture, gconstpointer data)
{
	static const char octets[] = "Subject: retried\r\n\r\n.\r\n";

	break_bob(fixture, true);
	try_both(fixture, octets, "451 ");
	assert_count(fixture, "alice", 1);
	try_both(fixture, octets, "451 ");
	assert_count(fixture, "alice", 1);
	ph_test_server_free(fixture->server);
	break_bob(fixture, false);
	start(fixture);
	try_both(fixture, octets, "250 ");
	assert_count(fixture, "alice", 1);
	assert_count(fixture, "bob", 1);
	try_both(fixture, octets, "250 ");
	assert_count(fixture, "alice", 2);
	assert_count(fixture, "bob", 2);
}

static void
test_restart(Fixture *fixture, gconstpointer data)
{
	try_both(fixture, "Subject: kept\r\n.\r\n", "250 ");
	ph_test_server_free(fixture->server);
	start(fixture);
	assert_count(fixture, "alice", 1);
	assert_count(fixture, "bob", 1);
}

#define ADD(path, func) g_test_add(path, Fixture, NULL, set_up, func, tear_down)

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("/wire/store/puts-return-path-and-received-in-front", test_trace);
	ADD("/wire/store/delivers-large-messages-whole", test_large);
	ADD("/wire/store/a-retry-after-451-leaves-no-second-copy", test_retry);
	ADD("/wire/store/mail-is-there-after-a-restart", test_restart);
	return g_test_run();
}
