/* connection.c: a session's turn: what is done with it, in which order, and what is waited for
 *
 * A turn goes through small moves until there is nothing to do, the time slice is over, or the
 * session is dead: each move does one thing (a handshake, one callback, one read). Output gathers
 * meanwhile and goes out when the turn pauses, so that the answers to pipelined commands share one
 * write. At the end the reactor is armed for exactly what the session waits for.
 *
 * A peer that has ended its side gets the answers to everything it sent before.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "net/session.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

enum {
	linger_us = 2 * 1000 * 1000,
	linger_octets = 256 * 1024,
	goodbye_us = 10 * 1000 * 1000,  /* without progress, to take the last answer */
	stalled_us = 300 * 1000 * 1000, /* a peer that does not read (RFC 5321 section 4.5.3.2) */
	moves_a_look = 8,               /* the clock is read after so many moves */
};

/* Move: what one move says about the turn. */
typedef enum {
	ON,    /* go on */
	PAUSE, /* nothing to do before something happens */
	YIELD, /* others have their turn */
	END,   /* the session is dead */
} Move;

static const PhProtocol *
protocol_of(const PhSession *session)
{
	return session->endpoint->params.protocol;
}

static bool
slice_is_over(PhSession *session)
{
	return ph_net_now_us() - session->turn_us >= PH_SESSION_STEP_US;
}

static Move
die(PhSession *session)
{
	session->stage = PH_STAGE_DEAD;
	return END;
}

/* --- what callbacks return --- */

static void
enter_closing(PhSession *session)
{
	session->stage = PH_STAGE_CLOSING;
	session->parked = false;
	session->more = false;
	session->deadline_us = 0;
	session->delay_us = 0;
	session->stage_us = session->turn_us + goodbye_us;
}

static Move
follow(PhSession *session, PhNext next)
{
	session->more = false;
	if (session->output.broken)
		return die(session);
	switch (next) {
	case PH_DONE:
		session->parked = false;
		return ON;
	case PH_WAIT:
		return ON;
	case PH_MORE:
		session->parked = false;
		session->more = protocol_of(session)->step != NULL;
		return ON;
	case PH_CLOSE:
		enter_closing(session);
		return ON;
	case PH_ABORT:
		break;
	}
	session->cut = true;
	return die(session);
}

static Move
call(PhSession *session, PhNext (*callback)(PhSession *))
{
	return follow(session, callback(session));
}

/* A callback beside what is under way: PH_DONE leaves that as it is. */
static Move
interject(PhSession *session, PhNext (*callback)(PhSession *))
{
	bool parked = session->parked;
	bool more = session->more;
	PhNext next = callback(session);
	Move move = ON;

	if (next == PH_WAIT || next == PH_MORE)
		return follow(session, next);
	move = follow(session, next);
	if (next == PH_DONE) {
		session->parked = parked;
		session->more = more;
	}
	return move;
}

/* --- sending --- */

static PhFlush
flush(PhSession *session)
{
	size_t sent = 0;
	PhFlush result = ph_output_flush(&session->output, session->scratch, session->stream, &sent,
	                                 &session->failure);
	int64_t now = 0;

	if (result == PH_FLUSH_DONE || result == PH_FLUSH_FAILED) {
		session->output_us = 0;
		session->cut = session->cut || result == PH_FLUSH_FAILED;
		return result;
	}
	session->blocked = result == PH_FLUSH_BLOCKED;
	now = ph_net_now_us();
	if (session->output_us == 0)
		session->output_us = now + stalled_us;
	if (session->stage == PH_STAGE_CLOSING && sent > 0)
		session->stage_us = now + goodbye_us;
	session->output_us +=
		(int64_t) (sent * G_USEC_PER_SEC / session->endpoint->params.min_rate);
	session->output_us = MIN(session->output_us, now + stalled_us);
	return result;
}

