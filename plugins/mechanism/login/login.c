/* login.c: SASL LOGIN: a name and a password, each asked for
 *
 * Never standardised (draft-murchison-sasl-login), but spoken by old clients. An initial response
 * is taken as the name.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/mechanism.h>
#include <posthorn/slice.h>

/* Exchange: the name, once it was given. */
typedef struct {
	char *user;
	size_t length;
} Exchange;

static void *
begin(void *instance, PhExchange *exchange)
{
	return g_new0(Exchange, 1);
}

static void
end(void *instance, void *state)
{
	Exchange *mine = state;
	if (mine == NULL)
		return;

	g_free(mine->user);
	g_free(mine);
}

static PhStep
step(void *instance, void *state, PhExchange *exchange, const PhSlice *response, GError **error)
{
	Exchange *mine = state;
	if (response == NULL) {
		ph_exchange_challenge(exchange, PH_SLICE_LITERAL("Username:"));
		return PH_STEP_CHALLENGE;
	}
	if (mine->user == NULL) {
		mine->user = ph_slice_dup(*response);
		mine->length = response->length;
		ph_exchange_challenge(exchange, PH_SLICE_LITERAL("Password:"));
		return PH_STEP_CHALLENGE;
	}
	return ph_exchange_verify(exchange, PH_SLICE_EMPTY, PH_SLICE(mine->user, mine->length),
	                          *response, error);
}

static const PhMechanism mechanism = {
	.size = sizeof mechanism,
	.flags = PH_MECHANISM_SHOWS_PASSWORD,
	.sasl_name = "LOGIN",
	.begin = begin,
	.step = step,
	.end = end,
};

static const PhOffer offers[] = { PH_OFFER_MECHANISM("login", &mechanism), PH_OFFERS_END };

PH_EXPORT const PhPlugin ph_plugin = {
	.abi = PH_ABI,
	.name = "login",
	.version = "0.1.0",
	.licence = "LGPL-2.1-or-later",
	.summary = "SASL LOGIN: a name and a password, each asked for",
	.offers = offers,
};
