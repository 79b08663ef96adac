/* test-listener.c: whoever is refused is told of in the log, but not line by line
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "base/clock.h"
#include "base/lock.h"
#include "base/log.h"
#include "net/loopback.h"
#include "net/reactor.h"

/* Lines: those of the log, and how many refused ones they stand for. */
typedef struct {
	PhLock lock;
	unsigned n;
	unsigned n_refused;
	char address[64];
} Lines;

static PhNext
opened(PhSession *session)
{
	ph_session_write_text(session, "hello\r\n");
	return PH_DONE;
}

static PhNext
line(PhSession *session, PhSlice text, uint32_t flaws)
{
	return PH_CLOSE;
}

static PhNext
end(PhSession *session)
{
	return PH_CLOSE;
}

static void
closed(PhSession *session)
{
}

static const PhProtocol protocol = {
	.size = sizeof protocol,
	.needs = PH_SPEAKS_FIRST,
	.opened = opened,
	.line = line,
	.timeout = end,
	.drain = end,
	.refused = "too many\r\n",
	.closed = closed,
};

static bool
catch_refusal(PhSection *section, const PhLogEvent *event, void *user_data)
{
	Lines *lines = user_data;

	if (strcmp(event->event, "connection-refused") != 0)
		return false;
	ph_lock_take(&lines->lock);
	lines->n++;
	for (const PhLogField *field = event->fields; field->name != NULL; field++) {
		if (strcmp(field->name, "refused") == 0)
			lines->n_refused += (unsigned) field->number;
		else
			g_strlcpy(lines->address, field->text, sizeof lines->address);
	}
	ph_lock_drop(&lines->lock);
	return true;
}

static void
be_refused(uint16_t port, unsigned times)
{
	for (unsigned i = 0; i < times; i++) {
		int fd = connect_to(port);

		hear(fd, "too many\r\n");
		close(fd);
	}
}

static void
assert_lines(Lines *lines, unsigned n, unsigned n_refused)
{
	ph_lock_take(&lines->lock);
	g_assert_cmpuint(lines->n, ==, n);
	g_assert_cmpuint(lines->n_refused, ==, n_refused);
	ph_lock_drop(&lines->lock);
}

static void
test_refusals(void)
{
	const PhListenerParams params = { .protocol = &protocol,
		                          .hostname = "test",
		                          .max_sessions_per_address = 1 };
	const PhReactorParams reactor_params = { .processors = 2 };
	g_autoptr(GError) error = NULL;
	PhReactor *reactor = ph_reactor_new(&reactor_params, &error);
	Lines lines = { .n = 0 };
	uint16_t port = 0;
	int fd = listen_somewhere(&port);

	ph_lock_init(&lines.lock);
	ph_log_set_catcher(catch_refusal, &lines);
	g_assert_nonnull(ph_reactor_add_listener(reactor, fd, &params, &error));
	g_assert_true(ph_reactor_start(reactor, &error));
	fd = connect_to(port);
	hear(fd, "hello\r\n");
	ph_clock_hold(ph_clock_us(), ph_clock_wall_us());
	be_refused(port, 20);
	assert_lines(&lines, 1, 1);
	ph_clock_move(1000 * 1000);
	be_refused(port, 5);
	assert_lines(&lines, 2, 21); /* the first of the five tells of those before it, too */
	g_assert_cmpstr(lines.address, ==, "127.0.0.1");
	ph_clock_release();
	close(fd);
	g_assert_true(ph_reactor_stop(reactor, (PhDuration){ PATIENCE_S * 1000 * 1000 }));
	ph_reactor_free(reactor);
	ph_log_set_catcher(NULL, NULL);
	ph_lock_clear(&lines.lock);
}

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/net/listener/refusals-are-a-line-a-second", test_refusals);
	return g_test_run();
}