static Move
flush_all(PhSession *session)
{
	switch (flush(session)) {
	case PH_FLUSH_DONE:
		return ON;
	case PH_FLUSH_BLOCKED:
		return PAUSE;
	case PH_FLUSH_TURN:
		return YIELD;
	case PH_FLUSH_FAILED:
		break;
	}
	return die(session);
}

/* --- receiving --- */

/* What comes in during a body gives back time, at the least rate, up to the whole period. */
static void
extend_deadline(PhSession *session, size_t n)
{
	int64_t now = 0;

	if (session->deadline_us == 0 || !ph_framing_in_body(&session->framing))
		return;
	now = ph_net_now_us();
	session->deadline_us += (int64_t) (n * G_USEC_PER_SEC / session->endpoint->params.min_rate);
	session->deadline_us = MIN(session->deadline_us, now + session->period_us);
}

static Move
take_read(PhSession *session, ssize_t n, size_t room)
{
	session->read_wants_write = false;
	if (n > 0) {
		session->input.end += (uint32_t) n;
		session->readable = (size_t) n == room || ph_stream_pending(session->stream) > 0;
		extend_deadline(session, (size_t) n);
		return ON;
	}
	session->readable = false;
	if (n == PH_STREAM_EOF) {
		session->ended = true;
		return ON;
	}
	if (n == PH_STREAM_FAILED) {
		session->cut = true;
		return die(session);
	}
	session->read_wants_write = n == PH_STREAM_WANT_WRITE;
	return PAUSE;
}

static Move
read_more(PhSession *session)
{
	size_t room = 0;
	char *at = ph_input_room(&session->input, ph_framing_wanted(&session->framing), &room);

	return take_read(session, ph_stream_read(session->stream, at, room), room);
}

static Move
deliver(PhSession *session, const PhFrame *frame)
{
	const PhProtocol *protocol = protocol_of(session);

	if (frame->kind == PH_FRAME_FLOOD)
		return die(session);
	if (frame->kind == PH_FRAME_LINE)
		return follow(session, protocol->line(session, frame->slice, frame->flaws));
	if (protocol->octets == NULL)
		return die(session);
	return follow(session, protocol->octets(session, frame->slice, frame->final));
}

/* Cuts and delivers one frame, or reads. */
static Move
take_input(PhSession *session)
{
	PhInput *input = &session->input;
	PhFrame frame = { .kind = PH_FRAME_NONE };
	size_t used = 0;

	ph_framing_next(&session->framing,
	                PH_SLICE(input->base + input->start, input->end - input->start), &frame,
	                &used);
	input->start += (uint32_t) used;
	if (frame.kind != PH_FRAME_NONE)
		return deliver(session, &frame);
	if (session->ended) {
		enter_closing(session);
		return ON;
	}
	return session->readable ? read_more(session) : PAUSE;
}

/* --- STARTTLS --- */

static Move
begin_tls(PhSession *session)
{
	const PhListenerParams *params = &session->endpoint->params;
	PhStream *stream = NULL;
	Move move = ON;

	if (session->input.end > session->input.start) {
		session->cut = true;
		return die(session);
	}
	move = flush_all(session);
	if (move != ON)
		return move;
	session->start_tls = false;
	if (params->tls_stream_new != NULL)
		stream = params->tls_stream_new(params->tls, session->plain.fd);
	if (stream == NULL)
		return die(session);
	session->stream->table->free(session->stream);
	session->stream = stream;
	session->stage = PH_STAGE_HANDSHAKE;
	session->stage_us = ph_net_now_us() + (int64_t) params->handshake_timeout.us;
	session->readable = true;
	return ON;
}

static Move
shake_hands(PhSession *session)
{
	const PhProtocol *protocol = protocol_of(session);
	int result = ph_stream_handshake(session->stream);

	session->read_wants_write = result == PH_STREAM_WANT_WRITE;
	if (result == PH_STREAM_WANT_READ || result == PH_STREAM_WANT_WRITE)
		return PAUSE;
	if (result != 1) {
		session->cut = true;
		if (session->stream->table->failure != NULL && session->failure == NULL)
			(void) session->stream->table->failure(session->stream, &session->failure);
		return die(session);
	}
	session->tls = true;
	session->stage_us = 0;
	session->readable = true;
	if (!session->opened) {
		session->stage = PH_STAGE_OPENING;
		return ON;
	}
	session->stage = PH_STAGE_OPEN;
	return protocol->tls_started != NULL ? call(session, protocol->tls_started) : ON;
}

