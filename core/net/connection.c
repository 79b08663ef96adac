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
#include <posthorn/error.h>

#include "base/clock.h"
#include "base/horizon.h"
#include "net/hold.h"
#include "net/stages.h"
#include "net/stats.h"
#include "plugin/call.h"

#include <sys/epoll.h>

enum {
	goodbye_us = 10 * 1000 * 1000,  /* without progress, to take the last answer */
	stalled_us = 300 * 1000 * 1000, /* a peer that does not read (RFC 5321 section 4.5.3.2) */
	long_record = 8 * 1024,
	moves_a_look = 8, /* the clock is read after so many moves */
};

static bool
slice_is_over(PhSession *session)
{
	return ph_net_now_us() - session->turn_us >= PH_SESSION_STEP_US;
}

PhMove
ph_connection_die(PhSession *session)
{
	session->stage = PH_STAGE_DEAD;
	return PH_MOVE_END;
}

/* --- what callbacks return --- */

void
ph_connection_enter_closing(PhSession *session)
{
	session->stage = PH_STAGE_CLOSING;
	session->parked = false;
	session->more = false;
	session->deadline_us = 0;
	session->delay_us = 0;
	session->stage_us = session->turn_us + goodbye_us;
}

static PhMove
follow(PhSession *session, PhNext next)
{
	session->more = false;
	if (session->output.broken)
		return ph_connection_die(session);
	switch (next) {
	case PH_DONE:
		session->parked = false;
		return PH_MOVE_ON;
	case PH_WAIT:
		return PH_MOVE_ON;
	case PH_MORE:
		session->parked = false;
		session->more = ph_connection_protocol(session)->step != NULL;
		return PH_MOVE_ON;
	case PH_CLOSE:
		session->own_end = true;
		ph_connection_enter_closing(session);
		return PH_MOVE_ON;
	case PH_ABORT:
		break;
	}
	session->own_end = true;
	session->cut = true;
	return ph_connection_die(session);
}

PhMove
ph_connection_call(PhSession *session, PhNext (*callback)(PhSession *))
{
	uint64_t started_us = ph_clock_us();
	PhNext next = callback(session);

	if (!session->client)
		ph_call_note(session->endpoint->params.section, started_us);
	return follow(session, next);
}

