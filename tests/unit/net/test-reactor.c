/* test-reactor.c: sessions over real sockets: the pool, limits, deadlines, drain, clients, races
 *
 * Nothing here waits for a time to pass and hopes: every wait ends when the thing has happened, and
 * gives up only after 20 s.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/client.h>
#include <posthorn/slice.h>

#include "base/lock.h"
#include "net/address-list.h"
#include "net/loopback.h"
#include "net/reactor.h"

#include <sys/resource.h>

enum {
	patience_us = PATIENCE_S * 1000 * 1000,
};

/* What the server's callbacks and the test share. */
typedef struct {
	PhLock lock;
	PhSignal signal;
	unsigned n_blocked; /* in "block" right now */
	unsigned most_blocked;
	bool released;
	unsigned n_open;
	unsigned n_closed;
	GPtrArray *wakes; /* of parked sessions */
	char peer[64];
} Shared;

typedef struct {
	Shared shared;
	PhReactor *reactor;
	PhListener *listener;
	PhAddressList *proxies;
	uint16_t port;
} Fixture;

static Shared *
shared_of(PhSession *session)
{
	return ph_session_instance(session);
}

static PhNext
opened(PhSession *session)
{
	Shared *shared = shared_of(session);

	ph_lock_take(&shared->lock);
	shared->n_open++;
	g_strlcpy(shared->peer, ph_session_peer(session), sizeof shared->peer);
	ph_signal_all(&shared->signal);
	ph_lock_drop(&shared->lock);
	ph_session_write_text(session, "hello\r\n");
	return PH_DONE;
}

/* As a slow directory would: in the bracket, until the test lets go. */
static void
block(Shared *shared)
{
	uint64_t until = (uint64_t) g_get_monotonic_time() + patience_us;

	ph_workers_enter_blocking();
	ph_lock_take(&shared->lock);
	shared->n_blocked++;
	shared->most_blocked = MAX(shared->most_blocked, shared->n_blocked);
	ph_signal_all(&shared->signal);
	while (!shared->released && ph_signal_wait_until(&shared->signal, &shared->lock, until))
		continue;
	shared->n_blocked--;
	ph_lock_drop(&shared->lock);
	ph_workers_leave_blocking();
}

static PhNext
line(PhSession *session, PhSlice text, uint32_t flaws)
{
	Shared *shared = shared_of(session);

	if (ph_slice_is(text, "block"))
		block(shared);
	if (ph_slice_is(text, "directory"))
		ph_session_printf(session, "%u\r\n", ph_workers_gate());
	if (ph_slice_is(text, "quit")) {
		ph_session_write_text(session, "bye\r\n");
		return PH_CLOSE;
	}
	if (ph_slice_is(text, "soon"))
		ph_session_set_deadline(session, (PhDuration){ 1000 });
	if (ph_slice_is(text, "data")) {
		ph_session_read_data(session);
		return PH_DONE;
	}
	ph_session_printf(session, "ok %.*s\r\n", (int) text.length, text.data);
	if (ph_slice_is(text, "delay")) {
		ph_session_delay(session, (PhDuration){ 1000 });
		return PH_WAIT;
	}
	if (ph_slice_is(text, "park")) {
		ph_lock_take(&shared->lock);
		g_ptr_array_add(shared->wakes, ph_session_park(session));
		ph_signal_all(&shared->signal);
		ph_lock_drop(&shared->lock);
		return PH_WAIT;
	}
	return PH_DONE;
}

static PhNext
octets(PhSession *session, PhSlice piece, bool final)
{
	size_t sum = (size_t) ph_session_data(session) + piece.length;

	ph_session_set_data(session, (void *) (final ? 0 : sum));
	if (final)
		ph_session_printf(session, "got %zu\r\n", sum);
	return PH_DONE;
}

static PhNext
resumed(PhSession *session)
{
	ph_session_write_text(session, "resumed\r\n");
	return PH_DONE;
}

static PhNext
timeout(PhSession *session)
{
	ph_session_write_text(session, "too late\r\n");
	return PH_CLOSE;
}

static PhNext
drain(PhSession *session)
{
	ph_session_write_text(session, "going down\r\n");
	return PH_CLOSE;
}

static void
closed(PhSession *session)
{
	Shared *shared = shared_of(session);

	ph_lock_take(&shared->lock);
	shared->n_closed++;
	ph_signal_all(&shared->signal);
	ph_lock_drop(&shared->lock);
}

