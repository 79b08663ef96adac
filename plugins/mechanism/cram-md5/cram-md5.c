/* cram-md5.c: SASL CRAM-MD5 (RFC 2195): a keyed digest over a challenge
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "answer.h"

static PhStep
step(void *instance, void *state, PhExchange *exchange, const PhSlice *response, GError **error)
{
	return answer_step(state, exchange, response, cram_md5_digest, error);
}

static const PhMechanism mechanism = {
	.size = sizeof mechanism,
	.flags = PH_MECHANISM_NEEDS_SECRET,
	.sasl_name = "CRAM-MD5",
	.begin = answer_begin,
	.step = step,
	.end = answer_end,
};

static const PhOffer offers[] = { PH_OFFER_MECHANISM("cram-md5", &mechanism), PH_OFFERS_END };

PH_EXPORT const PhPlugin ph_plugin = {
	.abi = PH_ABI,
	.name = "cram-md5",
	.version = "0.1.0",
	.licence = "LGPL-2.1-or-later",
	.summary = "SASL CRAM-MD5: a keyed digest over a challenge, for old clients",
	.offers = offers,
};
