/* test-log.c: formats escape everything a peer may send; sinks, levels and the rate limit
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static const PhLogField no_fields[] = { PH_LOG_END };

static void
describe(PhSession *session, const char **id_out, const char **peer_out)
{
	*id_out = "s1";
	*peer_out = "192.0.2.1";
}

static const char *
read_back(int fd)
{
	static char buffer[1 << 16];
	ssize_t n = pread(fd, buffer, sizeof buffer - 1, 0);

	g_assert_cmpint(n, >=, 0);
	buffer[n] = '\0';
	return buffer;
}

static int
memory_file(void)
{
	int fd = memfd_create("log", MFD_CLOEXEC);

	g_assert_cmpint(fd, >=, 0);
	g_assert_cmpint(fcntl(fd, F_SETFL, O_APPEND), ==, 0);
	ph_log_set_fd(fd);
	return fd;
}

static void
test_text(void)
{
	const char *nothing = NULL;
	const PhLogField fields[] = { PH_LOG_TEXT("user", "a b\"\n\x7f\xc2\x9b\xff\xc3\xbc"),
		                      PH_LOG_NUMBER("octets", -5), PH_LOG_TEXT("empty", nothing),
		                      PH_LOG_END };
	PhLogEvent event = { .time = 1000001,
		             .level = PH_LOG_WARNING,
		             .event = "login-failed",
		             .sentence = "wrong",
		             .session = "s1",
		             .peer = "192.0.2.1",
		             .fields = fields };
	g_autoptr(GString) out = g_string_new("");

	ph_log_format_text(&event, out);
	g_assert_cmpstr(out->str, ==,
	                "1970-01-01T00:00:01.000001Z warning login-failed: wrong "
	                "user=\"a b\\\"\\x0a\\x7f\\xc2\\x9b\\xff\xc3\xbc\" octets=-5 empty=\"\" "
	                "session=s1 [192.0.2.1]\n");
}

static void
test_json(void)
{
	const PhLogField fields[] = { PH_LOG_SLICE("user", PH_SLICE("a\0\"\\\x1f\xfe", 6)),
		                      PH_LOG_NUMBER("n", INT64_MIN), PH_LOG_END };
	PhLogEvent event = { .level = PH_LOG_INFO,
		             .event = "x",
		             .sentence = "y",
		             .section = "imap",
		             .fields = fields };
	g_autoptr(GString) out = g_string_new("");

	ph_log_format_json(&event, out);
	g_assert_cmpstr(
		out->str, ==,
		"{\"time\":\"1970-01-01T00:00:00.000000Z\",\"level\":\"info\",\"event\":\"x\","
		"\"message\":\"y\",\"user\":\"a\\u0000\\\"\\\\\\u001f\\u00fe\","
		"\"n\":-9223372036854775808,\"section\":\"imap\"}\n");
}

static void
test_cap(void)
{
	g_autofree char *octets = g_strnfill(100000, 'x');
	const PhLogField fields[] = { PH_LOG_TEXT("v", octets), PH_LOG_END };
	PhLogEvent event = { .level = PH_LOG_INFO,
		             .event = "x",
		             .sentence = "y",
		             .fields = fields };
	g_autoptr(GString) out = g_string_new("");

	ph_log_format_text(&event, out);
	g_assert_cmpuint(out->len, <, PH_LIMIT_LOG_VALUE + 100);
	g_assert_true(g_str_has_suffix(out->str, "x...\n"));
}

static void
test_levels(void)
{
	int fd = memory_file();

	ph_log_open(PH_LOG_TO_TEXT, PH_LOG_WARNING);
	g_assert_true(ph_log_wants(PH_LOG_WARNING));
	g_assert_false(ph_log_wants(PH_LOG_NOTICE));
	ph_log(PH_LOG_NOTICE, "no", "no", PH_LOG_END);
	ph_log(PH_LOG_WARNING, "yes", "seen", PH_LOG_END);
	g_assert_null(strstr(read_back(fd), "no"));
	g_assert_nonnull(strstr(read_back(fd), "warning yes: seen\n"));
	close(fd);
}

static void
test_session(void)
{
	int fd = memory_file();
	int dummy = 0;

	ph_log_open(PH_LOG_TO_TEXT, PH_LOG_INFO);
	ph_log_set_session_describer(describe);
	ph_log_session((PhSession *) &dummy, PH_LOG_INFO, "e", "s", PH_LOG_END);
	g_assert_nonnull(strstr(read_back(fd), "info e: s session=s1 [192.0.2.1]\n"));
	ph_log_set_session_describer(NULL);
	close(fd);
}

static void
test_rate(void)
{
	int fd = memory_file();
	struct stat info;
	off_t full = 0;

	ph_clock_hold(5000000, 0);
	ph_log_open(PH_LOG_TO_TEXT, PH_LOG_INFO);
	for (int i = 0; i < PH_LIMIT_LOG_BURST; i++)
		ph_log_fields(NULL, NULL, PH_LOG_WARNING, "flood", "s", no_fields);
	g_assert_cmpint(fstat(fd, &info), ==, 0);
	full = info.st_size;
	for (int i = 0; i < 7; i++)
		ph_log_fields(NULL, NULL, PH_LOG_WARNING, "flood", "s", no_fields);
	g_assert_cmpint(fstat(fd, &info), ==, 0);
	g_assert_cmpint(info.st_size, ==, full);
	g_assert_cmpint(ftruncate(fd, 0), ==, 0);
	ph_log_fields(NULL, NULL, PH_LOG_INFO, "flood", "asked for", no_fields);
	g_assert_nonnull(strstr(read_back(fd), "asked for"));
	ph_clock_move(1000000);
	ph_log_fields(NULL, NULL, PH_LOG_WARNING, "flood", "s", no_fields);
	g_assert_nonnull(strstr(read_back(fd), "of=flood lines=7\n"));
	ph_clock_release();
	close(fd);
}

static void
test_journal(void)
{
	g_autofree char *folder = g_dir_make_tmp("posthorn-XXXXXX", NULL);
	g_autofree char *path = g_build_filename(folder, "socket", NULL);
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	char got[2048] = "";

	ph_log_set_journal_path(path);
	g_assert_false(ph_log_open(PH_LOG_TO_JOURNALD, PH_LOG_INFO));
	g_strlcpy(address.sun_path, path, sizeof address.sun_path);
	g_assert_cmpint(bind(fd, (struct sockaddr *) &address, sizeof address), ==, 0);
	g_assert_true(ph_log_open(PH_LOG_TO_JOURNALD, PH_LOG_INFO));
	ph_log(PH_LOG_INFO, "delivered", "stored", PH_LOG_TEXT("user-name", "a\nPRIORITY=0"),
	       PH_LOG_NUMBER("n", 3), PH_LOG_END);
	g_assert_cmpint(recv(fd, got, sizeof got - 1, MSG_DONTWAIT), >, 0);
	g_assert_cmpstr(got, ==,
	                "MESSAGE=delivered: stored user-name=\"a\\x0aPRIORITY=0\" n=3\nPRIORITY=6\n"
	                "SYSLOG_IDENTIFIER=posthorn\nEVENT=delivered\n"
	                "USER_NAME=a\\x0aPRIORITY=0\nN=3\n");
	ph_log_open(PH_LOG_TO_TEXT, PH_LOG_INFO);
	ph_log_set_journal_path(NULL);
	close(fd);
	unlink(path);
	rmdir(folder);
}

int
main(int argc, char **argv)
{
	int status = 0;

	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/base/log/text-escapes-and-ends-with-the-address", test_text);
	g_test_add_func("/base/log/json-escapes", test_json);
	g_test_add_func("/base/log/values-are-capped", test_cap);
	g_test_add_func("/base/log/levels-are-kept", test_levels);
	g_test_add_func("/base/log/sessions-are-described", test_session);
	g_test_add_func("/base/log/floods-are-cut", test_rate);
	g_test_add_func("/base/log/journald-is-spoken-to", test_journal);
	status = g_test_run();
	ph_log_set_fd(STDERR_FILENO);
	return status;
}
