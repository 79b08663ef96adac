/* test-hold.c: output that shows a change is sent when the change is durable, or never
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>
#include <posthorn/testing.h>

#include "base/horizon.h"

static PhNext
opened(PhSession *session)
{
	ph_session_write_text(session, "hello\r\n");
	return PH_DONE;
}

/* "show N" answers with what another session wrote at position N. */
static PhNext
line(PhSession *session, PhSlice text, uint32_t flaws)
{
	if (ph_slice_starts_nocase(text, "show "))
		ph_horizon_show(g_ascii_strtoull(text.data + 5, NULL, 10));
	ph_session_printf(session, "%.*s\r\n", (int) text.length, text.data);
	return ph_slice_is(text, "quit") ? PH_CLOSE : PH_DONE;
}

static void
closed(PhSession *session)
{
}

static const PhProtocol protocol = {
	.size = sizeof protocol,
	.opened = opened,
	.line = line,
	.closed = closed,
};

static PhTestSession *
connect_client(void)
{
	PhTestOptions options = { .size = sizeof options, .protocol = &protocol };
	PhTestSession *client = ph_test_session_new(&options);

	ph_test_session_drop_output(client, ph_test_session_output(client).length);
	return client;
}

static void
say(PhTestSession *client, const char *text)
{
	ph_test_session_send(client, ph_slice(text));
	ph_test_session_run_ready(client);
}

static void
check_output(PhTestSession *client, const char *expected)
{
	PhSlice output = ph_test_session_output(client);
	g_autofree char *text = ph_slice_dup(output);

	g_assert_cmpstr(text, ==, expected);
	ph_test_session_drop_output(client, output.length);
}

static void
test_waits(void)
{
	g_autoptr(PhTestSession) client = NULL;

	ph_horizon_begin(1000);
	client = connect_client();
	say(client, "show 1000\r\n");
	check_output(client, "show 1000\r\n");
	say(client, "show 1001\r\n");
	check_output(client, "");
	/* what comes behind it waits too, and nothing overtakes */
	say(client, "noop\r\nshow 1500\r\n");
	check_output(client, "");
	ph_horizon_advance(1001);
	ph_test_session_run_ready(client);
	check_output(client, "");
	ph_horizon_advance(1500);
	ph_test_session_run_ready(client);
	check_output(client, "show 1001\r\nnoop\r\nshow 1500\r\n");
	say(client, "noop\r\n");
	check_output(client, "noop\r\n");
}

static void
test_close_waits(void)
{
	g_autoptr(PhTestSession) client = NULL;

	ph_horizon_begin(1000);
	client = connect_client();
	say(client, "show 1001\r\nquit\r\n");
	check_output(client, "");
	g_assert_false(ph_test_session_is_closed(client));
	ph_horizon_advance(1001);
	ph_test_session_run_ready(client);
	check_output(client, "show 1001\r\nquit\r\n");
	g_assert_true(ph_test_session_is_closed(client));
}

static void
test_lost(void)
{
	g_autoptr(PhTestSession) client = NULL;
	g_autoptr(PhTestSession) other = NULL;

	ph_horizon_begin(1000);
	client = connect_client();
	other = connect_client();
	say(client, "show 1001\r\n");
	ph_horizon_fail();
	ph_test_session_run_ready(client);
	check_output(client, "");
	g_assert_true(ph_test_session_is_closed(client));
	/* who shows only what is durable goes on */
	say(other, "show 1000\r\n");
	check_output(other, "show 1000\r\n");
	say(other, "show 1002\r\n");
	check_output(other, "");
	g_assert_true(ph_test_session_is_closed(other));
	ph_horizon_begin(0);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/net/hold/output-waits-for-the-horizon", test_waits);
	g_test_add_func("/net/hold/closing-waits-too", test_close_waits);
	g_test_add_func("/net/hold/lost-output-cuts-the-connection", test_lost);
	return g_test_run();
}
