/* plain.c: SASL PLAIN (RFC 4616): one message with a name and a password
 *
 * The message is [authzid] NUL authcid NUL passwd. Anything else is malformed. The core prepares
 * the names, asks the directories and decides whether the connection is safe enough.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/mechanism.h>
#include <posthorn/slice.h>

static PhStep
step(void *instance, void *state, PhExchange *exchange, const PhSlice *response, GError **error)
{
	if (response == NULL)
		return PH_STEP_MALFORMED;

	PhSlice rest = *response;
	if (ph_slice_find(rest, '\0') < 0)
		return PH_STEP_MALFORMED;
	PhSlice authzid = ph_slice_split(&rest, '\0');
	if (ph_slice_find(rest, '\0') < 0)
		return PH_STEP_MALFORMED;
	PhSlice user = ph_slice_split(&rest, '\0');
	if (user.length == 0 || rest.length == 0 || ph_slice_find(rest, '\0') >= 0)
		return PH_STEP_MALFORMED;
	return ph_exchange_verify(exchange, authzid, user, rest, error);
}

static const PhMechanism mechanism = {
	.size = sizeof mechanism,
	.flags = PH_MECHANISM_SHOWS_PASSWORD | PH_MECHANISM_CLIENT_FIRST,
	.sasl_name = "PLAIN",
	.step = step,
};

static const PhOffer offers[] = { PH_OFFER_MECHANISM("plain", &mechanism), PH_OFFERS_END };

PH_EXPORT const PhPlugin ph_plugin = {
	.abi = PH_ABI,
	.name = "plain",
	.version = "0.1.0",
	.licence = "LGPL-2.1-or-later",
	.summary = "SASL PLAIN: a name and a password in one message",
	.offers = offers,
};
