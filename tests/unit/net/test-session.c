/* test-session.c: a session's turn, through the harness: order of calls, parking, output, the end
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/slice.h>
#include <posthorn/testing.h>

#include "net/testing.h"

#include <string.h>

/* A protocol whose commands make each thing happen. */
typedef struct {
	PhWake *wake;
	unsigned steps_left;
	unsigned n_closed;
	unsigned n_notified;
	GString *calls;
	bool resumed_with_close;
	PhContent *content;
} Toy;

static PhNext
toy_opened(PhSession *session)
{
	Toy *toy = ph_session_instance(session);

	ph_session_set_data(session, toy);
	ph_session_printf(session, "hello %s\r\n", ph_session_peer(session));
	ph_session_set_deadline(session, (PhDuration){ 60ULL * 1000 * 1000 });
	return PH_DONE;
}

static PhNext
start_work(PhSession *session, Toy *toy, PhSlice text)
{
	if (ph_slice_starts_nocase(text, "park")) {
		toy->wake = ph_session_park(session);
		return PH_WAIT;
	}
	if (ph_slice_starts_nocase(text, "early")) {
		ph_wake_complete(ph_session_park(session));
		return PH_WAIT;
	}
	if (ph_slice_starts_nocase(text, "delay")) {
		ph_session_delay(session, (PhDuration){ 2000 * 1000 });
		return PH_WAIT;
	}
	if (ph_slice_starts_nocase(text, "steps")) {
		toy->steps_left = 3;
		return PH_MORE;
	}
	if (ph_slice_starts_nocase(text, "flood")) {
		toy->steps_left = 1000;
		return PH_MORE;
	}
	return PH_DONE;
}

static PhNext
toy_line(PhSession *session, PhSlice text, uint32_t flaws)
{
	Toy *toy = ph_session_data(session);

	g_string_append_printf(toy->calls, "line(%.*s) ", (int) text.length, text.data);
	if (flaws != 0)
		ph_session_printf(session, "flaws %u\r\n", flaws);
	if (ph_slice_is(text, "quit")) {
		ph_session_write_text(session, "bye\r\n");
		return PH_CLOSE;
	}
	if (ph_slice_is(text, "abort")) {
		ph_session_write_text(session, "never seen\r\n");
		return PH_ABORT;
	}
	if (ph_slice_is(text, "data"))
		ph_session_read_data(session);
	else if (ph_slice_is(text, "five"))
		ph_session_read_octets(session, 5, true);
	else if (ph_slice_is(text, "tls"))
		ph_session_start_tls(session);
	else if (ph_slice_is(text, "content"))
		ph_session_write_content(session, toy->content, 0, UINT64_MAX);
	ph_session_printf(session, "ok %.*s\r\n", (int) text.length, text.data);
	return start_work(session, toy, text);
}

static PhNext
toy_octets(PhSession *session, PhSlice piece, bool final)
{
	ph_session_printf(session, "%zu%s%u\r\n", piece.length, final ? " final " : " ",
	                  ph_session_data_flaws(session));
	return PH_DONE;
}

static PhNext
toy_step(PhSession *session)
{
	static char filler[16 * 1024];
	Toy *toy = ph_session_data(session);

	if (toy->steps_left >= 100) {
		memset(filler, 'f', sizeof filler);
		while (toy->steps_left > 100 && !ph_session_output_full(session)) {
			ph_session_write(session, PH_SLICE(filler, sizeof filler));
			toy->steps_left--;
		}
		if (toy->steps_left > 100)
			return PH_MORE;
		toy->steps_left = 1;
	}
	ph_session_printf(session, "step %u\r\n", toy->steps_left);
	return --toy->steps_left > 0 ? PH_MORE : PH_DONE;
}

static PhNext
toy_resumed(PhSession *session)
{
	Toy *toy = ph_session_data(session);

	ph_session_write_text(session, "resumed\r\n");
	return toy->resumed_with_close ? PH_CLOSE : PH_DONE;
}

static PhNext
toy_notified(PhSession *session)
{
	Toy *toy = ph_session_data(session);

	toy->n_notified++;
	ph_session_write_text(session, "notified\r\n");
	return PH_DONE;
}

static PhNext
toy_tls_started(PhSession *session)
{
	ph_session_printf(session, "tls %s\r\n", ph_session_tls_description(session));
	return PH_DONE;
}

static PhNext
toy_timeout(PhSession *session)
{
	ph_session_write_text(session, "too late\r\n");
	return PH_CLOSE;
}

