/* mechanism.c: the table of a mechanism whose plugin runs in children
 *
 * All steps of one exchange go to the child that did the first. What the plugin asks during a step
 * is answered here, from the session's own exchange.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "isolate/mechanism.h"

#include <posthorn/error.h>
#include <posthorn/mechanism.h>
#include <posthorn/slice.h>

#include "base/clock.h"
#include "isolate/isolate.h"
#include "login/exchange.h"
#include "plugin/adopt.h"

#include <stdatomic.h>

enum {
	CALLS_MAX = 64,  /* of one step */
	INVENT_MAX = 64, /* octets */
};

/* State: one exchange, at this end. */
typedef struct {
	PhPool *pool;
	uint64_t serial; /* of the link to the child that has it; 0: not begun */
	uint64_t number;
} State;

static _Atomic uint64_t last_number;

static void *
begin(void *instance, PhExchange *exchange)
{
	State *state = g_new0(State, 1);

	state->pool = instance;
	state->number = atomic_fetch_add(&last_number, 1) + 1;
	return state;
}

static void
end(void *instance, void *pointer)
{
	State *state = pointer;

	if (state->serial > 0)
		ph_pool_end_state(state->pool, state->serial, state->number);
	g_free(state);
}

/* --- what the plugin asks ------------------------------------------------------------------- */

static void
write_found(PhPacket *packet, bool found, const GByteArray *octets)
{
	ph_packet_number(packet, found ? 1 : 0);
	if (found)
		ph_packet_octets(packet, PH_SLICE((const char *) octets->data, octets->len));
}

static void
answer_secret(PhIsolateCall *call, PhExchange *exchange)
{
	PhSlice name = ph_read_octets(&call->reply, PH_PACKET_TEXT_MAX);
	g_autofree char *user = ph_slice_dup(name);
	g_autofree char *scheme = ph_read_text(&call->reply);
	g_autoptr(PhSecret) secret = NULL;
	g_autoptr(GError) error = NULL;

	call->reply.bad = call->reply.bad || scheme == NULL;
	if (!ph_read_is_done(&call->reply))
		return;
	secret = ph_exchange_secret(exchange, PH_SLICE(user, name.length), scheme, &error);
	call->link->packet.length = 0;
	ph_packet_number(&call->link->packet, secret != NULL ? 1 : 0);
	if (secret != NULL)
		ph_packet_octets(&call->link->packet, ph_secret_slice(secret));
	else
		ph_packet_error(&call->link->packet, error);
}

static void
answer_gives(PhIsolateCall *call, PhExchange *exchange)
{
	g_autofree char *scheme = ph_read_text(&call->reply);

	call->reply.bad = call->reply.bad || scheme == NULL;
	if (!ph_read_is_done(&call->reply))
		return;
	call->link->packet.length = 0;
	ph_packet_number(&call->link->packet, ph_exchange_gives(exchange, scheme) ? 1 : 0);
}

static void
answer_invent(PhIsolateCall *call, PhExchange *exchange)
{
	g_autofree char *purpose = ph_read_text(&call->reply);
	PhSlice user = ph_read_octets(&call->reply, PH_PACKET_TEXT_MAX);
	uint64_t n = ph_read_number(&call->reply, INVENT_MAX);
	char octets[INVENT_MAX] = { 0 };

	call->reply.bad = call->reply.bad || purpose == NULL;
	if (!ph_read_is_done(&call->reply))
		return;
	ph_exchange_invent(exchange, purpose, user, (uint8_t *) octets, n);
	call->link->packet.length = 0;
	ph_packet_octets(&call->link->packet, PH_SLICE(octets, n));
	ph_secret_wipe(octets, sizeof octets);
}

static void
answer_binding(PhIsolateCall *call, PhExchange *exchange)
{
	g_autofree char *type = ph_read_text(&call->reply);
	g_autoptr(GByteArray) octets = g_byte_array_new();

	call->reply.bad = call->reply.bad || type == NULL;
	if (!ph_read_is_done(&call->reply))
		return;
	call->link->packet.length = 0;
	write_found(&call->link->packet, ph_exchange_binding(exchange, type, octets), octets);
}

static void
answer_certificate(PhIsolateCall *call, PhExchange *exchange)
{
	g_autoptr(GByteArray) octets = g_byte_array_new();

	if (!ph_read_is_done(&call->reply))
		return;
	call->link->packet.length = 0;
	write_found(&call->link->packet, ph_exchange_certificate(exchange, octets), octets);
}

/* Returns: false when the question makes no sense. The answer is in the packet. */
static bool
answer(PhIsolateCall *call, PhExchange *exchange)
{
	static void (*const answers[])(PhIsolateCall * call, PhExchange * exchange) = {
		[PH_CALL_SECRET] = answer_secret,           [PH_CALL_GIVES] = answer_gives,
		[PH_CALL_INVENT] = answer_invent,           [PH_CALL_BINDING] = answer_binding,
		[PH_CALL_CERTIFICATE] = answer_certificate,
	};
	uint64_t which = ph_read_number(&call->reply, PH_CALL_CERTIFICATE);
	uint64_t began_us = ph_clock_us();

	if (which == 0)
		return false;
	answers[which](call, exchange);
	/* The child had no part in that time. */
	call->deadline_us += ph_clock_us() - began_us;
	return !call->reply.bad;
}

