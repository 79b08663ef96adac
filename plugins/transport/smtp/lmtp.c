/* lmtp.c: the lmtp transport: mail to a delivery agent that answers for each recipient
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "offer.h"

static const char *const tls_words[] = { "none", "may", "require", "verify", NULL };

static const PhOption options[] = {
	{ .key = "address",
	  .help = "who takes the mail: unix:/path, HOST:PORT, HOST or [IPv6]:PORT",
	  .default_text = PH_REQUIRED,
	  .type = PH_OPTION_TYPE_STRING,
	  .offset = offsetof(Settings, relay_host),
	  .member_size = sizeof(const char *),
	  .struct_size = sizeof(Settings) },
	PH_OPTION_INTEGER(Settings,
	                  port,
	                  "24",
	                  1,
	                  G_MAXUINT16,
	                  "where it listens, unless a port stands with its name"),
	PH_OPTION_CHOICE(Settings,
	                 tls,
	                 "may",
	                 tls_words,
	                 "none; may: when it is offered and works; require: or not at all; verify: "
	                 "and with a certificate for the host's name"),
	PH_OPTION_PATH(Settings,
	               ca_file,
	               PH_ABSENT,
	               "PEM file with the authorities that are trusted; the system's when absent"),
	PH_OPTION_STRING(Settings,
	                 tls_name,
	                 PH_ABSENT,
	                 "the name in the certificate, when it is not the host's own"),
	PH_OPTION_STRING(Settings, user, PH_ABSENT, "whom to log in as"),
	PH_OPTION_SECRET(Settings,
	                 password,
	                 PH_ABSENT,
	                 "the password for 'user'; file:/path reads it from a file"),
	PH_OPTION_STRING(Settings,
	                 helo,
	                 PH_ABSENT,
	                 "the name that this server says; its hostname when absent"),
	OFFER_LIMITS("20"),
	OFFER_TIMES,
	PH_OPTION_BOOLEAN(Settings, chunking, "yes", "use BDAT where it is offered"),
	PH_OPTIONS_END,
};

static bool
create(PhSection *section, const void *settings, void **instance_out, GError **error)
{
	*instance_out = relay_new(section, settings, true, error);
	return *instance_out != NULL;
}

static const PhTransport transport = {
	.size = sizeof transport,
	.create = create,
	.destroy = offer_destroy,
	.begin = offer_begin,
	.destination = offer_destination,
};

static const PhOffer offers[] = { PH_OFFER_TRANSPORT("lmtp", &transport), PH_OFFERS_END };

PH_EXPORT const PhPlugin ph_plugin = {
	.abi = PH_ABI,
	.name = "lmtp",
	.version = "1.0",
	.licence = "LGPL-2.1-or-later",
	.summary = "hands mail to a delivery agent by LMTP (RFC 2033)",
	.options = options,
	.offers = offers,
};