static PhNext
toy_drain(PhSession *session)
{
	ph_session_write_text(session, "going down\r\n");
	return PH_CLOSE;
}

static void
toy_closed(PhSession *session)
{
	Toy *toy = ph_session_data(session);

	toy->n_closed++;
}

static const PhProtocol protocol = {
	.size = sizeof protocol,
	.opened = toy_opened,
	.line = toy_line,
	.octets = toy_octets,
	.step = toy_step,
	.resumed = toy_resumed,
	.notified = toy_notified,
	.tls_started = toy_tls_started,
	.timeout = toy_timeout,
	.drain = toy_drain,
	.closed = toy_closed,
};

typedef struct {
	Toy toy;
	PhTestSession *session;
} Fixture;

static void
set_up(Fixture *fixture, gconstpointer data)
{
	PhTestOptions options = { .size = sizeof options,
		                  .protocol = &protocol,
		                  .instance = &fixture->toy,
		                  .offer_tls = true };

	fixture->toy.calls = g_string_new(NULL);
	fixture->session = ph_test_session_new(&options);
	g_assert_true(ph_slice_is(ph_test_session_output(fixture->session), "hello 192.0.2.1\r\n"));
	ph_test_session_drop_output(fixture->session, SIZE_MAX);
}

static void
tear_down(Fixture *fixture, gconstpointer data)
{
	ph_test_session_free(fixture->session);
	g_assert_cmpuint(fixture->toy.n_closed, ==, 1);
	g_string_free(fixture->toy.calls, TRUE);
	ph_content_unref(fixture->toy.content);
}

static void
send_text(Fixture *fixture, const char *text)
{
	ph_test_session_send(fixture->session, ph_slice(text));
	ph_test_session_run_ready(fixture->session);
}

static void
assert_output(Fixture *fixture, const char *expected)
{
	g_autofree char *output = ph_slice_dup(ph_test_session_output(fixture->session));

	g_assert_cmpstr(output, ==, expected);
	ph_test_session_drop_output(fixture->session, SIZE_MAX);
}

static void
test_lines(Fixture *fixture, gconstpointer data)
{
	send_text(fixture, "a\r\nb");
	assert_output(fixture, "ok a\r\n");
	send_text(fixture, "\r\nc\r\n");
	assert_output(fixture, "ok b\r\nok c\r\n");
}

static void
test_bodies(Fixture *fixture, gconstpointer data)
{
	send_text(fixture, "data\r\nx\r\n.\r\nfive\r\n123");
	assert_output(fixture, "ok data\r\n3 0\r\n0 final 0\r\nok five\r\n");
	send_text(fixture, "45a\r\n");
	assert_output(fixture, "5 final 0\r\nok a\r\n");
}

static void
test_park(Fixture *fixture, gconstpointer data)
{
	send_text(fixture, "park\r\nnext\r\n");
	assert_output(fixture, "ok park\r\n");
	g_assert_true(ph_test_session_is_parked(fixture->session));
	g_assert_cmpstr(fixture->toy.calls->str, ==, "line(park) ");
	ph_wake_complete(fixture->toy.wake);
	ph_test_session_run_ready(fixture->session);
	assert_output(fixture, "resumed\r\nok next\r\n");
}

static void
test_wake_before_return(Fixture *fixture, gconstpointer data)
{
	send_text(fixture, "early\r\n");
	assert_output(fixture, "ok early\r\nresumed\r\n");
}

static gpointer
complete_later(gpointer wake)
{
	ph_wake_complete(wake);
	return NULL;
}

static void
test_wake_from_thread(Fixture *fixture, gconstpointer data)
{
	GThread *thread = NULL;

	send_text(fixture, "park\r\n");
	thread = g_thread_new("completer", complete_later, fixture->toy.wake);
	g_assert_true(ph_test_session_run(fixture->session));
	g_thread_join(thread);
	assert_output(fixture, "ok park\r\nresumed\r\n");
}

static void
test_wake_after_close(Fixture *fixture, gconstpointer data)
{
	PhWake *stale = NULL;

	send_text(fixture, "park\r\n");
	stale = fixture->toy.wake;
	ph_test_session_elapse(fixture->session, (PhDuration){ 61ULL * 1000 * 1000 });
	assert_output(fixture, "ok park\r\ntoo late\r\n");
	g_assert_true(ph_test_session_is_closed(fixture->session));
	ph_wake_complete(stale);
	ph_test_session_run_ready(fixture->session);
	assert_output(fixture, "");
}

