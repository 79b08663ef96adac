/* smtp.c: the smtp transport: mail to the hosts that the DNS names, or to a smart host
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "offer.h"

static const char *const tls_words[] = { "none", "may", "require", "verify", NULL };
static const char *const ip_words[] = { "any", "ipv4-first", "ipv4", "ipv6", NULL };

static const char *const lines_words[] = { "keep", "encode", "refuse", NULL };

static const PhOption options[] = {
	PH_OPTION_STRING(Settings,
	                 relay_host,
	                 PH_ABSENT,
	                 "smart host that takes all mail: HOST, HOST:PORT or [IPv6]:PORT; without "
	                 "it the DNS says who takes it"),
	PH_OPTION_INTEGER(Settings,
	                  port,
	                  "25",
	                  1,
	                  G_MAXUINT16,
	                  "where next hops listen, unless a port stands with their name"),
	PH_OPTION_CHOICE(Settings,
	                 tls,
	                 "may",
	                 tls_words,
	                 "none; may: when it is offered and works; require: or not at all; verify: "
	                 "and with a certificate for the host's name"),
	PH_OPTION_BOOLEAN(Settings,
	                  implicit_tls,
	                  "no",
	                  "TLS from the first octet (port 465) instead of STARTTLS"),
	PH_OPTION_PATH(Settings,
	               ca_file,
	               PH_ABSENT,
	               "PEM file with the authorities that are trusted; the system's when absent"),
	PH_OPTION_STRING(Settings,
	                 tls_name,
	                 PH_ABSENT,
	                 "the name in the certificate, when it is not the host's own"),
	PH_OPTION_STRING(Settings, user, PH_ABSENT, "whom to log in as at the next hop"),
	PH_OPTION_SECRET(Settings,
	                 password,
	                 PH_ABSENT,
	                 "the password for 'user'; file:/path reads it from a file"),
	PH_OPTION_BOOLEAN(Settings,
	                  plaintext_auth,
	                  "no",
	                  "send the password without TLS to other machines too"),
	PH_OPTION_LIST(
		Settings,
		mechanisms,
		PH_ABSENT,
		"ways to log in, best first: scram-sha-256, scram-sha-1, cram-md5, plain, login"),
	PH_OPTION_STRING(Settings,
	                 helo,
	                 PH_ABSENT,
	                 "the name that this server says; its hostname when absent"),
	PH_OPTION_CHOICE(Settings,
	                 ip,
	                 "any",
	                 ip_words,
	                 "which addresses are used; any is IPv6 first"),
	PH_OPTION_STRING(Settings, source_ipv4, PH_ABSENT, "IPv4 address to connect from"),
	PH_OPTION_STRING(Settings, source_ipv6, PH_ABSENT, "IPv6 address to connect from"),
	PH_OPTION_LIST(Settings,
	               destinations,
	               PH_ABSENT,
	               "rules for some domains: example.net tls=verify, *.example.org "
	               "next-hop=10.0.0.1:25 connections=2, example.com tls=none port=2525"),
	OFFER_LIMITS("20"),
	PH_OPTION_INTEGER(Settings,
	                  max_hosts,
	                  "8",
	                  1,
	                  PATH_HOSTS_MAX,
	                  "most addresses that are tried for one attempt"),
	PH_OPTION_INTEGER(
		Settings,
		max_tries,
		"2",
		1,
		PATH_HOSTS_MAX,
		"most hosts that one attempt offers a message to while they answer 4xx or "
		"break off"),
	OFFER_TIMES,
	PH_OPTION_BOOLEAN(Settings, chunking, "yes", "use BDAT where it is offered"),
	PH_OPTION_CHOICE(
		Settings,
		long_lines,
		"encode",
		lines_words,
		"lines of more than 998 octets, which hosts need not take: encode: parts in "
		"quoted-printable or base64, where no signature breaks; keep: send them as "
		"they are; refuse: the message comes back"),
	PH_OPTIONS_END,
};

static bool
create(PhSection *section, const void *settings, void **instance_out, GError **error)
{
	*instance_out = relay_new(section, settings, false, error);
	return *instance_out != NULL;
}

static const PhTransport transport = {
	.size = sizeof transport,
	.create = create,
	.destroy = offer_destroy,
	.begin = offer_begin,
	.destination = offer_destination,
};

static const PhOffer offers[] = { PH_OFFER_TRANSPORT("smtp", &transport), PH_OFFERS_END };

PH_EXPORT const PhPlugin ph_plugin = {
	.abi = PH_ABI,
	.name = "smtp",
	.version = "1.0",
	.licence = "LGPL-2.1-or-later",
	.summary = "hands mail to other hosts by SMTP (RFC 5321)",
	.options = options,
	.offers = offers,
};