/* A callback beside what is under way: PH_DONE leaves that as it is. */
static PhMove
interject(PhSession *session, PhNext (*callback)(PhSession *))
{
	bool parked = session->parked;
	bool more = session->more;
	PhNext next = callback(session);
	PhMove move = PH_MOVE_ON;

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

/* The output keeps what it has; the peer is not to blame. */
static PhFlush
keep_back(PhSession *session, PhHold hold)
{
	ph_output_keep(&session->output, session->scratch);
	session->withheld = hold == PH_HOLD_BACK;
	session->cut = session->cut || hold == PH_HOLD_LOST;
	session->output_us = 0;
	return hold == PH_HOLD_BACK ? PH_FLUSH_BLOCKED : PH_FLUSH_FAILED;
}

static PhFlush
flush(PhSession *session)
{
	PhHold hold = ph_hold_look(session);
	size_t sent = 0;
	PhFlush result = PH_FLUSH_DONE;
	int64_t now = 0;

	if (hold != PH_HOLD_FREE)
		return keep_back(session, hold);
	session->withheld = false;
	result = ph_output_flush(&session->output, session->scratch, session->stream, &sent,
	                         &session->failure);

	ph_counter_add(ph_net_stats.octets_out, (int64_t) sent);
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

PhMove
ph_connection_flush(PhSession *session)
{
	switch (flush(session)) {
	case PH_FLUSH_DONE:
		return PH_MOVE_ON;
	case PH_FLUSH_BLOCKED:
		return PH_MOVE_PAUSE;
	case PH_FLUSH_TURN:
		return PH_MOVE_YIELD;
	case PH_FLUSH_FAILED:
		break;
	}
	return ph_connection_die(session);
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

static PhMove
take_read(PhSession *session, ssize_t n, size_t room)
{
	session->read_wants_write = false;
	if (n > 0) {
		session->input.end += (uint32_t) n;
		ph_counter_add(ph_net_stats.octets_in, n);
		/* A long record of TLS is seldom the last one: ask again at once. */
		session->readable = (size_t) n == room || ph_stream_pending(session->stream) > 0
		                    || (session->tls && n >= long_record);
		extend_deadline(session, (size_t) n);
		return PH_MOVE_ON;
	}
	session->readable = false;
	if (n == PH_STREAM_EOF) {
		session->ended = true;
		return PH_MOVE_ON;
	}
	if (n == PH_STREAM_FAILED) {
		session->cut = true;
		return ph_connection_die(session);
	}
	session->read_wants_write = n == PH_STREAM_WANT_WRITE;
	return PH_MOVE_PAUSE;
}

static PhMove
read_more(PhSession *session)
{
	size_t room = 0;
	char *at = ph_input_room(&session->input, ph_framing_wanted(&session->framing), &room);

	return take_read(session, ph_stream_read(session->stream, at, room), room);
}

static PhMove
deliver(PhSession *session, const PhFrame *frame)
{
	const PhProtocol *protocol = ph_connection_protocol(session);
	uint64_t started_us = ph_clock_us();
	PhNext next = PH_ABORT;

	if (frame->kind == PH_FRAME_FLOOD)
		return ph_connection_die(session);
	if (frame->kind == PH_FRAME_LINE)
		next = protocol->line(session, frame->slice, frame->flaws);
	else if (protocol->octets != NULL)
		next = protocol->octets(session, frame->slice, frame->final);
	else
		return ph_connection_die(session);
	if (!session->client)
		ph_call_note(session->endpoint->params.section, started_us);
	return follow(session, next);
}

/* Cuts and delivers one frame, or reads. */
static PhMove
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
		ph_connection_enter_closing(session);
		return PH_MOVE_ON;
	}
	return session->readable ? read_more(session) : PH_MOVE_PAUSE;
}

/* --- the open session --- */

static bool
at_boundary(const PhSession *session)
{
	return !session->parked && !session->more && !ph_framing_in_body(&session->framing);
}

static PhMove
time_out(PhSession *session)
{
	const PhProtocol *protocol = ph_connection_protocol(session);

	session->deadline_us = 0;
	ph_counter_add(ph_net_stats.timeouts, 1);
	if (protocol->timeout == NULL) {
		ph_connection_enter_closing(session);
		return PH_MOVE_ON;
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

/* A client session's owner hears what took too long. */
static void
tell_late(PhSession *session)
{
	if (!session->client || session->failure != NULL)
		return;
	if (session->stage == PH_STAGE_CONNECTING)
		g_set_error(&session->failure, PH_ERROR, PH_ERROR_TEMPORARY,
		            "cannot connect to '%s': no answer in time", session->peer_text);
	else if (session->stage == PH_STAGE_HANDSHAKE)
		g_set_error(&session->failure, PH_ERROR, PH_ERROR_TEMPORARY,
		            "TLS: no answer from '%s' in time", session->peer_text);
}

/* Looks which of the times has come. */
static PhMove
look_at_times(PhSession *session)
{
	int64_t now = ph_net_now_us();

	if (session->output_us != 0 && session->output_us <= now) {
		session->cut = true;
		return ph_connection_die(session);
	}
	if (session->stage_us != 0 && session->stage_us <= now) {
		tell_late(session);
		return ph_connection_die(session);
	}
	if (session->delay_us != 0 && session->delay_us <= now) {
		session->delay_us = 0;
		session->woken = true;
	}
	if (session->stage == PH_STAGE_OPEN && session->deadline_us != 0
	    && session->deadline_us <= now)
		return time_out(session);
	return PH_MOVE_ON;
}

static PhMove
be_parked(PhSession *session)
{
	const PhProtocol *protocol = ph_connection_protocol(session);

	if (take_event(session, PH_BIT_WAKE))
		session->woken = true;
	if (!session->woken)
		return PH_MOVE_PAUSE;
	session->woken = false;
	session->parked = false;
	session->delay_us = 0;
	if (protocol->resumed == NULL)
		return PH_MOVE_ON;
	return ph_connection_call(session, protocol->resumed);
}

static PhMove
be_drained(PhSession *session)
{
	const PhProtocol *protocol = ph_connection_protocol(session);

	session->drain_asked = true;
	if (protocol->drain != NULL)
		return ph_connection_call(session, protocol->drain);
	ph_connection_enter_closing(session);
	return PH_MOVE_ON;
}

static PhMove
be_open(PhSession *session)
{
	const PhProtocol *protocol = ph_connection_protocol(session);

	if (session->parked)
		return be_parked(session);
	if (ph_output_full(&session->output, session->scratch)) {
		PhMove move = ph_connection_flush(session);

		if (move == PH_MOVE_PAUSE && !ph_output_full(&session->output, session->scratch))
			move = PH_MOVE_ON;
		session->held = move == PH_MOVE_PAUSE;
		if (move != PH_MOVE_ON)
			return move;
	}
	if (session->start_tls)
		return ph_stage_start_tls(session);
	if (session->more)
		return slice_is_over(session) ? PH_MOVE_YIELD
		                              : ph_connection_call(session, protocol->step);
	if (at_boundary(session) && take_event(session, PH_BIT_NOTIFY))
		return protocol->notified != NULL ? ph_connection_call(session, protocol->notified)
		                                  : PH_MOVE_ON;
	if (session->draining && !session->drain_asked && at_boundary(session)
	    && session->input.start == session->input.end)
		return be_drained(session);
	return take_input(session);
}

static PhMove
move_on(PhSession *session)
{
	switch ((PhStage) session->stage) {
	case PH_STAGE_CONNECTING:
		return ph_stage_connect(session);
	case PH_STAGE_PROXY:
		return ph_stage_proxy(session);
	case PH_STAGE_HANDSHAKE:
		return ph_stage_handshake(session);
	case PH_STAGE_OPENING:
		return ph_stage_open(session);
	case PH_STAGE_OPEN:
		return be_open(session);
	case PH_STAGE_CLOSING:
		return ph_stage_close(session);
	case PH_STAGE_LINGER:
		return ph_stage_linger(session);
	case PH_STAGE_DEAD:
		break;
	}
	return PH_MOVE_END;
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
	if (take_event(session, PH_BIT_OUT)) {
		session->readable = session->readable || session->read_wants_write;
		session->connected = true;
	}
	if (take_event(session, PH_BIT_HALF))
		session->half = true;
	if (take_event(session, PH_BIT_DRAIN))
		session->draining = true;
	if (take_event(session, PH_BIT_GONE)) {
		atomic_store_explicit(&session->cancelled, true, memory_order_relaxed);
		session->readable = true;
		session->connected = true;
		session->gone = true;
	}
	if (take_event(session, PH_BIT_ABORT)) {
		atomic_store_explicit(&session->cancelled, true, memory_order_relaxed);
		session->cut = true;
		session->stage = PH_STAGE_DEAD;
	}
	(void) take_event(session, PH_BIT_GO);
	(void) take_event(session, PH_BIT_HORIZON);
}

static PhMove
move_until_pause(PhSession *session)
{
	unsigned moves = 0;
	PhMove move = PH_MOVE_ON;

	while (move == PH_MOVE_ON) {
		take_bits(session, ph_slot_take(session->slot));
		if (take_event(session, PH_BIT_DUE))
			move = look_at_times(session);
		if (move == PH_MOVE_ON)
			move = move_on(session);
		if (move == PH_MOVE_ON && ++moves % moves_a_look == 0 && slice_is_over(session))
			move = PH_MOVE_YIELD;
	}
	return session->stage == PH_STAGE_DEAD ? PH_MOVE_END : move;
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
	if (session->stage == PH_STAGE_CONNECTING)
		events |= EPOLLOUT;
	else if (reads)
		events |= session->read_wants_write ? EPOLLOUT : EPOLLIN;
	else if (!session->ended && !session->half)
		events |= EPOLLRDHUP;
	if (ph_output_pending(&session->output, NULL) > 0 && !session->withheld)
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
show_parked(PhSession *session, bool parked)
{
	if (session->shown_parked == parked)
		return;
	session->shown_parked = parked;
	ph_counter_add(ph_net_stats.parked, parked ? 1 : -1);
}

static void
tell_client(PhSession *session)
{
	if (session->failure == NULL && !session->own_end)
		g_set_error(&session->failure, PH_ERROR, PH_ERROR_TEMPORARY,
		            "connection to '%s' %s", session->peer_text,
		            session->ended ? "was ended by the peer" : "was lost or timed out");
	session->endpoint->client_closed(session, session->own_end ? NULL : session->failure);
}

static void
finish(PhSession *session)
{
	PhHome *home = atomic_load_explicit(&session->slot->home, memory_order_relaxed);

	if (!session->cut && session->stream != NULL)
		(void) flush(session);
	session->scratch->out_used = 0;
	show_parked(session, false);
	if (session->client)
		tell_client(session);
	else if (session->opened)
		ph_connection_protocol(session)->closed(session);
	ph_input_close(&session->input, session->scratch);
	home->gone(home, session);
	ph_session_free(session);
}

/* It paused because the socket took no more, and now the socket took all of it after all: nothing
 * would wake it for what it still has to do. */
static bool
was_held_back(PhSession *session)
{
	if (session->stage == PH_STAGE_CLOSING)
		return ph_output_pending(&session->output, session->scratch) == 0;
	if (session->stage != PH_STAGE_OPEN || session->parked
	    || ph_output_full(&session->output, session->scratch))
		return false;
	return session->held || session->more || session->start_tls;
}

/* One pass: moves, sends, arms. END: freed. PAUSE: armed. YIELD: wants its next turn. */
static PhMove
pass(PhSession *session)
{
	PhMove move = move_until_pause(session);
	PhFlush sent = PH_FLUSH_DONE;

	if (move == PH_MOVE_END)
		return PH_MOVE_END;
	if (ph_output_pending(&session->output, session->scratch) > 0) {
		sent = flush(session);
		if (sent == PH_FLUSH_TURN || (sent != PH_FLUSH_FAILED && was_held_back(session)))
			move = PH_MOVE_YIELD;
	}
	if (sent == PH_FLUSH_FAILED)
		return PH_MOVE_END;
	session->held = false;
	show_parked(session, session->parked);
	set_due(session);
	if (move == PH_MOVE_YIELD)
		return PH_MOVE_YIELD;
	return arm(session) ? PH_MOVE_PAUSE : PH_MOVE_END;
}

bool
ph_connection_run(PhSession *session, uint32_t bits, PhScratch *scratch)
{
	PhSlot *slot = session->slot;
	PhMove move = PH_MOVE_ON;

	session->scratch = scratch;
	ph_horizon_collect(&session->shown);
	session->turn_us = ph_net_now_us();
	scratch->out_used = 0;
	ph_input_open(&session->input, scratch);
	take_bits(session, bits);
	do {
		move = pass(session);
		if (move == PH_MOVE_END) {
			ph_horizon_collect(NULL);
			finish(session);
			return false;
		}
		if (move == PH_MOVE_PAUSE && ph_slot_peek(slot) == PH_BIT_RUNNING)
			break;
	} while (move == PH_MOVE_PAUSE);
	ph_input_close(&session->input, scratch);
	ph_horizon_collect(NULL);
	session->scratch = NULL;
	if (move == PH_MOVE_YIELD || !ph_slot_finish(slot))
		ph_slot_requeue(slot, move == PH_MOVE_YIELD ? PH_BIT_GO : 0);
	return true;
}

void
ph_connection_run_slot(PhReady *ready, PhScratch *scratch)
{
	PhSlot *slot = (PhSlot *) ready;
	uint32_t bits = ph_slot_begin(slot);

	(void) ph_connection_run(slot->session, bits, scratch);
}