static const PhProtocol protocol = {
	.size = sizeof protocol,
	.needs = PH_SPEAKS_FIRST,
	.opened = opened,
	.line = line,
	.octets = octets,
	.resumed = resumed,
	.timeout = timeout,
	.drain = drain,
	.refused = "too many\r\n",
	.closed = closed,
};

static void
wait_until(Shared *shared, const unsigned *number, unsigned value)
{
	uint64_t until = (uint64_t) g_get_monotonic_time() + patience_us;

	ph_lock_take(&shared->lock);
	while (*number < value && ph_signal_wait_until(&shared->signal, &shared->lock, until))
		continue;
	g_assert_cmpuint(*number, >=, value);
	ph_lock_drop(&shared->lock);
}

static void
release_blocked(Shared *shared)
{
	ph_lock_take(&shared->lock);
	shared->released = true;
	ph_signal_all(&shared->signal);
	ph_lock_drop(&shared->lock);
}

/* --- set up --- */

static PhListenerParams
params_of(Fixture *fixture)
{
	return (PhListenerParams){ .protocol = &protocol,
		                   .instance = &fixture->shared,
		                   .hostname = "test",
		                   .max_sessions_per_address = 40,
		                   .proxy_networks = fixture->proxies };
}

static void
start(Fixture *fixture, PhReactorParams *reactor_params)
{
	g_autoptr(GError) error = NULL;
	PhListenerParams params = params_of(fixture);
	int fd = listen_somewhere(&fixture->port);

	ph_lock_init(&fixture->shared.lock);
	ph_signal_init(&fixture->shared.signal);
	fixture->shared.wakes = g_ptr_array_new();
	fixture->reactor = ph_reactor_new(reactor_params, &error);
	g_assert_no_error(error);
	fixture->listener = ph_reactor_add_listener(fixture->reactor, fd, &params, &error);
	g_assert_true(ph_reactor_start(fixture->reactor, &error));
}

static void
set_up(Fixture *fixture, gconstpointer data)
{
	PhReactorParams params = { .processors = 2, .max_workers = GPOINTER_TO_UINT(data) };

	start(fixture, &params);
}

static void
set_up_proxy(Fixture *fixture, gconstpointer data)
{
	static const char *const networks[] = { "127.0.0.0/8", NULL };

	fixture->proxies = ph_address_list_new(networks, NULL);
	set_up(fixture, data);
}

static void
tear_down(Fixture *fixture, gconstpointer data)
{
	release_blocked(&fixture->shared);
	for (guint i = 0; i < fixture->shared.wakes->len; i++)
		ph_wake_complete(g_ptr_array_index(fixture->shared.wakes, i));
	g_assert_true(ph_reactor_stop(fixture->reactor, (PhDuration){ patience_us }));
	g_assert_cmpuint(ph_reactor_sessions(fixture->reactor), ==, 0);
	ph_reactor_free(fixture->reactor);
	g_assert_cmpuint(fixture->shared.n_open, ==, fixture->shared.n_closed);
	g_ptr_array_unref(fixture->shared.wakes);
	ph_address_list_free(fixture->proxies);
}

/* --- the promises --- */

static void
test_dialogue(Fixture *fixture, gconstpointer data)
{
	int fd = connect_to(fixture->port);

	hear(fd, "hello\r\n");
	say(fd, "a\r\nb\r\n");
	hear(fd, "ok a\r\nok b\r\n");
	say(fd, "data\r\nx\r\n..\r\n.\r\nquit\r\n");
	hear(fd, "got 6\r\nbye\r\n");
	hear_end(fd);
}

static void
test_half_close(Fixture *fixture, gconstpointer data)
{
	int fd = connect_to(fixture->port);

	hear(fd, "hello\r\n");
	say(fd, "park\r\nlast\r\n");
	shutdown(fd, SHUT_WR);
	hear(fd, "ok park\r\n");
	wait_until(&fixture->shared, &fixture->shared.wakes->len, 1);
	ph_wake_complete(g_ptr_array_steal_index(fixture->shared.wakes, 0));
	hear(fd, "resumed\r\nok last\r\n");
	hear_end(fd);
}