/* --- the open session --- */

static bool
at_boundary(const PhSession *session)
{
	return !session->parked && !session->more && !ph_framing_in_body(&session->framing);
}

static Move
time_out(PhSession *session)
{
	const PhProtocol *protocol = protocol_of(session);

	session->deadline_us = 0;
	if (protocol->timeout == NULL) {
		enter_closing(session);
		return ON;
	}
	return interject(session, protocol->timeout);
}

static bool
take_event(PhSession *session, uint32_t bit)
{
	bool there = (session->events & bit) != 0;

	session->events &= ~bit;
	return there;
}

/* Looks which of the times has come. */
static Move
look_at_times(PhSession *session)
{
	int64_t now = ph_net_now_us();

	if (session->output_us != 0 && session->output_us <= now) {
		session->cut = true;
		return die(session);
	}
	if (session->stage_us != 0 && session->stage_us <= now)
		return die(session);
	if (session->delay_us != 0 && session->delay_us <= now) {
		session->delay_us = 0;
		session->woken = true;
	}
	if (session->stage == PH_STAGE_OPEN && session->deadline_us != 0
	    && session->deadline_us <= now)
		return time_out(session);
	return ON;
}

static Move
be_parked(PhSession *session)
{
	const PhProtocol *protocol = protocol_of(session);

	if (take_event(session, PH_BIT_WAKE))
		session->woken = true;
	if (!session->woken)
		return PAUSE;
	session->woken = false;
	session->parked = false;
	session->delay_us = 0;
	if (protocol->resumed == NULL)
		return ON;
	return call(session, protocol->resumed);
}

static Move
be_drained(PhSession *session)
{
	const PhProtocol *protocol = protocol_of(session);

	session->drain_asked = true;
	if (protocol->drain != NULL)
		return call(session, protocol->drain);
	enter_closing(session);
	return ON;
}

static Move
be_open(PhSession *session)
{
	const PhProtocol *protocol = protocol_of(session);

	if (session->parked)
		return be_parked(session);
	if (ph_output_full(&session->output, session->scratch)) {
		Move move = flush_all(session);

		if (move == PAUSE && !ph_output_full(&session->output, session->scratch))
			move = ON;
		if (move != ON)
			return move;
	}
	if (session->start_tls)
		return begin_tls(session);
	if (session->more)
		return slice_is_over(session) ? YIELD : call(session, protocol->step);
	if (at_boundary(session) && take_event(session, PH_BIT_NOTIFY))
		return protocol->notified != NULL ? call(session, protocol->notified) : ON;
	if (session->draining && !session->drain_asked && at_boundary(session)
	    && session->input.start == session->input.end)
		return be_drained(session);
	return take_input(session);
}

