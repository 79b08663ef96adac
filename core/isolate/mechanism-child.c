/* mechanism-child.c: steps of a mechanism, taken by its plugin in this process
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/error.h>
#include <posthorn/mechanism.h>
#include <posthorn/slice.h>

#include "isolate/child.h"
#include "isolate/mechanism.h"
#include "login/exchange.h"

#include <string.h>

enum {
	EXCHANGES_MAX = 100000 /* at once */
};

/* Exchange: one, as the plugin sees it. */
typedef struct {
	PhExchange exchange; /* first: what the plugin is given */
	PhIsolateChild *child;
	void *state; /* the plugin's */
	char *hostname;
} Exchange;

static Exchange *
of(PhExchange *exchange)
{
	return (Exchange *) (void *) exchange;
}

/* --- what the plugin asks ------------------------------------------------------------------- */

static PhIsolateChild *
begin_call(PhExchange *exchange, PhCallMechanism which)
{
	PhIsolateChild *child = of(exchange)->child;

	ph_isolated_begin(child, PH_REPLY_CALL);
	ph_packet_number(&child->packet, which);
	return child;
}

static PhSecret *
ask_secret(PhExchange *exchange, PhSlice user, const char *scheme, GError **error)
{
	PhIsolateChild *child = begin_call(exchange, PH_CALL_SECRET);
	PhSecret *secret = NULL;

	ph_packet_octets(&child->packet, user);
	ph_packet_text(&child->packet, scheme);
	if (!ph_isolated_ask(child)) {
		ph_error_set(error, PH_ERROR_TEMPORARY, "the server cannot be asked");
		return NULL;
	}
	if (ph_read_number(&child->reader, 1) == 0) {
		ph_read_error(&child->reader, error);
		return NULL;
	}
	secret = ph_secret_new(ph_read_octets(&child->reader, PH_PACKET_MAX));
	ph_secret_wipe(child->packet.octets, child->packet.length);
	return secret;
}

static bool
ask_gives(PhExchange *exchange, const char *scheme)
{
	PhIsolateChild *child = begin_call(exchange, PH_CALL_GIVES);

	ph_packet_text(&child->packet, scheme);
	return ph_isolated_ask(child) && ph_read_number(&child->reader, 1) != 0;
}

static void
ask_invent(PhExchange *exchange, const char *purpose, PhSlice user, uint8_t *octets, size_t n)
{
	PhIsolateChild *child = begin_call(exchange, PH_CALL_INVENT);
	PhSlice invented = PH_SLICE_EMPTY;

	ph_packet_text(&child->packet, purpose);
	ph_packet_octets(&child->packet, user);
	ph_packet_number(&child->packet, n);
	if (ph_isolated_ask(child))
		invented = ph_read_octets(&child->reader, n);
	if (invented.length == n && n > 0)
		memcpy(octets, invented.data, n);
	else
		ph_secret_random(octets, n);
}

static bool
read_found(PhIsolateChild *child, GByteArray *out)
{
	PhSlice octets;

	if (!ph_isolated_ask(child) || ph_read_number(&child->reader, 1) == 0)
		return false;
	octets = ph_read_octets(&child->reader, PH_PACKET_MAX);
	if (out != NULL)
		g_byte_array_append(out, (const guint8 *) octets.data, (guint) octets.length);
	return !child->reader.bad;
}

static bool
ask_binding(PhExchange *exchange, const char *type, GByteArray *out)
{
	PhIsolateChild *child = begin_call(exchange, PH_CALL_BINDING);

	ph_packet_text(&child->packet, type);
	return read_found(child, out);
}

static bool
ask_certificate(PhExchange *exchange, GByteArray *out)
{
	return read_found(begin_call(exchange, PH_CALL_CERTIFICATE), out);
}

static const char *
hostname(PhExchange *exchange)
{
	return of(exchange)->hostname;
}

static const PhExchangeRemote remote = {
	.secret = ask_secret,
	.gives = ask_gives,
	.invent = ask_invent,
	.binding = ask_binding,
	.certificate = ask_certificate,
	.hostname = hostname,
};

