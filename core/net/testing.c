/* testing.c: sessions without sockets, for tests and fuzzers
 *
 * The home of a test session is its own queue. Whoever completes a wake puts the session there;
 * only the test's thread runs it. The client's side is a memory stream that outlives STARTTLS.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "net/testing.h"

#include <posthorn/slice.h>

#include "base/lock.h"
#include "base/log.h"
#include "net/session.h"

#include <arpa/inet.h>
#include <sys/epoll.h>

enum {
	patience_us = 10 * 1000 * 1000,
	most_turns = 1000 * 1000,
};

struct PhTestSession {
	PhHome home; /* first */
	PhLock lock; /* guards ready and nothing else */
	PhSignal signal;
	PhReady *ready;
	PhSession *session; /* NULL when closed */
	PhEndpoint *endpoint;
	PhStream *memory;
	PhScratch *scratch;
	uint32_t armed;
};

/* --- the stream: memory, seen through a layer that may call itself TLS --- */

typedef struct {
	PhStream stream; /* first */
	PhStream *memory;
} Layer;

static PhStream *
below(PhStream *stream)
{
	return ((Layer *) stream)->memory;
}

static ssize_t
read_below(PhStream *stream, char *buffer, size_t length)
{
	return ph_stream_read(below(stream), buffer, length);
}

static ssize_t
write_below(PhStream *stream, const struct iovec *pieces, int n_pieces, bool more)
{
	return ph_stream_write(below(stream), pieces, n_pieces, more);
}

static int
shut_below(PhStream *stream)
{
	return ph_stream_shutdown(below(stream));
}

static const char *
describe_layer(const PhStream *stream)
{
	return "TLSv1.3 TLS_TEST";
}

static uint32_t
version_of_layer(const PhStream *stream)
{
	return 0x0304;
}

static bool
bind_layer(PhStream *stream, const char *type, GByteArray *out)
{
	static const char binding[] = "test-channel-binding";

	g_byte_array_append(out, (const guint8 *) binding, sizeof binding - 1);
	return true;
}

static void
free_layer(PhStream *stream)
{
	g_free(stream);
}

static const PhStreamTable plain_layer = {
	.read = read_below,
	.write = write_below,
	.shutdown = shut_below,
	.free = free_layer,
};

static const PhStreamTable tls_layer = {
	.read = read_below,
	.write = write_below,
	.shutdown = shut_below,
	.description = describe_layer,
	.version = version_of_layer,
	.binding = bind_layer,
	.free = free_layer,
};

static PhStream *
make_layer(PhStream *memory, const PhStreamTable *table)
{
	Layer *layer = g_new0(Layer, 1);

	layer->stream = (PhStream){ .table = table, .fd = -1 };
	layer->memory = memory;
	return &layer->stream;
}

/* Stands where the TLS layer's constructor does; the context is the test session. */
static PhStream *
pretend_tls(PhTlsContext *context, int fd)
{
	return make_layer(((PhTestSession *) (void *) context)->memory, &tls_layer);
}

/* --- the home --- */

static void
take_ready(PhHome *home, PhReady *ready)
{
	PhTestSession *test = (PhTestSession *) home;

	PH_LOCKED(&test->lock);
	test->ready = ready;
	ph_signal_all(&test->signal);
}

static bool
note_armed(PhHome *home, PhSession *session, uint32_t events)
{
	((PhTestSession *) home)->armed = events;
	return true;
}

static void
ignore_due(PhHome *home, PhSlot *slot, int64_t due_us)
{
}

static void
note_gone(PhHome *home, PhSession *session)
{
	((PhTestSession *) home)->session = NULL;
}

/* --- life --- */

PhTestSession *
ph_test_session_new_listener(const PhListenerParams *params, const char *peer)
{
	PhTestSession *test = g_new0(PhTestSession, 1);
	PhListenerParams own = *params;
	PhPeer address = { .is_ip = 1, .port = 25252 };

	ph_log_set_session_describer(ph_session_describe);
	test->home = (PhHome){ .ready = take_ready,
		               .arm = note_armed,
		               .due = ignore_due,
		               .gone = note_gone };
	ph_lock_init(&test->lock);
	ph_signal_init(&test->signal);
	test->memory = ph_stream_new_memory();
	test->scratch = ph_scratch_new();
	own.tls = (PhTlsContext *) (void *) test;
	own.tls_stream_new = pretend_tls;
	test->endpoint = ph_endpoint_new(&own);
	peer = peer != NULL ? peer : "192.0.2.1";
	address.is_v6 = inet_pton(AF_INET6, peer, address.octets) == 1;
	if (!address.is_v6 && inet_pton(AF_INET, peer, address.octets) != 1)
		address = (PhPeer){ .is_ip = 0 };
	test->session = ph_session_new(&test->home, test->endpoint, -1,
	                               make_layer(test->memory, &plain_layer));
	ph_session_set_peer(test->session, &address);
	ph_connection_begin(test->session, false);
	(void) ph_connection_run(test->session, 0, test->scratch);
	ph_test_session_run_ready(test);
	return test;
}