static void
test_delay(Fixture *fixture, gconstpointer data)
{
	send_text(fixture, "delay\r\n");
	assert_output(fixture, "ok delay\r\nresumed\r\n");
}

static void
test_steps(Fixture *fixture, gconstpointer data)
{
	send_text(fixture, "steps\r\na\r\n");
	assert_output(fixture, "ok steps\r\nstep 3\r\nstep 2\r\nstep 1\r\nok a\r\n");
}

/* A peer that does not read stops the steps at the high water. */
static void
test_back_pressure(Fixture *fixture, gconstpointer data)
{
	unsigned left = 0;
	size_t total = 0;

	ph_test_session_limit_output(fixture->session, 0);
	send_text(fixture, "flood\r\n");
	left = fixture->toy.steps_left;
	g_assert_cmpuint(left, >, 1000 - 20);
	g_assert_cmpuint(ph_test_session_output(fixture->session).length, ==, 0);
	while (fixture->toy.steps_left > 0) {
		size_t got = 0;

		ph_test_session_limit_output(fixture->session, 50 * 1000);
		ph_test_session_run_ready(fixture->session);
		got = ph_test_session_output(fixture->session).length;
		g_assert_cmpuint(got, <=, 50 * 1000);
		g_assert_cmpuint(got, >, 0);
		total += got;
		ph_test_session_drop_output(fixture->session, SIZE_MAX);
	}
	ph_test_session_limit_output(fixture->session, SIZE_MAX);
	ph_test_session_run_ready(fixture->session);
	total += ph_test_session_output(fixture->session).length;
	g_assert_cmpuint(total, ==, 900 * 16 * 1024 + strlen("ok flood\r\nstep 1\r\n"));
	ph_test_session_drop_output(fixture->session, SIZE_MAX);
	send_text(fixture, "a\r\n");
	assert_output(fixture, "ok a\r\n");
}

/* The socket takes nothing when the output is full, and everything a moment later in the same turn:
 * nothing else will wake the session for the rest of its work. */
static void
test_late_room(Fixture *fixture, gconstpointer data)
{
	ph_test_session_refuse_writes(fixture->session, 1);
	send_text(fixture, "flood\r\n");
	g_assert_cmpuint(ph_test_session_output(fixture->session).length, ==,
	                 900 * 16 * 1024 + strlen("ok flood\r\nstep 1\r\n"));
	ph_test_session_drop_output(fixture->session, SIZE_MAX);
	ph_test_session_refuse_writes(fixture->session, 1);
	send_text(fixture, "quit\r\n");
	assert_output(fixture, "bye\r\n");
	g_assert_true(ph_test_session_is_closed(fixture->session));
}

static void
test_stalled_reader(Fixture *fixture, gconstpointer data)
{
	ph_test_session_limit_output(fixture->session, 0);
	send_text(fixture, "flood\r\n");
	g_assert_false(ph_test_session_is_closed(fixture->session));
	ph_test_session_elapse(fixture->session, (PhDuration){ 301ULL * 1000 * 1000 });
	g_assert_true(ph_test_session_is_closed(fixture->session));
}

static void
test_close_drops_rest(Fixture *fixture, gconstpointer data)
{
	send_text(fixture, "a\r\nquit\r\nb\r\n");
	assert_output(fixture, "ok a\r\nbye\r\n");
	g_assert_true(ph_test_session_is_closed(fixture->session));
	g_assert_cmpstr(fixture->toy.calls->str, ==, "line(a) line(quit) ");
}

static void
test_abort(Fixture *fixture, gconstpointer data)
{
	send_text(fixture, "abort\r\n");
	assert_output(fixture, "");
	g_assert_true(ph_test_session_is_closed(fixture->session));
}

static void
test_half_close(Fixture *fixture, gconstpointer data)
{
	ph_test_session_send(fixture->session, ph_slice("park\r\nsteps\r\nincomplete"));
	ph_test_session_end(fixture->session);
	ph_test_session_run_ready(fixture->session);
	assert_output(fixture, "ok park\r\n");
	g_assert_false(ph_test_session_is_closed(fixture->session));
	ph_wake_complete(fixture->toy.wake);
	ph_test_session_run_ready(fixture->session);
	assert_output(fixture, "resumed\r\nok steps\r\nstep 3\r\nstep 2\r\nstep 1\r\n");
	g_assert_true(ph_test_session_is_closed(fixture->session));
}

static void
test_timeout(Fixture *fixture, gconstpointer data)
{
	ph_test_session_elapse(fixture->session, (PhDuration){ 59ULL * 1000 * 1000 });
	assert_output(fixture, "");
	ph_test_session_elapse(fixture->session, (PhDuration){ 2ULL * 1000 * 1000 });
	assert_output(fixture, "too late\r\n");
	g_assert_true(ph_test_session_is_closed(fixture->session));
}