/* --- steps ----------------------------------------------------------------------------------- */

static const PhMechanism *
table_of(const PhIsolateChild *child)
{
	return child->section->offer->table;
}

/* The exchange with that number, begun now if it was not. @hostname: (owned). */
static Exchange *
find_exchange(PhIsolateChild *child, uint64_t number, uint64_t flags, char *name)
{
	Exchange *exchange = g_hash_table_lookup(child->states, &number);

	if (exchange != NULL || g_hash_table_size(child->states) >= EXCHANGES_MAX) {
		g_free(name);
		return exchange;
	}
	exchange = g_new0(Exchange, 1);
	exchange->child = child;
	exchange->hostname = name;
	exchange->exchange.remote = &remote;
	exchange->exchange.is_plus = (flags & PH_STEP_IS_PLUS) != 0;
	exchange->exchange.offers_plus = (flags & PH_STEP_OFFERS_PLUS) != 0;
	g_hash_table_insert(child->states, g_memdup2(&number, sizeof number), exchange);
	exchange->state = table_of(child)->begin(child->section->instance, &exchange->exchange);
	return exchange;
}

static void
end(PhIsolateChild *child, void *state)
{
	Exchange *exchange = state;

	table_of(child)->end(child->section->instance, exchange->state);
	ph_exchange_clear(&exchange->exchange);
	g_free(exchange->hostname);
	g_free(exchange);
}

static void
write_asked(PhIsolateChild *child, const PhExchange *exchange)
{
	ph_packet_text(&child->packet, exchange->authzid);
	ph_packet_number(&child->packet, exchange->secret != NULL ? 1 : 0);
	if (exchange->secret != NULL)
		ph_packet_octets(&child->packet, ph_secret_slice(exchange->secret));
}

static void
write_step(PhIsolateChild *child, PhStep step, const PhExchange *exchange, const GError *error)
{
	const GByteArray *challenge = exchange->challenge;

	ph_isolated_begin(child, PH_REPLY_DONE);
	ph_packet_number(&child->packet, step);
	ph_packet_text(&child->packet, exchange->user);
	if (step == PH_STEP_CHALLENGE)
		ph_packet_octets(&child->packet,
		                 challenge != NULL
		                         ? PH_SLICE((const char *) challenge->data, challenge->len)
		                         : PH_SLICE_EMPTY);
	else if (step == PH_STEP_ERROR)
		ph_packet_error(&child->packet, error);
	else if (step == PH_STEP_ASKED)
		write_asked(child, exchange);
}

static void
take_step(PhIsolateChild *child, uint64_t number, Exchange *exchange, const PhSlice *response)
{
	g_autoptr(GError) error = NULL;
	PhStep step = table_of(child)->step(child->section->instance, exchange->state,
	                                    &exchange->exchange, response, &error);

	write_step(child, step, &exchange->exchange, error);
	if (step == PH_STEP_CHALLENGE)
		return;
	g_hash_table_remove(child->states, &number);
	end(child, exchange);
}

static bool
serve(PhIsolateChild *child, uint64_t operation)
{
	uint64_t number = ph_read_number(&child->reader, UINT64_MAX);
	char *name = ph_read_text(&child->reader);
	uint64_t flags = ph_read_number(&child->reader, PH_STEP_FLAGS);
	PhSlice octets = ph_read_octets(&child->reader, PH_PACKET_MAX);
	g_autoptr(PhSecret) kept = NULL;
	PhSlice response;
	Exchange *exchange = NULL;

	if (operation != PH_ASK_STEP || !ph_read_is_done(&child->reader) || name == NULL) {
		g_free(name);
		return false;
	}
	/* The packet is written over by what the plugin asks. */
	kept = ph_secret_new(octets);
	response = ph_secret_slice(kept);
	ph_secret_wipe(child->packet.octets, child->packet.length);
	exchange = find_exchange(child, number, flags, name);
	if (exchange == NULL)
		return false;
	take_step(child, number, exchange, (flags & PH_STEP_HAS_RESPONSE) != 0 ? &response : NULL);
	return true;
}

const PhIsolatedKind ph_isolated_mechanism = { serve, end };
