/* oauthbearer.c: SASL OAUTHBEARER: a token instead of a password
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "oauth.h"

static const OauthKind kind = { oauthbearer_parse, false };

static bool
create(PhSection *section, const void *settings, void **instance_out, GError **error)
{
	return oauth_create(&kind, section, settings, instance_out, error);
}

static const PhMechanism mechanism = {
	.size = sizeof mechanism,
	.flags = PH_MECHANISM_CLIENT_FIRST | PH_MECHANISM_SHOWS_PASSWORD | PH_MECHANISM_BLOCKS,
	.sasl_name = "OAUTHBEARER",
	.create = create,
	.destroy = oauth_destroy,
	.begin = oauth_begin,
	.step = oauth_step,
	.end = oauth_end,
};

static const PhOffer offers[] = { PH_OFFER_MECHANISM("oauthbearer", &mechanism), PH_OFFERS_END };

PH_EXPORT const PhPlugin ph_plugin = {
	.abi = PH_ABI,
	.name = "oauthbearer",
	.version = "0.1.0",
	.licence = "LGPL-2.1-or-later",
	.summary = "SASL OAUTHBEARER: a token instead of a password",
	.options = oauth_options,
	.offers = offers,
	.load = oauth_load,
};
