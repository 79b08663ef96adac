/* check-login.c: can anybody log in with what a listener names?
 *
 * A mechanism that shows the password needs a directory that verifies one; a mechanism of
 * challenges needs one that gives stored secrets. And where passwords are taken over TLS only there
 * must be TLS.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <posthorn/directory.h>
#include <posthorn/mechanism.h>

#include "config/build.h"

enum {
	VERIFIES = 1U << 0,
	GIVES_SECRETS = 1U << 1
};

/* What the directories of a listener offer together; everything when one is not known. */
static uint32_t
abilities(const PhListenerSettings *listener)
{
	uint32_t found = 0;

	for (size_t i = 0; listener->directory[i] != NULL; i++) {
		const PhOfferInfo *offer = listener->directory[i]->offer;
		const PhDirectory *table = offer != NULL ? offer->table : NULL;

		if (table == NULL)
			return VERIFIES | GIVES_SECRETS;
		found |= table->verify != NULL ? VERIFIES : 0;
		found |= table->secret != NULL ? GIVES_SECRETS : 0;
	}
	return found;
}

static void
check_mechanism(PhBuilder *builder,
                const PhSection *section,
                const PhSection *mechanism,
                uint32_t offered)
{
	const PhMechanism *table = mechanism->offer->table;
	const char *lack = NULL;

	if ((table->flags & PH_MECHANISM_NEEDS_SECRET) != 0 && (offered & GIVES_SECRETS) == 0)
		lack = "gives stored secrets";
	if ((table->flags & PH_MECHANISM_SHOWS_PASSWORD) != 0 && (offered & VERIFIES) == 0)
		lack = "verifies passwords";
	if (lack != NULL)
		ph_mistakes_add(
			builder->mistakes, ph_section_key_line(section, "mechanisms"),
			"the mechanism '%s' in [listener %s] needs a directory that %s, and "
			"none of those in 'directory' does; name another directory or "
			"another mechanism",
			mechanism->name, section->name, lack);
}

static bool
names_certificate_mechanism(const PhListenerSettings *listener)
{
	for (size_t i = 0; listener->mechanisms != NULL && listener->mechanisms[i] != NULL; i++) {
		const PhOfferInfo *offer = listener->mechanisms[i]->offer;
		const PhMechanism *table = offer != NULL ? offer->table : NULL;

		if (table != NULL && (table->flags & PH_MECHANISM_NEEDS_CERTIFICATE) != 0)
			return true;
	}
	return false;
}

static void
check_certificates(PhBuilder *builder, const PhSection *section)
{
	const PhListenerSettings *listener = section->core_settings;
	bool asks = listener->client_certificates != PH_CLIENT_CERTIFICATES_NONE;
	const char *problem = NULL;

	if (asks && listener->client_ca == NULL)
		problem = "asks for client certificates, but lacks the key 'client-ca' that says "
			  "who vouches for them";
	else if (asks && listener->tls == PH_LISTENER_TLS_NONE)
		problem = "asks for client certificates, but has no TLS";
	else if (!asks && names_certificate_mechanism(listener))
		problem = "names a mechanism that needs the client's certificate, but does not ask "
			  "for one: client-certificates = request";
	if (problem != NULL)
		ph_mistakes_add(builder->mistakes,
		                ph_section_key_line(section, "client-certificates"),
		                "[listener %s] %s", section->name, problem);
}

void
ph_check_login(PhBuilder *builder, const PhSection *section)
{
	const PhListenerSettings *listener = section->core_settings;
	bool all_show = listener->mechanisms != NULL;
	uint32_t offered = 0;

	check_certificates(builder, section);
	if (listener->mechanisms == NULL || listener->directory == NULL)
		return;
	offered = abilities(listener);
	for (size_t i = 0; listener->mechanisms[i] != NULL; i++) {
		const PhSection *mechanism = listener->mechanisms[i];
		const PhMechanism *table =
			mechanism->offer != NULL ? mechanism->offer->table : NULL;

		if (table == NULL)
			return;
		check_mechanism(builder, section, mechanism, offered);
		all_show = all_show && (table->flags & PH_MECHANISM_SHOWS_PASSWORD) != 0;
	}
	if (all_show && listener->tls == PH_LISTENER_TLS_NONE
	    && listener->plaintext_auth == PH_PLAINTEXT_NEVER)
		ph_mistakes_add(builder->mistakes, ph_section_key_line(section, "plaintext-auth"),
		                "nobody can log in at [listener %s]: it has no TLS, and "
		                "plaintext-auth = never; give it TLS or allow passwords without",
		                section->name);
}