static bool
came_early(PhSession *session)
{
	char octet = 0;

	if ((protocol_of(session)->needs & PH_SPEAKS_FIRST) == 0)
		return false;
	if (ph_stream_pending(session->stream) > 0)
		return true;
	if (session->plain.fd < 0 || session->tls)
		return false;
	return recv(session->plain.fd, &octet, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
}

static Move
open_session(PhSession *session)
{
	const PhProtocol *protocol = protocol_of(session);
	Move move = ON;

	session->early = came_early(session);
	session->opened = true;
	session->stage_us = 0;
	move = call(session, protocol->opened);
	if (session->stage != PH_STAGE_OPENING)
		return move;
	session->stage = PH_STAGE_OPEN;
	if (session->early)
		enter_closing(session);
	return move;
}

/* --- the end --- */

static bool
has_unread(PhSession *session)
{
	int unread = 0;

	if (session->ended || session->plain.fd < 0)
		return false;
	if (session->input.end > session->input.start || session->framing.skipping
	    || ph_framing_in_body(&session->framing))
		return true;
	return ioctl(session->plain.fd, FIONREAD, &unread) == 0 && unread > 0;
}

/* Closing a socket with unread input would destroy the answer under way: end our side, read on. */
static Move
close_down(PhSession *session)
{
	Move move = flush_all(session);

	if (move != ON)
		return move;
	(void) ph_stream_shutdown(session->stream);
	if (!has_unread(session))
		return die(session);
	(void) shutdown(session->plain.fd, SHUT_WR);
	session->stage = PH_STAGE_LINGER;
	session->stage_us = ph_net_now_us() + linger_us;
	session->readable = true;
	return ON;
}

static Move
linger(PhSession *session)
{
	ssize_t n = 0;

	for (size_t total = 0; total < linger_octets; total += (size_t) n) {
		n = recv(session->plain.fd, session->scratch->in, sizeof session->scratch->in, 0);
		if (n < 0 && errno == EAGAIN)
			return PAUSE;
		if (n <= 0)
			break;
	}
	return die(session);
}

static Move
move_on(PhSession *session)
{
	switch ((PhStage) session->stage) {
	case PH_STAGE_CONNECTING:
	case PH_STAGE_PROXY:
		return die(session);
	case PH_STAGE_HANDSHAKE:
		return shake_hands(session);
	case PH_STAGE_OPENING:
		return open_session(session);
	case PH_STAGE_OPEN:
		return be_open(session);
	case PH_STAGE_CLOSING:
		return close_down(session);
	case PH_STAGE_LINGER:
		return linger(session);
	case PH_STAGE_DEAD:
		break;
	}
	return END;
}

void
ph_connection_begin(PhSession *session)
{
	const PhListenerParams *params = &session->endpoint->params;

	if (params->tls_mode != PH_TLS_IMPLICIT || params->tls_stream_new == NULL)
		return;
	session->stream = params->tls_stream_new(params->tls, session->plain.fd);
	if (session->stream == NULL) {
		session->stream = &session->plain;
		session->stage = PH_STAGE_DEAD;
		return;
	}
	session->stage = PH_STAGE_HANDSHAKE;
	session->stage_us = ph_net_now_us() + (int64_t) params->handshake_timeout.us;
}

/* --- the turn --- */

static void
take_bits(PhSession *session, uint32_t bits)
{
	session->events |= bits;
	if (take_event(session, PH_BIT_POLLED))
		session->armed = 0;
	if (take_event(session, PH_BIT_IN))
		session->readable = true;
	if (take_event(session, PH_BIT_OUT) && session->read_wants_write)
		session->readable = true;
	if (take_event(session, PH_BIT_HALF))
		session->half = true;
	if (take_event(session, PH_BIT_DRAIN))
		session->draining = true;
	if (take_event(session, PH_BIT_GONE)) {
		atomic_store_explicit(&session->cancelled, true, memory_order_relaxed);
		session->readable = true;
		session->gone = true;
	}
	if (take_event(session, PH_BIT_ABORT)) {
		atomic_store_explicit(&session->cancelled, true, memory_order_relaxed);
		session->cut = true;
		session->stage = PH_STAGE_DEAD;
	}
	(void) take_event(session, PH_BIT_GO);
}

static Move
move_until_pause(PhSession *session)
{
	unsigned moves = 0;
	Move move = ON;

	while (move == ON) {
		take_bits(session, ph_slot_take(session->slot));
		if (take_event(session, PH_BIT_DUE))
			move = look_at_times(session);
		if (move == ON)
			move = move_on(session);
		if (move == ON && ++moves % moves_a_look == 0 && slice_is_over(session))
			move = YIELD;
	}
	return session->stage == PH_STAGE_DEAD ? END : move;
}

static uint32_t
events_to_arm(const PhSession *session)
{
	uint32_t events = 0;
	bool reads = !session->parked && !session->more;

	if (session->stage == PH_STAGE_OPEN && ph_output_full(&session->output, session->scratch))
		reads = false;
	if (session->stage == PH_STAGE_CLOSING)
		reads = false;
	if (reads)
		events |= session->read_wants_write ? EPOLLOUT : EPOLLIN;
	else if (!session->ended && !session->half)
		events |= EPOLLRDHUP;
	if (ph_output_pending(&session->output, NULL) > 0)
		events |= session->output.wants_read ? EPOLLIN : EPOLLOUT;
	/* Errors are reported for whatever is armed; this says that something is. */
	return events | EPOLLONESHOT;
}

static void
set_due(PhSession *session)
{
	const int64_t times[] = { session->stage == PH_STAGE_OPEN ? session->deadline_us : 0,
		                  session->delay_us, session->stage_us, session->output_us };
	PhSlot *slot = session->slot;
	int64_t due = 0;

	for (size_t i = 0; i < G_N_ELEMENTS(times); i++)
		if (times[i] != 0 && (due == 0 || times[i] < due))
			due = times[i];
	atomic_store_explicit(&slot->due_us, due, memory_order_relaxed);
	if (due != 0) {
		PhHome *home = atomic_load_explicit(&slot->home, memory_order_relaxed);

		home->due(home, slot, due);
	}
}

static bool
arm(PhSession *session)
{
	PhHome *home = atomic_load_explicit(&session->slot->home, memory_order_relaxed);
	uint32_t events = events_to_arm(session);

	/* A dead connection would be reported again at once: its wake or deadline ends it. */
	if (events == session->armed || (session->gone && session->parked))
		return true;
	session->armed = events;
	return home->arm(home, session, events);
}

static void
finish(PhSession *session)
{
	PhHome *home = atomic_load_explicit(&session->slot->home, memory_order_relaxed);

	if (!session->cut && session->stream != NULL)
		(void) flush(session);
	session->scratch->out_used = 0;
	if (session->client)
		session->endpoint->client_closed(session, session->failure);
	else if (session->opened)
		protocol_of(session)->closed(session);
	ph_input_close(&session->input, session->scratch);
	home->gone(home, session);
	ph_session_free(session);
}

/* One pass: moves, sends, arms. END: freed. PAUSE: armed. YIELD: wants its next turn. */
static Move
pass(PhSession *session)
{
	Move move = move_until_pause(session);
	PhFlush sent = PH_FLUSH_DONE;

	if (move == END)
		return END;
	sent = ph_output_pending(&session->output, session->scratch) > 0 ? flush(session)
	                                                                 : PH_FLUSH_DONE;
	if (sent == PH_FLUSH_FAILED)
		return END;
	if (sent == PH_FLUSH_TURN)
		move = YIELD;
	set_due(session);
	if (move == YIELD)
		return YIELD;
	return arm(session) ? PAUSE : END;
}

bool
ph_connection_run(PhSession *session, uint32_t bits, PhScratch *scratch)
{
	PhSlot *slot = session->slot;
	Move move = ON;

	session->scratch = scratch;
	session->turn_us = ph_net_now_us();
	scratch->out_used = 0;
	ph_input_open(&session->input, scratch);
	take_bits(session, bits);
	do {
		move = pass(session);
		if (move == END) {
			finish(session);
			return false;
		}
		if (move == PAUSE && ph_slot_peek(slot) == PH_BIT_RUNNING)
			break;
	} while (move == PAUSE);
	ph_input_close(&session->input, scratch);
	session->scratch = NULL;
	if (move == YIELD || !ph_slot_finish(slot))
		ph_slot_requeue(slot, move == YIELD ? PH_BIT_GO : 0);
	return true;
}

void
ph_connection_run_slot(PhReady *ready, PhScratch *scratch)
{
	PhSlot *slot = (PhSlot *) ready;
	uint32_t bits = ph_slot_begin(slot);

	(void) ph_connection_run(slot->session, bits, scratch);
}