static void
test_deadline(Fixture *fixture, gconstpointer data)
{
	int fd = connect_to(fixture->port);

	hear(fd, "hello\r\n");
	say(fd, "delay\r\nsoon\r\n");
	hear(fd, "ok delay\r\nresumed\r\nok soon\r\ntoo late\r\n");
	hear_end(fd);
}

static void
test_growth(Fixture *fixture, gconstpointer data)
{
	int fds[20];

	for (size_t i = 0; i < G_N_ELEMENTS(fds); i++) {
		fds[i] = connect_to(fixture->port);
		hear(fds[i], "hello\r\n");
		say(fds[i], "block\r\n");
	}
	wait_until(&fixture->shared, &fixture->shared.most_blocked, G_N_ELEMENTS(fds));
	g_assert_cmpuint(ph_workers_count(ph_reactor_workers(fixture->reactor)), <=, 30);
	release_blocked(&fixture->shared);
	for (size_t i = 0; i < G_N_ELEMENTS(fds); i++) {
		hear(fds[i], "ok block\r\n");
		close(fds[i]);
	}
}

/* However many want into a directory that hangs, a quarter of the pool goes on. */
static void
test_kept_back(Fixture *fixture, gconstpointer data)
{
	int fd = connect_to(fixture->port);

	hear(fd, "hello\r\n");
	say(fd, "directory\r\n");
	hear(fd, "6\r\nok directory\r\n");
	g_assert_cmpuint(ph_workers_gate(), ==, 0);
	close(fd);
}

/* One thread is enough for everything that does not itself block. */
static void
test_one_worker(Fixture *fixture, gconstpointer data)
{
	int fds[30];

	for (size_t i = 0; i < G_N_ELEMENTS(fds); i++) {
		fds[i] = connect_to(fixture->port);
		hear(fds[i], "hello\r\n");
		say(fds[i], i % 2 == 0 ? "park\r\n" : "delay\r\na\r\n");
	}
	wait_until(&fixture->shared, &fixture->shared.wakes->len, G_N_ELEMENTS(fds) / 2);
	g_assert_cmpuint(ph_workers_count(ph_reactor_workers(fixture->reactor)), ==, 1);
	while (fixture->shared.wakes->len > 0)
		ph_wake_complete(g_ptr_array_steal_index_fast(fixture->shared.wakes, 0));
	for (size_t i = 0; i < G_N_ELEMENTS(fds); i++) {
		hear(fds[i],
		     i % 2 == 0 ? "ok park\r\nresumed\r\n" : "ok delay\r\nresumed\r\nok a\r\n");
		say(fds[i], "quit\r\n");
		hear(fds[i], "bye\r\n");
		hear_end(fds[i]);
	}
}

static void
test_address_limit(Fixture *fixture, gconstpointer data)
{
	int fds[40];
	int extra = -1;

	for (size_t i = 0; i < G_N_ELEMENTS(fds); i++) {
		fds[i] = connect_to(fixture->port);
		hear(fds[i], "hello\r\n");
	}
	extra = connect_to(fixture->port);
	hear(extra, "too many\r\n");
	hear_end(extra);
	say(fds[0], "quit\r\n");
	hear(fds[0], "bye\r\n");
	hear_end(fds[0]);
	wait_until(&fixture->shared, &fixture->shared.n_closed, 1);
	/* The count is given back after `closed`. */
	while (ph_reactor_sessions(fixture->reactor) == G_N_ELEMENTS(fds))
		g_thread_yield();
	fds[0] = connect_to(fixture->port);
	hear(fds[0], "hello\r\n");
	for (size_t i = 0; i < G_N_ELEMENTS(fds); i++)
		close(fds[i]);
}

static void
test_proxy(Fixture *fixture, gconstpointer data)
{
	int fd = connect_to(fixture->port);
	int wrong = connect_to(fixture->port);

	say(fd, "PROXY TCP4 203.0.113.7 19");
	say(fd, "2.0.2.1 4000 25\r\n");
	hear(fd, "hello\r\n");
	g_assert_cmpstr(fixture->shared.peer, ==, "203.0.113.7");
	say(fd, "quit\r\n");
	hear(fd, "bye\r\n");
	hear_end(fd);
	say(wrong, "EHLO nobody\r\n");
	shutdown(wrong, SHUT_WR);
	recv(wrong, (char[1]){ 0 }, 1, 0);
	close(wrong);
	g_assert_cmpuint(fixture->shared.n_open, ==, 1);
}