/* --- a step ---------------------------------------------------------------------------------- */

static void
write_step(const State *state, PhPacket *packet, PhExchange *exchange, const PhSlice *response)
{
	uint32_t flags = response != NULL ? PH_STEP_HAS_RESPONSE : 0;

	flags |= ph_exchange_is_plus(exchange) ? PH_STEP_IS_PLUS : 0;
	flags |= ph_exchange_offers_plus(exchange) ? PH_STEP_OFFERS_PLUS : 0;
	ph_packet_number(packet, state->number);
	ph_packet_text(packet, ph_exchange_hostname(exchange));
	ph_packet_number(packet, flags);
	ph_packet_octets(packet, response != NULL ? *response : PH_SLICE_EMPTY);
}

/* Has the answer come? Until then the plugin's questions are answered. */
static bool
converse(PhIsolateCall *call, PhExchange *exchange, GError **error)
{
	for (size_t i = 0; i < CALLS_MAX; i++) {
		uint64_t reply = ph_isolate_ask(call, error);

		if (reply == 0 || reply == PH_REPLY_DONE)
			return reply == PH_REPLY_DONE;
		if (reply != PH_REPLY_CALL || !answer(call, exchange))
			break;
	}
	ph_isolate_nonsense(call, error);
	return false;
}

/* @user: (owned, nullable) */
static void
note_user(PhExchange *exchange, char *user)
{
	if (user == NULL)
		return;
	g_free(exchange->user);
	exchange->user = user;
}

static PhStep
read_asked(PhIsolateCall *call, PhExchange *exchange, const char *user, GError **error)
{
	g_autofree char *authzid = ph_read_text(&call->reply);
	bool has_password = ph_read_number(&call->reply, 1) != 0;
	PhSlice password =
		has_password ? ph_read_octets(&call->reply, PH_PACKET_SECRET_MAX) : PH_SLICE_EMPTY;

	if (!ph_read_is_done(&call->reply) || user == NULL) {
		call->reply.bad = true;
		return PH_STEP_ERROR;
	}
	if (has_password)
		return ph_exchange_verify(exchange, ph_slice(authzid), ph_slice(user), password,
		                          error);
	return ph_exchange_accept(exchange, ph_slice(authzid), ph_slice(user), error);
}

static PhStep
read_step(PhIsolateCall *call, PhExchange *exchange, GError **error)
{
	uint64_t step = ph_read_number(&call->reply, PH_STEP_ASKED);
	g_autofree char *user = ph_read_text(&call->reply);

	switch (step) {
	case PH_STEP_ASKED:
		return read_asked(call, exchange, user, error);
	case PH_STEP_CHALLENGE:
		ph_exchange_challenge(exchange, ph_read_octets(&call->reply, PH_PACKET_MAX));
		break;
	case PH_STEP_ERROR:
		ph_read_error(&call->reply, error);
		break;
	case PH_STEP_FAILED:
		note_user(exchange, g_steal_pointer(&user));
		break;
	case PH_STEP_MALFORMED:
	case PH_STEP_DONE: /* without the directories' word it is a failure */
		break;
	default:
		call->reply.bad = true;
		break;
	}
	return (PhStep) step;
}

static PhStep
step(void *instance, void *pointer, PhExchange *exchange, const PhSlice *response, GError **error)
{
	State *state = pointer;
	PhStep result = PH_STEP_ERROR;
	PhIsolateCall call;

	if (!ph_isolate_begin(&call, instance, state->serial, PH_ASK_STEP, error))
		return PH_STEP_ERROR;
	state->serial = call.link->serial;
	write_step(state, &call.link->packet, exchange, response);
	if (converse(&call, exchange, error)) {
		result = read_step(&call, exchange, error);
		if (!ph_read_is_done(&call.reply)) {
			g_clear_error(error);
			ph_isolate_nonsense(&call, error);
			result = PH_STEP_ERROR;
		}
	}
	if (result != PH_STEP_CHALLENGE)
		state->serial = 0;
	if (result == PH_STEP_ERROR && error != NULL && *error == NULL)
		ph_error_set(error, PH_ERROR_TEMPORARY, "it failed and did not say why");
	ph_isolate_end(&call);
	return result;
}

static bool
create_nothing(PhSection *section, const void *settings, void **instance_out, GError **error)
{
	return false;
}

static void
destroy_nothing(void *instance)
{
}

void *
ph_isolate_mechanism_table(const void *real)
{
	const PhMechanism *has = real;
	PhMechanism table = *has;

	/* A step waits for another process; but one that asks for secrets does so inside of it. */
	if ((has->flags & PH_MECHANISM_NEEDS_SECRET) == 0)
		table.flags |= PH_MECHANISM_BLOCKS;
	table.create = create_nothing;
	table.destroy = destroy_nothing;
	table.begin = begin;
	table.step = step;
	table.end = end;
	return ph_adopt_table(PH_KIND_MECHANISM, &table, NULL);
}