/* Octets of a body give time back, so that only a peer below the least rate is too late. */
static void
test_least_rate(Fixture *fixture, gconstpointer data)
{
	char block[1024];

	memset(block, 'x', sizeof block - 1);
	block[sizeof block - 1] = '\0';
	send_text(fixture, "data\r\n");
	for (int i = 0; i < 100; i++) {
		ph_test_session_elapse(fixture->session, (PhDuration){ 2ULL * 1000 * 1000 });
		send_text(fixture, block);
		g_assert_false(ph_test_session_is_closed(fixture->session));
	}
	for (int i = 0; i < 61; i++) {
		ph_test_session_elapse(fixture->session, (PhDuration){ 1000 * 1000 });
		send_text(fixture, "x");
	}
	g_assert_true(ph_test_session_is_closed(fixture->session));
}

static void
test_notify(Fixture *fixture, gconstpointer data)
{
	PhSessionRef ref = ph_session_ref(ph_test_session_get(fixture->session));

	ph_session_notify(ref);
	ph_session_notify(ref);
	ph_test_session_run_ready(fixture->session);
	assert_output(fixture, "notified\r\n");
	send_text(fixture, "park\r\n");
	ph_session_notify(ref);
	ph_test_session_run_ready(fixture->session);
	assert_output(fixture, "ok park\r\n");
	ph_wake_complete(fixture->toy.wake);
	ph_test_session_run_ready(fixture->session);
	assert_output(fixture, "resumed\r\nnotified\r\n");
	send_text(fixture, "data\r\nx");
	ph_session_notify(ref);
	ph_test_session_run_ready(fixture->session);
	assert_output(fixture, "ok data\r\n1 0\r\n");
	send_text(fixture, "\r\n.\r\n");
	assert_output(fixture, "2 0\r\n0 final 0\r\nnotified\r\n");
	send_text(fixture, "quit\r\n");
	ph_session_notify(ref);
	g_assert_cmpuint(fixture->toy.n_notified, ==, 3);
}

static void
test_drain(Fixture *fixture, gconstpointer data)
{
	send_text(fixture, "park\r\n");
	ph_test_session_drain(fixture->session);
	assert_output(fixture, "ok park\r\n");
	ph_wake_complete(fixture->toy.wake);
	ph_test_session_run_ready(fixture->session);
	assert_output(fixture, "resumed\r\ngoing down\r\n");
	g_assert_true(ph_test_session_is_closed(fixture->session));
}

static void
test_tls(Fixture *fixture, gconstpointer data)
{
	g_assert_true(ph_session_tls_available(ph_test_session_get(fixture->session)));
	send_text(fixture, "tls\r\n");
	assert_output(fixture, "ok tls\r\ntls TLSv1.3 TLS_TEST\r\n");
	g_assert_false(ph_session_tls_available(ph_test_session_get(fixture->session)));
	send_text(fixture, "a\r\n");
	assert_output(fixture, "ok a\r\n");
}

/* The command injection of CVE-2011-0411: nothing said in the clear is heard in the dark. */
static void
test_tls_with_input(Fixture *fixture, gconstpointer data)
{
	send_text(fixture, "tls\r\ninjected\r\n");
	g_assert_true(ph_test_session_is_closed(fixture->session));
	g_assert_cmpstr(fixture->toy.calls->str, ==, "line(tls) ");
	g_assert_cmpuint(ph_test_session_output(fixture->session).length, ==, 0);
}

static void
test_content(Fixture *fixture, gconstpointer data)
{
	g_autofree char *text = g_malloc(300 * 1000 + 1);

	memset(text, 'c', 300 * 1000);
	text[300 * 1000] = '\0';
	fixture->toy.content = ph_content_new_copy(ph_slice(text));
	ph_test_session_limit_output(fixture->session, 100 * 1000);
	send_text(fixture, "content\r\na\r\n");
	ph_test_session_limit_output(fixture->session, SIZE_MAX);
	ph_test_session_run_ready(fixture->session);
	g_assert_cmpuint(ph_test_session_output(fixture->session).length, ==, 300 * 1000 + 18);
	ph_test_session_drop_output(fixture->session, 300 * 1000);
	assert_output(fixture, "ok content\r\nok a\r\n");
}

