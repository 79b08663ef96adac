/* rehash.c: stores a password anew, in the scheme that its section prefers
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "login/rehash.h"

#include <posthorn/log.h>

#include "config/config.h"

#include <string.h>

static _Thread_local const char *matched; /* static text: a scheme's name */

/* What {CRYPT} and forms without braces really are. */
static const char *
crypt_scheme(const char *form)
{
	static const struct {
		const char *prefix;
		const char *scheme;
	} forms[] = {
		{ "$6$", "SHA512-CRYPT" }, { "$5$", "SHA256-CRYPT" }, { "$2", "BLF-CRYPT" },
		{ "$1$", "MD5-CRYPT" },    { "$y$", "CRYPT" },        { "", "DES-CRYPT" },
	};

	size_t i = 0;

	while (!g_str_has_prefix(form, forms[i].prefix))
		i++;
	return forms[i].scheme;
}

void
ph_rehash_note(const char *scheme, const char *form)
{
	matched = scheme != NULL && strcmp(scheme, "CRYPT") == 0 ? crypt_scheme(form) : scheme;
}

void
ph_rehash(PhSection *section, const PhIdentity *identity, const PhSecret *secret)
{
	const PhPluginSettings *settings = section->core_settings;
	const PhDirectory *table = ph_section_table(section);
	const char *address = ph_identity_address(identity);
	g_autofree char *hash = NULL;
	g_autoptr(GError) error = NULL;

	if (settings == NULL || settings->rehash == NULL || table->set == NULL || matched == NULL
	    || g_ascii_strcasecmp(matched, settings->rehash) == 0)
		return;
	hash = ph_password_hash(settings->rehash, secret, &error);
	if (hash != NULL && table->set(ph_section_instance(section), address, hash, false, &error))
		ph_log_section(section, PH_LOG_INFO, "rehashed",
		               "a password is now stored in the preferred scheme",
		               PH_LOG_TEXT("user", address),
		               PH_LOG_TEXT("scheme", settings->rehash), PH_LOG_END);
	else
		ph_log_section(section, PH_LOG_WARNING, "rehash-failed",
		               "a password could not be stored in the preferred scheme",
		               PH_LOG_TEXT("user", address), PH_LOG_FAILURE(error), PH_LOG_END);
}
