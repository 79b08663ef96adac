/* apop.c: the command APOP of POP3 (RFC 1939 section 7)
 *
 * Not SASL: the challenge stands in the greeting, and the answer behind the command.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "answer.h"

static PhStep
step(void *instance, void *state, PhExchange *exchange, const PhSlice *response, GError **error)
{
	return answer_step(state, exchange, response, apop_digest, error);
}

static const PhMechanism mechanism = {
	.size = sizeof mechanism,
	.flags = PH_MECHANISM_NEEDS_SECRET | PH_MECHANISM_IS_COMMAND,
	.sasl_name = "APOP",
	.begin = answer_begin,
	.step = step,
	.end = answer_end,
};

static const PhOffer offers[] = { PH_OFFER_MECHANISM("apop", &mechanism), PH_OFFERS_END };

PH_EXPORT const PhPlugin ph_plugin = {
	.abi = PH_ABI,
	.name = "apop",
	.version = "0.1.0",
	.licence = "LGPL-2.1-or-later",
	.summary = "APOP of POP3: a digest over the greeting, for old clients",
	.offers = offers,
};