static ssize_t
fail_to_read(void *handle, uint64_t offset, char *buffer, size_t length, GError **error)
{
	g_set_error(error, g_quark_from_static_string("test"), 1, "no");
	return -1;
}

static void
free_nothing(void *handle)
{
}

/* A length was announced: nothing else may follow in its place. */
static void
test_content_fails(Fixture *fixture, gconstpointer data)
{
	static const PhContentTable table = { sizeof table, fail_to_read, free_nothing };

	fixture->toy.content = ph_content_new_custom(&table, NULL, 10000);
	send_text(fixture, "content\r\na\r\n");
	g_assert_true(ph_test_session_is_closed(fixture->session));
	assert_output(fixture, "");
}

static void
test_budget(Fixture *fixture, gconstpointer data)
{
	PhSession *session = ph_test_session_get(fixture->session);

	g_assert_true(ph_session_charge(session, 16 << 20));
	g_assert_false(ph_session_charge(session, 1));
	ph_session_refund(session, 5);
	g_assert_true(ph_session_charge(session, 5));
	g_assert_false(ph_session_charge(session, SIZE_MAX));
}

static PhTestSession *
connect_toy(const char *name, void *user_data, GError **error)
{
	PhTestOptions options = { .size = sizeof options,
		                  .protocol = &protocol,
		                  .instance = user_data,
		                  .offer_tls = true };

	return ph_test_session_new(&options);
}

static void
test_transcript(void)
{
	static const char good[] = "# a comment\nS: hello {peer}\nC: a\nS: ok a\n"
				   "C: steps\nS...\nS: step {n}\nS: step 2\nS: {}1\n"
				   "C: {=peer}\nS: ok {=peer}\nC= five\\r\\n12\\x33\n"
				   "S= ok five\\r\\n\nC- 45\nS: 5 final {}\n"
				   "@ other\nS: hello {}\nC: quit\nS: bye\nS!\n"
				   "@\nC: {5}\nS: ok {5}\nT: 2min\nS: too late\nS!\n";
	static const char bad[] = "S: hello {}\nC: a\nS: ok b\n";
	static const char loose[] = "S: hello {}\nC: a\nC: b\n";
	Toy toy = { .calls = g_string_new(NULL) };
	g_autoptr(GError) error = NULL;

	g_assert_true(ph_test_transcript_run("good", ph_slice(good), connect_toy, &toy, &error));
	g_assert_no_error(error);
	g_assert_false(ph_test_transcript_run("bad", ph_slice(bad), connect_toy, &toy, &error));
	g_assert_cmpstr(error->message, ==, "bad:3: another line: expected 'ok b', got 'ok a'");
	g_clear_error(&error);
	g_assert_false(ph_test_transcript_run("loose", ph_slice(loose), connect_toy, &toy, &error));
	g_assert_nonnull(strstr(error->message, "loose:3: output that nothing expects"));
	g_string_free(toy.calls, TRUE);
}

#define ADD(name, func) g_test_add("/net/session/" name, Fixture, NULL, set_up, func, tear_down)

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("lines-arrive-whole", test_lines);
	ADD("bodies-arrive-framed", test_bodies);
	ADD("a-parked-session-hears-nothing", test_park);
	ADD("a-wake-before-the-return-is-not-lost", test_wake_before_return);
	ADD("a-wake-comes-from-any-thread", test_wake_from_thread);
	ADD("a-wake-after-the-end-does-nothing", test_wake_after_close);
	ADD("a-delay-ends", test_delay);
	ADD("steps-come-before-the-next-line", test_steps);
	ADD("output-stops-at-the-high-water", test_back_pressure);
	ADD("goes-on-when-a-full-output-drains-late", test_late_room);
	ADD("a-peer-that-never-reads-is-given-up", test_stalled_reader);
	ADD("nothing-is-heard-after-the-close", test_close_drops_rest);
	ADD("an-abort-drops-output", test_abort);
	ADD("a-half-closed-peer-gets-its-answers", test_half_close);
	ADD("the-deadline-is-kept", test_timeout);
	ADD("a-body-has-a-least-rate", test_least_rate);
	ADD("notices-wait-for-a-boundary", test_notify);
	ADD("a-drain-waits-for-a-boundary", test_drain);
	ADD("tls-starts-afresh", test_tls);
	ADD("input-behind-starttls-closes", test_tls_with_input);
	ADD("contents-arrive-whole", test_content);
	ADD("a-content-that-fails-closes", test_content_fails);
	ADD("memory-has-a-budget", test_budget);
	g_test_add_func("/net/session/a-transcript-is-followed", test_transcript);
	return g_test_run();
}