static void
note_done(gpointer data)
{
	Shared *shared = data;

	ph_lock_take(&shared->lock);
	shared->n_blocked = 1000;
	ph_signal_all(&shared->signal);
	ph_lock_drop(&shared->lock);
}

static void
test_drain(Fixture *fixture, gconstpointer data)
{
	Shared *shared = &fixture->shared;
	int idle = connect_to(fixture->port);
	int parked = connect_to(fixture->port);
	int stuck = connect_to(fixture->port);
	int late = -1;

	hear(idle, "hello\r\n");
	hear(parked, "hello\r\n");
	hear(stuck, "hello\r\n");
	say(parked, "park\r\n");
	hear(parked, "ok park\r\n");
	wait_until(shared, &shared->wakes->len, 1);
	say(stuck, "park\r\n");
	hear(stuck, "ok park\r\n");
	wait_until(shared, &shared->wakes->len, 2);
	ph_reactor_drain(fixture->reactor, (PhDuration){ 1000 * 1000 },
	                 ph_wake_new_func(note_done, shared));
	hear(idle, "going down\r\n");
	hear_end(idle);
	ph_wake_complete(g_ptr_array_steal_index(shared->wakes, 0));
	hear(parked, "resumed\r\ngoing down\r\n");
	hear_end(parked);
	/* The last one is aborted at the deadline. */
	g_assert_cmpint(recv(stuck, (char[1]){ 0 }, 1, 0), <=, 0);
	close(stuck);
	wait_until(shared, &shared->n_blocked, 1000);
	late = connect_to(fixture->port);
	close(late);
}

static void
test_generations(Fixture *fixture, gconstpointer data)
{
	PhListenerParams params = params_of(fixture);
	int old = connect_to(fixture->port);
	int young = -1;

	hear(old, "hello\r\n");
	ph_listener_replace(fixture->listener, &params);
	young = connect_to(fixture->port);
	hear(young, "hello\r\n");
	ph_listener_drain_old(fixture->listener, (PhDuration){ patience_us });
	hear(old, "going down\r\n");
	hear_end(old);
	say(young, "a\r\n");
	hear(young, "ok a\r\n");
	close(young);
}

/* Wakes from other threads race with the return of the callback, with the peer's going away, and
 * with each other. */
static gpointer
wake_all(gpointer data)
{
	Shared *shared = data;
	unsigned n = 0;

	while (n < 400) {
		PhWake *wake = NULL;

		ph_lock_take(&shared->lock);
		while (shared->wakes->len == 0)
			ph_signal_wait(&shared->signal, &shared->lock);
		wake = g_ptr_array_steal_index_fast(shared->wakes, 0);
		ph_lock_drop(&shared->lock);
		ph_wake_complete(wake);
		n++;
	}
	return NULL;
}

static void
test_races(Fixture *fixture, gconstpointer data)
{
	GThread *waker = g_thread_new("waker", wake_all, &fixture->shared);

	for (unsigned round = 0; round < 20; round++) {
		int fds[20];

		for (size_t i = 0; i < G_N_ELEMENTS(fds); i++) {
			fds[i] = connect_to(fixture->port);
			hear(fds[i], "hello\r\n");
			say(fds[i], "park\r\n");
		}
		for (size_t i = 0; i < G_N_ELEMENTS(fds); i++) {
			if (i % 3 != 0)
				hear(fds[i], "ok park\r\nresumed\r\n");
			close(fds[i]);
		}
		/* Also those that went away unheard must have been parked once. */
		wait_until(&fixture->shared, &fixture->shared.n_closed, (round + 1) * 20);
	}
	g_thread_join(waker);
}

/* Without descriptors somebody is refused, others go on, and it ends by itself. */
static void
test_no_descriptors(Fixture *fixture, gconstpointer data)
{
	struct rlimit before;
	struct rlimit few;
	int first = connect_to(fixture->port);
	int second = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	union {
		struct sockaddr any;
		struct sockaddr_in in;
	} address = { .in = { .sin_family = AF_INET,
		              .sin_port = htons(fixture->port),
		              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) } };

	hear(first, "hello\r\n");
	getrlimit(RLIMIT_NOFILE, &before);
	few = before;
	few.rlim_cur = (rlim_t) second + 1;
	while (setrlimit(RLIMIT_NOFILE, &few) == 0) {
		int hole = dup(0);

		if (hole < 0)
			break;
		close(hole);
		few.rlim_cur--;
	}
	g_assert_cmpint(connect(second, &address.any, sizeof address.in), ==, 0);
	hear(second, "too many\r\n");
	hear_end(second);
	say(first, "a\r\n");
	hear(first, "ok a\r\n");
	g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &before), ==, 0);
	second = connect_to(fixture->port);
	hear(second, "hello\r\n");
	close(first);
	close(second);
}