PhTestSession *
ph_test_session_new(const PhTestOptions *options)
{
	PhListenerParams params = {
		.protocol = options->protocol,
		.instance = options->instance,
		.section = options->section,
		.hostname = options->hostname != NULL ? options->hostname : "mail.example.org",
	};

	if (options->start_in_tls)
		params.tls_mode = PH_TLS_IMPLICIT;
	else if (options->offer_tls)
		params.tls_mode = PH_TLS_STARTTLS;
	return ph_test_session_new_listener(&params, options->peer);
}

static void
post(PhTestSession *test, uint32_t bits)
{
	if (test->session != NULL)
		ph_slot_post(test->session->slot, test->session->generation, bits);
}

void
ph_test_session_free(PhTestSession *test)
{
	if (test == NULL)
		return;
	post(test, PH_BIT_ABORT);
	ph_test_session_run_ready(test);
	ph_endpoint_unref(test->endpoint);
	ph_scratch_free(test->scratch);
	test->memory->table->free(test->memory);
	ph_signal_clear(&test->signal);
	ph_lock_clear(&test->lock);
	g_free(test);
}

/* --- running --- */

static bool
run_queued(PhTestSession *test)
{
	PhReady *ready = NULL;

	ph_lock_take(&test->lock);
	ready = g_steal_pointer(&test->ready);
	ph_lock_drop(&test->lock);
	if (ready != NULL)
		ready->run(ready, test->scratch);
	return ready != NULL;
}

/* What epoll would do. */
static bool
report(PhTestSession *test)
{
	uint32_t bits = 0;

	if (test->session == NULL)
		return false;
	if ((test->armed & EPOLLIN) && ph_stream_memory_readable(test->memory))
		bits |= PH_BIT_IN;
	if ((test->armed & EPOLLOUT) && ph_stream_memory_room(test->memory) > 0)
		bits |= PH_BIT_OUT;
	if (bits == 0)
		return false;
	test->armed = 0;
	post(test, bits | PH_BIT_POLLED);
	return true;
}

/* Delays pass at once. */
static bool
pass_delay(PhTestSession *test)
{
	if (test->session == NULL || test->session->delay_us == 0)
		return false;
	test->session->delay_us = 1;
	post(test, PH_BIT_DUE);
	return true;
}

void
ph_test_session_run_ready(PhTestSession *test)
{
	for (unsigned i = 0; i < most_turns; i++)
		if (!run_queued(test) && !report(test) && !pass_delay(test))
			return;
}

static bool
wait_for_wake(PhTestSession *test, uint64_t until_us)
{
	PH_LOCKED(&test->lock);
	while (test->ready == NULL)
		if (!ph_signal_wait_until(&test->signal, &test->lock, until_us))
			return test->ready != NULL;
	return true;
}

bool
ph_test_session_run(PhTestSession *test)
{
	uint64_t until = (uint64_t) ph_net_now_us() + patience_us;

	for (;;) {
		ph_test_session_run_ready(test);
		if (!ph_test_session_is_parked(test))
			return true;
		if (!wait_for_wake(test, until))
			return false;
	}
}

void
ph_test_session_send(PhTestSession *test, PhSlice octets)
{
	ph_stream_memory_give(test->memory, octets);
}

void
ph_test_session_end(PhTestSession *test)
{
	ph_stream_memory_give_eof(test->memory);
}

PhSlice
ph_test_session_output(const PhTestSession *test)
{
	const GByteArray *output = ph_stream_memory_output(test->memory);

	return PH_SLICE((const char *) output->data, output->len);
}

void
ph_test_session_drop_output(PhTestSession *test, size_t octets)
{
	GByteArray *output = ph_stream_memory_output(test->memory);

	g_byte_array_remove_range(output, 0, (guint) MIN(octets, (size_t) output->len));
}

void
ph_test_session_refuse_writes(PhTestSession *test, unsigned n)
{
	ph_stream_memory_refuse(test->memory, n);
}

void
ph_test_session_limit_output(PhTestSession *test, size_t octets)
{
	ph_stream_memory_limit(test->memory, octets);
}

bool
ph_test_session_is_closed(const PhTestSession *test)
{
	return test->session == NULL;
}

bool
ph_test_session_is_parked(const PhTestSession *test)
{
	return test->session != NULL && test->session->parked;
}

PhSession *
ph_test_session_get(const PhTestSession *test)
{
	return test->session;
}

static void
advance(int64_t *time_us, uint64_t by_us)
{
	if (*time_us != 0)
		*time_us = MAX(*time_us - (int64_t) by_us, 1);
}

void
ph_test_session_elapse(PhTestSession *test, PhDuration duration)
{
	PhSession *session = test->session;
	uint64_t by_us = MIN(duration.us, (uint64_t) G_MAXINT64 / 4);

	if (session == NULL)
		return;
	advance(&session->deadline_us, by_us);
	advance(&session->stage_us, by_us);
	advance(&session->output_us, by_us);
	advance(&session->delay_us, by_us);
	post(test, PH_BIT_DUE);
	ph_test_session_run_ready(test);
}

void
ph_test_session_drain(PhTestSession *test)
{
	post(test, PH_BIT_DRAIN);
	ph_test_session_run_ready(test);
}
