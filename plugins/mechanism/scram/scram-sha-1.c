/* scram-sha-1.c: SCRAM-SHA-1 and SCRAM-SHA-1-PLUS (RFC 5802)
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "scram.h"

static const ScramKind kind = { "SCRAM-SHA-1", "SHA1" };

static bool
create(PhSection *section, const void *settings, void **instance_out, GError **error)
{
	return scram_create(&kind, settings, instance_out, error);
}

static const char *const schemes[] = { "SCRAM-SHA-1", "PLAIN", NULL };

static const PhMechanism mechanism = {
	.size = sizeof mechanism,
	.flags = PH_MECHANISM_CLIENT_FIRST | PH_MECHANISM_NEEDS_SECRET | PH_MECHANISM_HAS_PLUS,
	.sasl_name = "SCRAM-SHA-1",
	.create = create,
	.destroy = scram_destroy,
	.begin = scram_begin,
	.step = scram_step,
	.end = scram_end,
	.schemes = schemes,
};

static const PhOffer offers[] = { PH_OFFER_MECHANISM("scram-sha-1", &mechanism), PH_OFFERS_END };

PH_EXPORT const PhPlugin ph_plugin = {
	.abi = PH_ABI,
	.name = "scram-sha-1",
	.version = "0.1.0",
	.licence = "LGPL-2.1-or-later",
	.summary = "SCRAM-SHA-1: both sides prove that they know the password, and nobody shows it",
	.options = scram_options,
	.offers = offers,
};