/* --- client sessions --- */

typedef struct {
	Shared *shared;
	char heard[64];
	char why[256];
	unsigned n_ended;
} Caller;

static PhNext
caller_connected(PhSession *session)
{
	return PH_DONE;
}

static PhNext
caller_line(PhSession *session, PhSlice text, uint32_t flaws)
{
	Caller *caller = ph_session_data(session);

	g_strlcat(caller->heard, text.length > 0 ? "+" : "-", sizeof caller->heard);
	if (ph_slice_is(text, "hello"))
		ph_session_write_text(session, "quit\r\n");
	return PH_DONE;
}

static void
caller_closed(PhSession *session, const GError *error)
{
	Caller *caller = ph_session_data(session);

	g_strlcpy(caller->why, error != NULL ? error->message : "", sizeof caller->why);
	ph_lock_take(&caller->shared->lock);
	caller->n_ended++;
	ph_signal_all(&caller->shared->signal);
	ph_lock_drop(&caller->shared->lock);
}

static const PhClientTable caller_table = {
	.size = sizeof caller_table,
	.connected = caller_connected,
	.line = caller_line,
	.closed = caller_closed,
};

static void
test_client(Fixture *fixture, gconstpointer data)
{
	Caller caller = { .shared = &fixture->shared };
	PhClientOptions options = { .size = sizeof options,
		                    .address = "127.0.0.1",
		                    .port = fixture->port };
	g_autoptr(GError) error = NULL;
	uint16_t dead_port = 0;

	g_assert_true(ph_client_open(NULL, &options, &caller_table, &caller, &error));
	wait_until(&fixture->shared, &caller.n_ended, 1);
	g_assert_cmpstr(caller.heard, ==, "++");
	g_assert_cmpstr(caller.why, ==, "connection to '127.0.0.1' was ended by the peer");
	close(listen_somewhere(&dead_port));
	options.port = dead_port;
	if (ph_client_open(NULL, &options, &caller_table, &caller, &error)) {
		wait_until(&fixture->shared, &caller.n_ended, 2);
		g_assert_nonnull(strstr(caller.why, "cannot connect to '127.0.0.1'"));
	} else {
		g_assert_nonnull(strstr(error->message, "cannot connect to '127.0.0.1'"));
		g_clear_error(&error);
	}
	options.address = "mail.example.org";
	g_assert_false(ph_client_open(NULL, &options, &caller_table, &caller, &error));
}

static void
test_job(Fixture *fixture, gconstpointer data)
{
	ph_workers_submit(fixture->reactor, note_done, &fixture->shared);
	wait_until(&fixture->shared, &fixture->shared.n_blocked, 1000);
}

#define ADD(name, workers, func)                                                           \
	g_test_add("/net/reactor/" name, Fixture, GUINT_TO_POINTER(workers), set_up, func, \
	           tear_down)

int
main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("a-dialogue-over-a-socket", 0, test_dialogue);
	ADD("a-dialogue-with-one-worker", 1, test_dialogue);
	ADD("a-half-closed-peer-gets-its-answers", 0, test_half_close);
	ADD("deadlines-and-delays-come", 0, test_deadline);
	ADD("the-pool-grows-when-blocked", 0, test_growth);
	ADD("a-quarter-of-the-pool-is-kept-back", 8, test_kept_back);
	ADD("one-worker-is-enough", 1, test_one_worker);
	ADD("an-address-has-a-limit", 0, test_address_limit);
	g_test_add("/net/reactor/a-proxy-names-the-client", Fixture, NULL, set_up_proxy, test_proxy,
	           tear_down);
	ADD("a-drain-ends-by-its-deadline", 0, test_drain);
	ADD("old-generations-drain-alone", 0, test_generations);
	ADD("wakes-race-with-everything", 0, test_races);
	ADD("no-descriptors-refuse-and-recover", 0, test_no_descriptors);
	ADD("client-sessions-connect", 0, test_client);
	ADD("jobs-run", 1, test_job);
	return g_test_run();
}
